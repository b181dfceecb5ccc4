"""Files that an agent could write to, read by us.

Knows that what lies there need not be what we put there: a link to somewhere else, a pipe that never ends, directories
nested deeper than any stack or table of open files.  Must not know what is in them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_DOWN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Directories within directories, as far as we go down.  What we put there ourselves is not deeper.
_DEEP = 200
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})
_OF_THE_MACHINE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ESTALE})
_MENDS = {
    errno.EMFILE: "let a process have more files open (`ulimit -n`)",
    errno.ENFILE: "let the machine have more files open (`sysctl fs.file-max`)",
    errno.ENOMEM: "end what holds the machine's memory",
    errno.EAGAIN: "end what the machine has too many processes of",
    errno.EIO: "look after the disk (`dmesg`)",
}
#: What a command can end with.
_MOST_CODE = 255


def tail(path: Path, most: int) -> bytes:
    """The last `most` bytes of a plain file; nothing of anything else, and never a wait.

    Raises `OSError` when the machine cannot say what is there: that is not nothing."""
    handle = None
    with unless_of_the_world():
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if handle is None:
        return b""
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # a directory can be opened, too
        os.close(handle)
        return b""
    with os.fdopen(handle, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most)


def is_of_the_disk(error: BaseException) -> bool:
    """Whether a disk has said it that is full, broken, or not to be written to."""
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


def is_of_the_world(error: BaseException) -> bool:
    """Whether it will pass, or be mended, and says nothing of the file that was asked for."""
    return is_of_the_disk(error) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE)


class unless_of_the_world(contextlib.AbstractContextManager[None]):
    """Passes over an `OSError` that says something of the file: it is not there, or no file.  Others are raised."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        return isinstance(error, OSError) and not is_of_the_world(error)


def told(error: OSError) -> str:
    """What the system would not do, in a line with the mend."""
    place = f"{error.filename}: " if error.filename else ""
    mend = _MENDS.get(error.errno or 0, "make room on the disk, or make it writable")
    return f"{place}{error.strerror or error}; {mend}"


def is_plain(path: Path) -> bool:
    """Whether it is a file itself, not a link to one.  Raises `OSError` when the machine cannot say."""
    with unless_of_the_world():
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def code_in(path: Path) -> int | None:
    """The exit code that is all that a small file holds."""
    try:
        found = int(tail(path, 32))
    except ValueError:
        return None
    return found if 0 <= found <= _MOST_CODE else None


def give(place: Path, uid: int, gid: int) -> None:
    """A directory and all in it to another user; links themselves, never what they point to."""
    os.chown(place, uid, gid, follow_symlinks=False)
    handle = os.open(place, _DOWN)
    try:
        _give(handle, uid, gid, depth=1)
    finally:
        os.close(handle)


def _give(handle: int, uid: int, gid: int, *, depth: int) -> None:
    with os.scandir(handle) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    for name, info in found:
        if (info.st_uid, info.st_gid) != (uid, gid):
            os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode) and depth < _DEEP:
            with _below(handle, name) as below:
                _give(below, uid, gid, depth=depth + 1)


def unshut(place: Path) -> None:
    """Let its owner, who we are or were, into a directory again; a link leads nowhere."""
    with contextlib.suppress(OSError):
        handle = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            if mode & 0o700 != 0o700:
                Path(f"/proc/self/fd/{handle}").chmod(mode | 0o700)
        finally:
            os.close(handle)


def remove(place: Path) -> bool:
    """A directory and all in it, links themselves; whether nothing of it is left.  Nobody else may be at it.

    What is no directory, but a link or a file in place of one, goes too."""
    with contextlib.suppress(OSError):
        place.unlink()  # refuses directories
    unshut(place)
    with contextlib.suppress(OSError), _below(None, str(place)) as top:
        numbers, before = count(), set[str]()
        # What lies too deep is brought up, to be removed with the next look.  None that changes nothing is repeated.
        while (names := _names(top)) and names != before:
            before = names
            _clear(top, top, numbers, depth=1)
    with contextlib.suppress(OSError):
        place.rmdir()
    return not os.path.lexists(place)


def _clear(handle: int, top: int, numbers: Iterator[int], *, depth: int) -> None:
    with os.scandir(handle) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        with contextlib.suppress(OSError):  # seen by what is left
            if not is_directory:
                os.unlink(name, dir_fd=handle)
                continue
            with contextlib.suppress(OSError):  # a directory of ours that nobody may look into
                os.chmod(name, 0o700, dir_fd=handle)
            if depth < _DEEP:
                with _below(handle, name) as below:
                    _clear(below, top, numbers, depth=depth + 1)
                os.rmdir(name, dir_fd=handle)
            else:
                os.rename(name, f".deep-{os.getpid()}-{next(numbers)}", src_dir_fd=handle, dst_dir_fd=top)


def _names(handle: int) -> set[str]:
    with os.scandir(handle) as entries:
        return {entry.name for entry in entries}


@contextlib.contextmanager
def _below(handle: int | None, name: str) -> Iterator[int]:
    below = os.open(name, _DOWN, dir_fd=handle)
    try:
        yield below
    finally:
        os.close(below)
