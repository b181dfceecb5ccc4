"""Files in a directory that somebody hostile has written: seen, read and moved without leaving it.

Every step down is taken with `O_NOFOLLOW` from a descriptor of the directory before it, so no symbolic link leads
anywhere, and only regular files are read.  Paths are bytes, relative, with "/".  Must not know git.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sessions import files

_DOWN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What opening says when the thing is not there, or is not what it should be.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL}
_DEEP = 200


class TooMuch(Exception):
    """More than we are willing to read."""


class Tree:
    """A directory and what is below it.  A context manager."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _DOWN)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def look(self, path: bytes) -> os.stat_result | None:
        """What is there (a link is a link), or `None`."""
        with self._inside(path) as (parent, name):
            return None if parent is None else _look(parent, name)

    def read(self, path: bytes, *, most: int) -> bytes | None:
        """A regular file's content; `None` when there is none.  Raises `TooMuch`, `OSError`."""
        with self._inside(path) as (parent, name):
            if (file := _regular(parent, name)) is None:
                return None
            with file:
                content = file.read(most + 1)
        if len(content) > most:
            raise TooMuch(f"a file has more than {most // (1024 * 1024)} MiB")
        return content

    def link(self, path: bytes) -> bytes | None:
        """Where a symbolic link points to."""
        with self._inside(path) as (parent, name), contextlib.suppress(OSError):
            return None if parent is None else os.readlink(name, dir_fd=parent)
        return None

    def names(self, path: bytes) -> list[tuple[bytes, os.stat_result]]:
        """What a directory holds, by name; nothing when it is none."""
        with self._directory(path) as directory:
            if directory is None:
                return []
            with os.scandir(directory) as entries:
                found = [(os.fsencode(entry.name), entry.stat(follow_symlinks=False)) for entry in entries]
            return sorted(found, key=lambda one: one[0])

    def walk(self, path: bytes, *, most: int) -> Iterator[tuple[bytes, os.stat_result]]:
        """Everything below a directory that is no directory, but for what belongs to a repository in it."""
        waiting = [path.strip(b"/")]
        while waiting:
            at = waiting.pop()
            if at.count(b"/") > _DEEP:
                raise TooMuch("directories are nested too deeply")
            for name, info in self.names(at):
                inner = at + b"/" + name if at else name
                if is_git(name):
                    continue
                if stat.S_ISDIR(info.st_mode):
                    waiting.append(inner)
                else:
                    most -= 1
                    if most < 0:
                        raise TooMuch("there are too many files")
                    yield inner, info

    def drop_pipes(self) -> None:
        """Remove named pipes, which hold nothing: whoever opens one to read it may wait for ever."""
        waiting = [b""]
        while waiting:
            at = waiting.pop()
            if at.count(b"/") > _DEEP:
                raise TooMuch("directories are nested too deeply")
            # What we may not enter, git may not enter either.
            with contextlib.suppress(PermissionError), self._directory(at) as directory:
                if directory is None:
                    continue
                with os.scandir(directory) as entries:
                    there = list(entries)
                for entry in there:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((at + b"/" if at else b"") + os.fsencode(entry.name))
                    elif not entry.is_file(follow_symlinks=False) and stat.S_ISFIFO(
                        entry.stat(follow_symlinks=False).st_mode
                    ):
                        os.unlink(entry.name, dir_fd=directory)

    def remove(self, path: bytes) -> None:
        """Something that is no directory, if it is there and may go."""
        with self._inside(path) as (parent, name), contextlib.suppress(OSError):
            if parent is not None:
                os.unlink(name, dir_fd=parent)

    def hand_over(self, path: bytes, other: Tree, *, onto: bytes) -> bool:
        """Move something into another tree, where its name is free; directories are made."""
        other._make_above(onto)
        with self._inside(path) as (here, name), other._inside(onto) as (there, new):
            if here is None or there is None or _look(there, new) is not None:
                return False
            with files.unless_of_the_world():
                os.rename(name, new, src_dir_fd=here, dst_dir_fd=there)
                return True
            return False

    def copy(self, path: bytes, to: Path) -> bool:
        """A regular file, as another name of it where the system allows, else as a copy; false when it is none."""
        with self._inside(path) as (parent, name):
            if parent is None:
                return False
            with contextlib.suppress(OSError):
                os.link(name, to, src_dir_fd=parent, follow_symlinks=False)
                if stat.S_ISREG(to.lstat().st_mode):
                    return True
                to.unlink()
                return False
            file = None
            with files.unless_of_the_world():
                file = _regular(parent, name)
            if file is None:
                return False
            with file, to.open("xb") as copy:
                shutil.copyfileobj(file, copy)
            return True

    def save(self, path: bytes, to: Path) -> bool:
        """A copy of a regular file, on the disk when we return; false when it is none.  `to` must not be there."""
        with self._inside(path) as (parent, name):
            if (file := _regular(parent, name)) is None:
                return False
            with file, os.fdopen(os.open(to, _NEW, 0o600), "wb") as copy:
                _pour(file, copy)
        return True

    def put(self, source: Path, path: bytes) -> bool:
        """A copy of a file of ours in here, whole or not at all; directories are made.  False: it cannot be there."""
        before, _, name = path.rpartition(b"/")
        self._make_above(path)
        with self._directory(before) as directory:
            if directory is None:
                return False
            partial = b".%s.part" % name
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=directory)
            handle = os.open(partial, _NEW, 0o600, dir_fd=directory)
            try:
                with source.open("rb") as file, os.fdopen(handle, "wb") as copy:
                    _pour(file, copy)
                os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.unlink(partial, dir_fd=directory)  # on a full disk half a copy is in everybody's way
                raise
            os.fsync(directory)
        return True

    def _make_above(self, path: bytes) -> None:
        """The directories that a path leads through, as far as there can be any."""
        above = path.rstrip(b"/").split(b"/")[:-1]
        for nth in range(len(above)):
            with self._inside(b"/".join(above[: nth + 1])) as (parent, part):
                if parent is not None:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=parent)

    @contextlib.contextmanager
    def _directory(self, path: bytes) -> Iterator[int | None]:
        at = os.dup(self._root)
        try:
            for part in path.split(b"/") if path else ():
                if part in (b"", b".", b".."):
                    yield None
                    return
                try:
                    below = os.open(part, _DOWN, dir_fd=at)
                except OSError as error:
                    if error.errno not in _NOT_THERE:
                        raise
                    yield None
                    return
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    @contextlib.contextmanager
    def _inside(self, path: bytes) -> Iterator[tuple[int | None, bytes]]:
        """The directory that holds it, and its name there."""
        before, _, name = path.rstrip(b"/").rpartition(b"/")
        if name in (b"", b".", b"..") or b"\0" in path:
            yield None, name
            return
        with self._directory(before) as directory:
            yield directory, name


def is_git(name: bytes) -> bool:
    """Whether git, somewhere, would take it for a repository's own directory."""
    return name.lower().rstrip(b" .") in (b".git", b"git~1")


def _regular(parent: int | None, name: bytes) -> IO[bytes] | None:
    """A regular file to be read; `None` when there is none.  Raises `OSError`."""
    if parent is None:
        return None
    try:
        handle = os.open(name, _READ, dir_fd=parent)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    if stat.S_ISREG(os.fstat(handle).st_mode):  # a directory can be opened, too
        return os.fdopen(handle, "rb")
    os.close(handle)
    return None


def _pour(file: IO[bytes], copy: IO[bytes]) -> None:
    shutil.copyfileobj(file, copy)
    copy.flush()
    os.fsync(copy.fileno())


def _look(parent: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
