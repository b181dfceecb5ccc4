"""What a run leaves in its launch's directory, where it could make anything of anything: a file is a directory now, or
nobody may look.  None of it decides what becomes of the turn.

Nothing of the run may be at it any more.  Knows files; must not know engines, processes or what the output means.
"""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

from sessions import files, state
from sessions.turns import Launch


def put_away(place: Path) -> None:
    """Remove a file, or what it has become; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(place.lstat().st_mode):
            place.chmod(0o700)
            files.remove(place)
        else:
            place.unlink()


def note_exit(launch: Launch, code: int) -> None:
    """Write down what it ended with; where that cannot be, whoever looks has to ask again."""
    place = launch.directory / "exit"
    if not files.is_plain(place):
        put_away(place)
    with contextlib.suppress(OSError):
        state.write(place, f"{code}\n")


def open_again(launch: Launch) -> None:
    """The launch's directory, and those around it, if they are ours but were closed to us."""
    for place in (launch.bottle, launch.directory.parent, launch.directory):
        with contextlib.suppress(OSError):
            mode = place.lstat().st_mode
            if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                place.chmod(0o700)
