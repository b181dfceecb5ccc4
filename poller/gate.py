"""The last look before a launch: may those who asked still ask, do their words still stand, is the fork's head let in?

Hours can lie between an event and its turn.  What was seen a moment ago is not asked again.  Knows trust and consent;
must not know prompts, or how a turn is run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
import sqlalchemy as sa

from poller import eventlog, notices, standing, store
from poller.commands import command_in
from poller.config import Config
from poller.deltas.events import Actor, Event, Subject
from poller.deltas.pulls import Heads, Row
from poller.forge.control import Control
from poller.forge.questions import Questions
from poller.obeying import Obeying
from poller.scope import watched
from poller.triage import CODE, wakes
from poller.trust import FRESH, Trust
from poller.wording import Wording, is_review
from sessions.config import Agent
from sessions.database import begin, reading
from sessions.turns import Dropped, NotNow, Turn

#: Seconds until a head that nobody has let in is looked at again; consent comes sooner by itself.
LATER = 3600.0


class Gate:
    """Of one config.  `now` is the clock (epoch seconds); `control` makes one that no cycle uses beside us."""

    def __init__(
        self,
        engine: sa.Engine,
        questions: Questions,
        config: Config,
        *,
        control: Callable[[], Control],
        now: Callable[[], float],
    ) -> None:
        self._engine, self._config, self._now = engine, config, now
        self._new_control, self._made = control, list[Control]()
        self._asking = threading.Lock()
        self._wording = Wording(engine, questions, age=self._age)

    def passed(self, turn: Turn, row: Row, events: Sequence[Event]) -> list[Event] | Dropped:
        """Those of the turn's events that may still start it, with the words that stand there now.  Raises
        `ForgeError`."""
        with reading(self._engine) as conn:
            if not watched(self._config, [row], conn):
                return Dropped(reason=f"the config does not name {row.repo} any more, or excludes it")
        old = [event for event in events if self._age(event) >= FRESH]
        refused = self._refused(turn, old) if old else {}
        now = self._wording.now(row.repo, [event for event in events if event.id not in refused])
        changed = [event for event in events if event.id in now and now[event.id] != event.subject]
        reworded = self._reworded(turn, changed, now) if changed else {}
        refused |= {event_id: why for event_id, why in reworded.items() if isinstance(why, str)}
        left = [reworded.get(event.id, event) for event in events if event.id not in refused]
        kept = [event for event in left if isinstance(event, Event)]
        return kept if kept or not refused else Dropped(reason=next(iter(refused.values())))

    def of_fork(self, turn: Turn, heads: Heads, events: Sequence[Event]) -> Dropped | NotNow | None:
        """Why this head is not to be worked on; `None`: it may be.  Whoever waits for it is told what for."""
        if not heads.fork or self._config.trust.forks == "always":
            return None
        if self._config.trust.forks == "never":
            return Dropped(reason="from a fork, and trust.forks is never")
        with reading(self._engine) as conn:
            if standing.is_approved(conn, self._config.forge, turn.ref, heads.head_sha):
                return None
        self._ask_for_consent(events[0], heads.head_sha)
        reason = f"the fork's head {heads.head_sha[:12]} has not been let in: it waits for ok-to-test"
        return NotNow(reason=reason, at=self._now() + LATER, patient=True)

    def _ask_for_consent(self, event: Event, head: str) -> None:
        """No agent need wake on pushes: this can be the first that is seen of the head."""
        with begin(self._engine) as conn:
            bot = store.forge(conn, event.forge).bot
            if bot is None or standing.of(conn, event.forge, event.ref).asked:
                return
            standing.change(conn, event.forge, event.ref, asked=True)
            said = notices.consent_wanted(bot.login, head)
            Obeying(conn, self._config, bot, now=self._now()).say(event, said, part=f"consent-{head[:12]}")

    def _control(self) -> Control:
        """Made when it is first needed; only who holds `_asking` asks."""
        if not self._made:
            self._made.append(self._new_control())
        return self._made[0]

    @contextmanager
    def _trusting(self) -> Iterator[tuple[sa.Connection, Trust]]:
        """What is learned while it is asked is remembered."""
        forge = self._config.forge
        with self._asking:
            with reading(self._engine) as conn:
                bot = store.forge(conn, forge).bot
                trust = Trust(
                    self._config.trust, forge=forge, bot=bot, conn=conn, control=self._control, now=self._now()
                )  # fmt: skip
                yield conn, trust
            if trust.learned or trust.found:
                with begin(self._engine) as conn:
                    trust.save(conn)

    def _refused(self, turn: Turn, events: Sequence[Event]) -> dict[str, str]:
        """Event id → why its actor may not ask any more."""
        found = dict[str, str]()
        with self._trusting() as (conn, trust):
            made = eventlog.decisions_of(conn, [event.id for event in events])
            for event in events:
                words = {one.reason.partition(";")[0] for one, _ in made[event.id] if one.agent == turn.agent}
                of_fork = any(", whose head" in one.reason or one.verdict == "hold" for one, _ in made[event.id])
                if of_fork and words & CODE:
                    continue  # whoever let the head in has answered for it
                ruling = trust.ruling(event)
                if not ruling.allowed:
                    found[event.id] = ruling.why
        return found

    def _reworded(
        self, turn: Turn, events: Sequence[Event], now: Mapping[str, Subject | None]
    ) -> dict[str, Event | str]:  # fmt: skip
        """Event id → the event with the words that stand there now, or why these do not ask."""
        agent = self._config.agents.get(turn.agent)
        found = dict[str, Event | str]()
        with self._trusting() as (conn, trust):
            bot = store.forge(conn, self._config.forge).bot
            for event in events:
                what, stands = "review" if is_review(event) else "comment", now[event.id]
                if stands is None:
                    found[event.id] = f"the {what} was deleted"
                    continue
                said = msgspec.structs.replace(event, subject=stands)
                found[event.id] = said
                if bot is not None and agent is not None and _is_taken_back(event, said, agent, bot):
                    found[event.id] = f"the {what} was edited, and does not ask any more"
                elif bot is not None and command_in(_made(said), bot.login) is not None:
                    found[event.id] = f"the {what} was edited into a command; that wants a new comment"
                elif not (ruling := trust.ruling(msgspec.structs.replace(said, action="edited"))).allowed:
                    found[event.id] = ruling.why
        return found

    def _age(self, event: Event) -> float:
        """Seconds since it was seen; what a clock that was put back has dated is old."""
        age = self._now() - _epoch(event.seen_at)
        return age if age >= 0 else FRESH


def _is_taken_back(event: Event, said: Event, agent: Agent, bot: Actor) -> bool:
    return wakes(_made(event), agent, bot) is not None and wakes(_made(said), agent, bot) is None


def _made(event: Event) -> Event:
    """As if its words had stood there from the beginning."""
    return event if is_review(event) else msgspec.structs.replace(event, action="created", changes={})


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
