"""The last look before a launch: may those who asked still ask, are their words still there, is the fork's head let in?

Hours can lie between an event and its turn.  What was seen a moment ago is not asked again.  Knows trust and consent;
must not know prompts, or how a turn is run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from poller import eventlog, standing, store
from poller.config import Config
from poller.deltas.events import Event
from poller.deltas.pulls import Heads
from poller.forge.control import Control
from poller.forge.questions import Questions
from poller.triage import CODE
from poller.trust import FRESH, Trust
from sessions.database import begin, reading
from sessions.turns import Dropped, NotNow, Turn

#: Comments of one turn that are looked for.
PROBES = 20
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
        self._engine, self._questions, self._config, self._now = engine, questions, config, now
        self._new_control, self._made = control, list[Control]()
        self._asking = threading.Lock()

    def passed(self, turn: Turn, repo: str, events: Sequence[Event]) -> list[Event] | Dropped:
        """Those of the turn's events that may still start it.  Raises `ForgeError`."""
        old = [event for event in events if not 0 <= self._now() - _epoch(event.seen_at) < FRESH]
        if not old:
            return list(events)
        refused = self._refused(turn, old) | self._withdrawn(repo, old)
        left = [event for event in events if event.id not in refused]
        return left or Dropped(reason=next(iter(refused.values())))

    def of_fork(self, ref: str, heads: Heads) -> Dropped | NotNow | None:
        """Why this head is not to be worked on; `None`: it may be."""
        if not heads.fork or self._config.trust.forks == "always":
            return None
        if self._config.trust.forks == "never":
            return Dropped(reason="from a fork, and trust.forks is never")
        with reading(self._engine) as conn:
            if standing.is_approved(conn, self._config.forge, ref, heads.head_sha):
                return None
        reason = f"the fork's head {heads.head_sha[:12]} has not been let in: it waits for ok-to-test"
        return NotNow(reason=reason, at=self._now() + LATER, patient=True)

    def _control(self) -> Control:
        """Made when it is first needed; only who holds `_asking` asks."""
        if not self._made:
            self._made.append(self._new_control())
        return self._made[0]

    def _refused(self, turn: Turn, events: Sequence[Event]) -> dict[str, str]:
        """Event id → why its actor may not ask any more."""
        forge, now = self._config.forge, self._now()
        found = dict[str, str]()
        with self._asking:
            with reading(self._engine) as conn:
                bot = store.forge(conn, forge).bot
                trust = Trust(self._config.trust, forge=forge, bot=bot, conn=conn, control=self._control, now=now)
                made = eventlog.decisions_of(conn, [event.id for event in events])
                for event in events:
                    words = {one.reason.partition(";")[0] for one, _ in made[event.id] if one.agent == turn.agent}
                    of_fork = any(", whose head" in one.reason or one.verdict == "hold" for one, _ in made[event.id])
                    if of_fork and words & CODE:
                        continue  # whoever let the head in has answered for it
                    ruling = trust.ruling(event)
                    if not ruling.allowed:
                        found[event.id] = ruling.why
            if trust.learned or trust.found:
                with begin(self._engine) as conn:
                    trust.save(conn)
        return found

    def _withdrawn(self, repo: str, events: Sequence[Event]) -> dict[str, str]:
        """Event id → that its comment was deleted."""
        said = [
            (event.id, event.subject.comment_id)
            for event in events
            if event.event == "pull_request_comment" and not isinstance(event.subject.comment_id, msgspec.UnsetType)
        ]
        return {
            event_id: "the comment was deleted"
            for event_id, comment_id in said[:PROBES]
            if not self._questions.is_comment(repo, comment_id)
        }


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
