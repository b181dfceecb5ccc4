"""One cycle of the poller: read the forge, decide, and commit cursor, memory, events and turns in one transaction.

The pipeline: it calls things in their order and decides nothing.  A cycle that is killed at any statement leaves the
old state or the new one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from poller import eventlog, inventory, store
from poller.config import Config
from poller.deltas.events import Actor, Event
from poller.deltas.watch import Gathered, Scope, gather
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.questions import Progress, Questions
from poller.scope import Watching
from poller.triage import Decision, Facts, decided, sorted_out
from poller.trust import Trust
from sessions import leases, registry
from sessions.database import begin, reading
from sessions.logs import bound, fields

log = logging.getLogger(__name__)

#: Seconds for which the poller's lease is good; renewed while a long cycle goes on.
LEASE = 300.0
RENEW = 60.0


class Busy(Exception):
    """Another poller holds the lease."""

    exit_code = 5


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One new event and what it is to become."""

    event: Event
    decisions: list[Decision]
    #: agent → the turn that the event joined
    turns: dict[str, int] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a cycle did.  `errors` are one-line texts about single repositories and pulls."""

    cursor: str
    requests: int
    pulls_changed: int
    told: list[Told]
    errors: list[str]


class Cycle:
    """Cycles of one config against one forge; `now` is the clock (epoch seconds, UTC)."""

    def __init__(
        self,
        config: Config,
        engine: sa.Engine,
        client: Client,
        *,
        control: Callable[[], Control],
        now: Callable[[], float] = time.time,
        progress: Progress | None = None,
    ) -> None:
        self._config, self._engine, self._client = config, engine, client
        self._control, self._now, self._progress = control, now, progress
        self._lease: leases.Lease | None = None
        self._renewed = 0.0

    @property
    def lease_name(self) -> str:
        """One poller per forge at a time."""
        return f"poll {self._config.forge}"

    def run(self) -> Report:
        """One cycle.  Raises `Busy`, `ForgeError`, `NothingToWatch` or `DatabaseError`: then nothing was changed."""
        with self._leased():
            try:
                return self._run(dry=False)
            except Exception as failure:
                self._note_failure(failure)
                raise

    def rehearse(self) -> Report:
        """The same without lease, and without writing anything: for `--dry-run`."""
        return self._run(dry=True)

    # -- the lease ----------------------------------------------------------------------------------------------

    @contextmanager
    def _leased(self) -> Iterator[None]:
        with begin(self._engine) as conn:
            self._lease = leases.take(conn, self.lease_name, now=self._now(), ttl=LEASE)
            holder = leases.held(conn, self.lease_name, now=self._now())
        if self._lease is None:
            raise Busy(f"another poller ({holder.owner if holder else 'just now'}) is reading {self._config.forge}")
        self._renewed = self._now()
        try:
            yield
        finally:
            lease, self._lease = self._lease, None
            if lease is not None:
                with begin(self._engine) as conn:
                    leases.release(conn, lease)

    def _on_progress(self, done: int, total: int) -> None:
        if self._lease is not None and self._now() - self._renewed > RENEW:
            with begin(self._engine) as conn:
                self._keep(conn)
        if self._progress is not None:
            self._progress(done, total)

    def _keep(self, conn: sa.Connection) -> None:
        """Only who still holds the lease may write."""
        if self._lease is None:
            return
        kept = leases.renew(conn, self._lease, now=self._now(), ttl=LEASE)
        if kept is None:
            self._lease = None
            raise Busy(f"another poller took over {self._config.forge} while this one was slow")
        self._lease, self._renewed = kept, self._now()

    def _note_failure(self, failure: Exception) -> None:
        if not isinstance(failure, Busy):
            with begin(self._engine) as conn:
                store.save_forge(conn, self._config.forge, error=str(failure)[:500], error_at=self._now())

    # -- the cycle ----------------------------------------------------------------------------------------------

    def _run(self, *, dry: bool) -> Report:
        config, sent, now = self._config, self._client.requests, self._now()
        with reading(self._engine) as conn:
            forge = store.forge(conn, config.forge)
            due = inventory.is_due(config, forge, now=now)
            watching = Watching.of(config, conn, now=now, all_known=not due)
        taken = inventory.taken(self._control(), config) if due else None
        bot = taken.bot if taken is not None else forge.bot
        assert bot is not None  # it is asked for whenever it is not known
        questions = Questions(self._client, page=taken.page if taken is not None else forge.page)
        with reading(self._engine) as conn:
            scope = Scope(
                forge=config.forge,
                seen_at=stamp_of(now),
                since=watching.since(forge.cursor),
                overlap=config.poll.overlap,
                owners=watching.owners,
                paged=forge.paged,
                baseline=bool(watching.new),
                watched=lambda rows: watching.watched(rows, conn, taken),
                boundary=lambda repo: watching.boundary(repo, conn),
                fresh=watching.is_new,
                places=lambda places: store.places(conn, config.forge, places),
                due=lambda at: watching.watched(store.due_places(conn, config.forge, at), conn, taken),
                progress=self._on_progress,
            )
            gathered = gather(questions, scope)
            trust = Trust(config.trust.who, forge=config.forge, conn=conn, control=self._control, now=now)
            told = self._triaged(gathered.events, trust, bot)
        cursor = new_cursor(forge.cursor, started=scope.since, now=gathered.now, newest=gathered.newest)
        troubles = {f"{place.repo}#{place.number}": place.error for place in gathered.troubles}
        if dry:
            troubles |= taken.troubles if taken is not None else {}
        else:
            with begin(self._engine) as conn:
                self._keep(conn)
                told = self._committed(conn, gathered, told, now=now)
                trust.save(conn)
                if taken is not None:
                    watching.save(conn, forge_now=gathered.now)
                    inventory.save(conn, config, taken, now=now)
                store.save_forge(
                    conn, config.forge, cursor=cursor, paged=gathered.paged, success_at=now, error="", error_at=None
                )
                troubles |= store.troubled_repositories(conn, config.forge)
        _log(told, gathered)
        return Report(
            cursor=cursor,
            requests=self._client.requests - sent,
            pulls_changed=sum(look.moved for look in gathered.looks),
            told=told,
            errors=[f"{name}: {error}" for name, error in sorted(troubles.items())],
        )

    def _triaged(self, events: list[Event], trust: Trust, bot: Actor) -> list[Told]:
        """What each event is to become.  Asks the forge only about people whose words would wake an agent."""
        facts = Facts(bot=bot, agents=self._config.agents, forks=self._config.trust.forks)
        wishes, settled = sorted_out(events, facts)
        made: dict[str, list[Decision]] = {event.id: [] for event in events}
        for decision in settled:
            made[decision.event_id].append(decision)
        for wish in wishes:
            made[wish.event.id].append(decided(wish, trust.ruling(wish.event), facts))
        return [Told(event=event, decisions=made[event.id]) for event in events]

    def _committed(self, conn: sa.Connection, gathered: Gathered, told: list[Told], *, now: float) -> list[Told]:
        """Everything a cycle found out.  What the log knew already becomes nothing again."""
        name = self._config.forge
        for known in gathered.shallow:
            store.save_known(conn, name, known, due_at=None)
        for look in gathered.looks:
            if look.known is not None:
                store.save_known(conn, name, look.known, due_at=look.due_at)
                if look.former_repo is not None:
                    row = look.known.row
                    registry.rename(conn, ref=look.known.ref(name), key=f"{name}/{row.repo}#{row.number}")
            elif look.trouble is not None:
                store.save_trouble(conn, name, look.trouble)
        new = {event.id for event in eventlog.add_events(conn, [one.event for one in told])}
        return [self._becomes(conn, one, now=now) for one in told if one.event.id in new]

    def _becomes(self, conn: sa.Connection, told: Told, *, now: float) -> Told:
        event = told.event
        turns: dict[tuple[str, str], int] = {}
        for decision in told.decisions:
            if decision.verdict == "wake":
                turn = registry.enqueue(
                    conn, ref=event.ref, key=event.key, agent=decision.agent, event_id=event.id,
                    why=decision.reason.partition(";")[0], now=now,
                )  # fmt: skip
                if turn is not None:
                    turns[event.id, decision.agent] = turn
        eventlog.save_decisions(conn, told.decisions, turns)
        if event.event == "pull_request" and event.action in ("closed", "deleted"):
            merged = event.pull is not None and event.pull.merged
            registry.put_away(conn, ref=event.ref, reason="merged" if merged else event.action, now=now)
        elif event.event == "pull_request" and event.action == "reopened":
            registry.bring_back(conn, ref=event.ref, now=now)
        return msgspec.structs.replace(told, turns={agent: turn for (_, agent), turn in turns.items()})


def stamp_of(moment: float) -> str:
    """Epoch seconds as `…Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_cursor(cursor: str | None, *, started: str, now: str, newest: str) -> str:
    """The largest stamp seen, but none that is still to come: the forge's clock may have been wrong, and put back.

    Only a first run on a forge without any pull has nothing but a clock.
    """
    return min(max(cursor or "", newest) or started, now)


def _log(told: list[Told], gathered: Gathered) -> None:
    for one in told:
        event = one.event
        with bound(pull=event.key):
            for decision in one.decisions:
                log.info(
                    "%s %s: %s", event.event, event.action, decision.verdict,
                    extra=fields(
                        event_id=event.id, agent=decision.agent or None, joins=one.turns.get(decision.agent),
                        reason=decision.reason,
                    ),
                )  # fmt: skip
    for place in gathered.troubles:
        log.warning("pull cannot be read", extra=fields(pull=f"{place.repo}#{place.number}", error=place.error))
