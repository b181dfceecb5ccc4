"""Where everything meets: config, database, forge, cycle, turns and outbox, for one call or for ever.

Composes and owns lifetimes.  Decides nothing.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import pauses as held
from poller import pruning, store, tables
from poller.config import Config
from poller.cycle import Cycle, Report
from poller.deltas.events import Event
from poller.doing import Deeds
from poller.errand import PullErrand
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.courtesy import Courtesy
from poller.forge.questions import Progress, Questions
from poller.forge.way import Way
from poller.gate import Gate
from poller.money import Purse
from poller.outbox import Outbox
from poller.pushes import Pusher, access_by
from sessions import dates, files, housekeeping, pauses, places, registry
from sessions import tables as session_tables
from sessions.bottles import fetch
from sessions.database import DatabaseError, clock_of, database_of, is_absent, open_database, reading
from sessions.dispatcher import Dispatcher
from sessions.logs import hide
from sessions.turns import OnProgress, Tally, Turn
from sessions.turns import Progress as TurnProgress

log = logging.getLogger(__name__)

#: Seconds by which two clocks may differ before nobody's grace is believed to be over.
DISAGREEMENT = 86_400.0

#: Seconds after which nothing more is begun that people should see at once.
AT_ONCE = 5.0

COMPONENTS = (session_tables.COMPONENT, tables.COMPONENT)


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """What one `poll --once` did."""

    report: Report
    tally: Tally
    posted: int
    #: Posts that were given up for good, a line each.
    given_up: list[str] = []

    def as_dict(self) -> dict[str, Any]:
        """The contract's JSON object."""
        turns = msgspec.to_builtins(self.tally)
        return {
            "cursor": self.report.cursor,
            "requests": self.report.requests,
            "pulls_changed": self.report.pulls_changed,
            "events": len(self.report.told),
            "turns": {name: turns[name] for name in ("started", "adopted", "done", "failed", "waiting")},
            "posted": self.posted,
            "errors": [*self.report.errors, *self.given_up],
        }


def has_no_database(config: Config) -> bool:
    """Is this before the first run?"""
    return is_absent(database_of(config.state, config.database))


def open_tables(config: Config) -> sa.Engine:
    """The database of the config, made if it is not there."""
    return open_database(database_of(config.state, config.database), COMPONENTS)


@contextmanager
def database_at_hand(config: Config) -> Iterator[sa.Engine]:
    """The database for a verb that asks or steers: where nothing has run yet, nothing is made."""
    engine = open_database(":memory:", COMPONENTS) if has_no_database(config) else open_tables(config)
    try:
        yield engine
    finally:
        engine.dispose()


