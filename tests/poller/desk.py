"""A poller at its desk: a world spoken to over HTTP, a real database, cycles in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa

from poller.app import COMPONENTS
from poller.config import Config, load
from poller.cycle import Cycle, Report
from poller.demo.world import World
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.courtesy import Courtesy
from poller.forge.questions import Questions
from sessions.database import open_database

CONFIG = """\
gitea: {{url: "{url}", token: "{token}"}}
repos: {repos}
state: state
database: {database}
poll: {{start: {start}, sweep: {sweep}}}
trust: {{who: {who}, forks: never}}
agents: {{reviewer: {{backend: process, on: [opened, synchronized, mentioned]}}}}
"""


class Desk:
    """`clock` is ours (epoch seconds) and follows the world's unless it is set.  `database`: a file, if not said."""

    def __init__(
        self, place: Path, *, version: str = "1.25.4", sweep: str = "10m", database: Path | str | None = None
    ) -> None:
        self.world, self.place = World(version=version), place
        self.database = database or place / "state" / "bottlepost.db"
        self.world.org("acme")
        self.world.clock.set("2026-11-21T07:00:00Z")
        self.repo = self.world.repo(
            "acme/api", private=True, collaborators={"ana": "write", "ben": "write", "bot": "write"}
        )
        self.token = self.world.token("bot", scopes="read:user,write:issue,write:repository")
        self.now: Callable[[], float] = lambda: float(self.world.clock.now())
        self._open = ExitStack()
        self.url = self._open.enter_context(self.world.serve()).url
        self.engine = self._engine()
        self.set_up(sweep=sweep)

    def _engine(self) -> sa.Engine:
        engine = open_database(self.database, COMPONENTS)
        self._open.callback(engine.dispose)
        return engine

    def set_up(
        self, *, repos: str = "[acme/api]", start: str = "now", who: str = "[ana, ben]", sweep: str = "10m"
    ) -> None:
        """Another config for the same state.  With `sweep: 0s` every cycle sweeps."""
        path = self.place / "config.yaml"
        database = json.dumps(self.database if isinstance(self.database, str) else None)
        path.write_text(
            CONFIG.format(
                url=self.url, token=self.token, repos=repos, start=start, who=who, sweep=sweep, database=database
            )
        )
        self.config: Config = load(path, environ={})
        self.courtesy = Courtesy(clock=lambda: self.now())
        self.client = self._open.enter_context(Client(self.url, self.token, courtesy=self.courtesy))
        self.questions = Questions(self.client)
        self._control: Control | None = None

    def control(self) -> Control:
        if self._control is None:
            self._control = self._open.enter_context(Control(self.url, self.token, courtesy=self.courtesy))
        return self._control

    def new_cycle(self) -> Cycle:
        return Cycle(self.config, self.engine, self.client, control=self.control, now=lambda: self.now())

    def cycle(self) -> Report:
        """One cycle, a second after whatever happened."""
        self.world.clock.advance(seconds=2)
        return self.new_cycle().run()

    def told(self) -> list[str]:
        """Kinds of the events of one cycle."""
        return [f"{one.event.event} {one.event.action}" for one in self.cycle().told]

    def close(self) -> None:
        self._open.close()
