"""The bot as its operator meets it: a directory, a config file, and processes that are started in it.

Knows the command line, exit codes and files.  Must not know how the poller works.  What it remembers is read with the
functions whose answers the verbs print, in this process: another one costs half a second, and verbs have their tests.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from poller import eventlog
from poller.app import COMPONENTS
from poller.demo import installing
from poller.demo.pulls import Pull
from poller.demo.world import World
from sessions import registry, showing
from sessions.database import open_database, reading
from tests.acceptance.calls import Ran, Running, until

ROOT = Path(__file__).parents[2]
#: What no output may hold: a bug, or something that was not closed.
_NEVER = ("Traceback", "a bug in bottlepost", "ResourceWarning")

#: Stands before the scripted agent: notes who runs when and with which environment, and waits where it is told to.
_GATE = """#!/bin/sh
place={here}
echo "$$ begin $BOTTLEPOST_TURN" >> "$place/runs"
env > "$place/environ.$$"
while [ -e "$place/hold" ]; do sleep 0.05; done
{agent} "$@"
code=$?
echo "$$ end $BOTTLEPOST_TURN" >> "$place/runs"
exit $code
"""
#: Read by every Python that has its directory on the path: our clock goes with that of the world.
_CLOCK = """import os, time
_real, _ahead = time.time, float(os.environ["TEST_CLOCK_AHEAD"])
time.time = lambda: _real() + _ahead
"""


class Bot:
    """One config, one state directory.  `token` is that of the account `bot`."""

    def __init__(self, directory: Path, world: World, url: str) -> None:
        self.directory, self.world, self.url = directory, world, url
        self.token = world.token("bot", scopes="read:user,write:issue,write:repository")
        self.secrets: list[str] = []
        self.environ: dict[str, str] = {}
        self.ahead = 0
        self.database: Path | str = directory / "state" / "bottlepost.db"
        self.started: list[Running] = []
        self._hold = directory / "hold"
        self.config: dict[str, Any] = {
            "gitea": {"url": url, "token": "${GITEA_TOKEN}"},
            "repos": ["acme/api"],
            "state": "state",
            "poll": {"start": "24h"},
            "trust": {"who": "collaborators", "forks": "never"},
            "agents": {"reviewer": {"backend": "process", "checkout": False}},
        }
        self._install()

    def _install(self) -> None:
        agent = installing.install(self.directory / "agent")
        gate = self.directory / "bin" / "claude"
        gate.parent.mkdir()
        gate.write_text(_GATE.format(here=shlex.quote(str(self.directory)), agent=shlex.quote(str(agent))))
        gate.chmod(0o755)
        clock = self.directory / "clock" / "sitecustomize.py"
        clock.parent.mkdir()
        clock.write_text(_CLOCK)

    # -- its house -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def forge(self) -> str:
        """As keys name it."""
        return self.url.removeprefix("http://")

    def key(self, pull: Pull) -> str:
        return f"{self.forge}/{pull.repo.full_name}#{pull.number}"

    def configure(self, **changes: Any) -> Bot:
        """Change keys at the top of the config; mappings are merged, one level deep."""
        for name, value in changes.items():
            known = self.config.get(name)
            self.config[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
        return self

    def share(self, url: str, *, host: str) -> Bot:
        """Its database is one that other machines use too, and this one has a name of its own."""
        self.database = url
        self.secrets.append(url.partition("://")[2].partition("@")[0].partition(":")[2])
        self.environ |= {"SHARED_DATABASE": url, "BOTTLEPOST_HOST": host}
        return self.configure(database="${SHARED_DATABASE}")

    def agent(self, **changes: Any) -> Bot:
        """Change the one agent."""
        self.config["agents"]["reviewer"] |= changes
        return self

    def environment(self) -> dict[str, str]:
        """A cron's: next to nothing."""
        path = [str(ROOT), *([str(self.directory / "clock")] if self.ahead else [])]
        return {
            "PATH": f"{self.directory}/bin:{os.defpath}",
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join(path),
            "PYTHONWARNINGS": "default::ResourceWarning",
            "TEST_CLOCK_AHEAD": str(self.ahead),
            "GITEA_TOKEN": self.token,
        } | self.environ

    # -- its calls -----------------------------------------------------------------------------------------------

    def start(self, *args: str, module: str = "poller") -> Running:
        """`poll …` in the background."""
        (self.directory / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        output = self.directory / f"call-{len(self.started)}"
        running = Running(module, args, output=output, environ=self.environment())
        self.started.append(running)
        return running

    def poll(self, *args: str, code: int | None = 0) -> Ran:
        """`poll …` to its end."""
        return self.start(*args).finish(code=code)

    def bottle(self, *args: str, code: int | None = 0) -> Ran:
        return self.start(*args, module="sessions").finish(code=code)

    def once(self, *args: str, code: int | None = 0) -> Ran:
        """`poll --once …` to its end."""
        return self.poll("--once", *args, code=code)

    def tally(self, *args: str, code: int | None = 0) -> dict[str, Any]:
        """What one `poll --once --format json` says that it did."""
        said: dict[str, Any] = self.once(*args, "--format", "json", code=code).json
        return said

    def events(self, pull: Pull | None = None) -> list[dict[str, Any]]:
        """The event log, oldest first."""
        with self._memory() as conn:
            return [event.as_dict() for event in eventlog.event_log(conn, key=self.key(pull) if pull else None)]

    def kinds(self, pull: Pull | None = None, *, own: bool = False) -> list[str]:
        """`pull_request_comment created` …, without the bot's own acts."""
        heard = [one for one in self.events(pull) if own or (one["actor"] or {}).get("login") != "bot"]
        return [f"{one['event']} {one['action']}" for one in heard]

    def turns(self, pull: Pull | None = None) -> list[dict[str, Any]]:
        """The turns, oldest first."""
        with self._memory() as conn:
            return [showing.turn_row(turn) for turn in registry.turns(conn, key=self.key(pull) if pull else None)]

    def sessions(self, *, put_away: bool = False) -> list[dict[str, Any]]:
        """The live sessions; with `put_away` the others too."""
        with self._memory() as conn:
            found = registry.sessions(conn, all=put_away)
        return [showing.session_row(one, root=self.state, now=time.time()) for one in found]

    @contextlib.contextmanager
    def _memory(self) -> Iterator[sa.Connection]:
        engine = open_database(self.database, COMPONENTS)
        try:
            with reading(engine) as conn:
                yield conn
        finally:
            engine.dispose()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Straight from the database, or into it."""
        with contextlib.closing(sqlite3.connect(self.state / "bottlepost.db")) as database, database:
            return database.execute(sql).fetchall()

    def verdicts(self) -> list[tuple[str, str]]:
        """What the events were to become, with the reason: (verdict, reason), oldest first."""
        asked = "SELECT verdict, reason FROM decision JOIN event ON event.id = event_id ORDER BY event.seq, agent"
        return [(verdict, reason) for verdict, reason in self.query(asked)]

    # -- what it does --------------------------------------------------------------------------------------------

    def comments(self, pull: Pull) -> list[str]:
        """What it has said on a pull."""
        return [row.body for row in pull.comments if row.user.login == "bot"]

    def prompts(self, identity: str) -> list[str]:
        """What the agent in a bottle was told, launch by launch."""
        turns = self.state / "state" / identity / "turns"
        return [path.read_text() for path in sorted(turns.glob("*/prompt.md"), key=lambda path: path.stat().st_mtime)]

    def hold(self) -> None:
        """Agents that start from now on wait before they say a word."""
        self._hold.touch()

    def let_go(self) -> None:
        self._hold.unlink(missing_ok=True)

    def runs(self) -> list[tuple[int, str, str]]:
        """(pid, begin or end, bottle/turn) of the agent's runs, in the order of time."""
        path = self.directory / "runs"
        rows = [line.split(" ", 2) for line in path.read_text().splitlines()] if path.exists() else []
        return [(int(pid), what, turn) for pid, what, turn in rows]

    def begun(self, number: int = 1) -> bool:
        """Have so many runs of the agent begun?"""
        return sum(what == "begin" for _, what, _ in self.runs()) >= number

    def wait_for_run(self, number: int = 1) -> None:
        until(lambda: self.begun(number), "the agent runs")

    def at_once(self) -> tuple[int, int]:
        """The largest number of runs at the same time: of all, and of one bottle."""
        now: list[str] = []
        most = most_of_one = 0
        for _, what, turn in self.runs():
            bottle = turn.partition("/")[0]
            (now.append if what == "begin" else now.remove)(bottle)
            most, most_of_one = max(most, len(now)), max([most_of_one, *map(now.count, now)])
        return most, most_of_one

    def agents_alive(self) -> list[int]:
        """Runs of the agent that have not ended."""
        begun = {pid for pid, what, _ in self.runs() if what == "begin"}
        return [pid for pid in begun if self._is_ours(pid)]

    def kill_group(self, keeper: int) -> None:
        """`kill -9` to a run and all that belongs to it."""
        assert self._is_ours(keeper)
        os.killpg(keeper, signal.SIGKILL)
        until(lambda: not self._is_ours(keeper), "the run is dead")

    def pass_time(self, seconds: int) -> None:
        """For the forge and for every process that starts from now on."""
        self.world.clock.advance(seconds=seconds)
        self.ahead += seconds

    # -- the end -------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """End what runs, then see that nothing was told that must not be."""
        self.let_go()
        for running in self.started:
            if running.process.poll() is None:
                running.kill()
        until(lambda: not self.agents_alive(), "the agents have ended")
        secrets = [*self.world.tokens, *self.secrets]
        for path in self.directory.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert not any(secret.encode() in content for secret in secrets), f"a token is in {path}"
        for running in self.started:
            for word in _NEVER:
                assert word not in running.err, f"{running.args}:\n{running.err}"

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
