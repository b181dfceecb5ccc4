"""Less than root may do: what a plain user meets, and what a process meets that has too many files open."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Iterator

import pytest

_RIGHTS = "-dac_override,-dac_read_search"


def without_rights() -> list[str]:
    """What to begin a command with."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, and root is let in everywhere; run this as another user")
    return ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}", "--"]


@contextlib.contextmanager
def opening_no_more() -> Iterator[None]:
    """For as long, this process may open nothing."""
    free = os.dup(0)
    os.close(free)
    with _limited(resource.RLIMIT_NOFILE, free):
        yield


@contextlib.contextmanager
def writing_no_more_than(most: int) -> Iterator[None]:
    """For as long, no file that this process writes may have more bytes: as on a disk that is full then."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with _limited(resource.RLIMIT_FSIZE, most):
            yield
    finally:
        signal.signal(signal.SIGXFSZ, ignored)


@contextlib.contextmanager
def _limited(what: int, most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))
