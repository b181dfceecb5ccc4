"""One sweep: looks by the clock, for what moves no stamp when it changes.

The list of open pulls shows what vanished, and marks and counters that changed by themselves; the heads of a
repository show pushes without a row, its newest comments show edits; a thorough look at a pull shows the rest.
Knows which question finds what.  Writes nothing, and must not know when anything is due.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import msgspec

from poller.deltas import ids
from poller.deltas.look import Care
from poller.deltas.pulls import Comment, Known, Row
from poller.deltas.reader import THREADS, Job, Look
from poller.deltas.watch import Scope, Spot, care_for, has_moved, names_in, open_rows
from poller.forge import errors
from poller.forge.questions import Questions
from poller.store import Place, Spotted

#: Seconds after which the sweep of a pull does not wait any more for a cycle in which the pull did not move.
LATE = 60.0
#: So many pulls that the list of open ones lacks are asked for in one sweep: an empty answer is no reason to panic.
DOUBTS = 20
What = Literal["open", "repo", "pull"]
Key = tuple[What, int, int]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to sweep.  `due_at` is ours (epoch seconds), `wait` how long after it the next time comes (seconds),
    `read_to` the forge's time of the last one."""

    what: What
    repo_id: int = 0
    number: int = 0
    due_at: float = 0.0
    wait: float = 0.0
    read_to: str | None = None

    @property
    def key(self) -> Key:
        return self.what, self.repo_id, self.number


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep is told: every pull remembered as open, what a repository was called, and is, as this cycle saw."""

    opened: list[Spotted]
    former: dict[int, str]
    names: dict[int, str]
    owners: tuple[str, ...]
    #: looked at by this cycle already
    done: frozenset[Spot]
    #: our clock (epoch seconds)
    now: float


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    `names`: repositories by id as they are called now; `archived`: whether they are, of those that were asked for;
    `lost_repos`: gone, as two questions said.  `found`: units that showed something new; `failed`: with the reason;
    `skipped`: their turn is still to come; `over`: nobody watches them any more.
    """

    looks: list[Look] = []
    names: dict[int, str] = {}
    archived: dict[int, bool] = {}
    lost_repos: frozenset[int] = frozenset()
    found: frozenset[Key] = frozenset()
    failed: dict[Key, str] = {}
    skipped: frozenset[Key] = frozenset()
    over: frozenset[Key] = frozenset()
    paged: bool | None = None
    #: the forge asks for patience, or does not answer: the rest was left
    stopped: errors.ForgeError | None = None


