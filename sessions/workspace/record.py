"""What the host knows of a bottle's working directory, and how one directory is put in the other's place.

Everything in `<bottle>/checkout/`, which no bottle can see.  The change is written down before it is made: killed at
any point, the next call finds either the old directory with its record or the new one with its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

from sessions import files, state
from sessions.decoding import UNREADABLE, decoder
from sessions.logs import fields
from sessions.trees import TooMuch, Tree
from sessions.workspace.nouns import MOST_REFS, Record

log = logging.getLogger("sessions.workspace")
T = TypeVar("T")

#: Directories of agents that could not be carried over: so many are kept.
_ASIDES = 2


class _Pending(msgspec.Struct, frozen=True):
    record: Record
    #: Names in `checkout/`: of what has to go ("" = nothing was there), and of what is to come.
    old: str
    new: str = ""


class Room:
    """`<bottle>/checkout/` and, beside it, `<bottle>/work/`."""

    def __init__(self, bottle: Path) -> None:
        self._bottle = bottle
        self.place, self.work = bottle / "checkout", bottle / "work"

    def prepare(self) -> None:
        """Make it, for its lock."""
        state.make(self.place, bottle=self._bottle)

    def claim(self, mirror: str) -> None:
        """Say which mirror this bottle needs, before it is fetched into."""
        if mirror_of(self._bottle) != mirror:
            state.write(self.place / "mirror", mirror)

    @property
    def record(self) -> Record | None:
        """`None`: the working directory, if there is one, is not ours."""
        return _read(self.place / "record.json", Record)

    def is_whole(self) -> bool:
        """Whether the working directory still has a repository, as far as can be told without asking it."""
        git = self.work / ".git"
        return not self.work.is_symlink() and not git.is_symlink() and git.is_dir()

    def unshut(self) -> None:
        """Whoever works there may have taken the way in from everybody."""
        files.unshut(self.work)

    def is_empty(self) -> bool:
        return not self.work.is_symlink() and (not self.work.is_dir() or not any(self.work.iterdir()))

    def unlock(self) -> None:
        """Nobody works here now: what is locked was left by a git that was killed, and the next one would give up."""
        with contextlib.suppress(OSError, TooMuch):
            if self.is_whole():
                with Tree(self.work) as tree:
                    inside = [b".git/" + name for name, _ in tree.names(b".git")]
                    refs = [path for path, _ in tree.walk(b".git/refs", most=MOST_REFS)]
                    for path in [*inside, *refs]:
                        if path.endswith(b".lock"):
                            tree.remove(path)

    def recover(self) -> None:
        """Finish, or undo, what was killed half-way; remove what it left."""
        self.unshut()
        pending = _read(self.place / "pending.json", _Pending)
        if pending is not None:
            if self._has_come(pending):
                self._settle(pending.record)
            elif pending.old and os.path.lexists(self.place / pending.old):
                self._put_back(self.place / pending.old)
        (self.place / "pending.json").unlink(missing_ok=True)
        self.sweep()

    def _has_come(self, pending: _Pending) -> bool:
        """Whether the new one has its place.  A turn by hand makes an empty one where there is none."""
        new = [self.place / pending.new] if pending.new else self.place.glob("next-*")  # an older version names none
        return self.is_whole() and not any(map(os.path.lexists, new))

    def _put_back(self, old: Path) -> None:
        try:
            self.work.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # somebody has worked in it meanwhile
            aside = self.place / f"aside-{secrets.token_hex(3)}"
            self._move_out(aside)
            log.warning("a working directory between two others is kept aside", extra=fields(path=aside.name))
        old.rename(self.work)

    def _move_out(self, to: Path) -> None:
        files.unshut(self.work)  # what nobody may write to does not move either
        self.work.rename(to)

    def swap(self, new: Path, record: Record, *, aside: bool) -> None:
        """`new` becomes the working directory; `aside`: what was there is kept, out of the agent's sight."""
        old = (
            f"{'aside' if aside else 'old'}-{record.turn}-{secrets.token_hex(3)}" if os.path.lexists(self.work) else ""
        )
        state.write(self.place / "pending.json", msgspec.json.encode(_Pending(record, old, new.name)).decode())
        if old:
            self._move_out(self.place / old)
        new.rename(self.work)
        self._settle(record)
        (self.place / "pending.json").unlink(missing_ok=True)
        self.sweep()

    def _settle(self, record: Record) -> None:
        state.write(self.place / "record.json", msgspec.json.encode(record).decode())

    def sweep(self) -> None:
        """Remove what is not in use; of what was kept aside, all but the latest."""
        if (self.place / "pending.json").exists():
            return  # a change that failed half-way: what is not in use is for `recover` to say
        record = self.record
        for left in [*self.place.glob("old-*"), *self.place.glob("next-*"), *self.place.glob("quarantine-*")]:
            files.remove(left)
        for left in self.place.glob(".*"):  # half-written
            left.unlink(missing_ok=True)
        for left in self.place.glob("index-*"):
            if record is None or left.name != record.index:
                left.unlink(missing_ok=True)
        asides = sorted(self.place.glob("aside-*"), key=lambda path: path.lstat().st_mtime)
        for left in asides[:-_ASIDES]:
            log.warning("an old working directory that was kept aside is removed", extra=fields(path=left.name))
            files.remove(left)


def mirror_of(bottle: Path) -> str:
    """The mirror that a bottle needs, "" when it needs none.  Raises `OSError` when that cannot be told."""
    with files.unless_of_the_world(), contextlib.suppress(ValueError):
        return (bottle / "checkout" / "mirror").read_text("utf-8")
    return ""


def _read(place: Path, what: type[T]) -> T | None:
    """`None`: there is none, or none of ours.  Raises `OSError` when that cannot be told."""
    with files.unless_of_the_world(), contextlib.suppress(*UNREADABLE):
        return decoder(what).decode(place.read_bytes())
    return None
