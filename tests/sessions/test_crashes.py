"""Runners that are killed, runners that meet, state that is moved: nothing twice, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from sessions import byhand, claims, lifecycle, processes, registry, state, tables
from sessions.bottles.keeper import HOME
from sessions.bottles.process import MARKER
from sessions.database import begin, reading
from sessions.turns import Outcome, Session, Turn
from tests.sessions.stage import REF, Stage, eventually, follow_up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def where(database: Path | str) -> str | None:
    return database if isinstance(database, str) else None


class Runners:
    def __init__(self, stage: Stage) -> None:
        self.stage, self.started = stage, list[subprocess.Popen[str]]()

    def start(self, **more: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.sessions.runner", str(self.stage.state.parent)]
        place = {"STAGE_DATABASE": str(self.stage.database), "PYTHONPATH": str(ROOT)}
        environ = {**self.stage.environ, **place, **more}
        runner = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
        self.started.append(runner)
        return runner

    def close(self) -> None:
        for runner in self.started:
            runner.kill()
            runner.communicate()


@pytest.fixture
def runners(stage: Stage) -> Iterator[Runners]:
    made = Runners(stage)
    yield made
    made.close()


def launches(stage: Stage) -> list[str]:
    return sorted(path.name for path in (stage.bottle() / "turns").iterdir())


def kill_mid_turn(stage: Stage, runners: Runners) -> None:
    runner = runners.start()
    eventually(lambda: stage.turns(state="running") and (stage.bottle() / "turns" / "1" / "out.jsonl").exists())
    eventually(lambda: stage.transcript().exists() and '"user"' in stage.transcript().read_text())
    runner.send_signal(signal.SIGKILL)
    runner.wait()


def is_still(thread: Path) -> bool:
    """The signal is obeyed when its thread next runs, not when it is sent."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False  # it ended meanwhile


def is_free(stage: Stage) -> bool:
    """Does nobody write to the database?"""
    if isinstance(stage.database, str):
        with psycopg.connect(stage.database) as there:
            mine = "SELECT oid FROM pg_database WHERE datname = current_database()"
            return not there.execute(
                f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = ({mine})"
            ).fetchone()
    with contextlib.closing(sqlite3.connect(stage.database, timeout=0, isolation_level=None)) as raw:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        raw.execute("ROLLBACK")
    return True


def hang(runner: subprocess.Popen[str], stage: Stage) -> bool:
    """Stop it; not while it writes to the database, which would stop everybody."""
    runner.send_signal(signal.SIGSTOP)
    eventually(lambda: all(is_still(thread) for thread in Path(f"/proc/{runner.pid}/task").iterdir()))
    if not is_free(stage):
        runner.send_signal(signal.SIGCONT)
        return False
    return True


def test_run_outlives_its_killed_runner_and_is_adopted_while_it_runs(stage: Stage, runners: Runners) -> None:
    stage.want("opened|[agent: sleep 1.5]")
    kill_mid_turn(stage, runners)
    tally = stage.run()
    assert (tally.started, tally.adopted, tally.done) == (0, 1, 1)
    assert stage.turn(1).attempts == 1 and launches(stage) == ["1"], "there was no second one"


def test_result_of_a_run_that_ended_without_its_runner_is_collected(stage: Stage, runners: Runners) -> None:
    stage.want("opened|[agent: sleep 2]")
    kill_mid_turn(stage, runners)
    eventually(lambda: (stage.bottle() / "turns" / "1" / "exit").exists())
    tally = stage.run()
    assert (tally.started, tally.adopted, tally.done) == (0, 1, 1)
    assert stage.turn(1).answer.endswith("This is our first message.")
    assert stage.run() == stage.run().__class__(), "once"
    assert len(stage.errand.settled_as) == 1


def test_run_that_was_cut_off_with_its_runner_is_resumed_and_told_so(stage: Stage, runners: Runners) -> None:
    stage.want("opened|[agent: sleep 60 1]")
    kill_mid_turn(stage, runners)
    session = stage.session().claude_session
    for pid in processes.marked(MARKER, f"{stage.session().identity}/1"):
        os.kill(pid, signal.SIGKILL)
    tally = stage.run()
    turn = stage.turn(1)
    assert (tally.adopted, tally.started, tally.done, tally.failed) == (1, 1, 1, 0)
    assert (turn.mode, turn.attempts, turn.claude_session) == ("resume", 2, session)
    assert launches(stage) == ["1", "1-2"]
    assert "This was interrupted before." in (stage.bottle() / "turns" / "1-2" / "prompt.md").read_text()


