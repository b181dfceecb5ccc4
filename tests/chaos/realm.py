"""One world under fire: a forge, a bot in its directory, and calls of `poll` that are started and killed.

Knows the config, the agents and who of them runs.  Must not know when somebody is killed, or what is owed in the end.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import shlex
import signal
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
import yaml

from poller import tables
from poller.app import COMPONENTS
from poller.demo import agent as scripted_agent
from poller.demo.pulls import Pull
from poller.demo.world import World
from sessions import processes
from sessions import tables as session_tables
from sessions.database import begin, open_database
from tests.chaos import agent as chaos_agent
from tests.chaos.nursery import CLOCK, ROOT, Child, Nursery
from tests.chaos.works import WORKS

#: Stands before every agent: two of one bottle at the same time are noticed, whoever started them.
GATE = """#!/bin/sh
exec 9>> "$CLAUDE_CONFIG_DIR/.alone"
flock -n 9 || echo "$BOTTLEPOST_TURN" >> "$CLAUDE_CONFIG_DIR/.twice"
exec {agent} "$@"
"""
MARKER = b"BOTTLEPOST_TURN="
TOKEN = "tok-"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a world is like.  `database`: a URL, "" = SQLite; `environ`: what leads to an engine or a model."""

    backend: str = "process"
    database: str = ""
    image: str = ""
    claude: str = ""
    environ: Mapping[str, str] = {}
    #: How long an agent takes at most.
    seconds: float = 0.4
    pulls: int = 5
    #: State directories that share the database, each on a host of its own name.
    machines: int = 1
    #: What agents do: one of `WORKS`.
    work: str = "words"
    #: Of the forge.
    version: str = "1.25.4"


class Run(NamedTuple):
    """An agent at work: the turn's number, the name of its launch, its keeper and the processes below."""

    turn: int
    name: str
    keeper: int | None
    others: tuple[int, ...]


