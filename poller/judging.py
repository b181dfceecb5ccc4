"""What each event of a cycle is to become, in their order: a word that lets a fork in counts for what follows it.

Knows trust, commands and how pulls stand; asks the forge only about people whose words would do something.  Writes
nothing: `record` does, in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from poller import eventlog, standing
from poller.commands import TELLING, command_in
from poller.config import Config
from poller.deltas.events import Actor, Event
from poller.record import Told
from poller.standing import Standing
from poller.triage import Decision, Facts, Order, decided, is_heard, ordered, sorted_out
from poller.trust import Trust


class Judge:
    """For the events of one half of a cycle.  `heads`: event id → the head that its pull was told to have by then."""

    def __init__(
        self, conn: sa.Connection, trust: Trust, bot: Actor, config: Config, *, heads: Mapping[str, str]
    ) -> None:
        self._conn, self._trust, self._forge, self._heads = conn, trust, config.forge, heads
        self._facts = Facts(bot=bot, agents=config.agents, forks=config.trust.forks)
        self._standings: dict[str, Standing] = {}
        self._pushed: dict[str, str] = {}

    def judged(self, events: Sequence[Event]) -> list[Told]:
        """One after the other."""
        return [self._judged(event) for event in events]

    def _judged(self, event: Event) -> Told:
        if event.event == "pull_request_sync":
            self._pushed[event.ref] = event.at
        by_bot = event.actor is not None and is_heard(event, self._facts) and self._trust.is_bot(event.actor)
        command = command_in(event, self._facts.bot.login) if is_heard(event, self._facts) else None
        if command is not None:
            is_consent = command.word == "ok-to-test"
            steers = command.word not in TELLING
            ruling = self._trust.answering_for_others(event) if steers else self._trust.ruling(event)
            head, pushed_at = self._heads.get(event.id, ""), self._pushed_at(event) if is_consent else ""
            order, decision = ordered(event, command, ruling, self._facts, head=head, pushed_at=pushed_at)
            if order is not None:
                self._standings[event.ref] = _after(self._standing(event), order)
            return Told(event=event, decisions=[decision], order=order, by_bot=by_bot, attended=order is not None)
        wishes, settled = sorted_out([event], self._facts)
        made: list[Decision] = list(settled)
        attended = False
        for wish in wishes:
            stands, ruling = self._standing(event), self._trust.ruling(event)
            decision = decided(
                wish, ruling, self._facts, ignored_by=stands.ignored_by,
                approved=self._heads.get(event.id, "") in stands.approved,
            )  # fmt: skip
            made.append(decision)
            # What a stranger does with a head that was let in wakes, too, and is no sign of anybody's care.
            attended = attended or (decision.verdict == "wake" and ruling.allowed and not ruling.bot)
        return Told(event=event, decisions=made, by_bot=by_bot, attended=attended)

    def _pushed_at(self, event: Event) -> str:
        """Rows can become visible late: what is told behind a push may have been written before it."""
        if event.ref not in self._pushed:
            self._pushed[event.ref] = eventlog.last_push(self._conn, event.ref)
        return self._pushed[event.ref]

    def _standing(self, event: Event) -> Standing:
        if event.ref not in self._standings:
            self._standings[event.ref] = standing.of(self._conn, self._forge, event.ref)
        return self._standings[event.ref]


def _after(known: Standing, order: Order) -> Standing:
    """How the pull stands with us when the order is obeyed."""
    match order.command.word:
        case "ok-to-test" if order.head:
            return msgspec.structs.replace(known, approved=known.approved | {order.head})
        case "ignore":
            return msgspec.structs.replace(known, ignored_by=order.by.login)
        case "resume":
            return msgspec.structs.replace(known, ignored_by="")
    return known
