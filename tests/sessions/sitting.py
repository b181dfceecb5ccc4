"""A person at a pseudo-terminal: types, reads what is shown, changes the window, closes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

#: What a shell is to the command: the leader of the session whose terminal is the one on stdin.  It outlives a kill.
_SHELL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, setsigdef=[signal.SIGINT])
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
while code == -signal.SIGKILL:
    signal.pause()
sys.exit(code if code >= 0 else 128 - code)
"""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")


class Sitting:
    """A command at a terminal.  A context manager; whatever still runs at its end is killed."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, environ: dict[str, str], lines: int = 24, columns: int = 80):
        self._mine, theirs = pty.openpty()
        self.resize(lines, columns)
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SHELL, *argv],
            cwd=cwd,
            env={"TERM": "xterm-256color", **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Sitting:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:  # else its number may be somebody else's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        if self._mine >= 0:
            os.close(self._mine)

    def type(self, keys: str) -> None:
        os.write(self._mine, keys.encode())

    def sees(self, what: str, *, seconds: float = 60.0) -> str:
        """Read until that is shown; everything that was shown up to it, which is not looked at again."""
        deadline = time.monotonic() + seconds
        while (found := re.search(what, self.plain)) is None:
            assert self._read(deadline), f"{what!r} was not shown, but:\n{self.plain}"
        seen = self.plain[: found.end()]
        self.shown = self.plain[found.end() :]
        return seen

    def ends(self, *, seconds: float = 60.0) -> int:
        """Its exit code; what it showed last is in `plain`."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(max(1.0, deadline - time.monotonic()))

    @property
    def command(self) -> int:
        """The pid of the command itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    @property
    def plain(self) -> str:
        """What was shown and not yet seen, without colours and moves."""
        return _COLOURS.sub("", self.shown).replace("\r", "")

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._mine, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def is_cooked(self) -> bool:
        """Whether keys are echoed, as a shell wants them."""
        return bool(termios.tcgetattr(self._mine)[3] & termios.ECHO)

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._mine)
        self._mine = -1

    def _read(self, deadline: float) -> bool:
        """False when there is no more, or no more time."""
        ready, _, _ = select.select([self._mine], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            some = os.read(self._mine, 65536)
        except OSError:
            return False
        self.shown += some.decode("utf-8", "replace")
        return bool(some)
