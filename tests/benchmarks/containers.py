"""A whole turn in a container beside a bare `docker run … claude -p`, in one run: the same image, words and network.

Needs an engine, the docker command and the image of the tests (`bottlepost-test/base`).
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from sessions.bottles import EngineError, engine, images
from tests.benchmarks.stage import Row, Run, Stage, ratio, run, shown
from tests.benchmarks.turns import turn
from tests.fixtures_engine import BASE, REAL
from tests.model.server import Model

_AIM = "≤ 1.2"
_AGENT = (
    "{{reviewer: {{on: [mentioned], backend: docker, image: '{image}', checkout: false, env: [{names}], "
    "extra_hosts: ['model.internal:host-gateway']}}}}"
)


def rows(directory: Path, *, rounds: int) -> Iterator[Row]:
    environ = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    docker = shutil.which("docker")
    try:
        if docker is None:
            raise EngineError("no docker command")
        images.build_common(environ, base=BASE, tag=REAL, say=lambda words: None)
        with engine.connected(environ) as client:
            subnet = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"]
    except EngineError as error:
        yield Row("a whole turn in a container", "skipped", str(error), aim=_AIM)
        return
    ours: dict[str, list[float]] = {"fresh": [], "resumed": []}
    bare: dict[str, list[float]] = {"fresh": [], "resumed": []}
    with Model(host=str(ipaddress.ip_network(subnet)[1])) as model:
        env = environ | model.environ
        env["ANTHROPIC_BASE_URL"] = f"http://model.internal:{model.url.rpartition(':')[2]}"
        agents = _AGENT.format(image=REAL, names=", ".join(model.environ))
        with Stage(directory / "containers", repos=rounds, agents=agents, env=env) as stage:
            stage.settle()
            for nth, pull in enumerate(stage.pulls):
                alone: _Bare | None = None
                for what, flag in (("fresh", "--session-id"), ("resumed", "--resume")):
                    ours[what].append(turn(stage, pull)[1])
                    alone = alone or _Bare(stage, docker, directory / f"bare-container-{nth}", env)
                    bare[what].append(alone.run(flag).seconds)
    for what, mine in ours.items():
        beside = f"bare `docker run … claude -p` {shown(bare[what])}"
        title = f"a whole {what} turn in a container, from start to answer"
        yield Row(title, shown(mine), beside, ratio(mine, bare[what]), _AIM)


class _Bare:
    """The call that the last turn made, once more, by nobody: a container of the same image, unlocked."""

    def __init__(self, stage: Stage, docker: str, home: Path, env: dict[str, str]) -> None:
        (home / ".claude").mkdir(parents=True)
        for place in (home, home / ".claude"):
            place.chmod(0o777)
        last = max(stage.state.glob("state/*/turns/*/argv.json"), key=lambda path: path.stat().st_mtime_ns)
        argv: list[str] = json.loads(last.read_text())
        self.prompt = (last.parent / "prompt.md").read_text()
        self.id = str(uuid.uuid4())
        at = next(nth for nth, word in enumerate(argv) if word in ("--session-id", "--resume"))
        self.before, self.after = argv[1:at], argv[at + 2 :]
        names = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
        quiet = ("DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "CLAUDE_CODE_MAX_RETRIES=1")
        variables = [word for each in (*names, *quiet, "CLAUDE_CONFIG_DIR=/home/node/.claude") for word in ("-e", each)]
        mount = f"{(home / '.claude').absolute()}:/home/node/.claude"
        hosts = ["--add-host", "model.internal:host-gateway"]
        self.words = [docker, "run", "--rm", "-i", "--init", *variables, *hosts, "-v", mount, REAL, "claude"]
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home)} | env

    def run(self, how: str) -> Run:
        done = run([*self.words, *self.before, how, self.id, *self.after], env=self.env, stdin=self.prompt)
        if done.exit:
            raise RuntimeError(f"bare container: exit {done.exit}: {done.out[-1000:]}{done.err[-1000:]}")
        return done
