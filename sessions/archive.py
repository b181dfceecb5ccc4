"""A bottle's state as one file: a tar whose first entry names every other one with its size and its hash.

Knows the form, and how to read it without trusting it: what is not in the manifest, is not where it says, is no plain
file, or has another content, ends the reading.  Links of the working directory are words of the manifest, made last and
inside of it.  `packing` writes it.  Must not know sessions, SQL or what is in the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from sessions.decoding import decoder

FORMAT = "bottlepost bottle 1"
#: More than this is no bottle: bytes of all files, entries, and bytes of the manifest.
MOST_BYTES = 32 * 2**30
MOST_ENTRIES = 1_000_000
_MOST_MANIFEST = 256 * 2**20
NAME = "manifest.json"
CHUNK = 1024 * 1024
DEEP = 200
#: Links are the repository's business, and nobody else's.
_LINKS_IN = "work"
#: So many of them lead to one another, as far as systems follow.
_HOPS = 40


class Unreadable(Exception):
    """It is no bottle's archive, or a damaged one.  One line: what is wrong."""


class Entry(msgspec.Struct, frozen=True):
    sha256: str
    size: int
    executable: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`session` is for whoever knows sessions; paths have "/" and begin in the bottle's directory."""

    format: str
    identity: str
    made_at: str
    session: dict[str, Any]
    directories: tuple[str, ...]
    files: dict[str, Entry]
    links: dict[str, str]


@contextlib.contextmanager
def reading(file: IO[bytes]) -> Iterator[tuple[Manifest, Callable[[Path], None]]]:
    """What is in it, checked as far as its words go, and a call that unpacks it into an empty directory.

    Raises `Unreadable`; whoever unpacks removes the directory then."""
    try:
        with tarfile.open(fileobj=file, mode="r|", errorlevel=2) as tar:
            manifest = _manifest(tar)
            yield manifest, lambda into: _unpack(tar, manifest, into)
    except (tarfile.TarError, EOFError) as error:
        raise Unreadable(f"it is no tar, or a cut one ({error})") from None


def _manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != NAME or not first.isreg() or first.size > _MOST_MANIFEST:
        raise Unreadable(f"it does not begin with {NAME}")
    content = tar.extractfile(first)
    assert content is not None, "it is a plain file"
    try:
        manifest = decoder(Manifest).decode(content.read(_MOST_MANIFEST))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"its {NAME} is another one than expected ({error})") from None
    if manifest.format != FORMAT:
        raise Unreadable(f"its format is {manifest.format[:40]!r}, expected {FORMAT!r}; upgrade bottlepost")
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Whether it can be unpacked at all, and nowhere else than where it is to go.  Raises `Unreadable`."""
    if len(manifest.files) + len(manifest.directories) + len(manifest.links) > MOST_ENTRIES:
        raise Unreadable(f"it has more than {MOST_ENTRIES} entries")
    if any(entry.size < 0 for entry in manifest.files.values()) or size_of(manifest) > MOST_BYTES:
        raise Unreadable(f"it has more than {MOST_BYTES // 2**30} GiB")
    directories = set(manifest.directories)
    names = [*manifest.directories, *manifest.files, *manifest.links]
    if len(set(names)) != len(names):
        raise Unreadable("it names something twice")
    for path in names:
        _check_path(path)
        above = path.rpartition("/")[0]
        if above and above not in directories:
            raise Unreadable(f"it has {path[:200]!r} without the directory that it is in")
    for path in astray(manifest.links):
        raise Unreadable(f"it has a link that leads elsewhere: {path[:200]!r}")


def size_of(manifest: Manifest) -> int:
    return sum(entry.size for entry in manifest.files.values())


def _check_path(path: str) -> None:
    parts = path.split("/")
    if len(parts) > DEEP or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Unreadable(f"it has a path that leads elsewhere: {path[:200]!r}")


def is_text(path: str) -> bool:
    """Whether JSON can carry it."""
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def astray(links: Mapping[str, str]) -> list[str]:
    """Those that lead out of the working directory, if only by way of others.  They may lead to nothing."""
    found, ends = [], dict[str, tuple[str, ...]]()
    for path in links:
        try:
            _end(path, links, ends)
        except Unreadable:
            found.append(path)
    return found


def _end(path: str, links: Mapping[str, str], ends: dict[str, tuple[str, ...]], *, hops: int = 0) -> tuple[str, ...]:
    """Where a link leads; `hops`: links that are on the way here.  Raises `Unreadable`."""
    target = links[path]
    if not path.startswith(f"{_LINKS_IN}/") or not target or "\0" in target or target.startswith("/") or hops > _HOPS:
        raise Unreadable(path)
    at = path.split("/")[:-1]
    parts = [part for part in target.split("/") if part not in ("", ".")]
    for left, part in enumerate(parts, 1 - len(parts)):
        if part != "..":
            at.append(part)
        elif at == [_LINKS_IN]:
            raise Unreadable(path)
        else:
            at.pop()
        # A link at the very end is looked at by itself; rings of links are in many a repository.
        if (left or hops) and (other := "/".join(at)) in links:
            if other not in ends:
                ends[other] = _end(other, links, ends, hops=hops + 1)
            at = [*ends[other]]
    return tuple(at)


def _unpack(tar: tarfile.TarFile, manifest: Manifest, into: Path) -> None:
    for path in sorted(manifest.directories):  # the outer ones come first
        (into / path).mkdir(mode=0o700)
    missing = dict(manifest.files)
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # a million would fill the memory
        entry = missing.pop(member.name, None)
        if entry is None or not member.isreg() or member.issparse() or member.size != entry.size:
            raise Unreadable(f"it has {member.name[:200]!r}, which its {NAME} does not have like this")
        content = tar.extractfile(member)
        assert content is not None, "it is a plain file"
        _put(content, into / member.name, entry)
    if missing:
        raise Unreadable(f"it lacks {min(missing)[:200]!r}")
    for path, target in manifest.links.items():  # last: nothing is ever written through one
        (into / path).symlink_to(target)
    os.sync()


def _put(content: IO[bytes], to: Path, entry: Entry) -> None:
    hashed = hashlib.sha256()
    mode = 0o700 if entry.executable else 0o600
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        while some := content.read(CHUNK):
            hashed.update(some)
            file.write(some)
    if hashed.hexdigest() != entry.sha256:
        raise Unreadable(f"{to.name[:200]!r} has another content than was written down")
