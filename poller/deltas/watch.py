"""One cycle: what moved on the forge since the cursor, as events and as a memory to be kept.

Knows the order of the questions.  Decides little itself (`diff` and `look` do), and writes nothing: `Gathered` is what
the caller commits, all of it in one transaction or none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from poller.deltas import ids
from poller.deltas.diff import shallow
from poller.deltas.events import Event
from poller.deltas.look import CASUAL, Care
from poller.deltas.pulls import Known, Row
from poller.deltas.reader import Job, Look, Reader
from poller.forge import errors
from poller.forge.questions import Found, Progress, Questions
from poller.store import Place
from sessions.logs import fields

log = logging.getLogger(__name__)

#: Seconds that are read again when the forge's clock turns out to have been put back.
PUT_BACK = 86_400
Spot = tuple[int, int]


class Placed(Protocol):
    """What has a repository, by id and by name."""

    @property
    def repo(self) -> str: ...
    @property
    def repo_id(self) -> int: ...


P = TypeVar("P", bound=Placed)


class Watched(Protocol):
    """Leaves what the config watches."""

    def __call__(self, found: list[P], /) -> list[P]: ...


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What this cycle is to read, and against which memory.

    `since`: the cursor, or where a first run begins.  `owner`: whose everything is that is watched; "": several own it.
    `owners`: of whom a baseline asks; none: everybody.
    `boundary`: what is older on a pull of this repository is history.  `fresh`: the watching of this repository begins
    with this cycle; `baseline`: there are such repositories, so all their open pulls are remembered as they are.
    """

    forge: str
    seen_at: str
    since: str
    overlap: float
    owner: str
    owners: tuple[str, ...]
    paged: bool | None
    baseline: bool
    watched: Watched
    boundary: Callable[[str], str]
    fresh: Callable[[str], bool]
    places: Callable[[Iterable[Spot]], dict[Spot, Place]]
    due: Callable[[str], list[Place]]
    progress: Progress | None = None

    def reader(self, questions: Questions, *, read_at: str, paged: bool | None) -> Reader:
        """Who looks at the pulls of this cycle."""
        return Reader(
            questions, forge=self.forge, seen_at=self.seen_at, read_at=read_at, overlap=self.overlap, paged=paged,
            progress=self.progress,
        )  # fmt: skip


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """All that one cycle read.  `now` is the forge's clock at its begin, `newest` the largest stamp among the rows.

    `names`: repositories by id, as the rows call them now.
    """

    now: str
    newest: str
    looks: list[Look]
    shallow: list[Known]
    names: dict[int, str]
    paged: bool | None

    @property
    def events(self) -> list[Event]:
        """In the order of each pull; pulls follow each other."""
        return [event for look in self.looks for event in look.events]

    @property
    def troubles(self) -> list[Place]:
        """Pulls that could not be read this time."""
        return [look.trouble for look in self.looks if look.trouble is not None]


def gather(questions: Questions, scope: Scope) -> Gathered:
    """Read one cycle.  Raises `ForgeError` when the forge as a whole cannot be read: then nothing was."""
    since = ids.shifted(scope.since, seconds=-scope.overlap)
    found = _search(questions, scope, since=since)
    now = found.date or scope.seen_at
    if scope.since > now and not scope.baseline:
        # The forge's clock was put back: what happened since then is stamped before the cursor.
        found = _search(questions, scope, since=ids.shifted(now, seconds=-PUT_BACK))
    rows = {row.place: row for row in scope.watched(list(found.rows.values()))}
    known = scope.places(rows)
    moved = {key: row for key, row in rows.items() if has_moved(row, known.get(key), now)}
    jobs = [job_of(scope, row, known.get(key)) for key, row in by_age(moved)]
    for place in scope.due(now):
        key = (place.repo_id, place.number)
        if key not in moved:
            jobs.append(job_of(scope, rows.get(key), place))
    everything = dict(found.rows)
    old: list[Known] = []
    if scope.baseline:
        opened = open_rows(questions, scope.owners, scope.progress)
        everything |= opened
        mine = {row.place: row for row in scope.watched(list(opened.values())) if scope.fresh(row.repo)}
        remembered = scope.places(mine)
        old = [shallow(row) for place, row in mine.items() if place not in rows and place not in remembered]
        rows |= mine
    reader = scope.reader(questions, read_at=now, paged=scope.paged)
    looks = reader.read(jobs)
    return Gathered(
        now=now,
        newest=max((row.updated_at for row in everything.values()), default=""),
        looks=looks,
        shallow=old,
        names=names_in(looks) | {row.repo_id: row.repo for row in rows.values()},
        paged=reader.paged,
    )


def names_in(looks: list[Look]) -> dict[int, str]:
    """Repositories by id, as the looks at their pulls found them called."""
    return {look.known.row.repo_id: look.known.row.repo for look in looks if look.known is not None}


def _search(questions: Questions, scope: Scope, *, since: str) -> Found:
    """What moved, of the one owner or of everybody.  What has left an owner is found by a sweep, and then by this."""
    progress = scope.progress if scope.baseline else None
    if scope.owner:
        try:
            return questions.search(since=since, owner=scope.owner, progress=progress)
        except errors.Declined:
            log.warning("nobody is called that any more", extra=fields(owner=scope.owner))
    return questions.search(since=since, progress=progress)


def open_rows(questions: Questions, owners: tuple[str, ...], progress: Progress | None = None) -> dict[Spot, Row]:
    """All open pulls of these owners; of none: of everybody."""
    rows: dict[Spot, Row] = {}
    for owner in owners or (None,):
        try:
            rows |= questions.search(state="open", owner=owner, progress=progress).rows
        except errors.Declined:
            log.warning("nobody is called that any more", extra=fields(owner=owner))
    return rows


def by_age(rows: dict[Spot, Row]) -> list[tuple[Spot, Row]]:
    """What moved first comes first."""
    return sorted(rows.items(), key=lambda item: item[1].updated_at)


def has_moved(row: Row, place: Place | None, now: str) -> bool:
    """Compared whole: within one second a second change can leave the stamp as it was, and clocks step back."""
    if place is not None and place.errors and place.due_at is not None and place.due_at > now:
        return False  # it could not be read a moment ago: patience
    return place is None or place.known is None or place.known.row != row


def job_of(scope: Scope, row: Row | None, place: Place | None) -> Job:
    """The boundary is looked up here, not by the threads that share no connection."""
    if place is not None:
        return Job(row=row, place=place, boundary=place.boundary, care=care_for(row, place))
    assert row is not None  # a job has a row or a place
    return Job(row=row, place=None, boundary=scope.boundary(row.repo))


def care_for(row: Row | None, place: Place | None) -> Care:
    """A counter that fell, or moved without a stamp: a comment or a remark was deleted, which only the lists show."""
    before = place.known.row if place is not None and place.known is not None else None
    if row is None or before is None or before.comments == row.comments:
        return CASUAL
    is_silent = msgspec.structs.replace(before, comments=row.comments) == row
    return Care(thorough=True) if is_silent or row.comments < before.comments else CASUAL
