"""The servers on which the facts are checked, behind the few acts that are no business of the client's.

Whatever the client itself could do (comment, review, edit, close) the tests do over HTTP.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

import httpx

from tests.contract.patience import fresh
from tests.contract.process import ADMIN_PASSWORD as PASSWORD
from tests.contract.process import GiteaProcess
from tests.contract.standin import StandIn

_URL, _TOKEN = "BOTTLEPOST_GITEA_URL", "BOTTLEPOST_GITEA_ADMIN_TOKEN"
BOT_SCOPES = "read:user,write:issue,write:repository"

#: As a webhook is asked for them; versions that know only the first take it for all.
PULL_EVENTS = (
    "pull_request_only", "pull_request_assign", "pull_request_label", "pull_request_milestone", "pull_request_comment",
    "pull_request_review", "pull_request_sync", "pull_request_review_request",
)  # fmt: skip


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

    def force_push(self, repo: str, number: int, *, by: str) -> str:
        """The last commit of the pull's head, made anew; its SHA."""
        ...

    def branch(self, repo: str, name: str) -> None: ...

    def label(self, repo: str, name: str) -> int: ...

    def delete_label(self, repo: str, label_id: int) -> None: ...

    def milestone(self, repo: str, title: str) -> int: ...

    def delete_pull(self, repo: str, number: int) -> None: ...

    def rename(self, repo: str, name: str) -> None: ...

    def hook(self, repo: str, url: str) -> None:
        """From now on everything that happens on pulls of the repository is delivered there."""
        ...

    def now(self) -> float:
        """Its clock, in epoch seconds."""
        ...

    def pass_time(self, seconds: int) -> None: ...

    def close(self) -> None: ...


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

    def force_push(self, repo: str, number: int, *, by: str) -> str:
        pull = self._http.get(f"/repos/{repo}/pulls/{number}", auth=(by, PASSWORD)).raise_for_status().json()
        login = base64.b64encode(f"{by}:{PASSWORD}".encode()).decode()
        environment = os.environ | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
        }
        with tempfile.TemporaryDirectory() as place:

            def git(*words: str) -> str:
                who = ("-c", f"user.name={by}", "-c", f"user.email={by}@example.com")
                run = ["git", *who, *words]
                return subprocess.run(
                    run, cwd=place, env=environment, check=True, capture_output=True, text=True
                ).stdout

            git("clone", "--branch", pull["head"]["ref"], f"{self.url}/{repo}.git", ".")
            git("commit", "--amend", "--message", fresh("amended"))
            git("push", "--force")
            return git("rev-parse", "HEAD").strip()

    def branch(self, repo: str, name: str) -> None:
        sent = {"new_branch_name": name, "old_branch_name": "main"}
        self._post(f"/repos/{repo}/branches", sent, auth=self._owner(repo))

    def label(self, repo: str, name: str) -> int:
        return int(
            self._post(f"/repos/{repo}/labels", {"name": name, "color": "#ff0000"}, auth=self._owner(repo))["id"]
        )

    def delete_label(self, repo: str, label_id: int) -> None:
        self._http.delete(f"/repos/{repo}/labels/{label_id}", auth=self._owner(repo)).raise_for_status()

    def milestone(self, repo: str, title: str) -> int:
        return int(self._post(f"/repos/{repo}/milestones", {"title": title}, auth=self._owner(repo))["id"])

    def delete_pull(self, repo: str, number: int) -> None:
        self._http.delete(f"/repos/{repo}/issues/{number}", auth=self._owner(repo)).raise_for_status()

    def rename(self, repo: str, name: str) -> None:
        self._http.patch(f"/repos/{repo}", json={"name": name}, auth=self._owner(repo)).raise_for_status()

    def hook(self, repo: str, url: str) -> None:
        sent = {
            "type": "gitea",
            "active": True,
            "config": {"url": url, "content_type": "json"},
            "events": ["pull_request", *PULL_EVENTS],
        }
        self._post(f"/repos/{repo}/hooks", sent, auth=self._owner(repo))

    def now(self) -> float:
        return time.time()

    def pass_time(self, seconds: int) -> None:
        time.sleep(seconds)  # its clock cannot be set

    def _owner(self, repo: str) -> tuple[str, str]:
        return repo.partition("/")[0], PASSWORD

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
    process = GiteaProcess(shutil.which("gitea") or "gitea")
    return Gitea(process.url, process.start(), stop=process.stop)


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
