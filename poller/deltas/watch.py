"""One cycle: what moved on the forge since the cursor, as events and as a memory to be kept.

Knows the order of the questions.  Decides little itself (`diff` and `look` do), and writes nothing: `Gathered` is what
the caller commits, all of it in one transaction or none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from poller.deltas import ids
from poller.deltas.diff import deleted, events_between, shallow
from poller.deltas.events import Event
from poller.deltas.look import look_at
from poller.deltas.pulls import Known, Row, Sighting
from poller.forge import errors
from poller.forge.questions import Progress, Questions
from poller.store import Place
from sessions.logs import fields

log = logging.getLogger(__name__)

#: Looks at the same time.  The forge is somebody's small server.
THREADS = 4
#: Seconds that are read again when the forge's clock turns out to have been put back.
PUT_BACK = 86_400
#: Seconds until a verdict that was not shown yet is looked for again.
SOON = 2
#: Seconds until a pull that could not be read is tried again: doubled each time, up to a day.
FIRST_RETRY, LAST_RETRY = 60, 86_400
GONE = "the pull is gone: 404"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What this cycle is to read, and against which memory.

    `since`: the cursor, or where a first run begins.  `owners`: of whom a baseline asks; none: everybody.
    `boundary`: what is older on a pull of this repository is history.  `fresh`: the watching of this repository begins
    with this cycle; `baseline`: there are such repositories, so all their open pulls are remembered as they are.
    """

    forge: str
    seen_at: str
    since: str
    overlap: float
    owners: tuple[str, ...]
    paged: bool | None
    baseline: bool
    watched: Callable[[list[Row]], list[Row]]
    boundary: Callable[[str], str]
    fresh: Callable[[str], bool]
    places: Callable[[Iterable[tuple[int, int]]], dict[tuple[int, int], Place]]
    due: Callable[[str], list[Place]]
    progress: Progress | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One pull to look at: its row (`None`: ask for it), its memory, and from when on it is news if there is none."""

    row: Row | None
    place: Place | None
    boundary: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one pull: its new memory, when to look again and the events; or the trouble."""

    row: Row | None = None
    known: Known | None = None
    due_at: str | None = None
    events: list[Event] = []
    former_repo: str | None = None
    #: its row was other than remembered (not: its time to settle had come)
    moved: bool = False
    trouble: Place | None = None


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """All that one cycle read.  `now` is the forge's clock at its begin, `newest` the largest stamp among the rows."""

    now: str
    newest: str
    looks: list[Look]
    shallow: list[Known]
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
    # Of everybody, not of an owner: a repository that was renamed or transferred stays ours.
    found = questions.search(since=since, progress=scope.progress if scope.baseline else None)
    now = found.date or scope.seen_at
    if scope.since > now and not scope.baseline:
        # The forge's clock was put back: what happened since then is stamped before the cursor.
        found = questions.search(since=ids.shifted(now, seconds=-PUT_BACK))
    rows = {row.place: row for row in scope.watched(list(found.rows.values()))}
    known = scope.places(rows)
    moved = {key: row for key, row in rows.items() if _has_moved(row, known.get(key), now)}
    jobs = [_job(scope, row, known.get(key)) for key, row in sorted(moved.items(), key=lambda item: item[1].updated_at)]
    for place in scope.due(now):
        key = (place.repo_id, place.number)
        if key not in moved:
            jobs.append(_job(scope, rows.get(key), place))
    everything = dict(found.rows)
    old: list[Known] = []
    if scope.baseline:
        opened = _opened(questions, scope)
        everything |= opened
        mine = {row.place: row for row in scope.watched(list(opened.values())) if scope.fresh(row.repo)}
        remembered = scope.places(mine)
        old = [shallow(row) for place, row in mine.items() if place not in rows and place not in remembered]
    reader = _Reader(questions, scope, read_at=now)
    looks = reader.read(jobs)
    newest = max((row.updated_at for row in everything.values()), default="")
    return Gathered(now=now, newest=newest, looks=looks, shallow=old, paged=reader.paged)


def _opened(questions: Questions, scope: Scope) -> dict[tuple[int, int], Row]:
    """All open pulls of those whose watching begins."""
    rows: dict[tuple[int, int], Row] = {}
    for owner in scope.owners or (None,):
        try:
            rows |= questions.search(state="open", owner=owner, progress=scope.progress).rows
        except errors.Declined:
            log.warning("nobody is called that any more", extra=fields(owner=owner))
    return rows


def _has_moved(row: Row, place: Place | None, now: str) -> bool:
    """Compared whole: within one second a second change can leave the stamp as it was, and clocks step back."""
    if place is not None and place.errors and place.due_at is not None and place.due_at > now:
        return False  # it could not be read a moment ago: patience
    return place is None or place.known is None or place.known.row != row


