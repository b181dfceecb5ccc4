"""`bottle resume`: a person at a terminal goes on with an agent's conversation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions import claims, pauses, processes, registry, state
from sessions.turns import Turn
from tests.sessions.desk import CONFIG, Desk
from tests.sessions.stage import eventually


@pytest.fixture
def desk(tmp_path: Path, scripted_environ: dict[str, str]) -> Desk:
    return Desk(tmp_path, scripted_environ | {"DOCKER_HOST": "unix:///nobody.sock"})


@pytest.fixture
def said(desk: Desk) -> Iterator[dict[str, Any]]:
    """What `bottle run` answered, in a bottle that is there now."""
    yield desk.run()


def test_a_person_goes_on_with_the_conversation_and_the_next_turn_remembers_both(
    desk: Desk, said: dict[str, Any]
) -> None:
    """D1, A7: and its counters know."""
    before = desk.row()
    with desk.sit("resume", said["identity"]) as person:
        person.sees(f"conversation {said['session_id']}, 1 earlier")
        person.type("and what is new?\n")
        person.sees("I remember 1 earlier message")
        person.type("/exit\n")
        assert person.ends() == 0
        assert f"to go on: bottle resume {said['identity']}" in person.plain
    after = desk.row()
    assert (after["state"], after["turns"]) == ("idle", 2)
    assert after["cost_usd"] > before["cost_usd"] and after["tokens"]["output"] > before["tokens"]["output"]
    turn = desk.turns()[-1]
    assert (turn.why, turn.mode, turn.state, turn.exit, turn.by_hand) == ("bottle resume", "resume", "done", 0, True)
    assert turn.cost_usd == pytest.approx(after["cost_usd"] - before["cost_usd"])
    again = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "third")
    assert json.loads(again.stdout)["result"].endswith("I remember 2 earlier messages.")
    total = json.loads(again.stdout)["total_cost_usd"]
    assert desk.row()["cost_usd"] == pytest.approx(total), "what the person spent is not counted twice"


def test_visit_without_a_word_proves_nothing_about_a_pause(desk: Desk, said: dict[str, Any]) -> None:
    now = time.time()
    desk.write(lambda conn: pauses.pause(conn, "reviewer", until=now + 900, why="login", now=now))
    for words, paused in (("", 1), ("hello\n", 0)):
        with desk.sit("resume", said["identity"]) as person:
            person.sees("> ")
            person.type(words)
            if words:
                person.sees("I remember")
            person.type("/exit\n")
            assert person.ends() == 0
        assert len(desk.write(pauses.pauses)) == paused


def test_exit_code_is_the_agents(desk: Desk, said: dict[str, Any]) -> None:
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        person.type("/exit 7\n")
        assert person.ends() == 7
    assert (desk.turns()[-1].state, desk.turns()[-1].exit) == ("done", 7)


def test_ctrl_c_and_a_new_window_size_reach_the_agent_and_not_us(desk: Desk, said: dict[str, Any]) -> None:
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        person.type("/size\n")
        person.sees("window 80x24")
        person.resize(30, 100)
        person.sees(r"\(window 100x30\)")
        person.type("\x03")
        person.sees(r"\(interrupted\)")
        person.type("/exit\n")
        assert person.ends() == 0
        assert person.is_cooked()


def test_no_turn_runs_meanwhile_and_none_is_resumed_over_one(desk: Desk, said: dict[str, Any]) -> None:
    """A16."""
    identity = said["identity"]
    with desk.sit("resume", identity) as person:
        person.sees("> ")
        assert desk.row()["state"] == "running"
        for words in (
            ("run-resume", identity, "--claude-session", said["session_id"], "x"),
            ("export", identity),
        ):
            refused = desk.call(*words)
            assert refused.returncode == 2
            assert "turn 2" in refused.stderr and "is running (bottle resume)" in refused.stderr
        assert "running" in desk.call("cleanup", identity, "--yes").stdout
        with desk.sit("resume", identity) as other:
            assert other.ends() == 2
            assert "turn 2" in other.plain and "wait for its end" in other.plain
        person.type("/exit\n")
        assert person.ends() == 0


def test_closed_window_ends_the_agent_in_order(desk: Desk, said: dict[str, Any]) -> None:
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        person.hang_up()
        eventually(lambda: desk.row()["state"] == "idle")
    assert (desk.turns()[-1].state, desk.row()["state"]) == ("done", "idle")
    assert not list(processes.marked("BOTTLEPOST_TURN", f"{said['identity']}/2"))


def test_sigterm_ends_the_agent_first(desk: Desk, said: dict[str, Any]) -> None:
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        os.kill(person.command, signal.SIGTERM)
        assert person.ends() == 143
    assert desk.turns()[-1].exit == 143


def test_what_a_killed_call_left_is_recorded_by_the_next_one_by_hand(desk: Desk, said: dict[str, Any]) -> None:
    """Without a poller nobody else would."""
    again = ("run-resume", said["identity"], "--claude-session", said["session_id"], "x")
    with desk.sit("resume", said["identity"]) as person:
        person.sees("> ")
        (agent,) = processes.marked("BOTTLEPOST_TURN", f"{said['identity']}/2")
        os.kill(person.command, signal.SIGKILL)
        eventually(lambda: not processes.descendants(person.process.pid))
        refused = desk.call(*again)
        assert refused.returncode == 2 and "turn 2" in refused.stderr, "the agent is there still"
        os.kill(agent, signal.SIGKILL)
        eventually(lambda: processes.start_of(agent) is None)
    assert desk.call(*again).returncode == 0
    assert [turn.state for turn in desk.turns()] == ["done", "failed", "done"]


def test_machine_that_slept_takes_its_turn_back(desk: Desk, said: dict[str, Any]) -> None:
    """Somebody else may have begun to watch over it; the person is at the terminal."""

    def claim(conn: Any) -> Turn:
        session = registry.session_of(conn, said["identity"])
        assert session is not None
        number = registry.add_turn(
            conn, ref=session.ref, key=session.key, agent=session.agent, why="bottle resume", now=1.0, by_hand=True
        )
        turn = claims.hold(conn, number, owner="me", now=1.0, lease=60, anew=True)
        return claims.belongs_to(conn, turn, session)

    mine = desk.write(claim)
    theirs = desk.write(lambda conn: claims.hold(conn, mine.id, owner="them", now=100.0, lease=60, anew=False))
    back = desk.write(lambda conn: claims.attended(conn, mine, now=101.0, lease=60, minutes=60))
    assert (back.owner, back.deadline) == ("me", 101.0 + 3600)
    with pytest.raises(claims.LeaseLost):
        desk.write(lambda conn: claims.heartbeat(conn, theirs, now=102.0, lease=60))
    desk.write(lambda conn: claims.drop(conn, back, reason="over", now=103.0))
    with pytest.raises(claims.LeaseLost):
        desk.write(lambda conn: claims.attended(conn, back, now=104.0, lease=60, minutes=60))


def test_dry_run_shows_what_would_be_launched_and_launches_nothing(desk: Desk, said: dict[str, Any]) -> None:
    """D1, E9: without a terminal, and without secrets."""
    desk.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    shown = desk.call("resume", said["identity"], "--dry-run", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    plan = json.loads(shown.stdout)
    place = desk.root / "state" / said["identity"]
    assert plan["argv"][1:] == [
        *("--resume", said["session_id"], "--dangerously-skip-permissions"),
        *("--setting-sources", "user", "--strict-mcp-config", "--model", "opus"),
    ]
    assert (plan["backend"], plan["image"], plan["dockerfile"]) == ("process", None, None)
    assert (plan["cwd"], plan["state_directory"]) == (str(place / "work"), str(place))
    assert (plan["env"], plan["missing_env"]) == (["DEMO_AGENT", "ANTHROPIC_API_KEY"], ["DEMO_AGENT"])
    text = desk.call("resume", said["identity"], "--dry-run").stdout
    assert f"--resume {said['session_id']}" in text and str(place / "work") in text
    assert "very-secret" not in shown.stdout + shown.stderr + text
    assert len(desk.turns()) == 1


def test_dry_run_of_a_container_names_image_and_dockerfile(desk: Desk, said: dict[str, Any]) -> None:
    """E1, E9: the backend is the recorded one, and what is wrong is said."""
    place = desk.root / "state" / "boxed-00000"
    metadata = state.metadata(identity="boxed-00000", agent="boxed", cwd="", backend="docker", now=1.0)
    state.prepare(place, metadata)
    session = "f2b0c7de-6c1b-4a2e-9f00-0123456789ab"
    record = state.config_dir(place) / "projects" / "pr" / f"{session}.jsonl"
    record.parent.mkdir(parents=True)
    record.write_text('{"type":"user"}\n')
    plan = json.loads(desk.call("resume", "boxed-00000", "--dry-run", "--format", "json").stdout)
    assert (plan["image"], plan["dockerfile"], plan["cwd"]) == ("nobody/none:1", None, "/home/node/work")
    (place / "Dockerfile").write_text("FROM scratch\n")
    shown = desk.call("resume", "boxed-00000", "--dry-run", "--format", "json")
    plan = json.loads(shown.stdout)
    assert plan["dockerfile"] == str(place / "Dockerfile") and plan["image"] == "bottlepost/boxed-00000:own"
    assert shown.returncode == 2 and "/nobody.sock does not answer" in shown.stderr
    assert [turn.identity for turn in desk.turns()] == [said["identity"]], "and nothing was written"


@pytest.mark.parametrize(
    ("words", "said_"),
    [
        (("resume", "reviewer-00000"), ("no bottle 'reviewer-00000'", "`bottle run AGENT TASK` starts one")),
        (("resume", "../../etc"), ("no bottle '../../etc'",)),
        (("resume", "reviewer-00000", "--format", "json"), ("--format json goes with --dry-run",)),
        (("resume", "reviewer-00000", "--claude-session", "x", "--dry-run"), ("no bottle 'reviewer-00000'",)),
        (
            ("resume", "reviewer-00000", "--dry-run"),
            ("'reviewer-00000'", "state-root/state/reviewer-00000", "`bottle run AGENT TASK` starts one"),
        ),
        (("resume", "../../etc", "--dry-run"), ("no bottle '../../etc'",)),
    ],
)
def test_mistake_is_one_line_with_the_mend(desk: Desk, words: tuple[str, ...], said_: tuple[str, ...]) -> None:
    """D2."""
    refused = desk.call(*words)
    assert refused.returncode == 2 and refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    for part in said_:
        assert part in line
    assert not desk.root.exists()


def test_without_a_terminal_the_next_command_is_one_that_works(desk: Desk, said: dict[str, Any]) -> None:
    refused = desk.call("resume", said["identity"])
    (line,) = refused.stderr.splitlines()
    assert "stdin and stdout are no terminal" in line and f"bottle run-resume {said['identity']}" in line
    removed = desk.call("cleanup", said["identity"], "--yes")
    assert removed.returncode == 0
    for verb, *more in (("resume",), ("run-resume", "--claude-session", "x", "hello")):
        refused = desk.call(verb, said["identity"], *more)
        assert refused.returncode == 2 and f"no bottle '{said['identity']}'" in refused.stderr


def test_agent_that_is_not_in_the_config_any_more_is_an_error_before_anything_starts(
    desk: Desk, said: dict[str, Any]
) -> None:
    """D3."""
    config = desk.place / "config.yaml"
    config.write_text(CONFIG.replace("reviewer:", "other:"))
    with desk.sit("resume", said["identity"]) as person:
        assert person.ends() == 2
        assert "agent 'reviewer' is not in the config; it has: other, boxed" in person.plain
    assert len(desk.turns()) == 1


def test_resume_does_not_depend_on_the_callers_directory(desk: Desk, said: dict[str, Any], tmp_path: Path) -> None:
    """D5, A15: the agent works where it always did."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    desk.environ["BOTTLEPOST_CONFIG"] = str(desk.place / "config.yaml")
    here = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json").stdout)
    there = json.loads(desk.call("resume", said["identity"], "--dry-run", "--format", "json", cwd=elsewhere).stdout)
    assert here == there and Path(there["cwd"]).is_relative_to(desk.root)
    with desk.sit("resume", said["identity"], cwd=elsewhere) as person:
        person.sees("1 earlier")
        person.type("/exit\n")
        assert person.ends() == 0


