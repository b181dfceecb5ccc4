"""Somebody who calls `bottle` in a directory with a config and a state: from a script, or at a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessions import registry, tables
from sessions.database import begin, open_database, reading
from sessions.turns import Turn
from tests.sessions.sitting import Sitting

ROOT = Path(__file__).parents[2]
CONFIG = """
gitea: {url: https://gitea.example.com, token: x}
repos: [acme/api]
state: ./state-root
agents:
  reviewer: {backend: process, env: [DEMO_AGENT, ANTHROPIC_API_KEY], model: opus}
  boxed: {backend: docker, image: "nobody/none:1"}
"""


class Desk:
    """A directory with a config and a state, and somebody who calls `bottle` there."""

    def __init__(self, place: Path, environ: dict[str, str]) -> None:
        self.place, self.environ = place, {**environ, "PYTHONPATH": str(ROOT)}
        self.root = place / "state-root"
        (place / "config.yaml").write_text(CONFIG)

    def call(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "sessions", *words], cwd=cwd or self.place, env=self.environ,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def sit(self, *words: str, cwd: Path | None = None) -> Sitting:
        argv = [sys.executable, "-W", "error", "-m", "sessions", *words]
        return Sitting(argv, cwd=cwd or self.place, environ=self.environ)

    def run(self, task: str = "the colour is teal", agent: str = "reviewer") -> dict[str, Any]:
        done = self.call("run", agent, task)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def row(self) -> dict[str, Any]:
        (found,) = json.loads(self.call("list", "--format", "json").stdout)
        return dict(found)

    def turns(self) -> list[Turn]:
        engine = open_database(self.root / "bottlepost.db", [tables.COMPONENT])
        try:
            with reading(engine) as conn:
                return registry.turns(conn)
        finally:
            engine.dispose()

    def write(self, do: Callable[[Any], Any]) -> Any:
        engine = open_database(self.root / "bottlepost.db", [tables.COMPONENT])
        try:
            with begin(engine) as conn:
                return do(conn)
        finally:
            engine.dispose()
