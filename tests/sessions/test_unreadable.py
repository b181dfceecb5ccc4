"""Agents that close what is theirs to the runner, or make something else of its files: every turn comes to an end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessions import processes, state
from sessions.bottles.process import MARKER
from tests.sessions.stage import Stage, eventually

ROOT = Path(__file__).parents[2]
TURN = '"$CLAUDE_CONFIG_DIR"/../../turns/1'


def agent_that(stage: Stage, script: str) -> None:
    """This shell script is `claude`, and may call the scripted agent as `claude-scripted`."""
    program = Path(stage.environ["PATH"].split(os.pathsep)[0], "claude")
    scripted = program.with_name("claude-scripted")
    if not scripted.exists():
        program.rename(scripted)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def run_as_anybody(stage: Stage, limits: str = "{}") -> None:
    """One call of the runner to whom a file's mode means something, as it does to all but root."""
    words = [sys.executable, "-m", "tests.sessions.runner", str(stage.state.parent)]
    if os.geteuid() == 0:
        powers = "-dac_override,-dac_read_search"
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("we are root, and there is no `setpriv` (util-linux)")
        words = [setpriv, "--bounding-set", powers, "--inh-caps", powers, "--", *words]
    environ = {**stage.environ, "PYTHONPATH": str(ROOT), "LIMITS": limits}
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def left_of(stage: Stage) -> list[int]:
    return list(processes.marked(MARKER, f"{stage.session().identity}/1"))


def left_alone(stage: Stage, script: str) -> None:
    """The turn is begun by one who goes away; the agent has done its worst, and sleeps."""
    agent_that(stage, f'{script}; touch "$CLAUDE_CONFIG_DIR/done"; sleep 120')
    stage.limit(minutes=0.03)
    stage.want("opened")
    assert stage.run(wait=False).started == 1
    eventually(lambda: (state.config_dir(stage.bottle()) / "done").exists())


def test_directory_that_was_closed_to_us_does_not_keep_the_turn_from_its_end(stage: Stage) -> None:
    left_alone(stage, f"chmod 000 {TURN}")
    run_as_anybody(stage)
    turn = stage.turn(1)
    assert (turn.state, turn.kind, turn.attempts) == ("failed", "limited", 1), turn.reason
    assert left_of(stage) == []


def test_run_in_a_closed_directory_that_ends_by_itself_is_counted(stage: Stage) -> None:
    agent_that(stage, f'claude-scripted "$@"; chmod 000 {TURN}')
    stage.want("opened")
    run_as_anybody(stage)
    turn = stage.turn(1)
    assert (turn.state, turn.attempts) == ("done", 2), "it was interrupted, as far as anybody can tell"


def test_record_that_cannot_be_read_is_damaged_and_put_back(stage: Stage) -> None:
    stage.want("opened")
    assert stage.run().done == 1
    agent_that(stage, 'claude-scripted "$@"; chmod 000 "$CLAUDE_CONFIG_DIR"/projects/pr/*.jsonl')
    stage.want("pushed")
    run_as_anybody(stage)
    assert stage.turn(2).state == "done"
    agent_that(stage, 'exec claude-scripted "$@"')
    stage.want("commented")
    run_as_anybody(stage)
    turn = stage.turn(3)
    assert (turn.state, turn.mode) == ("done", "resume") and turn.answer.endswith("I remember 1 earlier message.")
    assert turn.surprise == "its transcript was damaged; the last good copy of it was put back"


def test_run_whose_claim_is_gone_is_not_begun_a_second_time_and_is_stopped(stage: Stage) -> None:
    left_alone(stage, f"rm {TURN}/pid")
    tally = stage.run()
    turn = stage.turn(1)
    assert (tally.started, turn.state, turn.kind, turn.attempts) == (0, "failed", "limited", 1), turn.reason
    assert left_of(stage) == []
