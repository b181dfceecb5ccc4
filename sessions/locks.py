"""One at a time, between processes: a lock that ends with whoever holds it.

Knows lock files.  Must not know what is locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_NAP = 0.05


class Busy(Exception):
    """Somebody else has held it for all the time that we would wait."""


@contextlib.contextmanager
def locked(path: Path, *, seconds: float, tick: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the lock file `path`, waiting `seconds` for it; its descriptor.  Who holds it may remove the file.

    A program that inherits the descriptor holds the lock too.  Raises `Busy`."""
    deadline = time.monotonic() + seconds
    asked = time.monotonic()
    while (handle := _try(path)) is None:
        now = time.monotonic()
        if now >= deadline:
            raise Busy(path.name)
        if now - asked >= 1.0:
            asked = now
            tick()
        time.sleep(_NAP)
    try:
        yield handle
    finally:
        os.close(handle)


def _try(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have removed the file: then ours is a lock on nothing.
        if path.lstat().st_ino == os.fstat(handle).st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None