class Realm:
    """A context manager."""

    def __init__(self, directory: Path, setting: Setting, *, seed: int) -> None:
        self.directory, self.setting, self.random = directory, setting, random.Random(seed)
        self.world = World(version=setting.version)
        self.calls: list[Child] = []
        #: token → the pull on which somebody asked
        self.asked: dict[str, Pull] = {}
        self._started = 0
        self._open = contextlib.ExitStack()
        self.pulls: list[Pull] = []

    def __enter__(self) -> Realm:
        self.directory.mkdir(parents=True, exist_ok=True)
        world = self.world
        world.org("acme", owners=["olga"])
        self.repo = world.repo("acme/api", private=True, collaborators={"bot": "write", "ana": "write", "ben": "write"})
        token = world.token("bot", scopes="read:user,write:issue,write:repository")
        self.work = WORKS[self.setting.work](self.directory, world, self.repo)
        api = self._open.enter_context(world.serve()).url
        self.url = self._open.enter_context(self.work.served(api, token))
        self._install()
        self.environ = {
            "PATH": f"{self.directory}/bin:{os.defpath}",
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{ROOT}:{self.directory}/clock",
            "CHAOS_CLOCK": str(self.directory / "clock" / "ahead"),
            "CHAOS_SECONDS": str(self.setting.seconds),
            "CHAOS_WORK": self.setting.work,
            "GITEA_TOKEN": token,
            **self.setting.environ,
        }
        self.configure()
        self.nursery = self._open.enter_context(Nursery(self.environ))
        self.pulls = [self.open_pull()]
        return self

    def open_pull(self) -> Pull:
        return self.work.open_pull()

    def open_pulls(self) -> None:
        """All the others."""
        self.pulls += [self.open_pull() for _ in range(self.setting.pulls - len(self.pulls))]

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        for run in self.runs():
            for pid in (run.keeper, *run.others):
                if pid is not None:
                    processes.send([pid], signal.SIGKILL)
        self._open.close()

    def _install(self) -> None:
        """The agent, and the clock of everything that is started."""
        scripted = (sys.executable, "-I", "-S", chaos_agent.__file__, scripted_agent.__file__)
        gate = self.directory / "bin" / "claude"
        gate.parent.mkdir(parents=True, exist_ok=True)
        agent = shlex.quote(self.setting.claude) if self.setting.claude else shlex.join(scripted)
        gate.write_text(GATE.format(agent=agent))
        gate.chmod(0o755)
        clock = self.directory / "clock"
        clock.mkdir(exist_ok=True)
        (clock / "sitecustomize.py").write_text(CLOCK)
        (clock / "ahead").write_bytes(struct.pack("d", 0.0))
        self._ahead = self._open.enter_context((clock / "ahead").open("r+b"))
        self._shown = mmap.mmap(self._ahead.fileno(), 8)
        self._open.callback(self._shown.close)

    def configure(self, **changes: Any) -> None:
        """Write the config, with these keys at its top."""
        names = [
            "CHAOS_SECONDS",
            "CHAOS_WORK",
            *(name for name in self.setting.environ if name.startswith("ANTHROPIC_")),
        ]
        agent: dict[str, Any] = {"backend": self.setting.backend, "env": names, **self.work.agent}
        agent["on"] = ["opened", "synchronized", "mentioned"]
        if self.setting.backend == "docker":
            agent |= {"image": self.setting.image, "network": "none"}
        config = {
            "gitea": {"url": self.url, "token": "${GITEA_TOKEN}"},
            "repos": ["acme/api"],
            "state": "state",
            "poll": {"start": "24h", "every": "1s"},
            "trust": {"who": "collaborators", "forks": "never"},
            "limits": {"parallel": 3},
            "agents": {"reviewer": agent},
        }
        if self.setting.database:
            config["database"] = self.setting.database
        for name, state in zip(self._configs(), self.states, strict=True):
            (self.directory / name).write_text(yaml.safe_dump(config | {"state": state.name} | changes))

    def configure_agent(self, **changes: Any) -> None:
        """Other keys of the one agent."""
        path = self.directory / "config.yaml"
        config = yaml.safe_load(path.read_text())
        config["agents"]["reviewer"] |= changes
        path.write_text(yaml.safe_dump(config))

    def _configs(self) -> list[str]:
        return ["config.yaml", *(f"config-{nth}.yaml" for nth in range(2, self.setting.machines + 1))]

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def states(self) -> list[Path]:
        """One of each machine."""
        return [self.state, *(self.directory / f"state-{nth}" for nth in range(2, self.setting.machines + 1))]

    def bottle(self, identity: str) -> Path:
        """Its directory, on whichever machine it is."""
        places = [state / "state" / identity for state in self.states]
        return next((place for place in places if place.is_dir()), places[0])

    def pass_time(self, seconds: int) -> None:
        """At once, for the forge and for every process, also those that run."""
        self.world.clock.advance(seconds=seconds)
        (now,) = struct.unpack_from("d", self._shown)
        struct.pack_into("d", self._shown, 0, now + seconds)
        if self.setting.database:
            self._bring_forward(seconds)

    def _bring_forward(self, seconds: int) -> None:
        """A server has a clock of its own, by which everybody goes: what is due is due so much earlier."""
        with self.memory() as engine, begin(engine) as conn:
            for table in (session_tables.turn, tables.outbox):
                earlier = table.update().where(table.c.state == "waiting")
                conn.execute(earlier.values(not_before=table.c.not_before - seconds))

    @contextlib.contextmanager
    def memory(self) -> Iterator[sa.Engine]:
        """What the bot remembers."""
        engine = open_database(self.setting.database or self.state / "bottlepost.db", COMPONENTS)
        try:
            yield engine
        finally:
            engine.dispose()

    # -- people --------------------------------------------------------------------------------------------------

    def ask(self) -> str:
        """A question that is to be answered once."""
        return self.ask_on(self.random.choice(self.pulls))

    def ask_on(self, pull: Pull) -> str:
        token = f"{TOKEN}{len(self.asked) + 1}"
        self.asked[token] = pull
        pull.comment(f"@bot what of {token}?", by=self.random.choice(["ana", "ben"]))
        return token

    def answers(self) -> list[tuple[Pull, str]]:
        """What the bot has said, on which pull."""
        with self.world.mutex:
            return [(pull, body) for pull in self.repo.pulls.values() for body in self.work.said(pull)]

    # -- processes -----------------------------------------------------------------------------------------------

    def start(self, *args: str, environ: Mapping[str, str] | None = None, anew: bool = False) -> Child:
        """`poll …`, on any of the machines."""
        self._started += 1
        output = self.directory / f"call-{self._started}"
        if self.setting.machines > 1:
            config = self.random.choice(self._configs())
            args, environ = (*args, "--config", config), {**(environ or {}), "BOTTLEPOST_HOST": config}
        child = self.nursery.start(
            *args, output=output, anew=anew, environ=None if environ is None else {**self.environ, **environ}
        )
        self.calls.append(child)
        return child

    def once(self, *args: str, environ: Mapping[str, str] | None = None, seconds: float = 600.0) -> Child:
        """`poll --once …` to its end."""
        child = self.start("--once", "--format", "json", *args, environ=environ)
        if child.wait(seconds) is None:
            raise TimeoutError(f"poll --once does not end within {seconds:g} s: {child.err[-2000:]}")
        return child

    def living(self) -> list[Child]:
        return [child for child in self.calls if child.code is None]

    def forget_calls(self) -> None:
        """Those that have ended."""
        for child in self.calls:
            if child.code is not None:
                child.forget_output()
        self.calls = self.living()

    def kill_all(self) -> int:
        return sum([child.kill() and child.wait(30) is not None for child in self.living()])

    def runs(self) -> list[Run]:
        """Agents at work, as processes of this machine."""
        place = str(self.directory).encode()
        found: dict[str, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environ = entry.joinpath("environ").read_bytes()
            except OSError:
                continue
            if MARKER not in environ or place not in environ or processes.start_of(int(entry.name)) is None:
                continue
            name = next(each for each in environ.split(b"\0") if each.startswith(MARKER))
            found.setdefault(name.removeprefix(MARKER).decode(), []).append(int(entry.name))
        return [self._run(name, pids) for name, pids in found.items()]

    def _run(self, name: str, pids: list[int]) -> Run:
        identity, _, launch = name.partition("/")
        keeper = None
        with contextlib.suppress(OSError, ValueError, IndexError):
            keeper = int((self.bottle(identity) / "turns" / launch / "pid").read_text().split()[0])
        others = tuple(pid for pid in pids if pid != keeper)
        return Run(int(launch.partition("-")[0]), name, keeper if keeper in pids else None, others)