def test_agent_whose_keeper_was_killed_is_ended_before_it_is_resumed(stage: Stage, runners: Runners) -> None:
    """Two that speak in one conversation would each lose what the other heard."""
    stage.want("opened|[agent: sleep 60 1]")
    kill_mid_turn(stage, runners)
    keeper = int((stage.bottle() / "turns" / "1" / "pid").read_text().split()[0])
    os.kill(keeper, signal.SIGKILL)
    left = list(processes.marked(MARKER, f"{stage.session().identity}/1"))
    assert left, "the agent goes on without its keeper"
    assert stage.run().done == 1
    assert not any(processes.start_of(pid) for pid in left)


@pytest.mark.timeout(900)
def test_runner_killed_at_any_statement_costs_nothing_and_repeats_nothing(stage: Stage, runners: Runners) -> None:
    """Every third statement of a turn, from the look for orphans to the last count."""
    killed = 0
    for number in range(1, 200, 3):
        turn = stage.want(f"{number}|", ref=f"pull {number}") or 0
        ended = runners.start(KILLED_AT_STATEMENT=str(number)).wait(30)
        assert ended in (0, -signal.SIGKILL)
        stage.run()
        done = stage.turn(turn)
        assert (done.state, done.attempts) == ("done", 1), f"killed at statement {number}"
        turns = state.bottle(stage.state, done.identity) / "turns"
        assert len(list(turns.glob("*/out.jsonl"))) == 1, f"killed at statement {number}"
        if ended == 0:
            break
        killed += 1
    assert killed > 8
    with reading(stage.engine) as conn:
        followed = [row.turn_id for row in conn.execute(sa.select(follow_up))]
    assert sorted(followed) == [turn.id for turn in stage.turns()], "once each"


def claimed_by_the_dead(stage: Stage) -> tuple[Turn, Session]:
    """The one turn that waits, in the hands of a runner that is not there any more."""
    with begin(stage.engine) as conn:
        dead = f"{processes.me().host}:boot:0:1:1"
        turn = claims.claim(conn, owner=dead, now=stage.clock(), lease=60, limit_parallel=2, agents=["reviewer"])
        assert turn is not None
        session = registry.add_session(
            conn, ref=REF, key="k", agent="reviewer", identity="reviewer-00000", backend="process", cwd="work", now=1.0
        )
        return claims.belongs_to(conn, turn, session), session


@pytest.mark.parametrize("reason", ["its launch", "a tired service"])
def test_turn_by_hand_whose_caller_died_takes_no_event_with_it(stage: Stage, reason: str) -> None:
    stage.want("opened")
    stage.run()
    session = stage.session()
    dead = f"{processes.me().host}:boot:0:1:1"
    with begin(stage.engine) as conn:
        left = byhand.enter(conn, session, why="bottle export", now=stage.clock())
        conn.execute(tables.turn.update().where(tables.turn.c.id == left.id).values(owner=dead))
    asked = stage.want("asked") or 0
    if reason != "its launch":
        with begin(stage.engine) as conn:
            held = claims.hold(conn, left.id, owner=dead, now=stage.clock(), lease=60, anew=False)
            held = claims.launching(conn, held, session, mode="resume", told=(), now=stage.clock(), minutes=1)
            outcome = Outcome(kind="overloaded", reason=reason)
            verdict = lifecycle.after(outcome, held, session, now=stage.clock())
            claims.finish(conn, held, outcome, verdict, now=stage.clock(), transcript_bytes=1)
    stage.want("asked again")
    assert stage.run().done == 1
    assert stage.turn(left.id).state in ("dropped", "failed") and stage.turn(left.id).events == ()
    assert (stage.turn(asked).state, stage.turn(asked).events) == ("done", ("asked", "asked again"))


def test_file_in_the_way_is_no_sign_of_somebody_else(stage: Stage) -> None:
    """It is a try that failed, and has a reason."""
    stage.want("opened")
    stage.run()
    config = state.config_dir(stage.bottle())
    shutil.rmtree(config)
    config.write_text("not a directory any more")
    stage.want("asked")
    stage.run()
    turn = stage.turns()[-1]
    assert (turn.state, turn.kind, turn.deaths) == ("waiting", "engine", 0)
    assert str(config) in turn.reason


def test_runner_killed_between_claim_and_launch_costs_no_attempt(stage: Stage) -> None:
    number = stage.want("opened") or 0
    claimed_by_the_dead(stage)
    tally = stage.run()
    assert (tally.adopted, tally.started, tally.done) == (1, 1, 1)
    turn = stage.turn(number)
    assert (turn.attempts, turn.mode, turn.identity) == (1, "fresh", "reviewer-00000")


