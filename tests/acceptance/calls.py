"""Processes that were called: one that has ended, one that still runs.

Knows exit codes, output and signals.  Must not know what was called, nor why.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

#: Seconds that anything may take on a slow machine.
PATIENCE = 40.0
_LOG_LINE = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z (DEBUG|INFO|WARNING|ERROR) |\{"time": ')
_T = TypeVar("_T")


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A process that has ended."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line of stdout."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def rows(self) -> list[Any]:
        """An object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def said(self) -> list[str]:
        """Lines on stderr that are not the log's."""
        return [line for line in self.err.splitlines() if line.strip() and not _LOG_LINE.match(line)]

    @property
    def complaint(self) -> str:
        """The one line that says what is wrong."""
        assert len(self.said) == 1, f"not one clear line but {len(self.said)}:\n{self.err}"
        return self.said[0]


class Running:
    """A process that still runs; its output goes to files, so that it never waits for us."""

    def __init__(self, module: str, args: tuple[str, ...], *, output: Path, environ: Mapping[str, str]) -> None:
        self.args = args
        self._out, self._err = (output.with_suffix(end) for end in (".out", ".err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *args],
                cwd=output.parent, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def kill(self) -> None:
        """`kill -9`: nothing of it gets to say goodbye."""
        self.process.kill()
        self.process.wait()

    def tell(self, number: signal.Signals) -> Running:
        self.process.send_signal(number)
        return self

    def finish(self, *, code: int | None = 0) -> Ran:
        """Wait for its end; it must be the expected one."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.args} does not end:\n{self.err}") from None
        ran = Ran(args=self.args, code=self.process.returncode, out=self._out.read_text(), err=self.err)
        assert code is None or ran.code == code, f"{self.args} → {ran.code}, not {code}:\n{ran.out}\n{ran.err}"
        return ran


def until(condition: Callable[[], _T], what: str, *, seconds: float = PATIENCE) -> _T:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain waited until {what}"
        time.sleep(0.02)
    return found


class Deed:
    """Yes; but by whoever asks, all of these are killed."""

    def __init__(self, running: list[Running]) -> None:
        self._running = running

    def __bool__(self) -> bool:
        for one in self._running:
            one.process.kill()
        return True
