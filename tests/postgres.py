"""A PostgreSQL server of our own: on a unix socket, in a directory that goes away, with as many databases as wanted.

Needs no pytest: `with serving() as server: url = server.database()`.  The server ends with the process that began it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

_USER = "bottlepost"
#: Nothing of it has to outlive a power cut.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class NoServer(Exception):
    """There is none on this machine."""


def programs() -> Path:
    """The directory with the server's programs: on PATH, or where Debian keeps them.  Raises `NoServer`."""
    on_path = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name.split(".")[0]))
    found = [Path(on_path).resolve().parent] if on_path else []
    for place in (*found, *reversed(versions)):
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    raise NoServer("no PostgreSQL server: `initdb` and `postgres` are neither on PATH nor below /usr/lib/postgresql")


@contextlib.contextmanager
def serving(directory: Path | None = None) -> Iterator[Server]:
    """A running server; its files lie in a directory of their own, in `directory` (a socket's path has to be short)."""
    found = programs()
    place = Path(tempfile.mkdtemp(prefix="bottlepost-pg-", dir=directory))
    server = Server(place, found)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


class Server:
    """`password` is that of every URL.  It runs as another user where we are root, as it wants to."""

    def __init__(self, place: Path, found: Path) -> None:
        self.place, self._programs = place, found
        self.password = secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._user = _somebody() if os.geteuid() == 0 else None

    def initialise(self) -> None:
        """Its files."""
        if self._user is not None:
            os.chown(self.place, self._user.pw_uid, self._user.pw_gid)
        self.place.chmod(0o755)
        word = self.place / "password"
        word.write_text(self.password)
        word.chmod(0o644)
        subprocess.run(
            [*self._as_somebody(), self._programs / "initdb", "--pgdata", self.place / "data", "--username", _USER,
             "--pwfile", word, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
            cwd=self.place, stdin=subprocess.DEVNULL, capture_output=True, check=True,
        )  # fmt: skip
        word.unlink()

    def start(self) -> None:
        """Until it answers."""
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        argv = [
            *self._as_somebody(),
            self._programs / "postgres",
            "-D",
            self.place / "data",
            "-k",
            self.place,
            *settings,
        ]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=self.place, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                log_says = (self.place / "log").read_text("utf-8", "replace")[-500:]
                assert self._process.poll() is None and time.monotonic() < deadline, log_says
                time.sleep(0.05)
            else:
                return

    def stop(self, *, at_once: bool = False) -> None:
        """Connections are cut; `at_once`: as if somebody had pulled the plug."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            process.wait(30)

    def restart(self, *, at_once: bool = False) -> None:
        self.stop(at_once=at_once)
        self.start()

    def url(self, database: str, *, user: str = _USER, password: str | None = None) -> str:
        """As the config names it."""
        return f"postgresql://{user}:{password or self.password}@/{database}?host={self.place}"

    def database(self, like: str = "template1") -> str:
        """The URL of a new database: an empty one, or `like` another that nobody is connected to (its URL or name)."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_name_in(like) or like}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Whoever is still connected is thrown out."""
        self.execute(f'DROP DATABASE "{_name_in(url)}" WITH (FORCE)')

    def execute(self, statement: str, *, url: str | None = None) -> list[tuple[object, ...]]:
        """One statement; the rows it gives."""
        with psycopg.connect(url or self.url("postgres"), autocommit=True) as raw:
            cursor = raw.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _as_somebody(self) -> list[str]:
        """It does not run as root, and ends when we do."""
        setpriv = shutil.which("setpriv")
        if self._user is None:
            return [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []
        if setpriv is None:
            raise NoServer("no PostgreSQL server: we are root, and without `setpriv` (util-linux) nobody else")
        who = ["--reuid", str(self._user.pw_uid), "--regid", str(self._user.pw_gid), "--clear-groups"]
        return [setpriv, *who, "--pdeathsig", "INT", "--"]


def _somebody() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServer("no PostgreSQL server: we are root, and there is no user postgres or nobody")


def _name_in(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]
