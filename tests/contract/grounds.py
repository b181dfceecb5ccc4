"""The servers on which the facts are checked, behind the few acts that are no business of the client's.

Whatever the client itself could do (comment, review, edit, close) the tests do over HTTP.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import httpx

from poller.demo.world import World

T = TypeVar("T")
_URL, _TOKEN = "BOTTLEPOST_GITEA_URL", "BOTTLEPOST_GITEA_ADMIN_TOKEN"
BOT_SCOPES = "read:user,write:issue,write:repository"
PASSWORD = "Passw0rd-of-tests"
#: A real server's queues take up to this long (seconds) to write the row of a push.
PATIENCE = 15.0


class Ground(Protocol):
    """A server, and what only its administrators and git can do.  Names must be new for each test: use `fresh`."""

    url: str

    def token(self, login: str, *, scopes: str = BOT_SCOPES) -> str:
        """A token of that user, who is made if he is missing."""
        ...

    def repo(self, full_name: str, *, private: bool = False, collaborators: Mapping[str, str] | None = None) -> str:
        """A repository with a file, of a user who is made if he is missing; its full name."""
        ...

    def open_pull(self, repo: str, *, by: str) -> int: ...

    def push(self, repo: str, number: int, *, by: str) -> str:
        """One more commit on the pull's head; its SHA."""
        ...

    def rename(self, repo: str, name: str) -> None: ...

    def close(self) -> None: ...


class StandIn:
    """Our own stand-in, in one of the versions that it plays."""

    def __init__(self, version: str) -> None:
        self.world = World(version=version)
        self.server = self.world.serve()
        self.url = self.server.url

    def token(self, login: str, *, scopes: str = BOT_SCOPES) -> str:
        return self.world.token(login, scopes=scopes)

    def repo(self, full_name: str, *, private: bool = False, collaborators: Mapping[str, str] | None = None) -> str:
        return self.world.repo(full_name, private=private, collaborators=dict(collaborators or {})).full_name

    def open_pull(self, repo: str, *, by: str) -> int:
        return self.world.repo(repo).open_pull(by=by).number

    def push(self, repo: str, number: int, *, by: str) -> str:
        pull = self.world.repo(repo).pulls[number]
        pull.push(by=by)
        return pull.head_sha

    def rename(self, repo: str, name: str) -> None:
        self.world.repo(repo).rename(name)

    def close(self) -> None:
        self.server.close()


