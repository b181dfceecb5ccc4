"""Who a process is, so that another one can tell whether it still lives.

A pid alone is not a name: pids are used again.  A process is its host, the host's boot, its pid namespace, its pid and
its start time (clock ticks since boot, from `/proc/<pid>/stat`).  Knows /proc; must not know leases, turns or SQL.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sessions import files

_PROC = Path("/proc")
#: Seconds within which an exec, or an end, has surely happened.
_MOMENT = 2.0
#: The kernel's flag (`PF_KTHREAD`) of its own threads.
_KERNEL_THREAD = 0x00200000


class Process(msgspec.Struct, frozen=True):
    """A process of this or of another machine.  `start` and `boot` are empty where there is no /proc."""

    host: str
    boot: str
    space: str
    pid: int
    start: str

    def __str__(self) -> str:
        return ":".join((self.host, self.boot, self.space, str(self.pid), self.start))

    @classmethod
    def parse(cls, text: str) -> Process | None:
        parts = text.split(":")
        if len(parts) != 5 or not parts[3].isdigit():
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]), parts[4])


def me() -> Process:
    """This process, by a name that no later one will have."""
    return Process(host(), boot_id(), _pid_space(), os.getpid(), start_of(os.getpid()) or "")


def is_alive(process: Process) -> bool | None:
    """Whether it still runs; `None` when that cannot be seen from here (another host, another pid namespace)."""
    if process.host != host():
        return None
    if process.boot != boot_id():
        return False
    if process.space != _pid_space():
        return None
    return runs(process.pid, process.start)


def runs(pid: int, start: str) -> bool:
    """Whether `pid` is still the process that started at `start`.  A zombie has ended."""
    now = start_of(pid)
    if now is not None or _PROC.joinpath("self").exists():
        return now is not None and (not start or now == start)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def start_of(pid: int) -> str | None:
    """Start time in clock ticks since boot; `None` when there is no such process, or only its zombie.

    Raises `OSError` when that cannot be told."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else stat[19]


def _stat(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its state (field 3) on; `None` when there is none.

    Raises `OSError` when this process may open no more files, or the like: then it may well be there."""
    said = ""
    with files.unless_of_the_world():
        said = _PROC.joinpath(str(pid), "stat").read_text("utf-8", "replace")
    # The name (field 2) may hold spaces and brackets; what follows its last bracket does not.
    found = said.rpartition(")")[2].split()
    return found if len(found) >= 20 else None


def groups_of(pid: int) -> str:
    """The control groups of a process, as the kernel names them; "" where that cannot be seen."""
    with files.unless_of_the_world():
        return _PROC.joinpath(str(pid), "cgroup").read_text("utf-8", "replace")
    return ""


def is_stopped(pid: int) -> bool:
    """Whether it waits for a SIGCONT."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "T"


@functools.cache
def boot_id() -> str:
    with files.unless_of_the_world():
        return _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()
    return ""


@functools.cache
def host() -> str:
    # Hosts that share a database may share a name ("debian"): the machine id tells them apart.
    machine = ""
    with files.unless_of_the_world():
        machine = Path("/etc/machine-id").read_text().strip()
    if name := os.environ.get("BOTTLEPOST_HOST", "").replace(":", "-"):
        return name  # whoever runs copies of one image says who is who
    name = socket.gethostname().replace(":", "-") or "localhost"
    return f"{name}~{hashlib.sha256(machine.encode()).hexdigest()[:6]}" if machine else name


@functools.cache
def _pid_space() -> str:
    try:
        return str(_PROC.joinpath("self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def wait_for(pid: int, seconds: float) -> None:
    """Return when `pid` has ended, or after `seconds`.  Works for processes that are not our children."""
    try:
        handle = os.pidfd_open(pid)
    except (OSError, AttributeError):  # it is gone already, or this kernel has no pidfds
        time.sleep(min(seconds, 0.05))
        return
    try:
        select.select([handle], [], [], seconds)
    finally:
        os.close(handle)


def reap(pid: int) -> bool:
    """Take the exit status of a child of ours, so that it does not stay a zombie; false while it runs."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # somebody took it, or it is none of ours
        return True


def marked(name: str, value: str) -> Iterator[int]:
    """Processes of this user whose environment holds `name=value`, wherever they were re-parented to."""
    return (pid for pid, environ in environments(name) if environ[name] == value)


def environments(name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Processes of this user, but for this one, whose environment holds `name`, with all of it."""
    mine = os.getpid()
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == mine:
            continue
        found = environment(int(entry.name), name)
        if found and start_of(int(entry.name)) is not None:
            yield int(entry.name), found


def environment(pid: int, name: str) -> dict[str, str]:
    """All of a process's environment if it holds `name`; nothing if not, or where that cannot be seen."""
    environ = b""
    with files.unless_of_the_world():  # but ended meanwhile, or of another user
        environ = _environ(pid)
    if f"{name}=".encode() not in environ:
        return {}
    pairs = (os.fsdecode(pair).partition("=") for pair in environ.split(b"\0"))
    found = {key: value for key, equals, value in pairs if equals}
    return found if name in found else {}


def _environ(pid: int) -> bytes:
    """As the process was started.  Raises `OSError`.

    In the middle of an exec, and near its end, a process shows none for a moment: whoever looks just then would find
    nothing of a run that goes on, or that still holds its files.  So that moment is waited for."""
    deadline = time.monotonic() + _MOMENT
    while True:
        environ = b""
        with contextlib.suppress(ProcessLookupError):  # so says a newer kernel of one that ends
            environ = _PROC.joinpath(str(pid), "environ").read_bytes()
        if environ or _has_none(_stat(pid)) or time.monotonic() > deadline:
            return environ
        time.sleep(0.001)


def _has_none(stat: list[str] | None) -> bool:
    """Has it no environment for good?  It has ended, is a thread of the kernel's, or was started with an empty one."""
    if stat is None or len(stat) <= 48 or stat[0] in "ZX" or int(stat[6]) & _KERNEL_THREAD:
        return True
    end_of_code, (begins, ends) = stat[24], stat[47:49]
    return end_of_code != "0" and begins == ends != "0"  # an exec sets the former last


def age_of(start: str) -> float:
    """Seconds since a process began that started at `start`; no clock that can be set is asked."""
    try:
        up = float(_PROC.joinpath("uptime").read_text().split()[0])
        return up - int(start) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def kill(pid: int, start: str) -> bool:
    """End exactly the process that started at `start`; false when it has gone: its number may be another's."""
    handle = None
    with files.unless_of_the_world(), contextlib.suppress(AttributeError):
        handle = os.pidfd_open(pid)
    if handle is None:
        return False
    try:
        with files.unless_of_the_world():
            if start_of(pid) == start:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        return False
    finally:
        os.close(handle)


def descendants(pid: int) -> list[int]:
    """Children of `pid`, their children, and so on, whatever their session or environment."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found: list[int] = []
    ahead = [pid]
    while ahead:
        below = children.pop(ahead.pop(), [])
        found += below
        ahead += below
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