def test_late_starter_gives_up_when_its_launch_was_forbidden(stage: Stage) -> None:
    """The runner that was taken for dead had only been slow."""
    from sessions import runs
    from sessions.bottles import bottle_for

    number = stage.want("opened") or 0
    turn, session = claimed_by_the_dead(stage)
    with begin(stage.engine) as conn:
        turn = claims.launching(conn, turn, session, mode="fresh", told=(), now=stage.clock(), minutes=1)
    slow = runs.write_down(
        stage.state, turn, session, agent=stage.agents["reviewer"], prompt="late", environ={}, now=stage.clock()
    )
    assert stage.run().done == 1
    bottle = bottle_for("process", environ=stage.environ)
    bottle.start(slow)
    eventually(lambda: not list(processes.marked(MARKER, f"{session.identity}/{slow.directory.name}")))
    assert not (slow.directory / "out.jsonl").exists()
    assert stage.turn(number).attempts == 1 and launches(stage) == ["1", "1-2"]


def test_runners_that_meet_run_every_turn_once_and_no_two_of_one_key(stage: Stage, runners: Runners) -> None:
    """A16, B7: three processes, four pulls, two agents."""
    for number in range(4):
        for agent in ("reviewer", "tester"):
            stage.want(f"{number}|[agent: sleep 0.1]", ref=f"pull {number}", agent=agent)
    for runner in [runners.start() for _ in range(3)]:
        assert runner.wait(60) == 0
    turns = stage.turns()
    assert [(turn.state, turn.attempts) for turn in turns] == [("done", 1)] * 8
    for number in range(4):
        first, second = sorted(
            (turn.started_at or 0, turn.ended_at or 0) for turn in turns if turn.ref == f"pull {number}"
        )
        assert second[0] >= first[1]
    spans = [(turn.started_at or 0, turn.ended_at or 0) for turn in turns]
    assert all(sum(start <= moment < end for start, end in spans) <= 2 for moment, _ in spans), (
        "the limit is everybody's"
    )


def test_turn_of_a_runner_that_hangs_is_taken_over_after_its_lease(stage: Stage, runners: Runners) -> None:
    stage.want("opened|[agent: sleep 3]")
    runner = runners.start()
    eventually(lambda: stage.turns(state="running") and (stage.bottle() / "turns" / "1" / "out.jsonl").exists())
    eventually(lambda: hang(runner, stage))
    assert stage.run() == stage.run().__class__(), "its word is taken until then"
    stage.now = stage.turn(1).lease_until + 1
    assert stage.run().adopted == 1
    assert stage.turn(1).state == "done"
    runner.send_signal(signal.SIGCONT)
    assert runner.wait(30) == 0
    assert stage.session().turns == 1, "the one that hung recorded nothing"


def test_moved_state_directory_goes_on(stage: Stage, tmp_path: Path) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session()
    stage.close()
    elsewhere = tmp_path / "elsewhere" / "deeper"
    elsewhere.mkdir(parents=True)
    shutil.move(stage.state, elsewhere / "state-root")
    moved = Stage(elsewhere, stage.environ, database=stage.database if isinstance(stage.database, str) else None)
    try:
        moved.want("pushed")
        assert moved.run().done == 1
        assert moved.turn(2).mode == "resume" and moved.session().identity == before.identity
        assert moved.turn(2).answer.endswith("I remember 1 earlier message.")
    finally:
        moved.close()


def test_no_absolute_path_is_kept(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    stage.close()
    place = str(stage.state.parent).encode()
    kept = [path for path in stage.state.rglob("*") if path.is_file() and place in path.read_bytes()]
    assert kept == []


def test_forge_token_does_not_reach_the_agent(stage: Stage) -> None:
    stage.environ |= {"GITEA_TOKEN": "hunter2", "CLAUDECODE": "1", "CLAUDE_CODE_X": "1", "DEMO_AGENT": "sleep 3"}
    stage.want("opened")
    seen: dict[str, str] = {}
    with stage.running():
        eventually(lambda: stage.turns(state="running") and (stage.bottle() / "turns" / "1" / "out.jsonl").exists())
        keeper = (stage.bottle() / "turns" / "1" / "pid").read_text().split()[0]
        for entry in Path(f"/proc/{keeper}/environ").read_bytes().split(b"\0"):
            name, _, value = entry.decode().partition("=")
            seen |= {name: value} if name else {}
    assert set(seen) - {"IS_SANDBOX"} == {
        *("PATH", "HOME", "LANG", "TMPDIR", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_PROJECT_DIR_NAME", "DISABLE_AUTOUPDATER"),
        *("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_MAX_RETRIES", MARKER, HOME, "DEMO_AGENT"),
    }
    assert seen["HOME"] == str(stage.bottle() / "transcript")
    assert ("IS_SANDBOX" in seen) == (os.geteuid() == 0)
    argv = json.loads((stage.bottle() / "turns" / "1" / "argv.json").read_text())
    assert not any("hunter2" in word for word in argv)
