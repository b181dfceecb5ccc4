"""Processes of the bot as far as the database can see them, in one: each with a name of its own, and mortal.

A body may die before every statement, commit, question, post, step of a bottle and write of a file; then nothing of it
is done any more, and its name is that of a dead process.  Knows all doors.  Must not know what is expected.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import outbox
from poller.app import COMPONENTS
from poller.config import Config
from poller.cycle import Cycle
from poller.errand import PullErrand
from poller.forge.client import Answer, Client
from poller.forge.control import Control
from poller.forge.courtesy import Courtesy
from poller.forge.questions import Questions
from sessions import claims, processes, registry
from sessions.database import begin, open_database
from sessions.dispatcher import Dispatcher, new_session
from sessions.turns import Session, Turn
from tests.faults.cellar import Cellar
from tests.poller.machine.stage import Fate, Killed

_audited: dict[str, Callable[[str], None]] = {}


def _audit(event: str, args: tuple[Any, ...]) -> None:
    """Files below a place that somebody watches.  Such a hook stays for ever: without a place it does nothing."""
    if _audited and (event in ("os.rename", "os.mkdir", "os.link") or (event == "open" and args[2] & 3)):
        for place, step in _audited.items():
            if isinstance(args[0], str | Path) and str(args[0]).startswith(place):
                step("file")


class Body:
    """One process.  `work_slowly` runs a turn in a thread of its own, until it waits for its run."""

    def __init__(
        self, config: Config, cellar: Cellar, *, now: Callable[[], float], at_hand: Callable[[Body], None]
    ) -> None:
        self.config, self.cellar, self._now, self._at_hand = config, cellar, now, at_hand
        self.fate = Fate()
        self.thread: threading.Thread | None = None
        self.bug: BaseException | None = None
        #: How often it learned that somebody else has its turn.
        self.lost = 0
        self._begin()

    def _begin(self) -> None:
        """A new life."""
        config, self.fate = self.config, Fate()
        self._sleeper = subprocess.Popen(["sleep", "600"])
        me = processes.me()
        self.name = str(msgspec.structs.replace(me, pid=self._sleeper.pid, start=processes.start_of(self._sleeper.pid)))
        self.engine = open_database(config.state / "bottlepost.db", COMPONENTS)
        sa.event.listen(self.engine, "before_cursor_execute", self._statement, retval=True)
        sa.event.listen(self.engine, "commit", lambda _: self.fate.step("commit"))
        courtesy = Courtesy(clock=self._now)
        self.client = _Client(config.url, config.token.reveal(), courtesy=courtesy)
        self.client.fate = self.fate
        self._control: Control | None = None
        questions = Questions(self.client)
        self.cycle = Cycle(config, self.engine, self.client, control=self.control, now=self._now)
        self.outbox = outbox.Outbox(self.engine, questions, forge=config.forge, now=self._now)
        errand = PullErrand(self.engine, questions, forge=config.forge, agents=config.agents, now=self._now)
        self.dispatcher = Dispatcher(
            engine=self.engine, state=config.state, agents=config.agents, errand=errand,
            parallel=config.limits.parallel, environ={}, clock=self._now, look_again=3600.0,
            bottles=self.cellar.bottle_for,
        )  # fmt: skip

    def control(self) -> Control:
        self.fate.step("question")
        if self._control is None:
            self._control = Control(self.config.url, self.config.token.reveal())
        return self._control

    def _statement(self, _conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        self.fate.step("statement")
        mine, name = str(processes.me()), self.name
        if isinstance(parameters, tuple):
            parameters = tuple(name if one == mine else one for one in parameters)
        return statement, parameters

    def end(self) -> None:
        """Dead, by whatever cause."""
        self._sleeper.kill()
        self._sleeper.wait()
        self.engine.dispose()
        self.client.close()
        if self._control is not None:
            self._control.close()

    # -- what it does --------------------------------------------------------------------------------------------

    def does(self, what: Callable[[], object], *, death: tuple[str, int] | None = None) -> bool:
        """Whether it lived to see the end of it; if not, another one has begun."""
        self.fate.decree(*(death or (None, 0)))
        self._at_hand(self)
        try:
            what()
        except Killed:
            self.end()
            self._begin()
            return False
        finally:
            self.fate.decree(None, 0)
        return True

    def work(self) -> None:
        """Adopt and start what there is to adopt and to start, and go."""
        self.dispatcher.run_due(wait=False, stop=threading.Event())

    @property
    def is_busy(self) -> bool:
        return self.thread is not None

    def work_slowly(self) -> None:
        """One turn, if one is due, until it waits for its run to end."""
        self._at_hand(self)
        held = self._claimed()
        if held is None:
            return

        def run() -> None:
            try:
                self.dispatcher.run_one(*held, stop=threading.Event())
            except claims.LeaseLost:
                self.lost += 1
            except BaseException as bug:  # looked at by whoever waits for the thread
                self.bug = bug
            finally:
                self.thread = None
                self.cellar.tell()

        self.thread = threading.Thread(target=run)
        self.thread.start()
        self._until_it_waits()

    def _claimed(self) -> tuple[Turn, Session] | None:
        config, now, mine = self.config, self._now(), {"agents": self.config.agents}
        with begin(self.engine) as conn:
            turn = claims.claim(conn, owner=self.name, now=now, lease=60.0, limit_parallel=2, **mine)
            if turn is None:
                return None
            session = registry.session(conn, ref=turn.ref, agent=turn.agent) or new_session(
                conn, state=config.state, agent=turn.agent, backend="process", now=now, ref=turn.ref, key=turn.key
            )
            return claims.belongs_to(conn, turn, session), session

    def goes_on(self, *, dies: bool) -> None:
        """It looks at its run again (or dies in trying to), until it waits again or is done."""
        if dies:
            self.fate.decree("statement", 0)
        self._at_hand(self)
        self.cellar.let_go()
        self._until_it_waits()

    def _until_it_waits(self) -> None:
        self.cellar.until(lambda: self.thread is None or self.cellar.waiting > 0)
        self._settle()

    def _settle(self) -> None:
        if self.thread is not None:
            return
        bug, self.bug = self.bug, None
        if isinstance(bug, Killed):
            self.end()
            self._begin()
        elif bug is not None:
            raise bug


class _Client(Client):
    """Real requests, before each of which its process may die; a post may have been made all the same."""

    fate: Fate

    def get(self, path: str, kind: Any, params: Mapping[str, str | int] | None = None) -> Answer:
        self.fate.step("question")
        return super().get(path, kind, params)

    def post(self, path: str, kind: Any, body: Mapping[str, Any]) -> Answer:
        self.fate.step("post")
        answer = super().post(path, kind, body)
        self.fate.step("post")
        return answer


def watch_files(place: Path, step: Callable[[str], None]) -> None:
    """From now on `step("file")` before every write below."""
    if not any(True for _ in _audited) and _audit not in _hooked:
        _hooked.append(_audit)
        sys.addaudithook(_audit)
    _audited[str(place)] = step


def watch_no_more(place: Path) -> None:
    _audited.pop(str(place), None)


_hooked: list[Callable[[str, tuple[Any, ...]], None]] = []
