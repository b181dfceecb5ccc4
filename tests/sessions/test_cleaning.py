"""`bottle cleanup`: what could go is shown first, and nothing of anybody else's goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from poller.checks.engine import containers
from sessions import cleaning, processes, registry, state
from sessions.bottles import engine
from sessions.bottles.home import home_of
from sessions.config import Agent
from tests.sessions.desk import Desk
from tests.sessions.stage import REF, Stage, eventually


@pytest.fixture
def desk(tmp_path: Path, scripted_environ: dict[str, str]) -> Desk:
    return Desk(tmp_path, scripted_environ | {"DOCKER_HOST": "unix:///nobody.sock"})


def look(stage: Stage, *identities: str, orphans: bool = False) -> dict[str, tuple[str, str]]:
    found = cleaning.look(
        stage.engine,
        stage.state,
        identities,
        orphans=orphans,
        now=time.time(),
        environ=stage.environ,
        agents=stage.agents,
    )
    return {one.name: (one.what, one.fate) for one in found.candidates}


def test_open_one_is_preserved_a_closed_one_goes_and_a_named_one_goes_too(stage: Stage) -> None:
    """E3, E4: `.preserve` is there from before the launch; whether to remove is decided now."""
    stage.want("opened")
    stage.want("opened too", ref="other")
    stage.run()
    mine, other = stage.session().identity, stage.session(ref="other").identity
    assert state.is_preserved(state.bottle(stage.state, mine))
    stage.write(lambda conn: registry.put_away(conn, ref="other", reason="merged", now=stage.clock()))
    assert look(stage) == {mine: ("bottle", "preserved"), other: ("bottle", "remove")}
    assert look(stage, mine) == {mine: ("bottle", "remove")}


def test_nobodys_things_are_listed_on_request_and_somebody_elses_never(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    room = state.bottles(stage.state)
    (room / "reviewer-00000").mkdir()
    for name in ("README", "Some Notes", ".git", ".importing-young-x", ".removing-old-x"):
        (room / name).mkdir()
    os.utime(room / ".removing-old-x", (1, 1))
    mirrors = stage.state / "mirrors"
    for name in ("unused.git", "used.git", "not-ours"):
        (mirrors / name).mkdir(parents=True)
    (stage.bottle() / "checkout").mkdir(exist_ok=True)
    (stage.bottle() / "checkout" / "mirror").write_text("used")
    assert set(look(stage)) == {stage.session().identity}
    found = look(stage, orphans=True)
    going = {name for name, (_, fate) in found.items() if fate == "orphan"}
    assert going == {"reviewer-00000", ".removing-old-x", "unused"}
    found_ = cleaning.look(
        stage.engine, stage.state, [], orphans=True, now=time.time(), environ=stage.environ, agents=stage.agents
    ).candidates
    gone = cleaning.clean(
        stage.engine, stage.state, [one for one in found_ if one.goes], now=time.time(), environ=stage.environ,
        agents=stage.agents,
    )  # fmt: skip
    assert set(gone) == going
    assert {path.name for path in room.iterdir()} == {
        stage.session().identity, "README", "Some Notes", ".git", ".importing-young-x",
    }  # fmt: skip
    assert {path.name for path in mirrors.iterdir()} == {"used.git", "not-ours"}


def test_state_that_got_a_session_meanwhile_stays(stage: Stage) -> None:
    place = state.bottle(stage.state, "reviewer-00000")
    place.mkdir(parents=True)
    found = cleaning.look(
        stage.engine, stage.state, [], orphans=True, now=time.time(), environ={}, agents={}
    ).candidates
    stage.write(
        lambda conn: registry.add_session(
            conn, ref=REF, key="k", agent="reviewer", identity=place.name, backend="process", cwd="work", now=1.0
        )
    )
    assert cleaning.clean(stage.engine, stage.state, found, now=2.0, environ={}, agents={}) == []
    assert place.is_dir()


def test_without_yes_and_terminal_nothing_goes_and_at_one_it_is_asked(desk: Desk) -> None:
    said = desk.run()
    place = desk.root / "state" / said["identity"]
    asked = desk.call("cleanup", said["identity"])
    assert (asked.returncode, place.exists()) == (0, True)
    assert said["identity"] in asked.stdout and "say --yes" in asked.stderr
    for answer, is_there in (("n\n", True), ("y\n", False)):
        with desk.sit("cleanup", said["identity"]) as person:
            person.sees(r"remove 1\? \[y/N\]")
            person.type(answer)
            assert person.ends() == 0
        assert place.exists() is is_there


def test_engine_that_is_away_is_told_and_the_rest_is_done(desk: Desk) -> None:
    (desk.root / "state" / "reviewer-00000").mkdir(parents=True)
    done = desk.call("cleanup", "--orphans", "--yes")
    assert done.returncode == 0 and "removed: reviewer-00000" in done.stdout
    assert "containers were not looked for: the container engine at unix:///nobody.sock" in done.stderr


def test_bottle_whose_call_was_killed_with_its_agent_can_be_removed(desk: Desk) -> None:
    """Nobody polls here who would notice."""
    words = [sys.executable, "-m", "sessions", "run", "reviewer", "[agent: sleep 60]"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=desk.place, env=desk.environ, stdout=quiet, stderr=quiet) as running:
        eventually(lambda: list((desk.root / "state").glob("*/turns/1/out.jsonl")))
        (identity,) = state.identities(desk.root)
        running.kill()
    assert "running" in desk.call("cleanup", identity, "--yes").stdout, "the agent is there still"
    processes.send(processes.marked("BOTTLEPOST_TURN", f"{identity}/1"), signal.SIGKILL)
    assert f"removed: {identity}" in desk.call("cleanup", identity, "--yes").stdout
    assert state.identities(desk.root) == []


def test_help_is_there_for_whoever_never_polls(desk: Desk) -> None:
    for verb in ("", "run", "run-resume", "resume", "list", "show", "log", "export", "import", "cleanup", "commit"):
        shown = desk.call(*verb.split(), "--help")
        assert shown.returncode == 0 and "Usage: bottle" in shown.stdout


@pytest.mark.docker
def test_containers_of_nobody_go_and_others_are_not_even_listed(
    stage: Stage, docker_environ: dict[str, str], scripted_image: str, tmp_path: Path
) -> None:
    environ = {**stage.environ, **docker_environ}
    agents = {"boxed": Agent(backend="docker")}
    ours = {engine.HOME: home_of(stage.state), engine.TURN: "1"}

    def found(now: float) -> Any:
        return cleaning.look(stage.engine, stage.state, [], orphans=True, now=now, environ=environ, agents=agents)

    with engine.connected(environ) as client:
        made = [
            client.containers.create(scripted_image, entrypoint=["sleep", "1"], labels=labels)
            for labels in (ours | {engine.IDENTITY: "boxed-00000"}, ours | {engine.HOME: "other"}, {})
        ]
        try:
            assert found(time.time()).candidates == (), "too young"
            (one,) = found(time.time() + 3600).candidates
            assert (one.what, one.name, one.fate) == ("container", "boxed-00000/1", "orphan")
            copy = shutil.copytree(stage.state, tmp_path / "copy")
            theirs = cleaning.look(
                stage.engine, copy, [], orphans=True, now=time.time() + 3600, environ=environ, agents=agents
            )
            assert (
                theirs.candidates == () and f"1 with the label {engine.HOME}={home_of(stage.state)}" in theirs.trouble
            )
            checks = {check.name: check for check in containers(copy, {}, environ)}
            told = checks["docker containers"]
            assert (told.status, f"{told.found}; {told.mend}") == ("warn", theirs.trouble)
            assert "docker containers" not in {check.name for check in containers(stage.state, {}, environ)}
            gone = cleaning.clean(stage.engine, stage.state, [one], now=1.0, environ=environ, agents=agents)
            assert gone == ["boxed-00000/1"]
            left = {container.id for container in client.containers.list(all=True, ignore_removed=True)}
            assert [one.id in left for one in made] == [False, True, True]
        finally:
            for container in made[1:]:
                container.remove(force=True)
