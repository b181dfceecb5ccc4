"""From a comment to a running agent, and a whole turn beside a bare `claude -p`.

A turn begins with a last look at its pull and ends when its answer arrives: the stand-in Gitea sees both.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from poller.demo import installing
from poller.demo.pulls import Pull
from sessions.bottles.process import find_claude
from tests.benchmarks.stage import Row, Run, Stage, ratio, run, shown
from tests.model.server import Model

_AGENT = "{{reviewer: {{on: [mentioned], backend: process, checkout: false, env: [{names}]}}}}"
_PATIENCE = 60.0


def rows(directory: Path, *, rounds: int) -> Iterator[Row]:
    yield from _latency(directory / "latency", rounds=rounds)
    claude = find_claude(os.environ.get("PATH"))
    if claude is None:
        yield Row(
            "a whole turn", "skipped", "no claude: pip install '.[claude]' in bottlepost's checkout", aim="≤ 1.15"
        )
        return
    yield from _whole_turns(directory / "turns", claude, rounds=rounds)


# -- from a comment to a running agent ------------------------------------------------------------------------------


def _latency(directory: Path, *, rounds: int) -> Iterator[Row]:
    started = directory / "started"
    with Stage(
        directory,
        repos=2 * rounds,
        agents=_AGENT.format(names="STARTED"),
        env={"PATH": f"{_noting_agent(directory)}{os.pathsep}{os.environ['PATH']}", "STARTED": str(started)},
    ) as stage:
        stage.settle()
        by_cron, by_daemon = [], []
        for pull in stage.pulls[:rounds]:
            asked = time.time()
            pull.comment("@bot hello", by="ana")
            stage.poll().result  # noqa: B018  raises if the call went wrong
            by_cron.append(_starts(started)[-1] - asked)
        with _daemon(stage):
            time.sleep(3)
            for nth, pull in enumerate(stage.pulls[rounds:]):
                asked = time.time()
                pull.comment("@bot hello", by="ana")
                by_daemon.append(_wait_for_start(started, rounds + nth + 1) - asked)
                time.sleep(0.37)  # out of step with the daemon's second
    yield Row("comment → agent started, by `poll --once`", shown(by_cron))
    yield Row("comment → agent started, by `poll` (every: 1s)", shown(by_daemon))


def _noting_agent(directory: Path) -> Path:
    """A directory with a `claude` that writes down when it starts, and is then the scripted agent."""
    scripted = installing.install(directory / "scripted")
    noting = directory / "noting" / "claude"
    noting.parent.mkdir(parents=True)
    noting.write_text(f'#!/bin/sh\ndate +%s.%N >> "$STARTED"\nexec {shlex.quote(str(scripted))} "$@"\n')
    noting.chmod(0o755)
    return noting.parent


def _starts(started: Path) -> list[float]:
    return [float(line) for line in started.read_text().split()] if started.exists() else []


def _wait_for_start(started: Path, number: int) -> float:
    deadline = time.monotonic() + _PATIENCE
    while len(found := _starts(started)) < number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the agent did not start within {_PATIENCE:.0f} s")
        time.sleep(0.01)
    return found[number - 1]


@contextlib.contextmanager
def _daemon(stage: Stage) -> Iterator[None]:
    argv = [sys.executable, "-m", "poller", "--config", str(stage.config)]
    with (
        (stage.directory / "daemon.log").open("wb") as log,
        subprocess.Popen(argv, env=stage.env, stderr=log) as daemon,
    ):
        try:
            yield
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(_PATIENCE)


# -- a whole turn ----------------------------------------------------------------------------------------------------


def _whole_turns(directory: Path, claude: str, *, rounds: int) -> Iterator[Row]:
    ours: dict[str, list[float]] = {"fresh": [], "resumed": []}
    bare: dict[str, list[float]] = {"fresh": [], "resumed": []}
    calls: list[float] = []
    with Model() as model:
        agents = _AGENT.format(names=", ".join(model.environ))
        with Stage(directory, repos=rounds, agents=agents, env=model.environ) as stage:
            stage.settle()
            for nth, pull in enumerate(stage.pulls):
                alone: _Bare | None = None
                for what, flag in (("fresh", "--session-id"), ("resumed", "--resume")):
                    call, seconds = turn(stage, pull)
                    calls.append(call.seconds)
                    ours[what].append(seconds)
                    alone = alone or _Bare(stage, claude, directory / f"bare-{nth}", model)
                    bare[what].append(alone.run(flag).seconds)
    for what, mine in ours.items():
        beside = f"bare `claude -p` {shown(bare[what])}"
        yield Row(f"a whole {what} turn, from start to answer", shown(mine), beside, ratio(mine, bare[what]), "≤ 1.15")
    yield Row("`poll --once` with one turn, all in all", shown(calls))


def turn(stage: Stage, pull: Pull) -> tuple[Run, float]:
    """A call in which one turn is run; and the seconds from the turn's last look at the pull until its answer comes."""
    stage.world.reset_requests()
    pull.comment("@bot please have a look", by="ana")
    done = stage.poll()
    if done.result["turns"]["done"] != 1 or done.result["posted"] != 1:
        raise RuntimeError(f"no turn was done: {done.out}{done.err[-2000:]}")
    looks = [
        moment
        for request, moment in zip(stage.requests, stage.requests.moments, strict=True)
        if request.method == "GET" and request.path == f"/repos/{pull.repo.full_name}/pulls/{pull.number}"
    ]
    posted = next(
        moment
        for request, moment in zip(stage.requests, stage.requests.moments, strict=True)
        if request.method == "POST" and request.path.endswith(f"/issues/{pull.number}/comments")
    )
    return done, posted - max(moment for moment in looks if moment < posted)


class _Bare:
    """The call that the last turn made, once more, by nobody: same arguments, same words, a home of its own."""

    def __init__(self, stage: Stage, claude: str, home: Path, model: Model) -> None:
        home.mkdir()
        last = max(stage.state.glob("state/*/turns/*/argv.json"), key=lambda path: path.stat().st_mtime_ns)
        argv: list[str] = json.loads(last.read_text())
        self.prompt = (last.parent / "prompt.md").read_text()
        self.claude, self.home, self.id = claude, home, str(uuid.uuid4())
        at = next(nth for nth, word in enumerate(argv) if word in ("--session-id", "--resume"))
        self.before, self.after = argv[1:at], argv[at + 2 :]
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "IS_SANDBOX": "1",
            **model.environ,
        }

    def run(self, how: str) -> Run:
        argv = [self.claude, *self.before, how, self.id, *self.after]
        done = run(argv, env=self.env, stdin=self.prompt, cwd=self.home)
        if done.exit:
            raise RuntimeError(f"bare claude: exit {done.exit}: {done.out[-1000:]}{done.err[-1000:]}")
        return done
