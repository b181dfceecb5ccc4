"""A working directory from nothing: filled from the mirror, with what the agent had made before, and put in place.

While it is built it is the host's alone.  Must not know turns, or what is said about it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import tempfile
from pathlib import Path

import msgspec

from sessions.git import Git, GitError
from sessions.logs import fields
from sessions.sources import Source, Unfetchable
from sessions.trees import TooMuch, Tree
from sessions.workspace.mirror import Mirror, Tips
from sessions.workspace.nouns import BUILDING, MOST_FILES, MOST_PACK, MOST_TREE, Record
from sessions.workspace.record import Room
from sessions.workspace.salvage import Own, ignored, salvage

log = logging.getLogger("sessions.workspace")

#: What is ignored is moved along, up to so many entries.
_MOST_IGNORED = 10_000
_MOST_LISTED = 64 * 1024**2
#: While we write the files: as they are in the commit, byte for byte, whatever its attributes ask for.
_RAW = "* -text -ident -filter !eol !working-tree-encoding\n"
_WHO = "bottlepost"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A directory in the making: `git` is on its repository."""

    git: Git
    source: Source
    tips: Tips
    before: str
    turn: int

    @property
    def place(self) -> Path:
        return self.git.at.parent

    @property
    def commits(self) -> list[str]:
        return [commit for commit in (self.tips.head, self.tips.base, self.before) if commit]


class Rescued(msgspec.Struct, frozen=True, kw_only=True):
    own: Own = Own()
    #: Why nothing could be brought over.
    lost: str = ""


def new_place(room: Room) -> Path:
    """The git directory of a new working directory."""
    place = room.place / f"next-{secrets.token_hex(3)}"
    place.mkdir(mode=0o700)
    (place / ".git").mkdir()
    return place / ".git"


def fill(git: Git, source: Source, tips: Tips, *, before: str, mirror: Mirror) -> None:
    """A repository with all that head and base need, and nothing else.  Raises `GitError`, `Unfetchable`."""
    if git.says("check-ref-format", f"refs/heads/{source.branch}") is None:
        raise Unfetchable(f"{source.branch!r} cannot name a branch")
    git.run("init", "--quiet", "--template=", f"--initial-branch={source.branch}", work=git.at.parent)
    with tempfile.TemporaryFile(dir=git.at) as pack:
        mirror.pack([commit for commit in (tips.head, tips.base, before) if commit], pack)
        git.run("index-pack", "--stdin", feed=pack, seconds=BUILDING, most=MOST_PACK)
    refs = {f"refs/heads/{source.branch}": tips.head, "refs/bottlepost/head": tips.head}
    if tips.base:
        refs["refs/bottlepost/base"] = tips.base
    if before:
        refs["refs/bottlepost/before"] = before
    git.run("update-ref", "--stdin", "-z", feed=b"".join(_create(ref.encode(), commit) for ref, commit in refs.items()))
    if tips.base:
        # A name can be longer than a path may be here: then the base has ours alone.
        with contextlib.suppress(GitError):
            git.run(
                "update-ref", "--stdin", "-z", feed=_create(f"refs/remotes/origin/{source.base}".encode(), tips.base)
            )
    for key, value in _config(source).items():
        git.run("config", key, value)


def rescued(room: Room, made: Made, record: Record | None) -> Rescued:
    """What the agent had in the directory that goes: in the new repository, or the reason why not."""
    if room.is_empty():
        return Rescued()
    if record is None:
        return Rescued(lost="nobody knows what it was made from")
    if room.work.is_symlink() or not room.work.is_dir():
        return Rescued(lost="it is no directory any more")
    try:
        own = salvage(room.work, made.git, record, room=room.place, fresh=frozenset(made.commits))
    except (GitError, TooMuch, OSError) as error:
        reason = f"{error.strerror}" if isinstance(error, OSError) else str(error)
        log.warning("the agent's own work cannot be carried over", extra=fields(reason=reason))
        return Rescued(lost=reason)
    return Rescued(own=own)


