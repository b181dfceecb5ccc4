"""How the bot behaves on a pull beside running turns: it obeys, asks for consent, and does not talk with bots for ever.

Knows what is written and said for that, inside the transaction that logs an event.  Must not decide who may ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from poller import deeds, notices, pauses, standing
from poller.config import Config
from poller.deltas.events import Actor, Event
from poller.mentions import mention_in
from poller.obeying import Obeying
from poller.triage import Decision, Order
from sessions import registry

#: Reactions on one pull in one cycle at most: strangers are not to keep us busy.
SHRUGS = 5


class Manners:
    """For one transaction; `now` is epoch seconds."""

    def __init__(self, conn: sa.Connection, config: Config, bot: Actor, *, now: float) -> None:
        self._conn, self._config, self._bot, self._now = conn, config, bot, now
        self._obeying = Obeying(conn, config, bot, now=now)
        self._shrugged: dict[str, int] = {}

    def obey(self, event: Event, order: Order) -> None:
        """Somebody who may command does."""
        self._obeying.obey(event, order)

    def mind(
        self,
        event: Event,
        decisions: Sequence[Decision],
        turns: Mapping[str, int],
        *,
        by_bot: bool,
        attended: bool,
    ) -> None:
        """What follows from an event for how the pull stands with us.

        `attended`: a person who is trusted has asked or commanded.  Anybody's other words would let strangers keep the
        bots talking."""
        if event.number is None:
            return
        if any(decision.verdict == "hold" for decision in decisions):
            self._ask_for_consent(event)
        if any(decision.verdict == "refuse" for decision in decisions):
            self._shrug(event)
        if by_bot:
            self._count(event, turns)
        elif attended:
            standing.attended(self._conn, event.forge, event.ref)

    def _shrug(self, event: Event) -> None:
        """Whoever has asked in vain sees it, once; only the operator is told why."""
        for comment_id in _comments_to(self._bot, event):
            if (many := self._shrugged.get(event.ref, 0)) < SHRUGS:
                self._shrugged[event.ref] = many + 1
                deeds.react(self._conn, comment_id, "confused", forge=event.forge, ref=event.ref, now=self._now)

    def _ask_for_consent(self, event: Event) -> None:
        """Once, until it is given; then a later push asks again."""
        if standing.of(self._conn, event.forge, event.ref).asked:
            return
        standing.change(self._conn, event.forge, event.ref, asked=True)
        head = event.pull.head_sha if event.pull is not None else ""
        self._obeying.say(event, notices.consent_wanted(self._bot.login, head), part="consent")

    def _count(self, event: Event, turns: Mapping[str, int]) -> None:
        """Turns that only bots have asked for; what comes after so many waits for a person."""
        allowed = self._config.trust.turns_without_human
        found = [registry.turn(self._conn, one) for one in turns.values()]
        begun = sum(turn is not None and turn.events == (event.id,) for turn in found)
        if not begun:
            return
        many = standing.of(self._conn, event.forge, event.ref).unattended + begun
        standing.change(self._conn, event.forge, event.ref, unattended=many)
        if allowed is None or many <= allowed:
            return
        assert event.number is not None
        scope = pauses.pull(event.forge, event.repo_id, event.number, event.repo)
        reason = f"{allowed} turns without a person"
        if pauses.paused(self._conn, ref=event.ref, key=event.key):
            return  # by whomever: nothing begins here, and one word about it was enough
        pauses.pause(self._conn, scope, reason=reason, by=self._bot.login, now=self._now)
        self._obeying.say(event, notices.nobody_there(self._bot.login, allowed), part="unattended")


def _comments_to(bot: Actor, event: Event) -> list[int]:
    """Ids of the comments, plain, on a line or of a review, in which somebody speaks to us."""
    subject = event.subject
    said = [(remark.comment_id, remark.body) for remark in subject.comments or []]
    if event.event == "pull_request_comment" and not isinstance(subject.comment_id, msgspec.UnsetType):
        said.append((subject.comment_id, subject.body or ""))
    if event.row_id:
        said.append((event.row_id, subject.body or ""))
    return [number for number, body in said if mention_in(body, bot.login) is not None]
