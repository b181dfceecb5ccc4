"""A mirror that is damaged: whether it is, and what of it nobody else has.

All but the commits that wait to be pushed can be had from the forge again.  Knows a bare repository's files, which may
be unreadable at any place.  Must not know forges, or why somebody asks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from pathlib import Path

from sessions import files
from sessions.git import Git, GitError
from sessions.logs import fields
from sessions.workspace import bare
from sessions.workspace.nouns import BUILDING, MOST_PACK

log = logging.getLogger("sessions.workspace")

#: Seconds for a look at all that is in it.  Of what takes longer nothing good is said.
_LOOK = 300.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PACKED = re.compile(r"^([0-9a-f]{40}) (refs/heads/\S+)$", re.MULTILINE)


def is_sound(git: Git) -> bool:
    """Whether every object can be read, and leads to none that is missing."""
    packs = sorted((git.at / "objects" / "pack").glob("*.idx"))
    try:
        if packs:
            git.run("verify-pack", "--", *(f"objects/pack/{pack.name}" for pack in packs), seconds=_LOOK)
        # What is wrong with the form of a commit of long ago is no damage: so it looks at connections only.
        git.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress", seconds=_LOOK)
    except GitError as error:
        log.warning("mirror is not sound", extra=fields(reason=error))
        return False
    return True


def heads(place: Path) -> dict[str, str]:
    """Branches of the mirror's own, as its files say: no git need be able to read it."""
    found: dict[str, str] = {}
    for file in (place / "packed-refs", *sorted(place.glob("refs/heads/**/*"))):
        text = ""
        with files.unless_of_the_world(), contextlib.suppress(ValueError):
            text = file.read_text("ascii")
        if file.name == "packed-refs" and file.parent == place:
            found |= {ref: commit for commit, ref in _PACKED.findall(text)}
        elif _COMMIT.fullmatch(text.strip()):
            found[file.relative_to(place).as_posix()] = text.strip()
    return found


def carry_over(old: Path, new: Git) -> None:
    """Branches of `old` with their commits into `new`, as far as they can be read; what `new` has need not be."""
    with bare.making(new, new.at, old, room=old.parent) as both:
        for ref, commit in heads(old).items():
            try:
                _carry(both, new, ref, commit)
            except GitError as error:
                log.warning("commits of a damaged mirror are lost", extra=fields(ref=ref, reason=error))
                continue
            age = old / ref if (old / ref).is_file() else old / "packed-refs"
            os.utime(new.at / ref, ns=(age.stat().st_atime_ns, age.stat().st_mtime_ns))


def _carry(both: Git, new: Git, ref: str, commit: str) -> None:
    known = new.run("for-each-ref", "--format=^%(objectname)").decode()
    with tempfile.TemporaryFile(dir=new.at) as pack:
        both.run(
            "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset", feed=f"{commit}\n{known}".encode(),
            into=pack, seconds=BUILDING, most=MOST_PACK,
        )  # fmt: skip
        # Each object is hashed; that none is missing was seen when the pack was made.
        new.run("index-pack", "--stdin", feed=pack, seconds=BUILDING, most=MOST_PACK)
    new.run("update-ref", ref, commit)
