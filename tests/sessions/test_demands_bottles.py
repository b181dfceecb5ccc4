"""What the earlier systems promised of bottles, of resuming by hand and of preserving (rows C, D, E), by its number.

The tests are short; depth is in the files beside this one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from sessions import housekeeping, registry, state
from sessions.bottles import engine, images
from tests.sessions.desk import CONFIG, Desk
from tests.sessions.stage import REF, Stage


@pytest.fixture
def desk(tmp_path: Path, scripted_environ: dict[str, str]) -> Desk:
    return Desk(tmp_path, scripted_environ | {"DOCKER_HOST": "unix:///nobody.sock"})


# -- state ------------------------------------------------------------------------------------------------------------


def test_demand_c01_identity_is_slug_and_five_and_another_every_time(desk: Desk) -> None:
    (desk.place / "config.yaml").write_text(CONFIG.replace("reviewer:", "Code_Reviewer.2:"))
    made = [desk.run(agent="Code_Reviewer.2")["identity"] for _ in range(2)]
    assert all(re.fullmatch(r"code-reviewer-2-[a-z0-9]{5}", identity) for identity in made)
    assert len(set(made)) == 2 and not any(desk.place.name in identity for identity in made)


def test_demand_c02_two_starts_at_once_in_one_directory_do_not_collide(desk: Desk) -> None:
    words = [sys.executable, "-m", "sessions", "run", "reviewer", "hello"]
    both = [
        subprocess.Popen(words, cwd=desk.place, env=desk.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert {one["identity"] for one in said} == set(state.identities(desk.root))
    assert len({one["session_id"] for one in said}) == 2


def test_demand_c03_state_directory_has_its_places(desk: Desk) -> None:
    place = desk.root / "state" / desk.run()["identity"]
    assert (place / "metadata.json").is_file() and (place / "transcript" / ".claude").is_dir()
    assert not (place / "Dockerfile").exists(), "absent = default"


def test_demand_c04_metadata_is_indented_json_with_these_fields_and_no_secrets(desk: Desk) -> None:
    desk.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    said = desk.run()
    text = (desk.root / "state" / said["identity"] / "metadata.json").read_text()
    found = json.loads(text)
    assert text == json.dumps(found, indent=2) + "\n"
    assert list(found) == ["identity", "agent_name", "cwd", "copy_cwd", "started_at", "backend"]
    assert (found["identity"], found["agent_name"], found["backend"]) == (said["identity"], "reviewer", "process")
    assert datetime.fromisoformat(found["started_at"]).utcoffset() is not None and found["started_at"].endswith("Z")


@pytest.mark.parametrize("text", [None, "[]", "null", "{half"])
def test_demand_c05_what_cannot_be_read_is_none(tmp_path: Path, text: str | None) -> None:
    place = tmp_path / "reviewer-00000"
    place.mkdir()
    if text is not None:
        (place / "metadata.json").write_text(text)
    assert state.read_metadata(place) is None
    (place / "metadata.json").write_text('{"cwd": 7, "colour": "teal"}')
    found = state.read_metadata(place)
    assert found is not None and (found.identity, found.cwd, found.backend) == (place.name, "", "docker")


@pytest.mark.parametrize(
    "words",
    ["list", "log", "show reviewer-00000", "resume reviewer-00000 --dry-run", "cleanup", "export reviewer-00000"],
)
def test_demand_c06_only_writers_make_directories(desk: Desk, words: str) -> None:
    desk.call(*words.split())
    assert not desk.root.exists()


@pytest.mark.docker
def test_demand_c07_dockerfile_of_a_bottle_is_built_and_tagged_for_it(
    tmp_path: Path, docker_environ: dict[str, str], scripted_environ: dict[str, str], scripted_image: str
) -> None:
    desk = Desk(tmp_path, scripted_environ | docker_environ)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("nobody/none:1", scripted_image))
    said = desk.run(agent="boxed")
    place = desk.root / "state" / said["identity"]
    (place / "Dockerfile").write_text(f"FROM {scripted_image}\nLABEL colour=teal\n")
    before = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)
    assert (before["image"], before["trouble"]) == (images.own_tag(said["identity"]), None), "the launch builds it"
    again = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "and?")
    assert again.returncode == 0, again.stderr
    try:
        with engine.connected(docker_environ) as client:
            assert client.images.get(images.own_tag(said["identity"])).labels["colour"] == "teal"
        plan = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)
        assert plan["image"] == images.own_tag(said["identity"]) and plan["dockerfile"] == str(place / "Dockerfile")
    finally:
        assert desk.call("cleanup", said["identity"], "--yes").returncode == 0


def test_demand_c08_start_mints_and_resume_pins_and_both_write_the_metadata(desk: Desk) -> None:
    said = desk.run()
    metadata = desk.root / "state" / said["identity"] / "metadata.json"
    metadata.unlink()
    desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "and?")
    assert json.loads(metadata.read_text())["identity"] == said["identity"]
    assert state.identities(desk.root) == [said["identity"]]


def test_demand_c09_how_to_resume_by_hand_is_printed(desk: Desk) -> None:
    done = desk.call("run", "reviewer", "hello", "--config", "config.yaml")
    said = json.loads(done.stdout)
    hint = f"bottle resume {said['identity']} --config config.yaml"
    assert hint in done.stderr
    shown = desk.call(*hint.split()[1:], "--dry-run")
    assert shown.returncode == 0, "the hint can be followed"


# -- resuming by hand -------------------------------------------------------------------------------------------------


def test_demand_d01_resume_has_a_dry_run_and_json_with_it_only(desk: Desk) -> None:
    said = desk.run()
    assert json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)["argv"]
    assert said["session_id"] in desk.call("resume", said["identity"], "--dry-run").stdout
    refused = desk.call("resume", said["identity"], "--format", "json")
    assert refused.returncode == 2 and "--dry-run" in refused.stderr


@pytest.mark.parametrize("words", ["resume {} --dry-run", "show {}", "cleanup {} --yes", "export {}", "commit {}"])
def test_demand_d02_unknown_identity_names_itself_its_place_and_the_command(desk: Desk, words: str) -> None:
    refused = desk.call(*words.format("reviewer-00000").split())
    assert refused.returncode == 2
    for part in ("reviewer-00000", str(desk.root / "state" / "reviewer-00000"), "bottle run AGENT TASK"):
        assert part in refused.stderr


def test_demand_d03_agent_that_has_left_the_config_is_an_error_before_anything_starts(desk: Desk) -> None:
    said = desk.run()
    (desk.place / "config.yaml").write_text(CONFIG.replace("reviewer:", "somebody:"))
    for words in (("resume", said["identity"], "--dry-run"),
                  ("run-resume", said["identity"], "--claude-session", said["session_id"], "x")):  # fmt: skip
        refused = desk.call(*words)
        assert refused.returncode == 2 and "agent 'reviewer' is not in the config" in refused.stderr
    assert len(desk.turns()) == 1


def test_demand_d05_resume_does_not_depend_on_the_callers_directory(desk: Desk, tmp_path: Path) -> None:
    said = desk.run()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = str(desk.place / "config.yaml")
    words = ("run-resume", said["identity"], "--claude-session", said["session_id"], "and?", "--config", config)
    done = desk.call(*words, cwd=elsewhere)
    assert "1 earlier message" in json.loads(done.stdout)["result"]
    assert list(elsewhere.iterdir()) == []


# -- the backend, and what is preserved -------------------------------------------------------------------------------


def test_demand_e01_resume_uses_the_recorded_backend(desk: Desk) -> None:
    """Whatever the config says by now."""
    said = desk.run()
    (desk.place / "config.yaml").write_text(CONFIG.replace("backend: process", "backend: docker"))
    plan = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)
    assert (plan["backend"], plan["image"]) == ("process", None)
    again = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "and?")
    assert again.returncode == 0, again.stderr


def test_demand_e02_no_backend_in_an_old_record_means_docker(desk: Desk) -> None:
    said = desk.run()
    for path in desk.root.glob("bottlepost.db*"):
        path.unlink()
    metadata = desk.root / "state" / said["identity"] / "metadata.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"backend": "", "cwd": ""}))
    plan = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)
    assert (plan["backend"], plan["cwd"]) == ("docker", "/home/node/work")


def test_demand_e03_state_that_nobody_needs_any_more_is_removed(stage: Stage) -> None:
    """That of an open pull is preserved at every run; when it is closed and the grace time is over it goes."""
    stage.want("opened")
    stage.run()
    place = stage.bottle()
    day = 86_400
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 100 * day) == []
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=stage.clock()))
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 6 * day) == []
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 8 * day) == [place.name]
    assert not place.exists()


def test_demand_e04_it_is_marked_before_it_is_launched(stage: Stage, tmp_path: Path) -> None:
    """So that whatever ends the run finds it marked."""
    claude = tmp_path / "bin" / "claude"
    claude.parent.mkdir()
    claude.write_text("#!/bin/sh\ntest -e ../.preserve && touch ../was-marked\nkill -9 $$\n")
    claude.chmod(0o755)
    stage.environ["PATH"] = f"{claude.parent}:{stage.environ['PATH']}"
    stage.want("opened")
    stage.run()
    assert stage.turn(1).state != "done" and (stage.bottle() / "was-marked").exists()
    assert state.is_preserved(stage.bottle())


def test_demand_e05_a_stale_mark_does_not_outlive_the_end(stage: Stage) -> None:
    """The rows decide; the mark alone keeps nothing."""
    stage.want("opened")
    stage.run()
    place = stage.bottle()
    stage.write(lambda conn: registry.forget(conn, ref=REF, bottle=True, now=stage.clock()))
    assert state.is_preserved(place)
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock()) == [place.name]


def test_demand_e06_the_hint_is_printed_only_if_the_state_was_kept(desk: Desk) -> None:
    for task, is_kept in (("hello", True), ("[agent: forget] hello", False)):
        assert ("bottle resume" in desk.call("run", "reviewer", task).stderr) is is_kept


def test_demand_e09_what_will_be_launched_is_visible_beforehand(desk: Desk) -> None:
    desk.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    said = desk.run()
    shown = desk.call("resume", said["identity"], "--dry-run")
    for part in ("image", "dockerfile", "cwd", f"--resume {said['session_id']}", "ANTHROPIC_API_KEY"):
        assert part in shown.stdout
    assert "very-secret" not in shown.stdout + shown.stderr
    assert len(desk.turns()) == 1


@pytest.mark.docker
def test_upstream_commit_freezes_and_a_frozen_image_that_is_gone_is_not_missed(
    tmp_path: Path, docker_environ: dict[str, str], scripted_environ: dict[str, str], scripted_image: str
) -> None:
    desk = Desk(tmp_path, scripted_environ | docker_environ)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("nobody/none:1", scripted_image))
    said = desk.run(agent="boxed")

    def image() -> str:
        return str(json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)["image"])

    try:
        tag = desk.call("commit", said["identity"]).stdout.strip()
        assert image() == tag == images.frozen_tag(said["identity"])
        with engine.connected(docker_environ) as client:
            client.images.remove(tag)
        assert image() == scripted_image
    finally:
        assert desk.call("cleanup", said["identity"], "--yes").returncode == 0
