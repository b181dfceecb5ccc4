"""`bottle resume` where the bottle is a container: at a terminal, hardened like any other launch."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from sessions.bottles import engine, holdings
from tests.sessions.desk import CONFIG, Desk
from tests.sessions.stage import eventually

pytestmark = pytest.mark.docker


@pytest.fixture
def desk(tmp_path: Path, scripted_environ: dict[str, str], docker_environ: dict[str, str], scripted_image: str) -> Desk:
    made = Desk(tmp_path, scripted_environ | docker_environ)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("nobody/none:1", scripted_image))
    made.environ["ANTHROPIC_API_KEY"] = "sk-ant-not-for-everybody"
    return made


def containers(desk: Desk) -> list[holdings.Held]:
    return holdings.held(desk.environ, desk.root)


def test_a_person_goes_on_in_a_container_like_that_of_a_turn(desk: Desk) -> None:
    """A15, E1."""
    said = desk.run(agent="boxed")
    plan = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)
    assert plan["image"] == "bottlepost-test/scripted:latest" and plan["argv"][0] == "claude" and not plan["trouble"]
    with desk.sit("resume", said["identity"]) as person:
        person.sees("1 earlier")
        person.type("/size\n")
        person.sees("window 80x24")
        person.resize(30, 100)
        person.sees(r"\(window 100x30\)")
        person.type("and what is new?\n")
        person.sees("I remember 1 earlier message")
        with engine.connected(desk.environ) as client:
            (one,) = containers(desk)
            found = client.containers.get(one.id).attrs
        assert found["Config"]["Tty"] and found["HostConfig"]["ReadonlyRootfs"]
        assert found["HostConfig"]["CapDrop"] == ["ALL"] and not found["Config"]["User"].startswith("0")
        assert "not-for-everybody" not in json.dumps(found)
        assert not person.is_cooked(), "keys go through as they come"
        person.type("\x03")
        person.sees(r"\(interrupted\)")
        person.type("/exit 3\n")
        assert person.ends() == 3, person.plain
        assert person.is_cooked()
    assert containers(desk) == []
    row = desk.row()
    assert (row["state"], row["turns"], row["cwd"]) == ("idle", 2, "/home/node/work")
    again = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "third")
    assert json.loads(again.stdout)["result"].endswith("I remember 2 earlier messages."), again.stderr
    kept = [path for path in desk.root.rglob("*") if path.is_file() and b"not-for-everybody" in path.read_bytes()]
    assert kept == []


def test_closed_window_ends_the_container(desk: Desk) -> None:
    said = desk.run(agent="boxed")
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        person.hang_up()
        eventually(lambda: desk.row()["state"] == "idle", seconds=60)
    assert containers(desk) == []
    assert desk.turns()[-1].state == "done"


def test_container_of_a_killed_call_is_not_doubled_and_can_be_taken_over_when_it_has_ended(desk: Desk) -> None:
    said = desk.run(agent="boxed")
    again = ("run-resume", said["identity"], "--claude-session", said["session_id"], "x")
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        os.kill(person.command, signal.SIGKILL)
        refused = desk.call(*again)
        assert refused.returncode == 2 and "turn 2" in refused.stderr
        (one,) = containers(desk)
        assert one.running
        with engine.connected(desk.environ) as client:
            client.containers.get(one.id).kill()
        eventually(lambda: not containers(desk)[0].running)
        assert desk.call(*again).returncode == 0
    assert [turn.state for turn in desk.turns()] == ["done", "failed", "done"]
    assert containers(desk) == []


def test_engine_that_is_away_is_told_before_anything_is_held(desk: Desk) -> None:
    said = desk.run(agent="boxed")
    desk.environ["DOCKER_HOST"] = "unix:///nobody.sock"
    with desk.sit("resume", said["identity"]) as person:
        assert person.ends() == 2
        assert "does not answer" in person.plain
    assert len(desk.turns()) == 1 and desk.row()["state"] == "idle"
