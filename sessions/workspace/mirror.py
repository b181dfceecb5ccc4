"""The host's bare mirror of one repository: `<state>/mirrors/<name>.git`, ours alone, no bottle ever sees it.

Knows how to fetch into it, take a pack out of it, and keep it small.  Must not know bottles' directories.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from sessions.git import Git, GitError, Tick
from sessions.locks import Busy, locked
from sessions.logs import fields
from sessions.sources import Access, Source, Unfetchable
from sessions.workspace import bare, mending
from sessions.workspace.nouns import FETCHING, MOST_PACK

log = logging.getLogger("sessions.workspace")

#: Packs above which a mirror is put in order, and the seconds that may take.
_PACKS, _ORDER = 25, 300.0
#: Seconds for which what could not be put in order is left as it is: another try would take as long.
_ORDER_AGAIN = 86_400.0
#: Seconds after which a mirror that was never finished is nobody's.
_LEFT = 3600.0
#: Seconds for which commits that were not pushed are kept, whatever becomes of the bottle they came from.
_KEPT = 30 * 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: What git says about a repository that is damaged; another try would only say so again.
_DAMAGED = re.compile(
    r"corrupt|bad object|bad tree|loose object|unable to read|missing (?:blob|tree|commit)|necessary objects"
    r"|not a git repository|bad config|packfile|unresolved delta|null sha1|broken"
)
_OTHERS = re.compile(r"'[^']*'|remote: [^;]*")


class Tips(msgspec.Struct, frozen=True):
    """Commits; `base` is "" when the forge has no such branch."""

    head: str
    base: str


def mirrors(state: Path) -> Path:
    return state / "mirrors"


class Mirror:
    """One mirror, held by us: made by `held`."""

    def __init__(self, place: Path, git: Git) -> None:
        self._place, self._git = place, git

    @property
    def git(self) -> Git:
        """For commits that only we have: branches of the mirror belong to bottles, by their names."""
        return self._git

    def fetch(self, source: Source) -> Tips:
        """Bring head and base up to date.  Raises `Unfetchable`."""
        try:
            try:
                return self._fetched(source)
            except GitError as error:
                # What has come from the forge may have been damaged on its way, or there.
                if not _DAMAGED.search(_own_words(str(error), source)) or mending.is_sound(self._git):
                    raise
                log.warning("mirror is damaged, and is made anew", extra=fields(reason=error))
                return self._made_anew(source)
        except GitError as error:
            raise Unfetchable(f"the code could not be fetched from {source.access.url}: {error}") from None

    def has(self, commit: str) -> bool:
        return bool(_COMMIT.fullmatch(commit)) and self._git.says("cat-file", "-t", commit) == "commit"

    def commit(self, ref: str) -> str:
        """The one that a ref of the mirror names.  Raises `GitError`."""
        return self._git.run("rev-parse", "--verify", f"{ref}^{{commit}}").decode().strip()

    def bring(self, access: Access, *refspecs: str) -> None:
        """Refs of the forge's, as they are now.  Raises `GitError`."""
        self._git.run(
            "fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
            "--no-auto-maintenance", "--", access.url, *refspecs, access=access, seconds=FETCHING, most=MOST_PACK,
        )  # fmt: skip

    def pack(self, commits: list[str], into: IO[bytes]) -> None:
        """All that these commits need, and nothing else of the mirror.  Raises `GitError`."""
        feed = "".join(f"{commit}\n" for commit in commits).encode()
        self._git.run(
            "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset", feed=feed, into=into, seconds=FETCHING,
            most=MOST_PACK,
        )  # fmt: skip

    def put_in_order(self) -> None:
        """Few packs instead of many; what nothing needs goes after two weeks.  Failing it costs nothing but time."""
        if len(list((self._place / "objects" / "pack").glob("*.pack"))) <= _PACKS:
            return
        failed = self._place / "order-failed"
        try:
            if failed.exists() and abs(time.time() - failed.stat().st_mtime) < _ORDER_AGAIN:
                return
            failed.touch(mode=0o600)  # before: whoever is killed over it has failed, too
            self._git.run("gc", "--quiet", "--prune=2.weeks.ago", seconds=_ORDER, most=MOST_PACK)
            failed.unlink()
        except (GitError, OSError) as error:
            log.warning("mirror could not be put in order", extra=fields(reason=error))

    def _made_anew(self, source: Source) -> Tips:
        """From the forge; and commits that only we have, as far as they can be read."""
        if not mending.heads(self._place):
            shutil.rmtree(self._place, ignore_errors=True)  # bottles do not need it, and there is room for the new one
        with bare.making(self._git, room=self._place.parent) as new:
            tips = Mirror(new.at, new)._fetched(source)
            mending.carry_over(self._place, new)
            new.at.rename(_anew(self._place))
        _put_in_place(self._place)
        return tips

    def _fetched(self, source: Source) -> Tips:
        head, base = _local(source.head_ref), _local(f"refs/heads/{source.base}")
        wanted = [f"+{source.head_ref}:{head}"]
        with_base = self._is_branch(source.base)
        try:
            self.bring(source.access, *wanted, *([f"+refs/heads/{source.base}:{base}"] if with_base else []))
        except GitError as error:
            if not with_base or "find remote ref refs/heads/" not in str(error):
                raise
            with_base = False  # the base's branch is gone; the head is still worth looking at
            self.bring(source.access, *wanted)
        tips = Tips(self.commit(head), self.commit(base) if with_base else "")
        if not source.head or source.head == tips.head:
            return tips
        return Tips(self._exactly(source, tips.head), tips.base)

    def _exactly(self, source: Source, found: str) -> str:
        """The commit the turn is about, where the ref has another one: it lags, or has moved on meanwhile."""
        if not self.has(source.head):
            try:
                self.bring(source.access, f"+{source.head}:{_local(source.head)}")
            except GitError as error:
                if source.exact:
                    raise Unfetchable(
                        f"{source.head_ref} is at {found}, and {source.head} cannot be had from {source.access.url} "
                        f"({error})"
                    ) from None
        if self.has(source.head):
            return source.head
        if source.exact:
            raise Unfetchable(f"{source.head_ref} is at {found}, expected {source.head}")
        log.warning("the head is another one than the forge says", extra=fields(found=found, said=source.head))
        return found

    def _is_branch(self, name: str) -> bool:
        # What git itself would refuse (control characters, "..", "~", a leading dash) is no branch to ask for.
        return name.isprintable() and self._git.says("check-ref-format", "--branch", name) == name


