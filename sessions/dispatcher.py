"""Runs the turns that are due, each in a thread of its own, and adopts those whose worker is gone.

Any number of dispatchers may share a database: the rows decide who does what.  Knows claims and threads; must not know
what a turn is about, or how it is run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sessions import claims, files, places, processes, registry
from sessions.abandoned import Nobodys
from sessions.bottles import Bottle, EngineError, bottle_for, warm
from sessions.database import DatabaseError, begin, clock_of, reading
from sessions.founding import new_session
from sessions.holding import Left
from sessions.logs import bound, hide, is_secret
from sessions.terms import Terms
from sessions.turns import Afford, Errand, OnProgress, Outcome, Progress, Session, Tally, Turn
from sessions.worker import Worker

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.config import Agent

log = logging.getLogger("sessions.dispatcher")


class Dispatcher:
    """`environ` is what agents' `env` names are taken from; `clock` gives epoch seconds (the database's).

    `lease`: seconds for which a worker's word is taken that it lives; `grace`: between the steps of stopping a run;
    `look_again`: seconds between two looks at the database while turns run;
    `unless`: of a row of the turn table, that it has to wait."""

    def __init__(
        self,
        *,
        engine: sa.Engine,
        state: Path,
        agents: Mapping[str, Agent],
        errand: Errand,
        parallel: int,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] | None = None,
        lease: float = 60.0,
        grace: float = 10.0,
        tries: int | None = None,
        look_again: float = 1.0,
        unless: sa.ColumnElement[bool] | None = None,
        bottles: Callable[..., Bottle] = bottle_for,
        afford: Afford | None = None,
    ) -> None:
        self._terms = Terms(
            engine=engine,
            state=state,
            agents=agents,
            errand=errand,
            environ=os.environ if environ is None else environ,
            clock=clock or clock_of(engine),
            lease=lease,
            grace=grace,
            tries=tries,
            on_progress=_nothing,
            bottles=bottles,
            afford=afford,
        )
        for name in {name for agent in agents.values() for name in agent.env if is_secret(name)}:
            hide(self._terms.environ.get(name, ""))
        self._parallel = parallel
        self._look_again, self._unless = look_again, unless
        self._owner = str(processes.me())
        self._presence = places.Presence(engine, state)
        self._wake = threading.Event()

    def nudge(self) -> None:
        """Something may be due now: look again at once.  From any thread."""
        self._wake.set()

    def run_due(
        self, *, wait: bool, stop: threading.Event, drain: bool = False, on_progress: OnProgress | None = None
    ) -> Tally:
        """Adopt what nobody holds, run what is due, and (with `wait`) go on until nothing of it is left.

        Without `wait`, turns are started and left to whoever comes next; those that run when `stop` is set, too, but
        with `drain` they are waited for.  `on_progress` is called from workers' threads, whose bugs are raised here."""
        self._tell()  # first of all: workers take its name from the terms
        terms = self._terms if on_progress is None else msgspec.structs.replace(self._terms, on_progress=on_progress)
        shift = _Shift(terms, wait=wait)
        try:
            self._work(shift, stop)
            if drain:
                shift.join()
        finally:
            shift.leave.set()
            shift.join()
        if shift.bug is not None:
            raise shift.bug
        with reading(terms.engine) as conn:
            return shift.tally(waiting=registry.waiting(conn))

    def run_one(
        self, turn: Turn, session: Session, *, stop: threading.Event, on_progress: OnProgress | None = None
    ) -> tuple[Turn, Session, Outcome | None]:
        """Run this turn, which the caller holds, in this thread; when `stop` is set, its run is ended."""
        self._tell()
        terms = msgspec.structs.replace(self._terms, on_progress=on_progress or _nothing)
        worker = Worker(terms, turn, session, stop=stop, end_on_stop=True)
        with bound(pull=turn.key, turn=turn.id, bottle=session.identity):
            try:
                outcome = worker.run(wait=True)
            except claims.LeaseLost:
                worker.withdraw()
                raise
        return worker.turn, worker.session, outcome

    def adopt_one(self, turn: Turn, session: Session) -> None:
        """Record what this turn, which the caller holds, has come to; one that still runs is left to whoever comes."""
        self._tell()
        terms = msgspec.structs.replace(self._terms, errand=Nobodys(), tries=1, on_progress=_nothing)
        with bound(pull=turn.key, turn=turn.id, bottle=session.identity), contextlib.suppress(Left, claims.LeaseLost):
            Worker(terms, turn, session, stop=threading.Event(), end_on_stop=False).adopt(wait=False)

    def _work(self, shift: _Shift, stop: threading.Event) -> None:
        self._adopt(shift)
        if not shift.wait:
            shift.join()  # what was cut off waits again now
        while not stop.is_set() and shift.bug is None:
            self._patiently(self._claim, shift)
            if not shift.wait or not shift.held:
                return
            self._rest(shift, stop)
            if shift.bug is None:  # which may have laid down a turn
                self._patiently(self._adopt, shift)

    def _tell(self) -> None:
        """Where several machines share a database: that this one is at work."""
        place = self._presence.told(now=self._terms.clock())
        self._terms = msgspec.structs.replace(self._terms, place=place)

    def _rest(self, shift: _Shift, stop: threading.Event) -> None:
        """Until a worker is done, somebody nudges, or it is time to look again."""
        until = time.monotonic() + self._look_again
        while time.monotonic() < until and not stop.is_set() and not self._wake.is_set():
            if shift.one_done(within=0.1):
                return
        self._wake.clear()

    def _patiently(self, look: Callable[[_Shift], None], shift: _Shift) -> None:
        """Turns that run are watched on, whatever becomes of the database."""
        try:
            look(shift)
        except DatabaseError as error:
            if not shift.held:
                raise
            log.warning("not looking for turns now: %s", error)

    def _adopt(self, shift: _Shift) -> None:
        self._tell()
        terms, now = self._terms, self._terms.clock()
        with reading(terms.engine) as conn:
            if not any(turn.id not in shift.held for turn in claims.orphans(conn, now=now)):
                return
        taken = []
        with begin(terms.engine) as conn:
            for orphan in claims.orphans(conn, now=now):
                session = registry.session_of(conn, orphan.identity)
                if orphan.id in shift.held or session is None:
                    continue
                if places.is_elsewhere(conn, session, terms.place, now=now):
                    continue
                held = claims.hold(conn, orphan.id, owner=self._owner, now=now, lease=terms.lease, anew=False)
                taken.append((held, session))
        for turn, session in taken:
            shift.start(turn, session, adopted=True)

    def _claim(self, shift: _Shift) -> None:
        terms = self._terms
        while shift.bug is None:
            now = terms.clock()
            unless = places.not_here(terms.place, now=now, unless=self._unless)
            with reading(terms.engine) as conn:
                if not claims.due(conn, now=now, agents=terms.agents, unless=unless):
                    return
            with begin(terms.engine) as conn:
                turn = claims.claim(
                    conn, owner=self._owner, now=now, lease=terms.lease, limit_parallel=self._parallel,
                    agents=terms.agents, unless=unless, afford=terms.afford,
                )  # fmt: skip
                if turn is None:
                    return
                session = registry.session(conn, ref=turn.ref, agent=turn.agent) or new_session(
                    conn,
                    state=terms.state,
                    agent=turn.agent,
                    backend=terms.agents[turn.agent].backend,
                    now=now,
                    ref=turn.ref,
                    key=turn.key,
                )
                turn = claims.belongs_to(conn, turn, session)
                places.settle(conn, session, terms.place)
            shift.start(turn, session, adopted=False)