def test_bottle_that_only_has_its_directory_is_resumed_by_its_one_conversation(
    desk: Desk, said: dict[str, Any]
) -> None:
    """A7: and never by the latest of several."""
    for path in desk.root.glob("bottlepost.db*"):
        path.unlink()
    record = next((desk.root / "state" / said["identity"]).glob("transcript/.claude/projects/*/*.jsonl"))
    other = record.with_name("f2b0c7de-6c1b-4a2e-9f00-0123456789ab.jsonl")
    other.write_bytes(record.read_bytes())
    refused = desk.call("resume", said["identity"], "--dry-run")
    assert refused.returncode == 2 and "name one with --claude-session" in refused.stderr
    assert said["session_id"] in refused.stderr and other.stem in refused.stderr
    other.unlink()
    with desk.sit("resume", said["identity"]) as person:
        person.sees(f"{said['session_id']}, 1 earlier")
        person.type("/exit\n")
        assert person.ends() == 0
    assert desk.row()["claude_session"] == said["session_id"]


def test_runner_of_somebody_else_is_resumed_by_its_own_template(
    desk: Desk, said: dict[str, Any], tmp_path: Path
) -> None:
    runner = tmp_path / "runner"
    runner.write_text(
        "#!/bin/sh\nexport IS_SANDBOX=1 CLAUDE_CONFIG_DIR=$1; shift\n"
        'case $1 in --key) echo "runner: $*"; exec claude --resume "$3";; *) exec claude "$@";; esac\n'
    )
    runner.chmod(0o755)
    config = desk.place / "config.yaml"
    config.write_text(
        CONFIG + f"  theirs: {{backend: command, command: {{start: ['{runner}', '{{transcript}}', '{{args}}'], resume: "
        f"['{runner}', '{{transcript}}', '--key', '{{identity}}', '{{session}}', '${{RUNNER_TOKEN}}', '{{args}}']}}}}\n"
    )
    desk.environ["RUNNER_TOKEN"] = "runner-secret"
    first = desk.call("run", "theirs", "the colour is teal")
    assert first.returncode == 0, first.stderr
    mine = json.loads(first.stdout)
    plan = desk.call("resume", mine["identity"], "--dry-run", "--format", "json")
    argv = json.loads(plan.stdout)["argv"]
    assert (argv[0], argv[2:6]) == (str(runner), ["--key", mine["identity"], mine["session_id"], "[hidden]"])
    with desk.sit("resume", mine["identity"]) as person:
        person.sees(f"runner: --key {mine['identity']}")
        person.sees("1 earlier")
        person.type("/exit\n")
        assert person.ends() == 0


