"""The code in a bottle: a clone of its own in the agent's working directory, moved forward before every turn.

The host fetches into a bare mirror (one for each repository) and makes of it a directory that needs nothing outside
itself: full history of head and base, no secret, no hook, no link to the mirror.  When the head has moved, a new
directory is built beside the old one, what the agent had made is brought over on branches, and the two change places.
No git of the host ever works in a repository that an agent could write to: see `salvage`.

Knows directories, mirrors and commits.  Must not know forges, turns' rows or prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from sessions import state
from sessions.git import Git, GitError, Tick
from sessions.locks import Busy, locked
from sessions.sources import Checkout, Source, Unfetchable
from sessions.workspace import build, mirror
from sessions.workspace.nouns import Record
from sessions.workspace.pushing import made, push
from sessions.workspace.record import Room, mirror_of

__all__ = ["checkout", "made", "mirrors_of", "push", "remove_unused", "settle", "unused"]

#: Seconds for which another checkout into the same bottle is waited for, and one that nothing should be left of.
_BUSY, _SOON = 600.0, 5.0


def checkout(
    source: Source, *, state: Path, bottle: Path, turn: int, environ: Mapping[str, str], tick: Tick
) -> Checkout:
    """See to it that the bottle's working directory holds `source`; what is there now.

    `environ` is the runner's own (PATH, proxies); `tick` is called about every second, and may raise to end it.
    Raises `Unfetchable`; the directory is then as it was."""
    room = Room(bottle)
    # JSON can carry half a character (a lone surrogate), no branch can.
    source = msgspec.structs.replace(source, base=source.base.encode("utf-8", "replace").decode())
    try:
        room.prepare()
        with locked(room.place / "lock", seconds=_BUSY, tick=tick):
            tick()  # whoever has stood still before this may not be the one to work here
            room.recover()
            room.unlock()
            room.claim(source.mirror)
            try:
                return _checkout(source, room, state=state, turn=turn, environ=environ, tick=tick)
            finally:
                room.sweep()
    except Busy:
        raise _held(bottle) from None
    except GitError as error:
        raise Unfetchable(f"the code could not be put into the working directory: {error}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Unfetchable(f"the code could not be written: {where}{error.strerror}") from None


def settle(bottle: Path) -> None:
    """Finish a change of the working directory that was killed half-way; else one may not be where it belongs.

    Nobody else may be at work in the bottle.  Raises `Unfetchable`, `OSError`."""
    room = Room(bottle)
    if not room.place.is_dir():
        return
    try:
        with locked(room.place / "lock", seconds=_SOON):
            room.recover()
    except Busy:
        raise _held(bottle) from None


def remove_unused(root: Path) -> list[str]:
    """Remove the mirrors that no bottle needs any more; their names."""
    return mirror.remove_unused(root, lambda: _used(root))


def mirrors_of(root: Path) -> list[str]:
    """All there are."""
    return sorted(place.name.removesuffix(".git") for place in mirror.mirrors(root).glob("*.git"))


def unused(root: Path) -> list[str]:
    """Those that no bottle needs any more."""
    used = _used(root)
    return [name for name in mirrors_of(root) if not mirror.is_needed(root, name, used)]


def _held(bottle: Path) -> Unfetchable:
    return Unfetchable(f"the working directory of {bottle.name} is being prepared by somebody else")


def _used(root: Path) -> set[str]:
    return {mirror_of(state.bottle(root, identity)) for identity in state.identities(root)}


def _checkout(
    source: Source, room: Room, *, state: Path, turn: int, environ: Mapping[str, str], tick: Tick
) -> Checkout:
    with mirror.held(state, source.mirror, environ=environ, tick=tick) as source_of:
        record = room.record if room.is_whole() else None
        seen = mirror.Tips(source.head, source.base_head)
        # The forge has just said where both are: it need not be asked for what is all here.
        if record is not None and _is_current(record, source, seen) and all(map(source_of.has, (seen.head, seen.base))):
            return _as_it_was(record, turn)
        tips = source_of.fetch(source)
        if record is not None and _is_current(record, source, tips):
            return _as_it_was(record, turn)
        before = record.head if record is not None and record.head != tips.head else ""
        before = before if source_of.has(before) else ""
        git = Git(build.new_place(room), environ=environ, tick=tick)
        build.fill(git, source, tips, before=before, mirror=source_of)
    made = build.Made(git=git, source=source, tips=tips, before=before, turn=turn)
    return _put_in_place(room, made)


def _put_in_place(room: Room, made: build.Made) -> Checkout:
    record = room.record
    rescued = build.rescued(room, made, record)
    moved = record is None or (record.head, record.base_name) != (made.tips.head, made.source.base)
    if record is not None and not moved and (rescued.own.kept or rescued.lost) and room.is_whole():
        # Only the base has more commits: not worth taking the agent's work out of its hands.
        return _as_it_was(record, made.turn, stale=True)
    after = build.finish(room, made, rescued, record)
    return Checkout(
        branch=after.branch,
        head=after.head,
        base_name=after.base_name,
        base=after.base,
        before=after.before,
        kept=after.kept,
        earlier=after.earlier,
        lost=after.lost,
    )


def _is_current(record: Record, source: Source, tips: mirror.Tips) -> bool:
    have = (record.head, record.base, record.base_name, record.branch)
    return have == (tips.head, tips.base, source.base, source.branch)


def _as_it_was(record: Record, turn: int, *, stale: bool = False) -> Checkout:
    # A turn that is tried again is told again what its first try was told.
    again = record.turn == turn
    earlier = record.earlier if again or not record.kept else (*record.earlier, record.kept)
    return Checkout(
        branch=record.branch,
        head=record.head,
        base_name=record.base_name,
        base=record.base,
        before=record.before if again else "",
        untouched=not again,
        stale=stale,
        kept=record.kept if again else "",
        earlier=earlier,
        lost=record.lost if again else "",
    )