class Sweep:
    """The units of one cycle, whose clock at the forge is `read_at`."""

    def __init__(self, questions: Questions, scope: Scope, ground: Ground, *, read_at: str, paged: bool | None) -> None:
        self._questions, self._scope, self._ground, self._read_at = questions, scope, ground, read_at
        self._reader = scope.reader(questions, read_at=read_at, paged=paged)
        self._rows: dict[Spot, Row] = {}
        self._names: dict[int, str | None] = dict(ground.names)
        self._archived: dict[int, bool] = {}
        self._jobs: dict[Spot, Job] = {}
        self._wanted: dict[Spot, set[Key]] = {}
        self._failed: dict[Key, str] = {}
        self._skipped: set[Key] = set()
        self._over: set[Key] = set()
        self._stopped: errors.ForgeError | None = None

    def run(self, units: list[Unit]) -> Swept:
        """All of them, as far as the forge lets us.  Raises `Refused` and `MissingScope` only."""
        for unit in units:
            if unit.what == "open":
                self._asked({unit.key}, lambda unit=unit: self._list(unit))  # type: ignore[misc]
        units = [unit for unit in units if unit.what != "open"]
        self._name({unit.repo_id for unit in units})
        self._repositories([unit for unit in units if unit.what == "repo"])
        self._pulls([unit for unit in units if unit.what == "pull"])
        looks = self._looked()
        return Swept(
            looks=[look for _, look in looks],
            names=names_in([look for _, look in looks])
            | {key: name for key, name in self._names.items() if name is not None},
            archived=self._archived,
            lost_repos=frozenset(key for key, name in self._names.items() if name is None)
            | {look.lost_repo for _, look in looks if look.lost_repo is not None},
            found=frozenset(key for spot, look in looks if look.events for key in self._wanted[spot]),
            failed=self._failed,
            skipped=frozenset(self._skipped - self._failed.keys()),
            over=frozenset(self._over),
            paged=self._reader.paged,
            stopped=self._stopped,
        )

    # -- asking -------------------------------------------------------------------------------------------------

    def _asked(self, keys: set[Key], ask: Callable[[], None]) -> None:
        """One unit's trouble is its own; but who does not answer, or asks for patience, is left alone."""
        if self._stopped is not None:
            self._skipped |= keys
            return
        try:
            ask()
        except (errors.Refused, errors.MissingScope):
            raise
        except errors.ForgeError as trouble:
            self._failed |= dict.fromkeys(keys, str(trouble))
            if isinstance(trouble, errors.RateLimited | errors.Unreachable):
                self._stopped = trouble

    def _list(self, unit: Unit) -> None:
        """The open pulls as they are: other than remembered, unknown, or not there any more."""
        found = open_rows(self._questions, self._ground.owners)
        mine = {row.place: row for row in self._scope.watched(list(found.values()))}
        self._rows |= mine
        self._names |= {row.repo_id: row.repo for row in mine.values()}
        known = self._scope.places(mine)
        for spot, row in mine.items():
            place = known.get(spot)
            if has_moved(row, place, self._read_at):
                self._want(spot, unit, place=place, row=row, care=care_for(row, place))
        missing = [one for one in self._ground.opened if (one.repo_id, one.number) not in mine]
        missing = self._scope.watched(missing)
        random.shuffle(missing)  # if the list lies, everybody's turn comes
        doubts = self._scope.places((one.repo_id, one.number) for one in missing[:DOUBTS])
        for spot, place in doubts.items():
            self._want(spot, unit, place=place, row=None, doubtful=True)

    def _name(self, repo_ids: set[int]) -> None:
        """What they are called now: under the name that a repository had may be another one."""
        for repo_id in sorted(repo_ids - self._names.keys()):
            self._asked({("repo", repo_id, 0)}, lambda repo_id=repo_id: self._find(repo_id))  # type: ignore[misc]

    def _find(self, repo_id: int) -> None:
        found = self._questions.repository(repo_id)
        if found is not None:
            self._names[repo_id] = found.full_name
            self._archived[repo_id] = found.archived
        elif not self._questions.is_repository(self._ground.former.get(repo_id), repo_id):
            self._names[repo_id] = None

    def _repositories(self, units: list[Unit]) -> None:
        named = [(unit, self._names.get(unit.repo_id)) for unit in units]
        self._skipped |= {unit.key for unit, name in named if not name}
        unwatched = [(unit, name) for unit, name in named if name and not self._is_ours(unit.repo_id, name)]
        self._over |= {unit.key for unit, _ in unwatched}
        named = [one for one in named if one not in unwatched]
        with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="sweep") as pool:
            asked = [(unit, pool.submit(self._of_repository, unit, name)) for unit, name in named if name]
        for unit, answer in asked:
            for heads, comments in answer.result():
                self._heads(unit, heads)
                self._comments(unit, comments)

    def _of_repository(self, unit: Unit, name: str) -> list[tuple[dict[int, str], tuple[Comment, ...]]]:
        """One answer, or none."""
        answers: list[tuple[dict[int, str], tuple[Comment, ...]]] = []
        since = ids.shifted(unit.read_to or self._read_at, seconds=-self._scope.overlap)

        def ask() -> None:
            answers.append((self._questions.ref_heads(name), self._questions.repo_comments(name, since=since)))

        self._asked({unit.key}, ask)
        return answers

    def _pulls(self, units: list[Unit]) -> None:
        places = self._scope.places({(unit.repo_id, unit.number) for unit in units})
        for unit in units:
            spot = (unit.repo_id, unit.number)
            place = places.get(spot)
            name, lost = self._names.get(unit.repo_id), self._failed.get(("repo", unit.repo_id, 0))
            if not name and lost:
                self._failed[unit.key] = lost
            elif not name or (spot in self._ground.done and not self._is_late(unit)):
                self._skipped.add(unit.key)
            elif place is None or place.known is None or place.known.gone or not self._is_watched(place):
                self._over.add(unit.key)
            else:
                self._want(spot, unit, place=place, row=self._row(spot, place.known), care=Care(thorough=True))

    def _heads(self, unit: Unit, heads: dict[int, str]) -> None:
        """A head that moved without its pull's row."""
        mine = {(one.repo_id, one.number) for one in self._ground.opened if one.repo_id == unit.repo_id}
        for spot, place in self._scope.places(mine).items():
            known, head = place.known, heads.get(spot[1])
            if known is None or known.shallow or head is None or not self._is_watched(place):
                continue
            if head not in (known.head, known.ref_head, known.stray_head):
                care = Care(heads=True, ref_head=head)
                self._want(spot, unit, place=place, row=self._row(spot, known), care=care)

    def _comments(self, unit: Unit, comments: Iterable[Comment]) -> None:
        """Words that are other than remembered; on pulls that were closed long ago, too."""
        said = [one for one in comments if one.number]
        places = self._scope.places({(unit.repo_id, one.number) for one in said})
        for one in said:
            spot = (unit.repo_id, one.number)
            place = places.get(spot)
            if place is None or place.known is None or place.known.shallow or not self._is_watched(place):
                continue
            before = place.known.comments.get(one.id)
            late = before is None and one.at >= place.boundary and one.updated_at < self._long_ago()
            if late or (before is not None and before != one.body):
                self._want(spot, unit, place=place, row=self._row(spot, place.known), care=Care(thorough=late))

    def _long_ago(self) -> str:
        """Younger comments bump their pull: the next search finds them."""
        return ids.shifted(self._read_at, seconds=-self._scope.overlap)

    # -- looking ------------------------------------------------------------------------------------------------

    def _row(self, spot: Spot, known: Known) -> Row:
        """The row as this cycle saw it, else as it is remembered; under the repository's present name."""
        row, name = self._rows.get(spot, known.row), self._names.get(spot[0])
        return msgspec.structs.replace(row, repo=name) if name else row

    def _is_late(self, unit: Unit) -> bool:
        """A pull that moves in every cycle must not be passed over in every cycle."""
        return self._ground.now - unit.due_at > max(unit.wait, LATE)

    def _is_ours(self, repo_id: int, name: str) -> bool:
        return bool(self._scope.watched([Spotted(repo_id, 0, name)]))

    def _is_watched(self, place: Place) -> bool:
        return place.known is not None and bool(self._scope.watched([place.known.row]))

    def _want(
        self,
        spot: Spot,
        unit: Unit,
        *,
        place: Place | None,
        row: Row | None,
        care: Care | None = None,
        doubtful: bool = False,
    ) -> None:
        """Look at this pull; what several units want to know is asked in one look."""
        if spot in self._ground.done and unit.what != "pull":
            return
        self._wanted.setdefault(spot, set()).add(unit.key)
        care, before = care or Care(), self._jobs.get(spot)
        if before is not None:
            care = Care(
                thorough=care.thorough or before.care.thorough,
                heads=care.heads or before.care.heads,
                ref_head=care.ref_head or before.care.ref_head,
            )
            row, doubtful = row or before.row, doubtful and before.doubtful
        boundary = place.boundary if place is not None else self._scope.boundary(row.repo if row is not None else "")
        self._jobs[spot] = Job(row=row, place=place, boundary=boundary, care=care, doubtful=doubtful)

    def _looked(self) -> list[tuple[Spot, Look]]:
        """The looks; one that fails leaves its units for later."""
        with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="sweep") as pool:
            pending = [(spot, pool.submit(self._look, spot, job)) for spot, job in sorted(self._jobs.items())]
        looks = [(spot, answer.result()) for spot, answer in pending]
        return [(spot, look) for spot, look in looks if look is not None]

    def _look(self, spot: Spot, job: Job) -> Look | None:
        found: list[Look] = []
        self._asked(self._wanted[spot], lambda: found.append(self._reader.look(job)))
        return found[0] if found else None
