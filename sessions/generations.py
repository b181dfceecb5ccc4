"""Copies of a conversation's record, taken when a run has ended well: what is resumed if the record itself is damaged.

Two of them, in `<bottle>/generations/`, where no agent can write.  The agent's own directory is hostile ground: nothing
in it is followed.  Must not know turns, or decide when a copy is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

from sessions import files, state, transcript
from sessions.trees import Tree

#: No conversation that a model has read is as large (bytes).
_MOST = 1024**3
_CHUNK = 1024**2


def keep(bottle: Path, claude_session: str) -> bool:
    """The record as it is now becomes the last good one, the one before it stays; false when it is not sound."""
    found = transcript.look(state.config_dir(bottle), claude_session)
    if found.condition != "sound" or found.record is None or found.size > _MOST:
        return False
    room = bottle / "generations"
    state.make(room, bottle=bottle)
    last, before = _names(bottle, claude_session)
    for left in room.iterdir():  # of conversations that were given up, and of a copy that was never finished
        if left not in (last, before):
            left.unlink(missing_ok=True)
    partial = last.with_suffix(f".part-{os.getpid()}")
    try:
        with Tree(bottle) as tree:
            if not tree.save(os.fsencode(found.record.relative_to(bottle)), partial):
                return False
        if transcript.condition_of(last) == "sound":  # else the one before is the only good one
            last.replace(before)
        partial.replace(last)
    finally:
        partial.unlink(missing_ok=True)  # on a full disk, above all
    _to_disk(room)
    return True


def good(bottle: Path, claude_session: str) -> Path | None:
    """The last copy that can be resumed."""
    return next((path for path in _names(bottle, claude_session) if transcript.condition_of(path) == "sound"), None)


def begins(record: Path, copy: Path) -> bool:
    """Whether the record is the copy and what was said since: the CLI only ever appends (seen with 2.1.330)."""
    with record.open("rb") as one, copy.open("rb") as other:
        while part := other.read(_CHUNK):
            if one.read(len(part)) != part:
                return False
    return True


def restore(bottle: Path, claude_session: str) -> bool:
    """Put the last good copy where the record was (move that aside first); false when there is none, or no place.

    Raises `OSError` on a full disk and the like: the conversation is not over for that."""
    copy = good(bottle, claude_session)
    if copy is None:
        return False
    place = state.config_dir(bottle) / "projects" / transcript.PROJECT / f"{claude_session}.jsonl"
    with files.unless_of_the_world(), Tree(bottle) as tree:
        return tree.put(copy, os.fsencode(place.relative_to(bottle)))
    return False


def _names(bottle: Path, claude_session: str) -> tuple[Path, Path]:
    room = bottle / "generations"
    return room / f"{claude_session}.jsonl", room / f"{claude_session}.before.jsonl"


def _to_disk(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
