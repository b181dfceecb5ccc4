"""The doors of a process: every call of HTTP, SQL, files and processes is counted, and one of them may go wrong.

Stands in the process itself, below our code: in the drivers' events, in the HTTP libraries' transports, and in the
interpreter's audit of what is done with files.  Must not know what any of it is for.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from typing import Any

#: How the calls of a door can go wrong.  `kill` is -9 before it is done; `accepted`: done, but nobody hears of it.
FAULTS = {
    "http": ("kill", "unreachable", "accepted", "status"),
    "begin": ("locked",),
    "select": ("broken",),
    "change": ("full",),
    "commit": ("kill", "locked", "full"),
    "write": ("kill", "ENOSPC", "EIO"),
    "read": ("EIO",),
    "process": ("kill", "EAGAIN"),
}
_WRITES = {"os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "os.symlink", "os.truncate"}
_READS = {"os.listdir", "os.scandir"}

#: What is another in every run: identities, numbers, ids of conversations and of processes.
_VARYING = re.compile(r"reviewer-[a-z0-9]{5}|\b[0-9a-f]{8}-[0-9a-f-]{27}|(?<=[./-])[0-9a-f]{6}\b|[0-9]+")


class Doors:
    """`log` gets a line for every call: its door, what it is, and the how-manieth of these it is.

    `at` is such a line: that call meets `fault`.  A call's number would not do: threads overtake each other."""

    def __init__(self, log: int, place: str, *, at: str, fault: str) -> None:
        self._log, self._place, self._at, self._fault = log, place, at, fault
        self._passed = Counter[str]()
        self._guard = threading.Lock()

    def met(self, door: str, what: str) -> str:
        """The fault that this call meets, "" = it goes well."""
        call = f"{door} {_VARYING.sub('_', what)}"
        with self._guard:
            self._passed[call] += 1
            call = f"{call} ({self._passed[call]})"
            os.write(self._log, f"{call}\n".encode())
        if call != self._at:
            return ""
        if self._fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return self._fault

    # -- files and processes -------------------------------------------------------------------------------------

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """What the interpreter is about to do."""
        if event == "open":
            flags = args[2] if isinstance(args[2], int) else 0
            self._file("write" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else "read", args[0], "open")
        elif event in _WRITES:
            self._file("write", args[0], event)
        elif event in _READS:
            self._file("read", args[0], event)
        elif event == "os.posix_spawn" and (fault := self.met("process", "spawn")):
            raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)), "/bin/sh")

    def _file(self, door: str, path: object, what: str) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(path)
        if not name.startswith(self._place) or "bottlepost.db" in name:
            return
        if fault := self.met(door, f"{what} {name.removeprefix(self._place)}"):
            number = getattr(errno, fault)
            raise OSError(number, os.strerror(number), name)

    def flushing(self, really: Any) -> Any:
        """What is written fails, on a full disk, when it is to be kept."""

        def fsync(handle: int) -> None:
            if fault := self.met("write", "fsync"):
                number = getattr(errno, fault)
                raise OSError(number, os.strerror(number))
            really(handle)

        return fsync

    # -- SQL -----------------------------------------------------------------------------------------------------

    def statement(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        word = statement.split(maxsplit=1)[0]
        door = "begin" if word == "BEGIN" else "change" if word in ("INSERT", "UPDATE", "DELETE") else "select"
        self._sql(door, " ".join(statement.split())[:60])

    def commit(self, conn: Any) -> None:
        if not conn.get_execution_options().get("bottlepost_read_only"):
            self._sql("commit", "")

    def _sql(self, door: str, what: str) -> None:
        from sqlalchemy import exc

        if fault := self.met(door, what):
            words = {"locked": "database is locked", "full": "database or disk is full", "broken": "disk I/O error"}
            raise exc.OperationalError(what, {}, sqlite3.OperationalError(words[fault]))

    # -- HTTP ----------------------------------------------------------------------------------------------------

    def sending(self, really: Any) -> Any:
        """httpx's way out."""
        import httpx

        def handle_request(transport: Any, request: Any) -> Any:
            fault = self.met("http", f"{request.method} {request.url.path}")
            if fault == "unreachable":
                raise httpx.ConnectError("no route to host", request=request)
            if fault == "status":
                return httpx.Response(502, request=request)
            answer = really(transport, request)
            if fault == "accepted":
                answer.close()
                raise httpx.ReadTimeout("timed out", request=request)
            return answer

        return handle_request

    def asking(self, really: Any) -> Any:
        """That of requests, which py-gitea uses."""
        import requests

        def send(adapter: Any, request: Any, **how: Any) -> Any:
            fault = self.met("http", f"{request.method} {request.path_url} (control)")
            if fault == "unreachable":
                raise requests.ConnectionError("no route to host", request=request)
            answer = really(adapter, request, **how)
            if fault == "status":
                answer.status_code = 502
            if fault == "accepted":
                raise requests.ReadTimeout("timed out", request=request)
            return answer

        return send


def guard(order: str) -> None:
    """`LOG`, or `LOG|CALL|FAULT`.  For the rest of this process's life."""
    import httpx
    import requests.adapters
    import sqlalchemy as sa

    log, at, fault = (*order.split("|"), "", "")[:3]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    doors = Doors(handle, os.path.join(os.getcwd(), "state"), at=at, fault=fault)
    sa.event.listen(sa.Engine, "before_cursor_execute", doors.statement)
    sa.event.listen(sa.Engine, "commit", doors.commit)
    httpx.HTTPTransport.handle_request = doors.sending(httpx.HTTPTransport.handle_request)  # type: ignore[method-assign]
    adapter = requests.adapters.HTTPAdapter
    adapter.send = doors.asking(adapter.send)  # type: ignore[method-assign]
    os.fsync = doors.flushing(os.fsync)
    sys.addaudithook(doors.audit)
