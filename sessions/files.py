"""Files that an agent could write to, read by us.

Knows that what lies there need not be what we put there: a link to somewhere else, a pipe that never ends.  Must not
know what is in them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def tail(path: Path, most: int) -> bytes:
    """The last `most` bytes of a plain file; nothing of anything else, and never a wait."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return b""
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most)


def is_plain(path: Path) -> bool:
    """Whether it is a file itself, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def number_in(path: Path) -> int | None:
    """The number that is all that a small file holds."""
    try:
        return int(tail(path, 32))
    except ValueError:
        return None


def give(place: Path, uid: int, gid: int) -> None:
    """A directory and all in it to another user; links themselves, never what they point to."""
    os.chown(place, uid, gid, follow_symlinks=False)
    for _, directories, names, handle in os.fwalk(place, follow_symlinks=False):
        for name in (*directories, *names):
            found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if (found.st_uid, found.st_gid) != (uid, gid):
                os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