class App:
    """One config at work.  `environ` is what agents' `env` names are taken from; `clock` is the database's."""

    def __init__(
        self,
        config: Config,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] | None = None,
        progress: Progress | None = None,
        on_turn: OnProgress | None = None,
        engine: sa.Engine | None = None,
    ) -> None:
        hide(config.token.reveal())
        self.config, self._on_turn = config, on_turn
        self._environ = os.environ if environ is None else environ
        self._closing = ExitStack()
        try:
            self.engine = engine if engine is not None else open_tables(config)
            self._closing.callback(self.engine.dispose)
            self.clock = clock or clock_of(self.engine)
            self._way = Way.of(config.url, ca_file=config.ca_file, environ=os.environ)
            self.courtesy = Courtesy(clock=self.clock)
            self._client = Client(
                config.url,
                config.token.reveal(),
                way=self._way,
                renewed=config.token.renewed,
                courtesy=self.courtesy,
            )
            self._closing.callback(self._client.close)
            self._control: Control | None = None
            self.cycle = Cycle(
                config, self.engine, self._client, control=self.control, now=self.clock, progress=progress
            )
            self.questions = Questions(self._client, page=self._page)
            self.outbox = Outbox(self.engine, self.questions, forge=config.forge, now=self.clock)
            pusher = Pusher(
                self.questions, agents=config.agents, remote=access_by(config, self._way), state=config.state,
                environ=self._environ,
            )  # fmt: skip
            self.deeds = Deeds(
                self.engine, self.questions, forge=config.forge, pusher=pusher, now=self.clock,
                place=lambda: places.own_name(self.engine, config.state),
            )  # fmt: skip
            self.dispatcher = self._new_dispatcher()
        except BaseException:
            self._closing.close()
            raise
        self._posted = 0
        self._posting = threading.Lock()

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give connections and the database back."""
        self._closing.close()

    def _page(self) -> int:
        with reading(self.engine) as conn:
            return store.forge(conn, self.config.forge).page

    def control(self) -> Control:
        """The control plane, made when it is first needed."""
        if self._control is None:
            self._control = self._new_control()
        return self._control

    def _new_control(self) -> Control:
        config = self.config
        control = Control(
            config.url, config.token.reveal(), way=self._way, renewed=config.token.renewed, courtesy=self.courtesy
        )
        self._closing.callback(control.close)
        return control

    def _new_dispatcher(self) -> Dispatcher:
        config = self.config
        return Dispatcher(
            engine=self.engine,
            state=config.state,
            agents=config.agents,
            errand=PullErrand(
                self.engine,
                self.questions,
                forge=config.forge,
                agents=config.agents,
                now=self.clock,
                remote=access_by(config, self._way),
                gate=Gate(self.engine, self.questions, config, control=self._new_control, now=self.clock),
            ),
            parallel=config.limits.parallel,
            environ=self._environ,
            clock=self.clock,
            unless=held.holds_back(),
            afford=Purse(config.limits, config.agents, forge=config.forge, now=self.clock).afford,
        )

    def acknowledge(self) -> None:
        """Do at once what people should see at once: reactions, statuses; but no turn waits for it for long."""
        try:
            self.deeds.flush(quick=True, until=time.monotonic() + AT_ONCE)
        except DatabaseError as trouble:
            log.error("not acknowledged yet: %s", trouble)

    def _warm(self, woken: Set[str]) -> None:
        """Load what these agents' turns will need, while people are told that they were heard."""
        backends = {self.config.agents[name].backend for name in woken if name in self.config.agents}
        if backends:
            threading.Thread(target=_load, args=(backends, self._environ), name="warm", daemon=True).start()

    def followed_up(self, report: Report, *, wait: bool, stop: threading.Event, drain: bool = False) -> Once:
        """What comes behind a cycle: the due turns, the outbox."""
        self._warm({name for told in report.told for name in told.turns})
        if report.told:
            self.acknowledge()
        tally = self.turns(wait=wait, stop=stop, drain=drain)
        self.post()
        if not stop.is_set():
            self.put_in_order()
        return Once(report=report, tally=tally, posted=self._posted, given_up=list(self.outbox.given_up))

    def nothing_done(self, error: str) -> Once:
        """What to show of a call whose cycle failed."""
        with reading(self.engine) as conn:
            cursor, waiting = store.forge(conn, self.config.forge).cursor, registry.waiting(conn)
        report = Report(cursor=cursor or "", requests=self._client.requests, pulls_changed=0, told=[], errors=[error])
        return Once(report=report, tally=Tally(waiting=waiting), posted=0)

    def turns(self, *, wait: bool, stop: threading.Event, drain: bool = False) -> Tally:
        """Run what is due; each answer is posted when its turn ends, not when the last one does."""
        return self.dispatcher.run_due(wait=wait, stop=stop, drain=drain, on_progress=self._progressed)

    def due_turns(self) -> list[Turn]:
        """Turns whose time has come, and which nobody has begun."""
        with reading(self.engine) as conn:
            waiting, now = registry.turns(conn, state="waiting"), self.clock()
            refused = {pause.agent for pause in pauses.pauses(conn) if dates.is_to_come(pause.until, now=now)}
            back = held.waiting(conn)
        agents = set(self.config.agents) - refused
        mine = (turn for turn in waiting if turn.agent in agents and turn.id not in back)
        return [turn for turn in mine if not dates.is_to_come(turn.not_before, now=now)]

    def held_back(self, events: Sequence[Event]) -> set[str]:
        """The refs of those pulls among what these are about which somebody has paused."""
        places = {event.ref: event.key for event in events}
        with reading(self.engine) as conn:
            if not places or not held.pauses(conn, self.config.forge):
                return set()
            return {ref for ref, key in places.items() if held.paused(conn, ref=ref, key=key)}

    def post(self, *, until: float | None = None) -> int:
        """Send what is due, then do what is due beside words; nothing is begun any more at `until` (monotonic)."""
        sent = self.outbox.flush(until=until)  # first: this is what people wait for
        if self.deeds.flush(until=until):
            sent += self.outbox.flush(until=until)  # words that waited for a push
        with self._posting:
            self._posted += sent
        return sent

    def put_in_order(self) -> None:
        """Remove what is old: events of pulls closed long ago, and bottles of those closed for the grace time.

        Nothing while our clock and the forge's disagree by days: one of them is wrong, and what is gone is gone."""
        theirs = self._client.forge_time()
        if theirs is not None and abs(apart := self.clock() - theirs) > DISAGREEMENT:
            log.warning(
                "nothing old is removed: this machine's clock and the forge's are %.0f hours apart; put them right",
                abs(apart) / 3600,
            )
            return
        pruning.run(self.engine, forge=self.config.forge, now=self.clock())
        try:
            housekeeping.run(
                self.engine, self.config.state, now=self.clock(), environ=self._environ, agents=self.config.agents
            )
        except OSError as error:  # it is tried again by the next call, and no turn fails for it
            log.error("not everything old is removed: %s", files.told(error))

    def _progressed(self, progress: TurnProgress) -> None:
        if self._on_turn is not None:
            self._on_turn(progress)
        if progress.what == "started":
            self.acknowledge()
        elif progress.what == "ended":
            try:
                self.post()
            except DatabaseError as trouble:
                log.error("answer not posted yet: %s", trouble)  # the turn itself is done


def _load(backends: Set[str], environ: Mapping[str, str]) -> None:
    """In the order in which it is needed: words first, then what runs the agents."""
    for name in ("poller.prompts.compose", "jinja2.sandbox"):
        importlib.import_module(name)
    for backend in backends:
        fetch(backend, environ=environ)
