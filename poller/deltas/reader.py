"""Looks at pulls, some at a time, and says what came of each.

Knows which trouble is one pull's own and which is the forge's.  Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from poller.deltas import ids
from poller.deltas.diff import deleted, events_between
from poller.deltas.events import Event
from poller.deltas.look import CASUAL, Care, look_at
from poller.deltas.pulls import Known, Row, Sighting
from poller.forge import errors
from poller.forge.questions import Progress, Questions
from poller.store import Place

#: Looks at the same time.  The forge is somebody's small server.
THREADS = 4
#: Seconds until a verdict that was not shown yet is looked for again.
SOON = 2
#: Seconds until a pull that could not be read is tried again: doubled each time, up to a day.
FIRST_RETRY, LAST_RETRY = 60, 86_400
GONE = "the pull is gone: 404"
OFF = "no pull of its repository can be read: 404; switch its pull requests on again, or let the bot read them"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One pull to look at: its row (`None`: ask for it), its memory, and from when on it is news if there is none.

    `doubtful`: a list lacked it; if it turns out to be as remembered, there is nothing to look at.
    """

    row: Row | None
    place: Place | None
    boundary: str
    care: Care = CASUAL
    doubtful: bool = False


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one pull: its new memory, when to look again and the events; or the trouble; or nothing at all."""

    row: Row | None = None
    known: Known | None = None
    due_at: str | None = None
    events: list[Event] = []
    #: its row was other than remembered (not: its time to settle, or a sweep, had come)
    moved: bool = False
    trouble: Place | None = None
    #: its whole repository is gone, as two questions said
    lost_repo: int | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """The pull that was looked at, if anything came of it."""
        if self.trouble is not None:
            return self.trouble.repo_id, self.trouble.number
        return self.known.row.place if self.known is not None else None


class Reader:
    """Looks at pulls for one cycle; `read_at` is the forge's clock when that began."""

    def __init__(
        self,
        questions: Questions,
        *,
        forge: str,
        seen_at: str,
        read_at: str,
        overlap: float,
        paged: bool | None,
        progress: Progress | None = None,
    ) -> None:
        self._questions, self._forge, self._seen_at, self._read_at = questions, forge, seen_at, read_at
        self._overlap, self._progress = overlap, progress
        self.paged = paged

    def read(self, jobs: list[Job]) -> list[Look]:
        """Looks, in the order of the jobs.  One pull's trouble is its own; that of the whole forge is raised."""
        if len(jobs) <= 1:
            return list(self._shown(map(self.look, jobs), len(jobs)))
        with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="look") as pool:
            pending = [pool.submit(self.look, job) for job in jobs]
            try:
                return list(self._shown((future.result() for future in pending), len(jobs)))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _shown(self, looks: Iterable[Look], total: int) -> Iterator[Look]:
        for done, look in enumerate(looks, start=1):
            if self._progress is not None and total > THREADS:
                self._progress(done, total)
            yield look

    def look(self, job: Job) -> Look:
        """One pull."""
        row, place = job.row, job.place
        try:
            if row is None and place is not None:
                row = self._questions.issue(place.repo, place.repo_id, place.number)
            if row is None:
                return self._gone(job)
            if job.doubtful and place is not None and place.known is not None and place.known.row == row:
                return Look()
            return self._told(row, job)
        except errors.ServerTrouble as trouble:
            # Of a deleted pull Gitea says 500 where it should say 404.
            if row is not None and self._questions.issue(row.repo, row.repo_id, row.number) is None:
                return self._gone(job)
            return self._trouble(job, str(trouble))
        except errors.MissingScope:
            raise
        except (errors.NotFound, errors.Forbidden, errors.Declined, errors.Moved, errors.Misshapen) as trouble:
            return self._trouble(job, str(trouble))

    def _told(self, row: Row, job: Job) -> Look:
        known = job.place.known if job.place is not None else None
        seen = look_at(
            self._questions, row, known, read_at=self._read_at, overlap=self._overlap, paged=self.paged, care=job.care
        )
        row = seen.row
        if self.paged is None and len(seen.steps) > 1:
            self.paged = self._questions.is_paged(row.repo, row.number)
        told, memory = events_between(known, seen, forge=self._forge, seen_at=self._seen_at, boundary=job.boundary)
        return Look(
            row=row,
            known=memory,
            due_at=_next_look(seen, memory, overlap=self._overlap),
            events=told,
            moved=known is None or known.row != row,
        )

    def _gone(self, job: Job) -> Look:
        """The forge has no such pull: believed when its repository is there, and the pull's own page is not."""
        known = job.place.known if job.place is not None else None
        if known is None:
            return self._trouble(job, GONE)
        row = known.row
        match self._questions.what_is_gone(row.repo, row.repo_id, row.number):
            case None:
                return self._trouble(job, GONE)
            case "all pulls":
                return self._trouble(job, OFF)
            case "repository":
                return Look(lost_repo=row.repo_id)
            case "pull":
                event, memory = deleted(known, forge=self._forge, at=self._read_at, seen_at=self._seen_at)
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


def _next_look(seen: Sighting, memory: Known, *, overlap: float) -> str | None:
    """When to look again although no row may move; `None`: not before one does."""
    row, read_at = seen.row, seen.read_at
    if seen.settling:
        # A head that leads its row, found just now: the row has one overlap to come.
        return ids.shifted(memory.stray_at or read_at, seconds=overlap) if memory.stray_head is not None else None
    if row.updated_at >= read_at:
        return read_at  # the second is not over: another change in it would not move the stamp
    due_at = ids.shifted(row.updated_at, seconds=overlap)
    if any(step.id not in memory.seen for step in seen.steps):
        return min(due_at, ids.shifted(read_at, seconds=SOON))
    return due_at
