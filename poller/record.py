"""What a cycle found out, into the database: memories, schedules, events, and what each of them is to become.

Knows what belongs into one transaction.  Must not know the forge; decides nothing that the deciders have not said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from poller import answers, eventlog, letters, rounds, store
from poller.config import Config
from poller.deltas.events import Actor, Event, pull_ref
from poller.deltas.pulls import Known
from poller.deltas.reader import Look
from poller.deltas.repositories import Changes
from poller.manners import Manners
from poller.store import Place
from poller.triage import Decision, Order
from sessions import registry
from sessions.logs import bound, fields

log = logging.getLogger("poller.cycle")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One new event and what it is to become."""

    event: Event
    decisions: list[Decision]
    #: agent → the turn that the event joined
    turns: dict[str, int] = {}
    order: Order | None = None
    #: Nobody human did it.
    by_bot: bool = False
    #: Somebody whom the operator trusts is there: it commands, or wakes an agent by his right to ask.
    attended: bool = False


class Record:
    """One transaction's writing about one forge; `now` is our clock (epoch seconds)."""

    def __init__(self, conn: sa.Connection, config: Config, bot: Actor, *, now: float) -> None:
        self._conn, self._forge, self._poll, self._now = conn, config.forge, config.poll, now
        self._bot = bot
        self._manners = Manners(conn, config, bot, now=now)
        self._agents = config.agents

    def shallow(self, pulls: Iterable[Known]) -> None:
        """Pulls of which only the row was read; sweeps will read the rest, a few at a time."""
        for known in pulls:
            store.save_known(self._conn, self._forge, known, due_at=None)
            self._soon(known)

    def looks(self, looks: Iterable[Look]) -> None:
        """The memory after each look, and when to look again."""
        for look in looks:
            if look.known is not None:
                store.save_known(self._conn, self._forge, look.known, due_at=look.due_at)
                if (look.moved or look.events) and not look.known.gone:
                    self._soon(look.known)
            elif look.trouble is not None:
                store.save_trouble(self._conn, self._forge, look.trouble)

    def _soon(self, known: Known) -> None:
        rounds.soon(self._conn, self._forge, known.row.repo_id, known.row.number, self._poll, now=self._now)

    def repositories(self, changes: Changes) -> None:
        """Names and disappearances, and what follows for bottles and for words on their way."""
        for one in changes.repositories:
            store.save_known_repository(self._conn, self._forge, one)
        for event in changes.events:
            match event.action:
                case "renamed":
                    self._renamed(event.repo_id, event.repo)
                case "gone":
                    self._gone(event.repo_id)
                case "unarchived":  # words can be changed again; an archived one is still read
                    self._back(event.repo_id)
        for repo_id in changes.back:
            self._back(repo_id)

    def _renamed(self, repo_id: int, name: str) -> None:
        for number in store.numbers_of(self._conn, self._forge, repo_id):
            ref = pull_ref(self._forge, repo_id, number)
            registry.rename(self._conn, ref=ref, key=f"{self._forge}/{name}#{number}")
            letters.readdress(self._conn, ref=ref, repo=name)
        store.rename_pulls(self._conn, self._forge, repo_id, name)

    def _gone(self, repo_id: int) -> None:
        """It may only have been taken from us for a while: turns wait, bottles and memory stay."""
        store.nothing_due(self._conn, self._forge, repo_id)
        rounds.over(self._conn, self._forge, repo_id)

    def _back(self, repo_id: int) -> None:
        spots = [(repo_id, number) for number in store.numbers_of(self._conn, self._forge, repo_id)]
        for place in store.places(self._conn, self._forge, spots).values():
            if place.known is not None and place.known.row.state == "open" and not place.known.gone:
                self._soon(place.known)

    def put_away_lost(self) -> None:
        """Of repositories that have been gone for the grace time: what waits is dropped, bottles are put away."""
        for one in store.known_repositories(self._conn, self._forge).values():
            if one.gone_at is None or self._now - one.gone_at < registry.GRACE:
                continue
            for number in store.numbers_of(self._conn, self._forge, one.repo_id):
                ref = pull_ref(self._forge, one.repo_id, number)
                registry.put_away(self._conn, ref=ref, reason="repository gone", now=self._now)

    def events(self, told: Sequence[Told]) -> list[Told]:
        """Log them.  What the log knew already becomes nothing again, and is left out of the answer."""
        new = {event.id for event in eventlog.add_events(self._conn, [one.event for one in told])}
        made = [self._becomes(one) for one in told if one.event.id in new]
        turns = {(one.event.id, agent): turn for one in made for agent, turn in one.turns.items()}
        eventlog.save_decisions(self._conn, (decision for one in made for decision in one.decisions), turns)
        return made

    def _becomes(self, told: Told) -> Told:
        conn, event, now = self._conn, told.event, self._now
        turns: dict[str, int] = {}
        for decision in told.decisions:
            if decision.verdict == "wake":
                turn = registry.enqueue(
                    conn, ref=event.ref, key=event.key, agent=decision.agent, event_id=event.id,
                    why=decision.reason.partition(";")[0], now=now,
                )  # fmt: skip
                if turn is not None:
                    turns[decision.agent] = turn
                    if self._agents[decision.agent].reply != "none":
                        desk = answers.Desk(forge=self._forge, bot=self._bot.login, now=now)
                        answers.acknowledged(conn, event, turn_id=turn, desk=desk)
        if event.event == "pull_request" and event.action in ("closed", "deleted"):
            merged = event.pull is not None and event.pull.merged
            registry.put_away(conn, ref=event.ref, reason="merged" if merged else event.action, now=now)
        elif event.event == "pull_request" and event.action == "reopened":
            registry.bring_back(conn, ref=event.ref, now=now)
        if told.order is not None:
            self._manners.obey(event, told.order)
        self._manners.mind(event, told.decisions, turns, by_bot=told.by_bot, attended=told.attended)
        return msgspec.structs.replace(told, turns=turns)


def write_down(told: Iterable[Told], troubles: Iterable[Place]) -> None:
    """The same for the log that people read."""
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
    for place in troubles:
        log.warning("pull cannot be read", extra=fields(pull=f"{place.repo}#{place.number}", error=place.error))