def _job(scope: Scope, row: Row | None, place: Place | None) -> Job:
    """The boundary is looked up here, not by the threads that share no connection."""
    if place is not None:
        return Job(row=row, place=place, boundary=place.boundary)
    assert row is not None  # a job has a row or a place
    return Job(row=row, place=None, boundary=scope.boundary(row.repo))


def _next_look(seen: Sighting, memory: Known, *, overlap: float) -> str | None:
    """When to look again although no row may move; `None`: not before one does."""
    row, read_at = seen.row, seen.read_at
    if seen.settling:
        # A head that leads its row, found just now: the row has one overlap to come.
        return ids.shifted(read_at, seconds=overlap) if memory.stray_head is not None else None
    if row.updated_at >= read_at:
        return read_at  # the second is not over: another change in it would not move the stamp
    due_at = ids.shifted(row.updated_at, seconds=overlap)
    if any(step.id not in memory.seen for step in seen.steps):
        return min(due_at, ids.shifted(read_at, seconds=SOON))
    return due_at


class _Reader:
    """Looks at pulls, some at a time."""

    def __init__(self, questions: Questions, scope: Scope, *, read_at: str) -> None:
        self._questions, self._scope, self._read_at = questions, scope, read_at
        self.paged = scope.paged

    def read(self, jobs: list[Job]) -> list[Look]:
        """Looks, in the order of the jobs.  One pull's trouble is its own; that of the whole forge is raised."""
        if len(jobs) <= 1:
            return list(self._shown(map(self._look, jobs), len(jobs)))
        with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="look") as pool:
            pending = [pool.submit(self._look, job) for job in jobs]
            try:
                return list(self._shown((future.result() for future in pending), len(jobs)))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _shown(self, looks: Iterable[Look], total: int) -> Iterator[Look]:
        for done, look in enumerate(looks, start=1):
            if self._scope.progress is not None and total > THREADS:
                self._scope.progress(done, total)
            yield look

    def _look(self, job: Job) -> Look:
        row, place = job.row, job.place
        try:
            if row is None and place is not None:
                row = self._questions.issue(place.repo, place.repo_id, place.number)
            if row is None:
                return self._gone(job)
            return self._told(row, job)
        except errors.ServerTrouble as trouble:
            # Of a deleted pull Gitea says 500 where it should say 404.
            if row is not None and self._questions.issue(row.repo, row.repo_id, row.number) is None:
                return self._gone(job)
            return self._trouble(job, str(trouble))
        except errors.MissingScope:
            raise
        except (errors.NotFound, errors.Forbidden, errors.Declined, errors.Moved) as trouble:
            return self._trouble(job, str(trouble))

    def _told(self, row: Row, job: Job) -> Look:
        scope, known = self._scope, job.place.known if job.place is not None else None
        seen = look_at(self._questions, row, known, read_at=self._read_at, overlap=scope.overlap, paged=self.paged)
        row = seen.row
        if self.paged is None and len(seen.steps) > 1:
            self.paged = self._questions.is_paged(row.repo, row.number)
        told, memory = events_between(known, seen, forge=scope.forge, seen_at=scope.seen_at, boundary=job.boundary)
        former = known.row.repo if known is not None and known.row.repo != row.repo else None
        return Look(
            row=row,
            known=memory,
            due_at=_next_look(seen, memory, overlap=scope.overlap),
            events=told,
            former_repo=former,
            moved=known is None or known.row != row,
        )

    def _gone(self, job: Job) -> Look:
        """The forge has no such pull: believed when its repository is there, and the pull's own page is not."""
        known = job.place.known if job.place is not None else None
        if known is None or not self._questions.is_deleted(known.row.repo, known.row.repo_id, known.row.number):
            return self._trouble(job, GONE)
        event, memory = deleted(known, forge=self._scope.forge, at=self._read_at, seen_at=self._scope.seen_at)
        return Look(row=memory.row, known=memory, events=[event] if event is not None else [], moved=True)

    def _trouble(self, job: Job, said: str) -> Look:
        row, place = job.row, job.place
        failed = (place.errors if place is not None else 0) + 1
        wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failed - 1, 20))
        due_at = ids.shifted(self._read_at, seconds=wait)
        if place is None:
            assert row is not None  # a job has a row or a place
            place = Place(
                repo_id=row.repo_id, number=row.number, repo=row.repo, boundary=job.boundary, known=None,
                due_at=None, errors=0, error="",
            )  # fmt: skip
        return Look(trouble=msgspec.structs.replace(place, due_at=due_at, errors=failed, error=said))