class Gitea:
    """A real server, reached as its administrator; people act with their passwords."""

    def __init__(self, url: str, admin_token: str, *, stop: Callable[[], None] = lambda: None) -> None:
        self.url, self._stop, self._known = url.rstrip("/"), stop, set[str]()
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30)
        self._admin = {"Authorization": f"token {admin_token}"}

    def token(self, login: str, *, scopes: str = BOT_SCOPES) -> str:
        self._user(login)
        made = self._post(
            f"/users/{login}/tokens", {"name": fresh("token"), "scopes": scopes.split(",")}, auth=(login, PASSWORD)
        )
        return str(made["sha1"])

    def repo(self, full_name: str, *, private: bool = False, collaborators: Mapping[str, str] | None = None) -> str:
        owner, _, name = full_name.partition("/")
        self._user(owner)
        new = {"name": name, "private": private, "auto_init": True, "default_branch": "main"}
        self._post(f"/admin/users/{owner}/repos", new, headers=self._admin)
        for login, permission in (collaborators or {}).items():
            self._user(login)
            path = f"/repos/{full_name}/collaborators/{login}"
            self._http.put(path, json={"permission": permission}, auth=(owner, PASSWORD)).raise_for_status()
        return full_name

    def open_pull(self, repo: str, *, by: str) -> int:
        branch = fresh("feature")
        self._commit(repo, {"branch": "main", "new_branch": branch}, by=by)
        made = self._post(
            f"/repos/{repo}/pulls", {"head": branch, "base": "main", "title": "Add a file"}, auth=(by, PASSWORD)
        )
        return int(made["number"])

    def push(self, repo: str, number: int, *, by: str) -> str:
        pull = self._http.get(f"/repos/{repo}/pulls/{number}", auth=(by, PASSWORD)).raise_for_status().json()
        return self._commit(repo, {"branch": pull["head"]["ref"]}, by=by)

    def rename(self, repo: str, name: str) -> None:
        owner = repo.partition("/")[0]
        self._http.patch(f"/repos/{repo}", json={"name": name}, auth=(owner, PASSWORD)).raise_for_status()

    def close(self) -> None:
        self._http.close()
        self._stop()

    def _commit(self, repo: str, where: dict[str, str], *, by: str) -> str:
        content = base64.b64encode(b"one\ntwo\nthree\nfour\n").decode()
        path = f"/repos/{repo}/contents/{fresh('file')}.txt"
        made = self._post(path, {**where, "content": content, "message": "Add a file"}, auth=(by, PASSWORD))
        return str(made["commit"]["sha"])

    def _user(self, login: str) -> None:
        if login in self._known:
            return
        person = {
            "username": login,
            "email": f"{login}@example.com",
            "password": PASSWORD,
            "must_change_password": False,
        }
        self._post("/admin/users", person, headers=self._admin)
        self._known.add(login)

    def _post(self, path: str, sent: dict[str, Any], **how: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.post(path, json=sent, **how).raise_for_status().json()
        return answer


class GiteaProcess:
    """A `gitea` from PATH with a database of its own under the temporary directory, never run as root."""

    def __init__(self, program: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="gitea-"))
        # Gitea refuses to run as root; 65534 is nobody on every Linux.
        self.who: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.who:
            os.chown(self.directory, 65534, 65534)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.program, self.url = program, f"http://127.0.0.1:{self.port}"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "USER": "gitea"}
        (self.directory / "app.ini").write_text(_APP_INI.format(directory=self.directory, port=self.port, url=self.url))
        self.log = (self.directory / "out.log").open("wb")

    def start(self) -> Gitea:
        """Make the database and an administrator, serve, and wait until it answers."""
        admin = ("--username", "root1", "--password", PASSWORD, "--email", "root1@example.com")
        self._run("migrate")
        self._run("admin", "user", "create", *admin, "--admin", "--must-change-password=false")
        made = self._run(
            "admin", "user", "generate-access-token", "-u", "root1", "-t", "t1", "--scopes", "all", "--raw"
        )
        token = re.findall(r"\b[0-9a-f]{40}\b", made)[-1]
        self.process = subprocess.Popen(
            self._argv("web"), env=self.environment, cwd=self.directory, stdout=self.log, stderr=self.log, **self.who
        )
        eventually(self._answers, patience=60)
        return Gitea(self.url, token, stop=self.stop)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _argv(self, *words: str) -> list[str]:
        return [self.program, "-c", str(self.directory / "app.ini"), *words]

    def _run(self, *words: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            self._argv(*words), env=self.environment, cwd=self.directory, capture_output=True, text=True, **self.who
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "out.log").read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/api/v1/version").status_code == 200
        except httpx.TransportError:
            return False


_APP_INI = """
RUN_MODE = prod
WORK_PATH = {directory}
[database]
DB_TYPE = sqlite3
SQLITE_JOURNAL_MODE = WAL
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
DISABLE_SSH = true
OFFLINE_MODE = true
[security]
INSTALL_LOCK = true
SECRET_KEY = test
PASSWORD_HASH_ALGO = pbkdf2_v1
[indexer]
ISSUE_INDEXER_TYPE = db
[cron]
ENABLED = false
"""


def no_real_gitea() -> str:
    """Why there is no real server, and what would mend it; "" if there is one."""
    given = [name for name in (_URL, _TOKEN) if os.environ.get(name)]
    if len(given) == 1:
        return f"{given[0]} is set alone: {_URL} and {_TOKEN} are needed together"
    if given or (shutil.which("gitea") and shutil.which("git")):
        return ""
    return (
        "no real Gitea: put `gitea` and `git` on PATH, or name a server that may be filled with test users "
        f"in {_URL} and {_TOKEN}"
    )


def real_gitea() -> Gitea:
    """The server that was named, else one that is started here."""
    if os.environ.get(_URL):
        return Gitea(os.environ[_URL], os.environ[_TOKEN])
    return GiteaProcess(shutil.which("gitea") or "gitea").start()


class Grounds:
    """Each server is started once, when the first test asks for it."""

    def __init__(self) -> None:
        self._started: dict[str, Ground] = {}

    def __getitem__(self, name: str) -> Ground:
        if name not in self._started:
            self._started[name] = real_gitea() if name == "gitea" else StandIn(name.removeprefix("stand-in-"))
        return self._started[name]

    def __enter__(self) -> Grounds:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ground in self._started.values():
            ground.close()


def fresh(word: str) -> str:
    """A name that nobody has."""
    return f"{word}-{secrets.token_hex(4)}"


def eventually(look: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """What `look` finds, as soon as it finds anything."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"still nothing after {patience:.0f} s"
        time.sleep(0.05)
    return found
