"""The terminal that a person sits at: whether there is one, its size, its modes, and the signals that come with it.

Knows file descriptors 0 and 1.  Must not know agents or bottles.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping

#: Ask whoever runs to end: the terminal is gone, or somebody said so.
ENDING = (signal.SIGTERM, signal.SIGHUP)


def is_there() -> bool:
    """Whether a person can be talked with: both ways."""
    return os.isatty(0) and os.isatty(1)


def kind() -> str:
    return os.environ.get("TERM") or "xterm"


def size() -> tuple[int, int]:
    """Lines and columns."""
    columns, lines = os.get_terminal_size(1)
    return lines, columns


@contextlib.contextmanager
def kept(*, raw: bool = False) -> Iterator[None]:
    """Its modes are afterwards what they were before, however the agent left them; `raw`: keys pass as they come."""
    before = termios.tcgetattr(0)
    sys.stdout.flush()
    try:
        if raw:
            tty.setraw(0, termios.TCSADRAIN)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has gone meanwhile
            termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def signals(handlers: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """While the block runs, these are called.  Main thread only."""
    before = {number: signal.signal(number, _calling(call)) for number, call in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _calling(call: Callable[[], object]) -> Callable[[int, object], None]:
    def handle(_number: int, _frame: object) -> None:
        call()

    return handle
