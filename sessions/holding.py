"""A turn in somebody's hands: held, watched, given back.

Knows rows and the bottle that a turn runs in.  Must not know what a run's output means, or what follows from it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from sessions import claims, places, registry, runs, state, transcript, unanswered
from sessions.bottles import Bottle, EngineError, Sight
from sessions.claude import Ended
from sessions.database import DatabaseError, begin, reading
from sessions.logs import fields
from sessions.terms import Terms
from sessions.turns import Launch, Mode, NotNow, Outcome, Progress, Session, Turn

if TYPE_CHECKING:
    from sessions.config import Agent

log = logging.getLogger("sessions.worker")

#: A launch that nobody claimed by then will not be.
_SHOW_UP = 30.0
#: Seconds until a worker that waits for a run's end notices that it should let go.
_NAP = 0.25
#: Seconds between two looks at whether the turn is to be stopped.
_LOOK = 1.0


class Left(Exception):
    """The run goes on without a worker."""


class Holder:
    """Holds one turn.  `stop` set = let go of it; the run goes on (or, with `end_on_stop`, is ended)."""

    def __init__(self, terms: Terms, turn: Turn, session: Session, *, stop: threading.Event, end_on_stop: bool) -> None:
        self.terms, self.turn, self.session = terms, turn, session
        self._stop, self._end_on_stop = stop, end_on_stop
        self._beat_at = self._look_at = 0.0
        self._deadline: float | None = None
        self._ends_at = 0.0
        self._heard_at = time.monotonic()

    # -- while it runs -------------------------------------------------------------------------------------------

    def _found(self, launch: Launch) -> Sight | None:
        """What a launch has come to; `None`: it was not started, and never will be."""
        bottle = self._bottle()
        try:
            sight = bottle.look(launch)
            return None if sight.state == "not started" and bottle.forbid(launch) else sight
        except (EngineError, OSError) as away:
            return self._unseen(launch, away)

    def _seen_through(self, launch: Launch) -> tuple[Ended, Sight]:
        """Why it was ended, if it was, and what is left to be seen, once nothing of it runs any more."""
        bottle = self._bottle()
        try:
            ended = self._watch(bottle, launch)
            bottle.sweep(launch)
            sight = bottle.look(launch)
        except (EngineError, OSError) as away:
            ended, sight = "", self._unseen(launch, away)
        return "cut off" if sight.state != "ended" and not ended else ended, sight

    def _unseen(self, launch: Launch, away: EngineError | OSError) -> Sight:
        """It cannot be asked, or its files cannot be used.  Raises that, unless the turn is to end and has waited long
        enough for it: then what the files say.

        What may run all the same is nobody's from then on, and is removed when the engine answers."""
        asked = self._asked_to_stop()
        if not asked and not self._is_over_time():
            raise away
        if not unanswered.is_too_long(launch, asked=asked, now=self.terms.clock()):
            raise away
        log.error("the turn is ended without having been seen through: %s", away)
        with contextlib.suppress(EngineError, OSError):
            self._bottle().forbid(launch)  # it writes that down before it asks
        code = runs.exit_code(launch)
        return Sight(state="cut off" if code is None else "ended", exit=code)

    def _watch(self, bottle: Bottle, launch: Launch) -> Ended:
        """Until the run has ended, by itself or by us."""
        began = time.monotonic()
        while True:
            sight = bottle.look(launch)
            if sight.state in ("ended", "cut off"):
                return ""
            if sight.state == "not started" and time.monotonic() - began > _SHOW_UP and bottle.forbid(launch):
                return "cut off"
            if self._stop.is_set() and not self._end_on_stop:
                self._leave()
            if why := self._why_stop():
                bottle.stop(launch, grace=self.terms.grace)
                return why
            self._tell("running")
            bottle.wait(launch, _NAP)

    def _why_stop(self) -> Ended:
        if self._stop.is_set() or self._asked_to_stop():
            return "stopped"
        return "minutes" if self._is_over_time() else ""

    def _is_over_time(self) -> bool:
        """By a clock that nobody sets: the other is asked once, and is not believed to give more than was allowed."""
        deadline, now = self.turn.deadline, time.monotonic()
        if deadline is None:
            return False
        if deadline != self._deadline:
            left = deadline - self.terms.clock()
            allowed = deadline - self.turn.started_at if self.turn.started_at is not None else left
            self._deadline, self._ends_at = deadline, now + min(left, allowed)
        return now > self._ends_at

    def _asked_to_stop(self) -> bool:
        """A database that cannot be used for a moment does not end a run; losing the lease does."""
        moment = time.monotonic()
        if moment < self._look_at:
            return bool(self.turn.stop_asked)
        self._look_at = moment + min(_LOOK, self.terms.lease / 3)
        try:
            if moment < self._beat_at:
                with reading(self.terms.engine) as conn:
                    asked = claims.asked_to_stop(conn, self.turn)
            else:
                asked = self._beat()
                self._beat_at = moment + self.terms.lease / 3
        except DatabaseError as error:
            if self.terms.place and moment - self._heard_at > places.SILENT:
                log.error("the database has been away for long, and another machine may take over: %s", error)
                return True
            log.warning("heartbeat failed, the turn runs on: %s", error)
        else:
            self._heard_at = moment
            self.turn = msgspec.structs.replace(self.turn, stop_asked=asked)
        return bool(self.turn.stop_asked)

    def _beat(self) -> str:
        """Hold the turn for longer; why it is to stop, or ""."""
        with begin(self.terms.engine) as conn:
            return claims.heartbeat(conn, self.turn, now=self.terms.clock(), lease=self.terms.lease)

    # -- before it runs ------------------------------------------------------------------------------------------

    def _count_try(self, mode: Mode) -> None:
        """It came to nothing before its launch, and is repeated as if it had been launched."""
        now = self.terms.clock()
        with begin(self.terms.engine) as conn:
            self.turn = claims.launching(conn, self.turn, self.session, mode=mode, told=(), now=now, minutes=1.0)

    def _told_late(self) -> str:
        """What people have not been told yet, because the tries until now came to no answer."""
        return self.turn.surprise if self.turn.attempts else ""

    # -- giving it back ------------------------------------------------------------------------------------------

    def _patiently(self, write: Callable[[], bool]) -> bool:
        """A database that is busy or full for a moment costs no result; the files stay for the next run if it lasts."""
        for pause in (0.2, 1.0, 5.0):
            try:
                return write()
            except DatabaseError as error:
                log.error("could not record the end of the turn, trying again: %s", error)
                self._stop.wait(pause)
        return write()

    def _put_off(self, what: NotNow) -> None:
        self._put_back(what.reason, at=what.at, patient=what.patient)

    def _put_back(
        self, reason: str, *, at: float, more: int = 0, deaths: int | None = None, patient: bool = False
    ) -> None:
        with begin(self.terms.engine) as conn:
            self.turn = claims.put_back(
                conn, self.turn, reason=reason, now=self.terms.clock(), not_before=at,
                attempts=self.turn.attempts + more, deaths=deaths, patient=patient,
            )  # fmt: skip
        is_dropped = self.turn.state == "dropped"
        self._say("turn dropped" if is_dropped else "turn waits", reason=self.turn.reason)

    def _drop(self, reason: str) -> None:
        with begin(self.terms.engine) as conn:
            self.turn = claims.drop(conn, self.turn, reason=reason, now=self.terms.clock())
        self._say("turn dropped", reason=reason)

    def _leave(self) -> None:
        """Let the run go on without us; raises `Left`."""
        with begin(self.terms.engine) as conn:
            claims.release(conn, self.turn)
        raise Left

    def withdraw(self) -> None:
        """The turn was lost to somebody else: if it is not this run that he sees through, it ends."""
        with reading(self.terms.engine) as conn:
            turn, session = registry.turn(conn, self.turn.id), registry.session_of(conn, self.session.identity)
        if self.turn.started_at is None or turn is None or session is None:
            return
        is_here = not self.terms.place or session.place in ("", self.terms.place)
        if not is_here or turn.state != "running" or turn.directory != self.turn.directory:
            agent = self.terms.agents.get(self.turn.agent)
            launch = runs.launch_of(self.terms.state, self.turn, self.session, agent=agent)
            self._bottle().stop(launch, grace=self.terms.grace)

    # -- telling -------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Keep the turn while its end is put together; to stop it would not undo it."""
        self._asked_to_stop()

    def _size(self, outcome: Outcome) -> int:
        """Bytes of the conversation's record."""
        bottle = state.bottle(self.terms.state, self.session.identity)
        conversation = outcome.claude_session or self.session.claude_session
        return transcript.look(state.config_dir(bottle), conversation).size

    def _bottle(self) -> Bottle:
        return self.terms.bottles(self.session.backend, environ=self.terms.environ)

    def _tell(self, what: Literal["started", "adopted", "running", "ended"], *, outcome: Outcome | None = None) -> None:
        elapsed = self.terms.clock() - (self.turn.started_at or self.terms.clock())
        self.terms.on_progress(
            Progress(what=what, turn=self.turn, session=self.session, elapsed=elapsed, outcome=outcome)
        )

    def _say(self, message: str, **more: object) -> None:
        log.info("%s", message, extra=fields(**{name: value for name, value in more.items() if value}))

    def _reserved_anew(self) -> NotNow | None:
        """Part of what was reserved with the claim is spent: on a hand-over, or on a conversation that was lost."""
        if self.terms.afford is None:
            return None
        with begin(self.terms.engine) as conn:
            allowed = self.terms.afford(conn, self.turn)
            if isinstance(allowed, NotNow):
                return allowed
            self.turn = claims.reserve(conn, self.turn, allowed)
        return None

    def _within_its_means(self, agent: Agent) -> Agent:
        """The agent, who may not use more than was reserved."""
        if not 0 < self.turn.reserved < agent.limits.usd:
            return agent
        return msgspec.structs.replace(agent, limits=msgspec.structs.replace(agent.limits, usd=self.turn.reserved))
