"""The name that everything we start bears, and that says which state directory it is of.

It is noted in the directory, with the file system and the number by which that is known: a directory that was renamed,
or whose machine was, keeps its name.  A copy has the note, too, but is another directory, and gets a name of its own.
One that was moved to another file system cannot be told from a copy, and is taken for one: what it had started stays
untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from sessions import files, processes
from sessions.state import write, write_first

#: Former names that are remembered.
_MOST = 8


class _Home(msgspec.Struct, frozen=True):
    name: str
    #: Where it was when it was given this name.
    where: str
    #: Names that it had elsewhere, or that what it is a copy of has; the last one first.
    former: tuple[str, ...] = ()


def home_of(state: Path) -> str:
    """The name of this state directory, given when it is first asked for."""
    here, noted = _where(state), _noted(state)
    if noted is None:
        return _note(state, _Home(_hash(f"{processes.host()}:{here}"), here), is_first=True).name
    if noted.where == here:
        return noted.name
    # Whoever comes to it at the same time comes to the same name.
    return _note(state, _Home(_hash(f"{noted.name}:{here}"), here, (noted.name, *noted.former)[:_MOST])).name


def former_of(state: Path) -> tuple[str, ...]:
    """Names that were this directory's, or are still that of another one, of which it is a copy."""
    noted = _noted(state)
    if noted is None:
        return ()
    return noted.former if noted.where == _where(state) else (noted.name, *noted.former)


def _where(state: Path) -> str:
    place = state.stat()
    # Where file systems have no numbers, those of devices tell them apart as long as the machine runs.
    return f"{os.statvfs(state).f_fsid or f'device-{place.st_dev}'}:{place.st_ino}"


def _noted(state: Path) -> _Home | None:
    words = files.tail(_file(state), 1000).decode("utf-8", "replace").split()
    return _Home(words[0], words[1], tuple(words[2:])) if len(words) > 1 else None


def _note(state: Path, home: _Home, *, is_first: bool = False) -> _Home:
    """Write it down; where that cannot be, it comes to the same as long as neither host nor directory change."""
    put = write_first if is_first else write  # somebody may have been quicker: then it is called as he says
    with contextlib.suppress(OSError):
        put(_file(state), f"{' '.join((home.name, home.where, *home.former))}\n")
    return (_noted(state) or home) if is_first else home


def _file(state: Path) -> Path:
    return state / "home"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
