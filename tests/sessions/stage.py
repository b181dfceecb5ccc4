"""A small world for turns: database, state directory, an agent, an errand that remembers, a clock to be set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from sessions import registry, state, tables
from sessions.config import Agent, AgentLimits, Limits, Settings
from sessions.database import Component, begin, open_database, reading
from sessions.dispatcher import Dispatcher
from sessions.sources import Fetch, Source
from sessions.turns import Dropped, Mode, NotNow, Outcome, Progress, Ready, Session, Tally, Turn

REF = "forge|12|7"
KEY = "forge.example.com/acme/api#7"


#: What follows from a turn is written in the transaction that ends it.
_follow_ups = sa.MetaData()
follow_up = sa.Table(
    "follow_up", _follow_ups, sa.Column("id", sa.Integer, primary_key=True), sa.Column("turn_id", sa.Integer)
)
COMPONENTS = (tables.COMPONENT, Component(name="stage", metadata=_follow_ups, version=1))


class Errand:
    """Says which events a turn is about, and in full when fresh; remembers what it was asked and told."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.prepared: list[tuple[int, Mode, int]] = []
        self.surprises: list[str] = []
        self.settled_as: list[tuple[int, str, str, str]] = []
        self.structured: list[str] = []
        self.answer_instead: Callable[[Turn], Dropped | NotNow | None] = lambda turn: None
        #: The code that turns want, and the schema of their answers.
        self.source: Source | None = None
        self.schema = ""

    def prepare(self, turn: Turn, session: Session, mode: Mode, fetch: Fetch) -> Ready | Dropped | NotNow:
        self.prepared.append((turn.id, mode, turn.attempts))
        instead = self.answer_instead(turn)
        if instead is not None:
            return instead
        if self.source is not None:
            fetch(self.source)
        told = "\n".join(f"{event}: {self.texts.get(event, '')}" for event in turn.events)
        again = "This was interrupted before.\n" if turn.attempts else ""
        known = f"Note: {session.summary}\n" if mode == "fresh" and session.summary else ""
        begin = "Full" if mode == "fresh" else "Delta"
        return Ready(prompt=f"{begin} prompt\n{again}{known}{told}", events=turn.events, schema=self.schema)

    def settled(self, conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        self.surprises.append(turn.surprise)
        self.structured.append(outcome.structured)
        self.settled_as.append((turn.id, turn.state, outcome.kind, outcome.text or outcome.reason))
        if turn.state == "done":
            conn.execute(follow_up.insert().values(turn_id=turn.id))


class Stage:
    """`now` is what the clock shows, if it was set.  `database`: else a file in the state directory."""

    def __init__(self, root: Path, environ: dict[str, str], *, database: Path | str | None = None) -> None:
        self.state, self.environ = root / "state-root", environ
        self.database = database or self.state / "bottlepost.db"
        self.engine = open_database(self.database, COMPONENTS)
        self.errand = Errand()
        self.now: float | None = None
        limits = AgentLimits(minutes=2, turns=10, usd=1.0)
        passed = ("DEMO_AGENT", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
        self.agents = {name: Agent(backend="process", env=passed, limits=limits) for name in ("reviewer", "tester")}
        self.progress: list[Progress] = []

    def close(self) -> None:
        self.engine.dispose()

    def clock(self) -> float:
        return time.time() if self.now is None else self.now

    def limit(self, **limits: Any) -> None:
        """All agents have these limits from now on."""
        for name, agent in self.agents.items():
            changed = msgspec.structs.replace(agent.limits, **limits)
            self.agents[name] = msgspec.structs.replace(agent, limits=changed)

    def want(self, event: str, text: str = "", *, ref: str = REF, agent: str = "reviewer") -> int | None:
        """Something happened that wakes the agent."""
        self.errand.texts[event] = text
        key = KEY if ref == REF else f"key of {ref}"
        with begin(self.engine) as conn:
            return registry.enqueue(
                conn, ref=ref, key=key, agent=agent, event_id=event, why=f"because of {event}", now=self.clock()
            )

    def dispatcher(self, **more: Any) -> Dispatcher:
        given = {"parallel": 2, "look_again": 0.05, "grace": 0.5} | more
        return Dispatcher(
            engine=self.engine,
            state=self.state,
            agents=self.agents,
            errand=self.errand,
            environ=self.environ,
            clock=self.clock,
            **given,
        )

    def run(self, *, wait: bool = True, stop: threading.Event | None = None, **more: Any) -> Tally:
        return self.dispatcher(**more).run_due(
            wait=wait, stop=stop or threading.Event(), on_progress=self.progress.append
        )

    @contextmanager
    def running(self, **more: Any) -> Iterator[threading.Event]:
        """A dispatcher at work in the background; set the event to stop it."""
        stop = threading.Event()
        tallies: list[Tally] = []
        thread = threading.Thread(target=lambda: tallies.append(self.run(stop=stop, **more)))
        thread.start()
        try:
            yield stop
        finally:
            thread.join(60)
        assert tallies, "the dispatcher died"

    def write(self, do: Callable[[sa.Connection], Any]) -> Any:
        with begin(self.engine) as conn:
            return do(conn)

    def turns(self, **which: Any) -> list[Turn]:
        with reading(self.engine) as conn:
            return registry.turns(conn, **which)

    def turn(self, number: int) -> Turn:
        return next(turn for turn in self.turns() if turn.id == number)

    def session(self, agent: str = "reviewer", ref: str = REF) -> Session:
        with reading(self.engine) as conn:
            found = registry.session(conn, ref=ref, agent=agent)
        assert found is not None
        return found

    def bottle(self, agent: str = "reviewer", ref: str = REF) -> Path:
        return state.bottle(self.state, self.session(agent, ref).identity)

    def transcript(self, agent: str = "reviewer", ref: str = REF) -> Path:
        session = self.session(agent, ref)
        return state.config_dir(self.bottle(agent, ref)) / "projects" / "pr" / f"{session.claude_session}.jsonl"


def eventually(what: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """The first true value of `what`."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def settings_at(root: Path) -> Settings:
    """Those of the one agent, for whoever wants no config file."""
    return Settings(state=root, database=None, limits=Limits(), agents={"reviewer": Agent(backend="process")})
