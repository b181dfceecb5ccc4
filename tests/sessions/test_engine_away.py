"""The container engine does not answer: who waits for it, how long, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from sessions import claims, registry, state, tables
from sessions.founding import new_session
from tests.sessions.stage import KEY, REF, Stage


def test_engine_that_is_away_is_not_the_sessions_fault(stage: Stage, tmp_path: Path) -> None:
    stage.environ["DOCKER_HOST"] = f"unix://{tmp_path / 'nobody.sock'}"
    stage.agents["reviewer"] = stage.agents["reviewer"].__class__(backend="docker")
    stage.want("opened")
    assert stage.run().failed == 1
    turn = stage.turn(1)
    assert (turn.state, turn.kind) == ("waiting", "engine") and stage.session().note == ""
    assert turn.reason.startswith(f"the container engine at unix://{tmp_path / 'nobody.sock'} does not answer")
    assert turn.reason.endswith("start it, set DOCKER_HOST, or use backend: process")


def left_in_docker(stage: Stage, nowhere: Path, *, mark: bool = True) -> Path:
    """A turn of two minutes was launched in a container, and nobody hears of that engine any more; its directory."""
    stage.environ["DOCKER_HOST"] = f"unix://{nowhere / 'nobody.sock'}"
    stage.now = 1_000_000.0
    stage.want("opened")

    def launched(conn: sa.Connection) -> Path:
        turn = claims.claim(conn, owner="", now=stage.clock(), lease=0.0, limit_parallel=1, agents=stage.agents)
        assert turn is not None
        session = new_session(
            conn, state=stage.state, agent="reviewer", backend="docker", now=stage.clock(), ref=REF, key=KEY
        )
        turn = claims.belongs_to(conn, turn, session)
        turn = claims.launching(conn, turn, session, mode="fresh", told=(), now=stage.clock(), minutes=2)
        claims.release(conn, turn)
        return state.bottle(stage.state, session.identity) / "turns" / turn.directory

    directory: Path = stage.write(launched)
    directory.mkdir(parents=True)
    if mark:
        (directory / "container").write_text("c0ffee\n")
    return directory


def looked_after(stage: Stage, *seconds: float) -> list[str]:
    """The states of the turn, so many seconds after one another, as somebody adopts it whenever he can."""
    states = []
    for later in seconds:
        stage.now = stage.clock() + later
        stage.run(wait=False, parallel=0)
        states.append(stage.turn(1).state)
    return states


@pytest.mark.parametrize("mark", [True, False])
def test_turn_whose_engine_never_comes_back_is_cut_off_an_hour_after_its_time(
    stage: Stage, tmp_path: Path, mark: bool
) -> None:
    """And its place is free for others, whatever they run in."""
    directory = left_in_docker(stage, tmp_path, mark=mark)
    stage.want("else", ref="another", agent="tester")
    assert looked_after(stage, 60, 61, 3539) == ["running"] * 3
    assert stage.run(parallel=1).started == 0
    assert (stage.turn(1).stop_asked, stage.turn(2).state) == ("", "waiting")
    assert looked_after(stage, 61) == ["waiting"]
    assert (stage.turn(1).kind, stage.turn(1).reason, stage.turn(1).attempts) == ("interrupted", "cut off", 1)
    assert (directory / "forbidden").exists(), "a start that comes late finds it"
    assert stage.run(parallel=1).done == 1 and stage.turn(2).state == "done"
    while stage.turn(1).state == "waiting":
        stage.now = max(stage.clock() + 61, stage.turn(1).not_before)
        stage.run(parallel=1)
    assert (stage.turn(1).state, stage.turn(1).kind) == ("failed", "engine"), "and that is bounded"


def test_turn_that_is_to_stop_waits_some_minutes_for_its_engine(stage: Stage, tmp_path: Path) -> None:
    left_in_docker(stage, tmp_path)
    assert looked_after(stage, 30) == ["running"]
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=stage.clock()))
    assert looked_after(stage, 1, 239) == ["running", "running"]
    assert looked_after(stage, 61) == ["dropped"]
    assert stage.turn(1).reason == "closed"


def test_answer_that_was_complete_is_kept_where_the_engine_never_comes_back(stage: Stage, tmp_path: Path) -> None:
    directory = left_in_docker(stage, tmp_path)
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "done and said"}
    (directory / "out.jsonl").write_text(json.dumps(result) + "\n")
    (directory / "exit").write_text("0\n")
    assert looked_after(stage, 121, 3600) == ["running", "done"]
    assert stage.turn(1).answer == "done and said"


def test_clock_that_was_put_back_gives_a_lost_engine_its_time_afresh(stage: Stage, tmp_path: Path) -> None:
    left_in_docker(stage, tmp_path)
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=stage.clock()))
    assert looked_after(stage, 9000, -8000, 239, 61) == ["running", "running", "running", "dropped"]


def test_turn_whose_worker_died_before_the_launch_needs_no_engine_to_wait_again(stage: Stage, tmp_path: Path) -> None:
    left_in_docker(stage, tmp_path)
    stage.write(lambda conn: conn.execute(tables.turn.update().values(started_at=None, deadline=None)))
    stage.run(wait=False, parallel=0)
    assert (stage.turn(1).state, stage.turn(1).reason) == ("waiting", "its worker died before the launch")
