"""`bottle build` and `bottle commit` as a person calls them, and what doctor says of an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from poller.checks.engine import containers
from sessions import state
from sessions.bottles import engine, images
from sessions.config import Agent
from tests.fixtures_engine import BASE

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[3]
CONFIG = """
state: state
agents:
  boxed: {{backend: docker, image: {image}, network: none, env: [], read_only: {read_only}}}
  plain: {{backend: process, env: []}}
"""


class Caller:
    def __init__(self, place: Path, environ: dict[str, str]) -> None:
        self.place, self.environ = place, environ | {"PYTHONPATH": str(ROOT)}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-W", "error", "-m", "sessions", *words]
        return subprocess.run(argv, cwd=self.place, env=self.environ, capture_output=True, text=True, timeout=110)


@pytest.fixture
def bottle(
    tmp_path: Path, docker_environ: dict[str, str], scripted_environ: dict[str, str], scripted_image: str
) -> Caller:
    (tmp_path / "config.yaml").write_text(CONFIG.format(image=scripted_image, read_only="false"))
    return Caller(tmp_path, scripted_environ | docker_environ)


@pytest.mark.claude
def test_built_image_has_the_binary_of_the_wheel(
    bottle: Caller, docker_environ: dict[str, str], claude_binary: str
) -> None:
    """And its version is told, so that everybody sees which one runs."""
    tag = f"bottlepost-test/built:{os.getpid()}"
    built = bottle("build", "--base", BASE, "--tag", tag)
    try:
        assert (built.returncode, built.stdout) == (0, f"{tag}\n"), built.stderr
        assert "claude in it: " in built.stderr and "_bundled/claude" in built.stderr
        version = images.version_in(docker_environ, tag)
        with engine.connected(docker_environ) as client:
            found = client.containers.run(
                tag, ["claude", "--version"], remove=True, user="4321:4321", network_mode="none"
            )
            assert client.images.get(tag).attrs["Config"]["User"] == "1000:1000"
        assert found.decode().split()[0] == version
        agents = {"a": Agent(backend="docker", image=tag), "b": Agent(backend="docker", image="nobody/has-this:1")}
        checks = {
            (check.status, check.found.split(",")[0]): check for check in containers(Path(), agents, docker_environ)
        }
        assert checks[("ok", tag)].found == f"{tag}, claude {version}"
        missing = checks[("fail", "the image nobody/has-this:1 is not on this engine")]
        assert missing.mend.startswith("docker pull nobody/has-this:1")
    finally:
        with engine.connected(docker_environ) as client:
            client.images.remove(tag, force=True)


def test_build_that_fails_is_one_line(bottle: Caller) -> None:
    failed = bottle("build", "--base", "nobody/has-this:1", "--tag", "bottlepost-test/never:1")
    assert failed.returncode == 1 and failed.stdout == ""
    assert failed.stderr.splitlines()[-1].startswith("bottle: the ")
    assert "Traceback" not in failed.stderr


def test_committed_bottle_boots_what_was_frozen(bottle: Caller, docker_environ: dict[str, str]) -> None:
    import json

    said = json.loads(bottle("run", "boxed", "hello").stdout)
    identity = said["identity"]
    committed = bottle("commit", identity)
    assert (committed.returncode, committed.stdout) == (0, f"bottlepost/{identity}:frozen\n"), committed.stderr
    again = bottle("run-resume", identity, "--claude-session", said["session_id"], "and again")
    assert json.loads(again.stdout)["result"].endswith("I remember 1 earlier message.")
    shown = json.loads(bottle("show", identity, "--format", "json").stdout)
    assert (shown["backend"], shown["cwd"]) == ("docker", "/home/node/work")
    assert bottle("cleanup", identity, "--yes").stdout.endswith(f"removed: {identity}\n")
    with engine.connected(docker_environ) as client:
        assert not client.images.list(name=f"bottlepost/{identity}")
        assert not client.containers.list(all=True, filters={"label": f"{engine.IDENTITY}={identity}"})
    assert not state.bottle(bottle.place / "state", identity).exists()


def test_bottle_that_keeps_no_container_is_frozen_as_it_boots(bottle: Caller, docker_environ: dict[str, str]) -> None:
    import json

    config = bottle.place / "config.yaml"
    config.write_text(config.read_text().replace("read_only: false", "read_only: true"))
    identity = json.loads(bottle("run", "boxed", "hello").stdout)["identity"]
    committed = bottle("commit", identity)
    assert (committed.returncode, committed.stdout) == (0, f"bottlepost/{identity}:frozen\n"), committed.stderr
    assert "with `read_only: false` what it installs is frozen, too" in committed.stderr
    assert bottle("cleanup", identity, "--yes").returncode == 0


def test_what_cannot_be_frozen_is_said(bottle: Caller) -> None:
    import json

    plain = json.loads(bottle("run", "plain", "hello").stdout)["identity"]
    refused = bottle("commit", plain)
    assert refused.returncode == 2 and f"bottle {plain} is no container but a process" in refused.stderr
    assert bottle("commit", "boxed-00000").returncode == 2
    assert bottle("build", plain).stderr.startswith(f"bottle: bottle {plain} has no Dockerfile of its own; write ")
