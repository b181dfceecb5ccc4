"""Where processes come from: one that has imported everything forks as many calls as are wanted.

Each child is a process like any other (its own number, its own memory, `kill -9` ends it), but the time of its imports,
in which nothing can go wrong, is saved.  With `anew` a call is an interpreter of its own, as a shell would start it.

Knows fork, pipes and signals.  Must not know what is called, nor why it is killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Read by every Python that has its directory on the path: our clock goes with that of the world, for all that live.
CLOCK = """import mmap, os, struct, time
with open(os.environ["CHAOS_CLOCK"], "rb") as file:
    _ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
_real = time.time
time.time = lambda: _real() + struct.unpack_from("d", _ahead)[0]
"""
#: What a call may import sooner or later.
_MODULES = (
    "poller.__main__", "poller.verbs.once", "poller.verbs.forever", "poller.prompts.compose", "poller.prompts.recap",
    "poller.forge.control", "jinja2", "jinja2.sandbox", "sqlalchemy.dialects.sqlite", "sessions.bottles.process",
    "sessions.workspace", "apscheduler.schedulers.background", "apscheduler.triggers.date",
    "apscheduler.triggers.interval", "encodings.idna", "encodings.utf_8_sig", "encodings.unicode_escape", "httpcore",
    "rich.console", "sqlite3", "_strptime",
)  # fmt: skip
_PERHAPS = ("docker", "sessions.bottles.docker", "psycopg", "sqlalchemy.dialects.postgresql.psycopg")
_MOST = 2**18
#: Seconds until everything is imported, on however busy a machine.
_PATIENCE = 600.0


class Child:
    """A call that was started.  `code` is its exit code, negative for a signal, `None` as long as it runs; `seconds`
    is for how long it did."""

    def __init__(self, pid: int, args: tuple[str, ...], output: Path) -> None:
        self.pid, self.args, self._output = pid, args, output
        self.code: int | None = None
        self.seconds = 0.0
        self._began = time.monotonic()
        self.ended = threading.Event()
        self._guard = threading.Lock()
        # A number is used again; this is not.
        self._handle: int | None = os.pidfd_open(pid)

    @property
    def out(self) -> str:
        return self._written(".out")

    @property
    def err(self) -> str:
        return self._written(".err")

    def _written(self, end: str) -> str:
        """Nothing, too, by one that was killed before it had opened the file."""
        with contextlib.suppress(FileNotFoundError):
            return self._output.with_suffix(end).read_text("utf-8", "replace")
        return ""

    def forget_output(self) -> None:
        for end in (".out", ".err"):
            self._output.with_suffix(end).unlink(missing_ok=True)

    def tell(self, number: signal.Signals) -> bool:
        """Whether it was still there to hear it."""
        with self._guard, contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)
                return True
        return False

    def kill(self) -> bool:
        """`kill -9`: nothing of it gets to say goodbye."""
        return self.tell(signal.SIGKILL)

    def wait(self, seconds: float) -> int | None:
        self.ended.wait(seconds)
        return self.code

    def over(self, code: int) -> None:
        with self._guard:
            self.seconds = time.monotonic() - self._began  # known to whoever sees the code
            self.code = code
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
        self.ended.set()


class Nursery:
    """A context manager.  `environ` is that of the calls, too, unless one brings its own."""

    def __init__(self, environ: Mapping[str, str], *, module: str = "poller") -> None:
        self.environ, self._module = dict(environ), module
        self._born: dict[int, Child] = {}
        self._asking = threading.Lock()
        self._answer: list[int] = []
        self._answered = threading.Event()

    def __enter__(self) -> Nursery:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a message is read whole
        with theirs:
            call = [sys.executable, "-m", "tests.chaos.nursery", str(theirs.fileno()), self._module]
            self._process = subprocess.Popen(
                call, cwd=ROOT, env=self.environ, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._socket = ours
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        for child in list(self._born.values()):
            child.kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait()
        self._reader.join()
        self._socket.close()

    def start(self, *args: str, output: Path, anew: bool = False, environ: Mapping[str, str] | None = None) -> Child:
        """The call with these words, its output in `output`.out and .err; it works where these lie."""
        order = {"args": args, "output": str(output), "anew": anew, "environ": dict(environ or self.environ)}
        with self._asking:
            self._answered.clear()
            self._socket.send(json.dumps(order).encode())
            if not self._answered.wait(_PATIENCE):
                raise RuntimeError("the nursery does not answer")
            child = Child(self._answer.pop(), args, output)
            self._born[child.pid] = child
            self._socket.send(b"known")  # its end may be told
        return child

    def _listen(self) -> None:
        while told := self._socket.recv(_MOST):
            said = json.loads(told)
            if "born" in said:
                self._answer.append(said["born"])
                self._answered.set()
            else:
                self._born.pop(said["over"]).over(said["code"])


def serve(there: socket.socket) -> dict[str, Any] | None:
    """Fork what is asked for; in the child, its order.  `None` when nobody asks any more."""
    reading, waking = os.pipe()
    for end in (reading, waking):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    waiting = selectors.DefaultSelector()
    waiting.register(there, selectors.EVENT_READ)
    waiting.register(reading, selectors.EVENT_READ)
    living = set[int]()
    while True:
        for key, _ in waiting.select():
            if key.fileobj == reading:
                with contextlib.suppress(BlockingIOError):
                    os.read(reading, 4096)
                for pid, code in _ended(living):
                    _say(there, over=pid, code=code)
                continue
            asked = there.recv(_MOST)
            if not asked:
                for pid in living:
                    os.kill(pid, signal.SIGKILL)
                return None
            order = json.loads(asked)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (reading, waking):
                    os.close(end)
                waiting.close()
                there.close()
                return order  # type: ignore[no-any-return]
            living.add(pid)
            _say(there, born=pid)
            there.recv(_MOST)


def _say(there: socket.socket, **what: int) -> None:
    there.send(json.dumps(what).encode())


def _ended(living: set[int]) -> list[tuple[int, int]]:
    found = []
    for pid in list(living):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            living.discard(pid)
            found.append((pid, os.waitstatus_to_exitcode(status)))
    return found


def _settle(order: dict[str, Any]) -> None:
    """Become a process as a shell would have started it."""
    output = Path(order["output"])
    os.chdir(output.parent)
    os.environ.clear()
    os.environ.update(order["environ"])
    for number, end in ((1, ".out"), (2, ".err")):
        handle = os.open(output.with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
        os.close(handle)


def main() -> None:
    there, module = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    import importlib

    for name in _MODULES:
        importlib.import_module(name)
    for name in _PERHAPS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    order = serve(there)
    if order is None:
        return
    _settle(order)
    if order["anew"]:
        os.execve(sys.executable, [sys.executable, "-m", module, *order["args"]], os.environ)
    if "CHAOS_DOORS" in os.environ:
        from tests.faults import doors

        doors.guard(os.environ["CHAOS_DOORS"])
    sys.argv = [module, *order["args"]]
    importlib.import_module(f"{module}.__main__").main()


if __name__ == "__main__":
    main()
