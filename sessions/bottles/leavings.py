"""What a run leaves in its launch's directory, where it could make anything of anything: a file is a directory now, or
nobody may look.  None of it decides what becomes of the turn.

Nothing of the run may be at it any more.  Knows files; must not know engines, processes or what the output means.
"""

from __future__ import annotations

import contextlib

from sessions import files, state
from sessions.turns import Launch


def note_exit(launch: Launch, code: int) -> None:
    """Write down what it ended with; where that cannot be, whoever looks has to ask again."""
    place = launch.directory / "exit"
    with contextlib.suppress(OSError):
        if not files.is_plain(place):
            files.remove(place)
        state.write(place, f"{code}\n")


def open_again(launch: Launch) -> None:
    """The launch's directory, and those around it, if they are ours but were closed to us."""
    for place in (launch.bottle, launch.directory.parent, launch.directory):
        files.unshut(place)