class _Shift:
    """The workers of one `run_due`."""

    def __init__(self, terms: Terms, *, wait: bool) -> None:
        self.terms, self.wait = terms, wait
        self.leave = threading.Event()
        self.held: dict[int, threading.Thread] = {}
        self.bug: BaseException | None = None
        self._done: queue.SimpleQueue[tuple[int, threading.Thread]] = queue.SimpleQueue()
        self._counting = threading.Lock()
        self._counts = {"started": 0, "adopted": 0, "done": 0, "failed": 0}

    def start(self, turn: Turn, session: Session, *, adopted: bool) -> None:
        terms = self.terms
        warm(session.backend, environ=terms.environ)
        if turn.by_hand:
            terms = msgspec.structs.replace(terms, errand=Nobodys(), tries=1)
        worker = Worker(terms, turn, session, stop=self.leave, end_on_stop=False)
        thread = threading.Thread(target=self._run, args=(worker, adopted), name=f"turn-{turn.id}", daemon=True)
        self.held[turn.id] = thread
        try:
            thread.start()
        except BaseException:  # no room for one more: nobody is to wait for it
            del self.held[turn.id]
            raise

    def one_done(self, *, within: float) -> bool:
        with contextlib.suppress(queue.Empty):
            number, thread = self._done.get(timeout=within)
            thread.join()
            if self.held.get(number) is thread:  # put back and claimed anew, it may have another one already
                del self.held[number]
            return True
        return False

    def join(self) -> None:
        while self.held:
            self.one_done(within=60.0)

    def tally(self, *, waiting: int) -> Tally:
        return Tally(waiting=waiting, **self._counts)

    def _run(self, worker: Worker, adopted: bool) -> None:
        turn = worker.turn
        outcome: Outcome | None = None
        try:
            with bound(pull=turn.key, turn=turn.id, bottle=worker.session.identity):
                try:
                    outcome = worker.adopt(wait=self.wait) if adopted else worker.run(wait=self.wait)
                except claims.LeaseLost as lost:
                    log.warning("%s; it is in other hands", lost)
                    worker.withdraw()
        except Left:
            pass
        except (DatabaseError, EngineError, OSError) as error:
            # Its files stay; whoever adopts it once the lease is over collects them.
            log.error("turn %s: %s", turn.id, files.told(error) if isinstance(error, OSError) else error)
            self._count("failed")
        except BaseException as bug:  # raised again in the thread that called
            self.bug = bug
        finally:
            self._score(worker, outcome, adopted=adopted)
            self._done.put((turn.id, threading.current_thread()))

    def _score(self, worker: Worker, outcome: Outcome | None, *, adopted: bool) -> None:
        if adopted:
            self._count("adopted")
        if worker.launched:
            self._count("started")
        if outcome is None or worker.turn.state == "dropped":
            return
        if outcome.kind == "done":
            self._count("done")
        elif worker.turn.state == "failed" or outcome.exit is not None or outcome.kind != "interrupted":
            self._count("failed")

    def _count(self, what: str) -> None:
        with self._counting:
            self._counts[what] += 1


def _nothing(progress: Progress) -> None:
    """Nobody watches."""
