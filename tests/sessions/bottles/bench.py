"""One bottle of any kind with the scripted agent in it, and callers of it that can be killed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from sessions import claude, processes, runs, state
from sessions.bottles import Bottle, Sight, bottle_for, cwd_of, engine, holdings
from sessions.bottles.process import MARKER
from sessions.boxing import Runner
from sessions.config import Agent, AgentLimits
from sessions.turns import Launch, Outcome
from tests.sessions.stage import eventually

REPOSITORY = Path(__file__).parents[3]
KINDS = ("process", "command", "docker")
SESSION = "0f0e0d0c-1111-4222-8333-444455556666"


class Plan(msgspec.Struct, frozen=True):
    """All that another process needs to have the same bench."""

    kind: str
    root: str
    identity: str
    environ: dict[str, str]
    image: str


class Bench:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.root = plan, Path(plan.root)
        self.place = state.bottle(self.root, plan.identity)
        self.agent = _agent(plan)
        self.bottle: Bottle = bottle_for(plan.kind, environ=plan.environ)
        self.environ: Mapping[str, str] = plan.environ

    # -- launches ------------------------------------------------------------------------------------------------

    def launch(self, number: int = 1, prompt: str = "hello", *, mode: str = "fresh", **env: str) -> Launch:
        """A launch as the runner writes it down, ready to start."""
        cwd = cwd_of(self.plan.kind)
        identity = self.plan.identity
        metadata = state.metadata(identity=identity, agent="reviewer", cwd=cwd, backend=self.plan.kind, now=1.0)
        state.prepare(self.place, metadata)
        argv = claude.arguments(mode=mode, claude_session=SESSION)  # type: ignore[arg-type]
        state.new_turn_directory(self.place, str(number), prompt=prompt, argv=("claude", *argv))
        return msgspec.structs.replace(self.known(number), argv=argv, env=env, mode=mode)

    def known(self, number: int = 1) -> Launch:
        """The same launch as somebody else knows it."""
        return Launch(
            identity=self.plan.identity,
            bottle=self.place,
            directory=self.place / "turns" / str(number),
            cwd=cwd_of(self.plan.kind),
            claude_session=SESSION,
            key="forge.example.com/acme/api#7",
            agent="reviewer",
            settings=self.agent,
        )

    def becomes(self, script: str) -> None:
        """This shell script is `claude` in the bottle."""
        if self.plan.kind != "docker":
            Path(self.plan.environ["PATH"].split(os.pathsep)[0], "claude").write_text(f"#!/bin/sh\n{script}\n")
            return
        self.place.mkdir(parents=True, exist_ok=True)
        told = shlex.join(["#!/bin/sh", *script.splitlines()])
        lines = (f"FROM {self.plan.image}", "USER 0", f"RUN printf '%s\\n' {told} > /usr/local/bin/claude")
        (self.place / "Dockerfile").write_text("\n".join(lines) + "\n")

    # -- looking -------------------------------------------------------------------------------------------------

    def heard(self) -> int:
        """How many messages the agent has taken in, in the conversation's own file."""
        path = state.config_dir(self.place) / "projects" / "pr" / f"{SESSION}.jsonl"
        return path.read_text().count('"type": "user"') if path.exists() else 0

    def until_it_works(self, launch: Launch, messages: int = 1) -> None:
        eventually(lambda: self.heard() >= messages and self.bottle.look(launch).state == "running", seconds=60)

    def until_ended(self, launch: Launch, seconds: float = 60.0) -> Sight:
        deadline = time.monotonic() + seconds
        while (sight := self.bottle.look(launch)).state in ("running", "not started"):
            assert time.monotonic() < deadline, f"it is still {sight.state}"
            self.bottle.wait(launch, 1.0)
        return sight

    def collect(self, launch: Launch) -> Outcome:
        """What a worker makes of it, in a worker's order."""
        self.bottle.sweep(launch)
        sight = self.bottle.look(launch)
        out, err = runs.output(launch)
        self.bottle.clear(launch)
        return claude.read(out, err, exit=sight.exit, ended="" if sight.state == "ended" else "cut off")

    def cut_off(self, launch: Launch) -> None:
        """As a power cut would, or a person who removes what is not his."""
        if self.plan.kind == "docker":
            with engine.connected(self.environ) as client:
                client.containers.get(f"bottlepost-{launch.identity}-{launch.directory.name}").remove(force=True)
            return
        for pid in processes.marked(MARKER, f"{launch.identity}/{launch.directory.name}"):
            os.kill(pid, signal.SIGKILL)

    def alive(self) -> list[str]:
        """Everything of this bottle that runs on this machine."""
        found = [
            str(pid)
            for launch in (self.place / "turns").glob("*")
            for pid in processes.marked(MARKER, f"{self.plan.identity}/{launch.name}")
        ]
        if self.plan.kind == "docker":
            found += [one.id for one in self.held() if one.running and self._lives(one)]
        return found

    def _lives(self, one: holdings.Held) -> bool:
        """The engine takes a while to put away what has ended, and calls it running as long."""
        with engine.connected(self.environ) as client:
            found = client.containers.list(all=True, filters={"id": one.id}, ignore_removed=True)
            return any(processes.start_of(int(each.attrs["State"]["Pid"])) is not None for each in found)

    def held(self) -> list[holdings.Held]:
        return [one for one in holdings.held(self.environ, self.root) if one.identity == self.plan.identity]

    # -- callers that are killed ---------------------------------------------------------------------------------

    def caller(self, what: str, number: int = 1, **more: Any) -> subprocess.Popen[str]:
        """Another process that calls the bottle; it says "called" when the call came back, and then stays."""
        words = [msgspec.json.encode(part).decode() for part in (self.plan, {"what": what, "number": number, **more})]
        argv = [sys.executable, "-m", "tests.sessions.bottles.caller", *words]
        environ = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen(argv, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, text=True)

    def call_and_kill(self, what: str, number: int = 1, **more: Any) -> None:
        """The call is done, and the caller is gone before it could do anything else."""
        with self.caller(what, number, **more) as caller:
            assert caller.stdout is not None
            said = caller.stdout.readline()
            caller.kill()
        assert said == "called\n", said


def _agent(plan: Plan) -> Agent:
    limits = AgentLimits(memory="512m", pids=64)
    mine = ("env", "CLAUDE_CONFIG_DIR={transcript}", "CLAUDE_CODE_PROJECT_DIR_NAME=pr", "IS_SANDBOX=1")
    runner = Runner(
        start=(*mine, "claude", "{args}"),
        resume=(*mine, "RESUMED={session}", "claude", "{args}"),
        stop=("sh", "-c", "touch {directory}/told; kill -s INT -- -$(cut -d ' ' -f 1 {directory}/pid)"),
        cleanup=("touch", f"{plan.root}/cleaned-{{identity}}"),
    )
    return Agent(
        backend=plan.kind,  # type: ignore[arg-type]
        image=plan.image,
        network="none",
        command=runner if plan.kind == "command" else Runner(),
        # Limits of memory are for containers here: the process's own test sets them.
        limits=limits if plan.kind == "docker" else AgentLimits(),
    )
