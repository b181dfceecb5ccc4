"""The end of a turn: what came of it, as rows, and as words to those who wait.

Knows outcomes and rows.  Must not know how a run is begun or watched.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa

from sessions import claims, collecting, files, handover, lifecycle, preparing
from sessions.bottles import EngineError
from sessions.database import DatabaseError, begin
from sessions.holding import Holder, Left
from sessions.logs import redacted
from sessions.terms import Terms
from sessions.turns import Launch, Outcome, Session, Turn

log = logging.getLogger("sessions.worker")

#: Seconds for which a turn is left alone whose preparation failed by a bug: other turns are to have their time.
_LEFT_ALONE = 60.0


class Recorder(Holder):
    """Records the end of the turn that it holds."""

    def __init__(self, terms: Terms, turn: Turn, session: Session, *, stop: threading.Event, end_on_stop: bool) -> None:
        super().__init__(terms, turn, session, stop=stop, end_on_stop=end_on_stop)
        #: What ran last, and has ended.
        self._over: Launch | None = None
        #: The launch (its directory's name) of which nothing runs, and whose end is being recorded.
        self._recorded_as = ""

    def _record(self, outcome: Outcome, *, size_before: int, lost: str = "") -> Outcome | None:
        """The outcome, the session and what the caller makes of it, in one transaction; again if it fails."""
        self._recorded_as = self.turn.directory
        outcome = self._weighed(outcome)
        size = self._size(outcome)
        note = lost or lifecycle.kept(outcome, self.session.backend, bytes_before=size_before, bytes_after=size)
        conversation = outcome.claude_session or self.session.claude_session
        preparing.keep(self.terms.state, self.session, outcome, claude_session=conversation, note=note)
        outcome = collecting.collected(self.terms, self.turn, self.session, outcome, tick=self._hold)
        again = self._patiently(lambda: self._commit(outcome, note=note, size=size))
        if again:
            self._say(f"dropping the session: {outcome.reason or self.session.begun_why}")
            return None
        return self._told(outcome)

    def _told(self, outcome: Outcome) -> Outcome:
        """The end of the turn, to those who wait for it; then what it left is removed, which nobody waits for."""
        self._say(f"turn {self.turn.state}", kind=outcome.kind, reason=self.turn.reason)
        self._tell("ended", outcome=outcome)
        if self._over is not None:
            try:
                self._bottle().clear(self._over)
            except EngineError as error:
                log.warning("what the run left is not removed yet: %s", error)
        return outcome

    def _weighed(self, outcome: Outcome) -> Outcome:
        """With what it cost, in words that may be shown; a warning if it cost more than it should."""
        agent = self.terms.agents.get(self.turn.agent)
        reason = (lifecycle.limit_reached(outcome, agent.limits) if agent else "") or outcome.reason
        if warning := lifecycle.billed_cold(outcome, self.turn, self.session, now=self.terms.clock()):
            log.warning("%s", warning)
        return msgspec.structs.replace(
            outcome,
            cost_usd=lifecycle.spent(outcome.total_usd, self.session.claude_total),
            # Somebody may have talked the agent into printing its environment, and these words are going to be posted.
            text=redacted(outcome.text),
            structured=redacted(outcome.structured),
            so_far=redacted(outcome.so_far),
            reason=redacted(reason),
        )

    def _still_held(self, conn: sa.Connection) -> tuple[Turn, float]:
        """The turn with what is asked of it by now, and that moment.  Raises `LeaseLost`."""
        now = self.terms.clock()
        asked = claims.heartbeat(conn, self.turn, now=now, lease=self.terms.lease)
        return msgspec.structs.replace(self.turn, stop_asked=asked), now

    def _commit(self, outcome: Outcome, *, note: str, size: int) -> bool:
        """True: to be run once more, afresh."""
        with begin(self.terms.engine) as conn:
            turn, now = self._still_held(conn)
            verdict = lifecycle.after(outcome, turn, self.session, now=now, tries=self.terms.tries)
            if verdict.turn == "renew":
                self.turn, self.session = claims.renew(conn, turn, outcome, why=verdict.reason, now=now)
                return True
            verdict = msgspec.structs.replace(verdict, note=note or verdict.note)
            turn, session = claims.finish(conn, turn, outcome, verdict, now=now, transcript_bytes=size)
            self.terms.errand.settled(conn, turn, session, outcome)
        self.turn, self.session = turn, session
        return False

    def _commit_handover(self, outcome: Outcome) -> bool:
        """True: the turn goes on, in a new conversation."""
        size = self._size(outcome)
        with begin(self.terms.engine) as conn:
            turn, now = self._still_held(conn)
            verdict = lifecycle.after_handover(outcome, turn, self.session, now=now)
            if verdict.turn == "renew":
                summary = handover.summary(outcome)
                turn, session = claims.rotate(conn, turn, outcome, summary=summary, now=now)
            else:
                wordless = msgspec.structs.replace(outcome, text="", so_far="")  # a note is no answer
                turn, session = claims.finish(conn, turn, wordless, verdict, now=now, transcript_bytes=size)
                self.terms.errand.settled(conn, turn, session, wordless)
        self.turn, self.session = turn, session
        if verdict.turn == "renew":
            self._say("conversation handed over" if summary else "conversation given up", reason=verdict.reason)
        return verdict.turn == "renew"

    # -- when that fails -----------------------------------------------------------------------------------------

    def _can_be_buried(self, error: BaseException) -> bool:
        """Whether the turn can be laid down without leaving a run to itself."""
        if self.turn.state != "running":
            return False  # it is recorded, or waits
        if self.turn.started_at is None:
            return True
        is_over = self._over is not None and self._over.directory.name == self.turn.directory
        # What breaks in the world costs no result: whoever adopts the turn reads it from the files.  What lies there
        # and cannot be read, the agent may have put there.
        is_ours = not isinstance(error, EngineError) and not files.is_of_the_world(error)
        return is_ours and (is_over or self._recorded_as == self.turn.directory)

    def _bury(self, error: BaseException) -> None:
        """What stops us here stops whoever comes next, too: not at once, and not for ever."""
        began = self.turn.started_at is not None
        what = f"{'recording its end' if began else 'preparing it'} failed: {type(error).__name__}"
        deaths, now = self.turn.deaths + 1, self.terms.clock()
        pause = lifecycle.after_death(deaths)
        try:
            if pause is None:
                self._give_up(f"{what}, {deaths} times")
            elif began:
                with begin(self.terms.engine) as conn:
                    claims.lay_down(conn, self.turn, deaths=deaths, until=now + pause)
            else:
                self._put_back(what, at=now + max(pause, _LEFT_ALONE), deaths=deaths)
        except (claims.LeaseLost, DatabaseError) as trouble:  # the other is to be heard of
            log.error("turn %s: %s", self.turn.id, trouble)

    def _give_up(self, reason: str) -> Outcome:
        """Record that nothing came of the turn; who asked for it is told, if that does not fail as well."""
        outcome = Outcome(kind="interrupted", reason=reason)
        with begin(self.terms.engine) as conn:
            turn, now = self._still_held(conn)
            verdict = lifecycle.after(outcome, turn, self.session, now=now, tries=0)
            size = self.session.transcript_bytes
            turn, session = claims.finish(conn, turn, outcome, verdict, now=now, transcript_bytes=size)
            try:
                with conn.begin_nested():
                    self.terms.errand.settled(conn, turn, session, outcome)
            except Exception as error:  # perhaps just what has failed all the time
                log.error("turn %s: nobody is told of its end: %s", turn.id, type(error).__name__)
        self.turn, self.session = turn, session
        return self._told(outcome)


_Held = TypeVar("_Held", bound=Recorder)
_Given = ParamSpec("_Given")
_Came = TypeVar("_Came")


def bounded(see: Callable[Concatenate[_Held, _Given], _Came]) -> Callable[Concatenate[_Held, _Given], _Came]:
    """A bug in it is raised, as ever; but of one turn it is raised so many times, and then the turn has failed."""

    @functools.wraps(see)
    def seen(held: _Held, /, *given: _Given.args, **named: _Given.kwargs) -> _Came:
        try:
            return see(held, *given, **named)
        except (claims.LeaseLost, DatabaseError, Left):
            raise
        except BaseException as error:
            if held._can_be_buried(error):
                held._bury(error)
            raise

    return seen
