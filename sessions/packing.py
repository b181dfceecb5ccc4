"""Writing a bottle's state into an archive: found, hashed, and checked once more while it is written.

The directory is one that an agent has filled: no link in it is followed.  Knows files; must not know sessions or SQL.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from sessions.archive import CHUNK, DEEP, NAME, Entry, Manifest, Unreadable, astray, check, is_text


class Left(msgspec.Struct, frozen=True):
    """What of a bottle does not go along, or not as it is."""

    #: Links elsewhere than in the working directory, pipes, sockets.
    special: tuple[str, ...] = ()
    #: Files in which a secret stood, which is hidden in the copy.
    hidden: tuple[str, ...] = ()


def write(
    into: IO[bytes],
    bottle: Path,
    *,
    wanted: Callable[[str], bool],
    secrets: list[bytes],
    about: Callable[[dict[str, Entry], tuple[str, ...], dict[str, str]], Manifest],
) -> Left:
    """All of `bottle` that is `wanted` (by its path), as it is now; nobody may change it meanwhile."""
    found = _Found(secrets)
    found.collect(bottle, wanted)
    named = about(found.files, tuple(found.directories), found.links)
    check(named)
    manifest = msgspec.json.encode(named)
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_plain(NAME, len(manifest)), io.BytesIO(manifest))
        for path, entry in found.files.items():
            with _opened(bottle, path) as file:
                tar.addfile(
                    _plain(path, entry.size, executable=entry.executable), _Checked(found.clean(file), entry, path)
                )
    return Left(special=tuple(found.special), hidden=tuple(found.hidden))


class _Found:
    def __init__(self, secrets: list[bytes]) -> None:
        self.files: dict[str, Entry] = {}
        self.directories: list[str] = []
        self.links: dict[str, str] = {}
        self.special: list[str] = []
        self.hidden: list[str] = []
        self._known: set[str] = set()
        self._secrets = secrets

    def collect(self, bottle: Path, wanted: Callable[[str], bool]) -> None:
        for place, directories, names, handle in os.fwalk(bottle, follow_symlinks=False):
            inside = Path(place).relative_to(bottle)
            if len(inside.parts) > DEEP:
                raise Unreadable(f"directories are nested too deeply in {Path(*inside.parts[:3])}")
            path = "" if inside == Path() else f"{inside.as_posix()}/"
            for name in sorted([*directories, *names]):
                self._one(f"{path}{name}", name, handle, wanted)
            directories[:] = [name for name in directories if f"{path}{name}" in self._known]
        for path in astray(self.links):
            del self.links[path]
            self.special.append(path)

    def _one(self, path: str, name: str, handle: int, wanted: Callable[[str], bool]) -> None:
        info = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if not wanted(path):
            return
        if not is_text(path):
            self.special.append(ascii(path))
        elif stat.S_ISDIR(info.st_mode):
            self.directories.append(path)
            self._known.add(path)
        elif stat.S_ISREG(info.st_mode):
            with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle), "rb") as file:
                self.files[path] = self._entry(file, path, executable=bool(info.st_mode & stat.S_IXUSR))
        elif stat.S_ISLNK(info.st_mode) and is_text(target := os.readlink(name, dir_fd=handle)):
            self.links[path] = target
        else:
            self.special.append(path)

    def _entry(self, file: IO[bytes], path: str, *, executable: bool) -> Entry:
        hashed, size = hashlib.sha256(), 0
        cleaned = self.clean(file)
        while some := cleaned.read(CHUNK):
            hashed.update(some)
            size += len(some)
        if cleaned.hidden:
            self.hidden.append(path)
        return Entry(sha256=hashed.hexdigest(), size=size, executable=executable)

    def clean(self, file: IO[bytes]) -> _Cleaned:
        return _Cleaned(file, self._secrets)


class _Cleaned:
    """A file's bytes, with the same number of stars in the place of each secret: nothing else moves."""

    def __init__(self, file: IO[bytes], secrets: list[bytes]) -> None:
        self._file, self._secrets = file, secrets
        self._overlap = max((len(secret) for secret in secrets), default=1) - 1
        self._ahead = b""
        self._over = False
        self.hidden = 0

    def read(self, size: int) -> bytes:
        while not self._over and len(self._ahead) < size + self._overlap:
            some = self._file.read(max(size, CHUNK))
            self._over = not some
            self._ahead += some
            for secret in self._secrets:
                self.hidden += self._ahead.count(secret)
                self._ahead = self._ahead.replace(secret, b"*" * len(secret))
        out, self._ahead = self._ahead[:size], self._ahead[size:]
        return out


class _Checked:
    """What is written is what was hashed, or it ends here."""

    def __init__(self, file: _Cleaned, entry: Entry, path: str) -> None:
        self._file, self._entry, self._path = file, entry, path
        self._hash, self._size = hashlib.sha256(), 0

    def read(self, size: int = CHUNK, /) -> bytes:
        some = self._file.read(size)
        self._hash.update(some)
        self._size += len(some)
        if len(some) < size or (self._size == self._entry.size and self._hash.hexdigest() != self._entry.sha256):
            raise Unreadable(f"{self._path} changed while it was read; something is at work in the bottle")
        return some


def _plain(path: str, size: int, *, executable: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, 0o700 if executable else 0o600
    return entry


@contextlib.contextmanager
def _opened(bottle: Path, path: str) -> Iterator[IO[bytes]]:
    """Without following a link, whatever somebody has put on the way meanwhile."""
    *above, name = path.split("/")
    at = os.open(bottle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at), "rb") as file:
            yield file
    finally:
        os.close(at)
