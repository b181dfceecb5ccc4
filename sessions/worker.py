"""One turn in the hands of one worker: from the claim to the record of what came of it.

Calls things in order: the deciders are in `lifecycle`, the words are the errand's, the run is the bottle's.  A worker
that dies anywhere in here is replaced by one that starts at `follow`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from sessions import claims, claude, lifecycle, preparing, registry, runs, state, transcript
from sessions.bottles import Bottle, EngineError, bottle_for
from sessions.database import DatabaseError, begin, reading
from sessions.logs import fields, redacted
from sessions.patience import while_beating
from sessions.terms import Terms
from sessions.turns import Dropped, Launch, NotNow, Outcome, Progress, Ready, Session, Turn

log = logging.getLogger("sessions.worker")

#: A launch that nobody claimed by then will not be.
_SHOW_UP = 30.0
#: Seconds until a worker that waits for a run's end notices that it should let go.
_NAP = 0.25
#: Seconds between two looks at whether the turn is to be stopped.
_LOOK = 1.0


_LOST = "the session was not found: once more, afresh, with the whole story"
_AFRESH = lifecycle.Opening(mode="fresh", renew=True, why=_LOST)


class Left(Exception):
    """The run goes on without a worker."""


class Worker:
    """Holds one turn.  `stop` set = let go of it; the run goes on (or, with `end_on_stop`, is ended)."""

    def __init__(self, terms: Terms, turn: Turn, session: Session, *, stop: threading.Event, end_on_stop: bool) -> None:
        self.terms, self.turn, self.session = terms, turn, session
        self._stop, self._end_on_stop = stop, end_on_stop
        self._beat_at = self._look_at = 0.0
        self.launched = False

    # -- from the claim on ---------------------------------------------------------------------------------------

    def run(self, *, wait: bool) -> Outcome | None:
        """Launch the claimed turn and see it through.  `None`: it was dropped, or waits again."""
        return self._attempt(self._opening(), wait=wait)

    def adopt(self, *, wait: bool) -> Outcome | None:
        """See through what another worker began."""
        agent, bottle = self.terms.agents.get(self.turn.agent), self._bottle()
        launch = runs.launch_of(self.terms.state, self.turn, self.session, agent=agent)
        sight = bottle.look(launch)
        if self.turn.started_at is None or (sight.state == "not started" and bottle.forbid(launch)):
            # Nobody was told anything: that was no attempt.
            told = self.turn.started_at is not None
            self._put_back("its worker died before the launch", at=self.terms.clock(), more=-1 if told else 0)
            return None
        self._tell("adopted")
        if sight.state == "running" and not wait and not self._why_stop():
            self._let_go()
            raise Left
        return self._follow(launch) or self._attempt(_AFRESH, wait=wait)

    def _attempt(self, opening: lifecycle.Opening, *, wait: bool) -> Outcome | None:
        launch = self._launch(opening)
        if launch is None:
            return None
        if isinstance(launch, Outcome):
            return self._record(launch, size_before=0)
        self.launched = True
        if not wait:
            self._let_go()
            raise Left
        # At most once: `lifecycle` knows from the turn that its fresh start is used up.
        return self._follow(launch) or self._attempt(_AFRESH, wait=wait)

    def _follow(self, launch: Launch) -> Outcome | None:
        """Wait for a run (ours, or one that we adopted) and record its end.  `None`: once more, afresh."""
        bottle = self._bottle()
        surprise = runs.surprise(launch)
        # A fresh record begins empty, and a copy that was put back is shorter.
        before = 0 if surprise or self.turn.mode == "fresh" else self.session.transcript_bytes
        ended = self._watch(bottle, launch)
        bottle.sweep(launch)
        sight = bottle.look(launch)
        if sight.state != "ended" and not ended:
            ended = "cut off"
        out, err = runs.output(launch)
        outcome = claude.read(out, err, exit=sight.exit, ended=ended)
        return self._record(msgspec.structs.replace(outcome, surprise=surprise), size_before=before)

    # -- starting ------------------------------------------------------------------------------------------------

    def _opening(self) -> lifecycle.Opening:
        opening = preparing.opening(self.terms.state, self.session)
        if opening.renew:
            self._beat()
            with begin(self.terms.engine) as conn:
                self.session = registry.new_conversation(conn, self.session)
        return opening

    def _launch(self, opening: lifecycle.Opening) -> Launch | Outcome | None:
        """The launch that now runs; its outcome if it could not start; `None` when there is nothing to run (now)."""
        if self.turn.agent not in self.terms.agents:
            self._put_back(f"agent {self.turn.agent} is not in the config", at=self.terms.clock())
            return None
        try:
            ready = preparing.ready(self.terms, self.turn, self.session, opening.mode, tick=self._tend)
        except claims.LeaseLost:
            raise
        except BaseException as error:
            # A bug, which will stop us; but not every later cycle at this same turn.
            self._put_back(f"preparing it failed: {type(error).__name__}", at=self.terms.clock() + 60, more=1)
            raise
        if isinstance(ready, Dropped):
            self._drop(ready.reason)
            return None
        if isinstance(ready, NotNow):
            self._put_back(ready.reason, at=ready.at)
            return None
        if isinstance(ready, Outcome):
            self._count_try(opening)
            return ready
        return self._start(opening, ready)

    def _tend(self) -> None:
        """Hold the turn while something takes its time."""
        if self._why_stop():
            raise preparing.Interrupted(self.turn.stop_asked)

    def _count_try(self, opening: lifecycle.Opening) -> None:
        """It came to nothing before its launch, and is repeated as if it had been launched."""
        mode, now = opening.mode, self.terms.clock()
        with begin(self.terms.engine) as conn:
            self.turn = claims.launching(conn, self.turn, self.session, mode=mode, told=(), now=now, minutes=1.0)

    def _start(self, opening: lifecycle.Opening, ready: Ready) -> Launch | Outcome | None:
        agent, now = self.terms.agents[self.turn.agent], self.terms.clock()
        if asked := self._beat():
            self._drop(asked)
            return None
        upcoming = msgspec.structs.replace(self.turn, launches=self.turn.launches + 1)
        state.clear_turn_directory(state.bottle(self.terms.state, self.session.identity), upcoming.directory)
        with begin(self.terms.engine) as conn:
            self.turn = claims.launching(
                conn, self.turn, self.session, mode=opening.mode, told=ready.events, now=now,
                minutes=agent.limits.minutes,
            )  # fmt: skip
        try:
            launch = runs.write_down(
                self.terms.state, self.turn, self.session, agent=agent, prompt=ready.prompt,
                environ=self.terms.environ, now=now, surprise=opening.surprise,
            )  # fmt: skip
        except FileExistsError:
            raise claims.LeaseLost(f"turn {self.turn.id}: its launch was forbidden by whoever adopted it") from None
        except OSError as error:
            return Outcome(kind="engine", reason=f"{error.filename}: {error.strerror}; make room, or make it writable")
        self._say(lifecycle.announcement(opening, self.session), mode=opening.mode)
        self._tell("started")
        try:
            while_beating(lambda: self._bottle().start(launch), every=self.terms.lease / 3, beat=self._beat)
        except EngineError as error:
            return Outcome(kind="engine", reason=str(error))
        return launch

    # -- waiting -------------------------------------------------------------------------------------------------

    def _watch(self, bottle: Bottle, launch: Launch) -> claude.Ended:
        """Until the run has ended, by itself or by us."""
        began = time.monotonic()
        while True:
            sight = bottle.look(launch)
            if sight.state in ("ended", "cut off"):
                return ""
            if sight.state == "not started" and time.monotonic() - began > _SHOW_UP and bottle.forbid(launch):
                return "cut off"
            if self._stop.is_set() and not self._end_on_stop:
                self._let_go()
                raise Left
            if why := self._why_stop():
                bottle.stop(launch, grace=self.terms.grace)
                return why
            self._tell("running")
            bottle.wait(launch, _NAP)

    def _why_stop(self) -> claude.Ended:
        if self._stop.is_set() or self._asked_to_stop():
            return "stopped"
        return "minutes" if self.turn.deadline is not None and self.terms.clock() > self.turn.deadline else ""

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
            log.warning("heartbeat failed, the turn runs on: %s", error)
        else:
            self.turn = msgspec.structs.replace(self.turn, stop_asked=asked)
        return bool(self.turn.stop_asked)

    def _beat(self) -> str:
        """Hold the turn for longer; why it is to stop, or ""."""
        with begin(self.terms.engine) as conn:
            return claims.heartbeat(conn, self.turn, now=self.terms.clock(), lease=self.terms.lease)

    # -- recording -----------------------------------------------------------------------------------------------

    def _record(self, outcome: Outcome, *, size_before: int) -> Outcome | None:
        """The outcome, the session and what the caller makes of it, in one transaction; again if it fails."""
        bottle = state.bottle(self.terms.state, self.session.identity)
        conversation = outcome.claude_session or self.session.claude_session
        size = transcript.look(state.config_dir(bottle), conversation).size
        cost = lifecycle.spent(outcome.total_usd, self.session.claude_total)
        # Somebody may have talked the agent into printing its environment, and these words are going to be posted.
        clean = {"text": redacted(outcome.text), "reason": redacted(outcome.reason)}
        outcome = msgspec.structs.replace(outcome, cost_usd=cost, **clean)
        note = lifecycle.kept(outcome, self.session.backend, bytes_before=size_before, bytes_after=size)
        preparing.keep(self.terms.state, self.session, outcome, claude_session=conversation, note=note)
        again = self._patiently(lambda: self._commit(outcome, note=note, size=size))
        if again:
            self._say(f"dropping the session: {outcome.reason}")
            return None
        self._say(f"turn {self.turn.state}", kind=outcome.kind, reason=self.turn.reason)
        self._tell("ended", outcome=outcome)
        return outcome

    def _commit(self, outcome: Outcome, *, note: str, size: int) -> bool:
        """True: to be run once more, afresh."""
        with begin(self.terms.engine) as conn:
            now = self.terms.clock()
            asked = claims.heartbeat(conn, self.turn, now=now, lease=self.terms.lease)
            turn = msgspec.structs.replace(self.turn, stop_asked=asked)
            verdict = lifecycle.after(outcome, turn, self.session, now=now, tries=self.terms.tries)
            if verdict.turn == "renew":
                self.turn, self.session = claims.renew(conn, turn, self.session)
                return True
            verdict = msgspec.structs.replace(verdict, note=note or verdict.note)
            turn, session = claims.finish(conn, turn, outcome, verdict, now=now, transcript_bytes=size)
            self.terms.errand.settled(conn, turn, session, outcome)
        self.turn, self.session = turn, session
        return False

    def _patiently(self, write: Callable[[], bool]) -> bool:
        """A database that is busy or full for a moment costs no result; the files stay for the next run if it lasts."""
        for pause in (0.2, 1.0, 5.0):
            try:
                return write()
            except DatabaseError as error:
                log.error("could not record the end of the turn, trying again: %s", error)
                self._stop.wait(pause)
        return write()

    def _put_back(self, reason: str, *, at: float, more: int = 0) -> None:
        with begin(self.terms.engine) as conn:
            self.turn = claims.put_back(
                conn, self.turn, reason=reason, now=self.terms.clock(), not_before=at,
                attempts=self.turn.attempts + more,
            )  # fmt: skip
        self._say("turn waits", reason=reason)

    def _drop(self, reason: str) -> None:
        with begin(self.terms.engine) as conn:
            self.turn = claims.drop(conn, self.turn, reason=reason, now=self.terms.clock())
        self._say("turn dropped", reason=reason)

    def _let_go(self) -> None:
        with begin(self.terms.engine) as conn:
            claims.release(conn, self.turn)

    # -- telling -------------------------------------------------------------------------------------------------

    def _bottle(self) -> Bottle:
        return bottle_for(self.session.backend, environ=self.terms.environ)

    def _tell(self, what: str, *, outcome: Outcome | None = None) -> None:
        elapsed = self.terms.clock() - (self.turn.started_at or self.terms.clock())
        progress = {"what": what, "turn": self.turn, "session": self.session, "elapsed": elapsed, "outcome": outcome}
        self.terms.on_progress(Progress(**progress))  # type: ignore[arg-type]

    def _say(self, message: str, **more: object) -> None:
        log.info("%s", message, extra=fields(**{name: value for name, value in more.items() if value}))
