"""A stand-in Gitea full of repositories, a config that watches them, and runs of `poll` as its users start it."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from poller.demo.pulls import Pull
from poller.demo.world import Request, World

DAY = 86400
Watch = Literal["named one by one", "as owner/*"]
_CONFIG = """
gitea: {{url: "{url}", token: "${{GITEA_TOKEN}}"}}
repos:
{repos}
state: {state}
poll: {{every: 1s, sweep: 10m, overlap: {overlap}, start: now}}
trust: {{who: [ana], forks: never}}
limits: {{parallel: 2}}
agents: {agents}
"""
#: What a script does that makes the one request of an idle cycle and nothing else.
_BARE = """
import httpx, sys
answer = httpx.get(sys.argv[1], headers={"Authorization": "token " + sys.argv[2]})
answer.raise_for_status()
answer.json()
"""
#: Runs `poll` in an interpreter that writes its peak of resident memory (kB) before it ends.  `ru_maxrss` would not do:
#: a child inherits it from whoever forked it.
_WATCHED = """
import atexit, pathlib, runpy, sys
out = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: out.write_text(pathlib.Path("/proc/self/status").read_text()))
sys.argv[0] = "poll"
runpy.run_module("poller", run_name="__main__", alter_sys=True)
"""


class Run(NamedTuple):
    """One process: seconds on the wall, exit code, output."""

    seconds: float
    exit: int
    out: str
    err: str

    @property
    def lines(self) -> int:
        return self.out.count("\n")

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object in the last line."""
        if self.exit not in (0, 1) or not self.out.strip():
            raise RuntimeError(f"exit {self.exit}: {self.err[-2000:]}")
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


def run(argv: list[str], *, env: Mapping[str, str], stdin: str = "", cwd: Path | None = None) -> Run:
    began = time.perf_counter()
    done = subprocess.run(argv, env=dict(env), input=stdin, capture_output=True, text=True, cwd=cwd)
    return Run(time.perf_counter() - began, done.returncode, done.stdout, done.stderr)


class Stamped(list[Request]):
    """The world's log of requests, with the moment (seconds, as `time.perf_counter`) of each."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def append(self, request: Request) -> None:
        self.moments.append(time.perf_counter())
        super().append(request)

    def clear(self) -> None:
        self.moments.clear()
        super().clear()


class Stage:
    """Use as a context manager.  Every repository has an old pull request of ana's; nothing has moved for a day."""

    def __init__(
        self,
        directory: Path,
        *,
        repos: int,
        watch: Watch = "named one by one",
        agents: str = "{}",
        overlap: str = "300s",
        env: Mapping[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.world = World()
        self.world.requests = self.requests = Stamped()
        self.world.clock.advance(seconds=-2 * DAY)
        rights = {"bot": "write", "ana": "write"}
        self.pulls = [self.world.repo(f"acme/r{n:05}", collaborators=rights).open_pull(by="ana") for n in range(repos)]
        self.world.clock.advance(seconds=DAY)
        # The newest change is alone: the overlap of the cursor then reaches nothing else.
        self.pulls[0].comment("long ago", by="ana")
        self.world.clock.advance(seconds=DAY)
        self.token = self.world.token("bot", scopes="read:user,write:issue,write:repository")
        self.server = self.world.serve()
        self.directory, self.state = directory, directory / "state"
        self.forge = self.server.url.removeprefix("http://")
        names = [pull.repo.full_name for pull in self.pulls] if watch == "named one by one" else ["acme/*"]
        self.config = directory / "config.yaml"
        self.config.write_text(
            _CONFIG.format(
                url=self.server.url,
                repos="\n".join(f"  - {name}" for name in names),
                state=self.state,
                agents=agents,
                overlap=overlap,
            )
        )
        self.env = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
            "GITEA_TOKEN": self.token,
            **(env or {}),
        }

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()

    def poll(self, *options: str) -> Run:
        """`poll --once`, in JSON."""
        return run([sys.executable, "-m", "poller", *self._options(*options)], env=self.env)

    def settle(self) -> int:
        """Poll until nothing is left to be read; how many calls that took."""
        for nth in range(1, 11):
            result = self.poll().result
            if result["requests"] == 1 and not result["pulls_changed"]:
                return nth
        raise RuntimeError(f"not idle after 10 calls: {result}")

    def bare(self) -> Run:
        """The request of the last idle cycle again, by a script that does nothing else."""
        with self.world.mutex:
            request = next(one for one in reversed(self.world.requests) if one.path == "/repos/issues/search")
        url = f"{self.server.url}/api/v1{request.path}?{request.query}"
        done = run([sys.executable, "-c", _BARE, url, self.token], env=self.env)
        if done.exit:
            raise RuntimeError(done.err)
        return done

    def verb(self, *words: str) -> Run:
        """`poll …`, which must go well."""
        done = run([sys.executable, "-m", "poller", *words, "--config", str(self.config)], env=self.env)
        if done.exit:
            raise RuntimeError(done.err)
        return done

    def peak(self) -> float:
        """Megabytes of resident memory that an idle `poll --once` needs at most."""
        return self.watched()[1]

    def watched(self) -> tuple[Run, float]:
        """`poll --once`, and the megabytes of resident memory that it needed at most."""
        status = self.directory / "status"
        done = run([sys.executable, "-c", _WATCHED, str(status), *self._options()], env=self.env)
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text() if status.exists() else "")
        if done.exit or found is None:
            raise RuntimeError(done.err)
        return done, int(found[1]) / 1024

    def requests_for(self, act: Any, *pulls: Pull) -> list[str]:
        """Requests, without searches, that the next call makes after `act` was done to each of the pulls."""
        for pull in pulls:
            act(pull)
        self.world.reset_requests()
        self.poll().result  # noqa: B018  raises if the call went wrong
        return [f"{one.method} {one.path}" for one in self.world.requests if one.path != "/repos/issues/search"]

    def _options(self, *more: str) -> list[str]:
        return ["--once", "--config", str(self.config), "--format", "json", *more]


def shown(seconds: Sequence[float]) -> str:
    """Median and best in milliseconds: on a busy machine the best says more."""
    return f"{1000 * statistics.median(seconds):.0f} ms (best {1000 * min(seconds):.0f})"


def ratio(seconds: Sequence[float], beside: Sequence[float]) -> str:
    """Of the medians and of the bests."""
    medians = statistics.median(seconds) / statistics.median(beside)
    return f"{medians:.2f} (best {min(seconds) / min(beside):.2f})"


class Row(NamedTuple):
    """One line of the table."""

    what: str
    found: str
    beside: str = ""
    ratio: str = ""
    aim: str = ""
