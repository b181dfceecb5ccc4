"""Less than root may do: what a plain user meets, and what a process meets that has too many files open."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
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
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