@contextlib.contextmanager
def held(state: Path, name: str, *, environ: Mapping[str, str], tick: Tick) -> Iterator[Mirror]:
    """The mirror of that name, made if it is missing, for us alone.  Raises `Unfetchable`."""
    if not _NAME.fullmatch(name):
        raise Unfetchable(f"{name!r} cannot name a mirror")
    room = mirrors(state)
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = room / f"{name}.git"
    try:
        with locked(room / f"{name}.lock", seconds=FETCHING, tick=tick) as lock:
            git = Git(place, environ=environ, tick=tick, keep=[lock])
            _put_in_place(place)
            if not place.is_dir():
                with bare.making(git, room=place.parent) as new:
                    new.at.rename(place)
            _clear(place)
            mirror = Mirror(place, git)
            try:
                yield mirror
                mirror.put_in_order()
            finally:
                _clear(place)  # what a fetch that grew too large has brought by then
    except Busy:
        raise Unfetchable(f"mirror {name} was busy for {FETCHING:.0f} s") from None


def remove_unused(state: Path, used: Callable[[], set[str]]) -> list[str]:
    """Remove the mirrors that nobody names, and that keep no commits for anybody; their names.

    A bottle names its mirror before it takes the lock."""
    gone = []
    room = mirrors(state)
    for place in sorted(room.glob("*.git")):
        name = place.name.removesuffix(".git")
        if is_needed(state, name, used()):
            continue
        with contextlib.suppress(Busy), locked(room / f"{name}.lock", seconds=0):
            if is_needed(state, name, used()):
                continue
            shutil.rmtree(place, ignore_errors=True)
            (room / f"{name}.lock").unlink()
            gone.append(name)
    for left, seconds in [(f"{bare.PASSING}*", _LEFT), (".anew-*", _KEPT)]:
        for place in room.glob(left):
            if place.stat().st_mtime < time.time() - seconds:
                shutil.rmtree(place, ignore_errors=True)
    return gone


def is_needed(state: Path, name: str, used: set[str]) -> bool:
    """Does a bottle name it (`used`), or has it commits that were not pushed, and are not old?  What was pushed has no
    branch any more."""
    if name in used:
        return True
    place = mirrors(state) / f"{name}.git"
    packed = place / "packed-refs"
    own = [file for file in place.glob("refs/heads/**/*") if file.is_file()]
    with contextlib.suppress(FileNotFoundError):
        own += [packed] if b" refs/heads/" in packed.read_bytes() else []
    return any(file.stat().st_mtime > time.time() - _KEPT for file in own)


def _anew(place: Path) -> Path:
    """Where the one waits, whole, that is to take the place of a damaged one."""
    return place.with_name(f".anew-{place.stem}")


def _put_in_place(place: Path) -> None:
    if not _anew(place).is_dir():
        return
    gone = Path(tempfile.mkdtemp(dir=place.parent, prefix=bare.PASSING))
    if place.is_dir():
        place.rename(gone)
    _anew(place).rename(place)
    shutil.rmtree(gone, ignore_errors=True)


def _clear(place: Path) -> None:
    """What a fetch left that was killed: nobody else is at work here."""
    for what in ("*.lock", "gc.pid", "refs/**/*.lock", "objects/pack/tmp_*", "objects/pack/.tmp-*"):
        for left in place.glob(what):
            left.unlink(missing_ok=True)
    for left in place.glob("objects/incoming-*"):
        shutil.rmtree(left, ignore_errors=True)


def _own_words(told: str, source: Source) -> str:
    """Without names that others chose (a repository may well be called "broken"), and what the forge says."""
    for name in (source.access.url, source.head_ref, f"refs/heads/{source.base}"):
        told = told.replace(name, "")
    return _OTHERS.sub("", told)


def _local(ref: str) -> str:
    """A ref of ours for one of theirs: no name of theirs becomes a file's, or stands in another's way."""
    return f"refs/bottlepost/{hashlib.sha256(ref.encode('utf-8', 'replace')).hexdigest()[:32]}"
