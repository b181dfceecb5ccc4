"""One turn in the hands of one worker: from the claim to the record of what came of it.

Calls things in order: the deciders are in `lifecycle`, the words are the errand's, the run is the bottle's.  A worker
that dies anywhere in here is replaced by one that starts at `follow`.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import msgspec

from sessions import claims, claude, files, handover, lifecycle, preparing, registry, runs, state
from sessions.bottles import EngineError
from sessions.database import begin
from sessions.patience import while_beating
from sessions.recording import Recorder, bounded
from sessions.terms import Terms
from sessions.turns import Dropped, Launch, NotNow, Outcome, Ready, Session, Turn

if TYPE_CHECKING:
    from sessions.config import Agent

log = logging.getLogger("sessions.worker")


class Worker(Recorder):
    """Runs the turn that it holds."""

    def __init__(self, terms: Terms, turn: Turn, session: Session, *, stop: threading.Event, end_on_stop: bool) -> None:
        super().__init__(terms, turn, session, stop=stop, end_on_stop=end_on_stop)
        self.launched = False

    # -- from the claim on ---------------------------------------------------------------------------------------

    @bounded
    def run(self, *, wait: bool) -> Outcome | None:
        """Launch the claimed turn and see it through.  `None`: it was dropped, or waits again."""
        opening, agent = self._opening(), self.terms.agents.get(self.turn.agent)
        if opening.mode == "resume" and agent is not None:
            why = lifecycle.rotation(self.session, self.turn, agent.limits, now=self.terms.clock())
            if why:
                return self._rotate(why, agent, wait=wait)
        return self._attempt(opening, wait=wait)

    @bounded
    def adopt(self, *, wait: bool) -> Outcome | None:
        """See through what another worker began."""
        if self.terms.place and self.session.place not in ("", self.terms.place):
            return self._lose()
        agent = self.terms.agents.get(self.turn.agent)
        launch = runs.launch_of(self.terms.state, self.turn, self.session, agent=agent)
        sight = self._found(launch) if self.turn.started_at is not None else None
        if sight is None:
            # Nobody was told anything: that was no attempt.
            told = self.turn.started_at is not None and not self.turn.handing_over
            return self._died_early(more=-1 if told else 0)
        self._tell("adopted")
        if sight.state == "running" and not wait and not self._why_stop():
            self._leave()
        if self.turn.handing_over:
            return self._hand_over(self._ended(launch), wait=wait)
        return self._follow(launch) or self._attempt(lifecycle.anew(self.session), wait=wait)

    def _died_early(self, *, more: int) -> Outcome | None:
        """Nobody's fault, as a rule; but what kills every worker that takes it up is not taken up for ever."""
        deaths, now = self.turn.deaths + 1, self.terms.clock()
        pause = lifecycle.after_death(deaths)
        if pause is not None:
            self._put_back("its worker died before the launch", at=now + pause, more=more, deaths=deaths)
            return None
        return self._give_up(f"its worker died before the launch, {deaths} times")

    def _lose(self) -> Outcome | None:
        """It was begun on a machine that is away: whatever came of it there is lost."""
        self._tell("adopted")
        gone = Outcome(kind="interrupted", reason="the machine that ran it has not been heard of")
        # A turn by hand is known by its conversation, and goes on nowhere else.
        lost = "" if self.turn.by_hand else "the machine that had it has not been heard of"
        return self._record(gone, size_before=0, lost=lost)

    def _rotate(self, why: str, agent: Agent, *, wait: bool) -> Outcome | None:
        """Ask the conversation for a hand-over; then the turn, in a new one."""
        small = msgspec.structs.replace(agent, limits=handover.limits(agent.limits))
        launch = self._start(lifecycle.handing_over(why), Ready(prompt=handover.PROMPT), small)
        if launch is None:
            return None
        if isinstance(launch, Launch):
            self.launched = True
            if not wait:
                self._leave()
            launch = self._ended(launch)
        return self._hand_over(launch, wait=wait)

    def _hand_over(self, ended: Outcome, *, wait: bool) -> Outcome | None:
        """Record the end of a hand-over, and go on in the new conversation, unless the turn is to wait or to end."""
        outcome = self._weighed(ended)
        if self._patiently(lambda: self._commit_handover(outcome)):
            return self._attempt(lifecycle.anew(self.session), wait=wait)
        return self._told(outcome)

    def _attempt(self, opening: lifecycle.Opening, *, wait: bool) -> Outcome | None:
        launch = self._launch(opening)
        if launch is None:
            return None
        if isinstance(launch, Outcome):
            return self._record(launch, size_before=0)
        self.launched = True
        if not wait:
            self._leave()
        # At most once: `lifecycle` knows from the turn that its fresh start is used up.
        return self._follow(launch) or self._attempt(lifecycle.anew(self.session), wait=wait)

    def _follow(self, launch: Launch) -> Outcome | None:
        """Wait for a run (ours, or one that we adopted) and record its end.  `None`: once more, afresh."""
        # A fresh record begins empty, and a copy that was put back is shorter.
        is_other = self.turn.mode == "fresh" or bool(self.turn.surprise)
        before = 0 if is_other else self.session.transcript_bytes
        return self._record(self._ended(launch), size_before=before)

    def _ended(self, launch: Launch) -> Outcome:
        """What came of a run, once it is over."""
        ended, sight = self._seen_through(launch)
        self._over = launch
        out, err = runs.output(launch)
        return claude.read(out, err, exit=sight.exit, ended=ended)

    # -- starting ------------------------------------------------------------------------------------------------

    def _opening(self) -> lifecycle.Opening:
        opening = preparing.opening(self.terms.state, self.session, beat=self._beat)
        if opening.renew:
            self._beat()
            with begin(self.terms.engine) as conn:
                now = self.terms.clock()
                self.session = registry.new_conversation(conn, self.session, why=opening.why, now=now)
        return opening

    def _launch(self, opening: lifecycle.Opening) -> Launch | Outcome | None:
        """The launch that now runs; its outcome if it could not start; `None` when there is nothing to run (now)."""
        if self.turn.agent not in self.terms.agents:
            self._put_back(f"agent {self.turn.agent} is not in the config", at=self.terms.clock())
            return None
        ready = preparing.ready(self.terms, self.turn, self.session, opening.mode, tick=self._tend)
        if isinstance(ready, Dropped):
            self._drop(ready.reason)
            return None
        if isinstance(ready, NotNow):
            self._put_off(ready)
            return None
        if isinstance(ready, Outcome):
            self._count_try(opening.mode)
            return ready
        return self._start(opening, ready, self.terms.agents[self.turn.agent])

    def _tend(self) -> None:
        """Hold the turn while something takes its time; asked anew each time, for we may have stood still."""
        self._beat_at = self._look_at = 0.0
        if self._why_stop():
            raise preparing.Interrupted(self.turn.stop_asked)

    def _start(self, opening: lifecycle.Opening, ready: Ready, agent: Agent) -> Launch | Outcome | None:
        now = self.terms.clock()
        if opening.renewed and not self._beat() and (dear := self._reserved_anew()) is not None:
            self._put_off(dear)
            return None
        agent = self._within_its_means(agent)
        if asked := self._recorded(opening, ready, agent, now=now):
            self._drop(asked)
            return None
        try:
            launch = runs.write_down(
                self.terms.state, self.turn, self.session, agent=agent, prompt=ready.prompt,
                environ=self.terms.environ, now=now, schema=ready.schema,
            )  # fmt: skip
        except runs.Forbidden as lost:
            raise claims.LeaseLost(str(lost)) from None
        except OSError as error:
            return Outcome(kind="engine", reason=files.told(error))
        self._say(lifecycle.announcement(opening, self.session), mode=opening.mode)
        try:
            # Whoever is told may tell others, and these may be slow: side by side.
            while_beating(
                lambda: self._tell("started"), lambda: self._bottle().start(launch),
                every=self.terms.lease / 3, beat=self._beat,
            )  # fmt: skip
        except EngineError as error:
            return Outcome(kind="engine", reason=str(error))
        return launch

    def _recorded(self, opening: lifecycle.Opening, ready: Ready, agent: Agent, *, now: float) -> str:
        """That a launch is about to happen; unless it is not to: then why, and nothing is recorded."""
        bottle = state.bottle(self.terms.state, self.session.identity)
        with begin(self.terms.engine) as conn:
            if asked := claims.heartbeat(conn, self.turn, now=now, lease=self.terms.lease):
                return asked
            # In here nobody else can have begun it: what is there is not a launch of somebody who took it over.
            state.clear_turn_directory(bottle, self.turn.next_directory(opening.is_handover))
            self.turn = claims.launching(
                conn, self.turn, self.session, mode=opening.mode, told=ready.events, now=now,
                minutes=agent.limits.minutes, surprise=opening.surprise or self._told_late(),
                handover=opening.is_handover,
            )  # fmt: skip
        return ""
