"""Empty repositories without a working directory.

Knows `init`, and how one repository reads the objects of another.  Must not know what is put into them.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sessions.git import Git

#: How the name of a directory begins that goes at the end, or whenever it is found old.
PASSING = ".making-"


def make(git: Git, *read: Path) -> None:
    """In `git.at`, which must be there, and empty; objects of the repositories `read` are found in it, too."""
    git.run("init", "--quiet", "--bare", "--template=")
    if read:
        info = git.at / "objects" / "info"
        info.mkdir(exist_ok=True)
        (info / "alternates").write_text("".join(f"{place.absolute()}/objects\n" for place in read))


@contextlib.contextmanager
def making(git: Git, *read: Path, room: Path) -> Iterator[Git]:
    """One in a new directory of `room`, which is removed at the end unless it has been moved: whole, or not at all."""
    place = Path(tempfile.mkdtemp(dir=room, prefix=PASSING))
    try:
        made = git.on(place)
        make(made, *read)
        yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)
