"""A bot at home: a world spoken to over HTTP, a real database, cycles in this process, agents in processes.

Knows what people do on the forge, and what becomes of it.  Cheaper than `acceptance`: no call is a process.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from poller import tables
from poller.app import App, Once
from poller.config import load
from poller.demo import installing
from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.state import User
from poller.demo.world import World
from sessions import registry
from sessions.database import reading
from sessions.turns import Turn

SCOPES = "read:user,write:issue,write:repository"


class House:
    """`ana` and `ben` may write to `acme/api`, which belongs to `olga`'s organisation; `eve` is a stranger.

    `configure` before the first `once`; a later change takes a new `App`, as a restart would."""

    def __init__(self, place: Path, *, version: str = "1.25.4", database: Path | str | None = None) -> None:
        self.database = database or place / "state" / "bottlepost.db"
        self.place, self.world, self.ahead = place, World(version=version), 0.0
        self.world.org("acme", owners=["olga"])
        for login in ("bot", "ana", "ben", "eve"):
            self.world.user(login)
        self.repo = self.new_repo("acme/api")
        self.token = self.world.token("bot", scopes=SCOPES)
        self._open = ExitStack()
        self.url = self._open.enter_context(self.world.serve()).url
        agent = installing.install(place / "bin")
        self.environ = {"PATH": f"{agent.parent}:/usr/local/bin:/usr/bin:/bin", "GITEA_TOKEN": self.token}
        self.settings: dict[str, Any] = {
            "gitea": {"url": self.url, "token": "${GITEA_TOKEN}"},
            "repos": ["acme/*"],
            "state": "state",
            "database": self.database if isinstance(self.database, str) else None,
            "poll": {"start": "24h", "sweep": "10m", "overlap": "300s"},
            "trust": {"who": "writers", "forks": "ask"},
            "limits": {"parallel": 2},
            "agents": {"reviewer": {"backend": "process", "checkout": False, "env": ["DEMO_AGENT"]}},
        }
        self._app: App | None = None
        self.never = threading.Event()
        #: For tests that are about one pull.
        self.pull: Any = None

    def close(self) -> None:
        self._open.close()

    def new_repo(self, name: str) -> Repo:
        return self.world.repo(name, private=True, collaborators={"bot": "write", "ana": "write", "ben": "write"})

    def configure(self, **changes: Any) -> House:
        """Change keys at the top; mappings are merged, one level deep."""
        for name, value in changes.items():
            known = self.settings.get(name)
            self.settings[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
        self._app = None
        return self

    def agent(self, **changes: Any) -> House:
        self.settings["agents"]["reviewer"] |= changes
        self._app = None
        return self

    @property
    def app(self) -> App:
        if self._app is None:
            path = self.place / "config.yaml"
            path.write_text(yaml.safe_dump(self.settings))
            config = load(path, environ=self.environ)
            self._app = self._open.enter_context(App(config, environ=self.environ, clock=self.now))
        return self._app

    def now(self) -> float:
        return time.time() + self.ahead

    def pass_time(self, seconds: float) -> None:
        self.world.clock.advance(seconds=int(seconds))
        self.ahead += seconds

    def once(self, *, later: float = 2) -> Once:
        """One cycle, `later` seconds after what has happened; then the due turns, and the outbox."""
        self.pass_time(later)
        return self.app.followed_up(self.app.cycle.run(), wait=True, stop=self.never)

    def forked(self, *, by: str = "eve", **more: Any) -> Pull:
        return self.repo.open_pull(by=by, fork=f"{by}/api", **more)

    # -- what became of it ---------------------------------------------------------------------------------------

    def turns(self, pull: Pull | None = None) -> list[Turn]:
        with reading(self.app.engine) as conn:
            return [turn for turn in registry.turns(conn) if pull is None or turn.key.endswith(f"{place_of(pull)}")]

    def verdicts(self, pull: Pull | None = None) -> list[tuple[str, str]]:
        """(verdict, reason) of each decision, oldest first."""
        event, decision = tables.event.c, tables.decision.c
        joined = tables.decision.join(tables.event, event.id == decision.event_id)
        query = sa.select(decision.verdict, decision.reason, event.key).select_from(joined).order_by(event.seq)
        with reading(self.app.engine) as conn:
            rows = conn.execute(query).all()
        return [(row[0], row[1]) for row in rows if pull is None or row[2].endswith(place_of(pull))]

    def said(self, pull: Pull) -> list[str]:
        """What the bot has said on a pull."""
        return [row.body for row in pull.comments if row.user.login == "bot"]

    def prompts(self, turn: Turn) -> list[str]:
        found = self.place.glob(f"state/state/{turn.identity}/turns/{turn.id}*/prompt.md")
        return [path.read_text() for path in sorted(found)]

    def user(self, login: str) -> User:
        return self.world.user(login)


def place_of(pull: Pull) -> str:
    return f"/{pull.repo.full_name}#{pull.number}"