def finish(room: Room, made: Made, rescued: Rescued, record: Record | None) -> Record:
    """Write the files, and let the new directory take the old one's place; what is there now."""
    kept, earlier = _branches(made, rescued.own)
    _write_files(made)
    index = f"index-{secrets.token_hex(3)}"
    shutil.copyfile(made.git.at / "index", room.place / index)
    if record is not None and not rescued.lost and not room.is_empty():
        _bring_along(room, made, record)
    after = Record(
        head=made.tips.head,
        base_name=made.source.base,
        base=made.tips.base,
        before=made.before,
        branch=made.source.branch,
        index=index,
        turn=made.turn,
        kept=kept,
        earlier=earlier,
        lost=rescued.lost,
    )
    made.git.tick()  # all that took its time: perhaps somebody else runs in the directory by now
    room.swap(made.place, after, aside=bool(rescued.lost))
    log.info("working directory moved", extra=fields(head=after.head, kept=kept, lost=rescued.lost or None))
    return after


def _branches(made: Made, own: Own) -> tuple[str, tuple[str, ...]]:
    """Its work on a branch with the turn's number, its branches under their names where these are free."""
    kept, earlier = "", []
    for name, commit in own.branches.items():
        free = [name, *(f"bottlepost/kept-{made.turn}-{nth}".encode() for nth in range(1, len(own.branches) + 1))]
        found = next(filter(None, (_branch(made.git, one, commit) for one in free)), "")
        earlier.append(found)
    if own.kept:
        names = [f"bottlepost/kept-{made.turn}", *(f"bottlepost/kept-{made.turn}-{nth}" for nth in range(1, 1000))]
        kept = next(filter(None, (_branch(made.git, one.encode(), own.kept) for one in names)), "")
    return kept, tuple(name for name in earlier if name)


def _branch(git: Git, name: bytes, commit: str) -> str:
    """Its name, or "" when there cannot be one (any more)."""
    try:
        git.run("update-ref", "--stdin", "-z", feed=_create(b"refs/heads/" + name, commit))
    except GitError:
        return ""
    return name.decode("utf-8", "replace")


def _create(ref: bytes, commit: str) -> bytes:
    return b"create " + ref + b"\0" + commit.encode() + b"\0"


def _write_files(made: Made) -> None:
    """Measured before: a tree of a few kilobytes can stand for a billion files."""
    git, head = made.git, made.tips.head
    listing = git.run("ls-tree", "-r", "-l", "-z", "--full-tree", head, seconds=BUILDING, most=_MOST_LISTED)
    files = listing.count(b"\0")
    size = sum(int(words[3]) for words in (line.split(None, 4) for line in listing.split(b"\0") if line)
               if words[3].isdigit())  # fmt: skip
    if files > MOST_FILES or size > MOST_TREE:
        raise Unfetchable(
            f"the code is too large to check out: {files} files, {size // 1024**2} MiB "
            f"(at most {MOST_FILES} files, {MOST_TREE // 1024**2} MiB)"
        )
    attributes = git.at / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text(_RAW)
    git.run("read-tree", "--reset", "-u", head, work=made.place, seconds=BUILDING, most=MOST_TREE)
    attributes.unlink()


def _bring_along(room: Room, made: Made, record: Record) -> None:
    """What it has built or installed, and ignores, goes with it: a convenience, so nothing fails over it."""
    try:
        paths = ignored(room.work, made.git, room.place / record.index)
        with Tree(room.work) as old, Tree(made.place) as new:
            some = paths[:_MOST_IGNORED]
            stayed = len(paths) - len(some) + sum(not old.hand_over(path, new, onto=path) for path in some)
        if stayed:
            log.warning("ignored files stay behind", extra=fields(many=stayed))
    except (GitError, OSError) as error:
        log.warning("ignored files stay behind", extra=fields(reason=error))


def _config(source: Source) -> dict[str, str]:
    """Of the agent's clone; the address has no secret."""
    return {
        "remote.origin.url": source.access.url,
        "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
        "user.name": _WHO,
        "user.email": f"{_WHO}@{_WHO}.invalid",
    }