def test_hint_is_printed_only_if_the_state_was_really_kept(desk: Desk) -> None:
    """C9, E6."""
    done = desk.call("run", "reviewer", "hello")
    identity = json.loads(done.stdout)["identity"]
    assert f"bottle resume {identity}" in done.stderr
    lost = desk.call("run", "reviewer", "[agent: forget] hello")
    assert lost.returncode == 0 and "to go on by hand" not in lost.stderr
    cut = desk.call("run", "reviewer", "[agent: silent]")
    assert cut.returncode == 1 and "to go on by hand" in cut.stderr, "it failed, but the conversation is there"


@pytest.mark.claude
def test_real_claude_shows_the_conversation_to_a_person(tmp_path: Path, claude_environ: dict[str, str]) -> None:
    """It asks a person whether the directory is trusted, which we do not answer for anybody."""
    desk = Desk(tmp_path, claude_environ | {"HOME": str(tmp_path)})
    (tmp_path / "config.yaml").write_text(CONFIG.replace("model: opus", "").replace("DEMO_AGENT", "ANTHROPIC_BASE_URL"))
    mine = desk.run()
    plan = json.loads(desk.call("resume", mine["identity"], "--dry-run", "--format", "json").stdout)
    version = subprocess.run([plan["argv"][0], "--version"], capture_output=True, text=True, timeout=60)
    assert "Claude Code" in version.stdout
    with desk.sit("resume", mine["identity"]) as person:
        person.sees("trust\\s*this\\s*folder")
        os.kill(person.command, signal.SIGTERM)
        person.ends()
    settings = desk.root / "state" / mine["identity"] / "transcript" / ".claude" / ".claude.json"
    found = json.loads(settings.read_text())
    found |= {"projects": {plan["cwd"]: {"hasTrustDialogAccepted": True}}}
    found |= {"customApiKeyResponses": {"approved": ["sk-ant-dummy"], "rejected": []}}
    settings.write_text(json.dumps(found))
    settings.with_name("settings.json").write_text('{"skipDangerousModePermissionPrompt": true}')
    with desk.sit("resume", mine["identity"]) as person:
        person.sees("the\\s*colour\\s*is\\s*teal[\\s\\S]*I\\s*remember:\\s*nothing")
        os.kill(person.command, signal.SIGTERM)
        person.ends()
        assert person.is_cooked()
    again = desk.call("run-resume", mine["identity"], "--claude-session", mine["session_id"], "which colour?")
    assert "the colour is teal" in json.loads(again.stdout)["result"], again.stderr
