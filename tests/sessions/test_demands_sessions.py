"""What the earlier systems promised of turns and of conversations (rows A and B), by its number.

The tests are short; depth is in the files beside this one.  What needs a forge is in `tests/acceptance`.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from sessions import claims, lifecycle, registry, state, tables
from sessions.byhand import Terminal
from sessions.config import Agent, Limits, Settings
from sessions.database import DatabaseError, begin, open_database, reading
from sessions.turns import Outcome
from tests.sessions.desk import Desk
from tests.sessions.stage import KEY, REF, Stage


@pytest.fixture
def desk(tmp_path: Path, scripted_environ: dict[str, str]) -> Desk:
    return Desk(tmp_path, scripted_environ)


# -- dispatch ---------------------------------------------------------------------------------------------------------


def test_demand_a04_run_asks_nothing_blocks_to_the_end_and_returns_the_json(desk: Desk) -> None:
    done = desk.call("run", "reviewer", "[agent: sleep 0.3] hello")
    said = json.loads(done.stdout)
    assert (said["type"], said["subtype"], done.returncode) == ("result", "success", 0)
    argv = json.loads((desk.root / "state" / said["identity"] / "turns" / "1" / "argv.json").read_text())
    assert argv[:2] == ["claude", "-p"] and "--dangerously-skip-permissions" in argv
    assert said["session_id"] in argv
    assert desk.row()["state"] == "idle", "torn down"


def test_demand_a05_run_resume_is_the_same_bottle_with_its_transcript(desk: Desk) -> None:
    said = desk.run()
    done = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "and?")
    again = json.loads(done.stdout)
    assert (again["identity"], again["session_id"]) == (said["identity"], said["session_id"])
    assert "I remember 1 earlier message" in again["result"]
    argv = json.loads((desk.root / "state" / said["identity"] / "turns" / "2" / "argv.json").read_text())
    assert argv[argv.index("--resume") + 1] == said["session_id"]


def test_demand_a06_both_identities_are_kept_and_joined(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    session = stage.session()
    assert (stage.turn(1).identity, stage.turn(1).claude_session) == (session.identity, session.claude_session)
    assert session.identity != session.claude_session and (session.ref, session.key) == (REF, KEY)


def test_demand_a07_resume_is_by_id_and_never_the_latest(stage: Stage) -> None:
    for ref in (REF, "another"):
        stage.want(f"opened {ref}", ref=ref)
        stage.run()
    stage.want("pushed")
    stage.run()
    argv = json.loads((stage.bottle() / "turns" / "3" / "argv.json").read_text())
    assert argv[argv.index("--resume") + 1] == stage.session().claude_session
    assert not {"-c", "--continue"} & set(argv)


def test_demand_a08_the_registry_has_pull_bottle_conversation_and_agent(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    with reading(stage.engine) as conn:
        (row,) = conn.execute(sa.select(tables.session)).mappings()
    assert (row["key"], row["agent"], row["turns"]) == (KEY, "reviewer", 1)
    assert row["identity"] and row["claude_session"] and row["backend"] == "process"


def test_demand_a09_the_id_that_comes_back_is_stored_same_or_another(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    other = "f2b0c7de-6c1b-4a2e-9f00-0123456789ab"
    turn, session = stage.turn(1), stage.session()

    def end(conn: sa.Connection) -> None:
        number = registry.add_turn(conn, ref=REF, key=KEY, agent="reviewer", why="x", now=1.0)
        held = claims.hold(conn, number, owner="me", now=1.0, lease=60, anew=True)
        held = claims.belongs_to(conn, held, session)
        outcome = Outcome(kind="done", claude_session=other)
        claims.finish(conn, held, outcome, lifecycle.Verdict(turn="done"), now=2.0, transcript_bytes=1)

    assert turn.claude_session == session.claude_session
    stage.write(end)
    assert stage.session().claude_session == other


def test_demand_a14_the_whole_config_directory_is_outside_and_comes_back(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    config = stage.bottle() / "transcript" / ".claude"
    assert stage.transcript().is_relative_to(config)
    (config / "notes.md").write_text("its own")
    stage.want("pushed")
    stage.run()
    assert "1 earlier message" in stage.turn(2).answer and (config / "notes.md").read_text() == "its own"


def test_demand_a15_the_cwd_is_pinned_in_the_entry(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session().cwd
    stage.want("pushed")
    stage.run()
    assert stage.session().cwd == before == "work"
    assert json.loads((stage.bottle() / "metadata.json").read_text())["cwd"] == before


def test_demand_a17_the_same_event_twice_makes_no_second_bottle(stage: Stage) -> None:
    assert stage.want("opened") is not None and stage.want("opened") is None
    stage.run()
    assert stage.want("opened") is None
    assert stage.run().started == 0
    assert len(state.identities(stage.state)) == 1


def test_demand_a19_a_counter_triggers_a_fresh_conversation_that_knows_the_old_one(stage: Stage) -> None:
    """By tokens; dispatches and the agent's own turns are counted, too."""
    agent = stage.agents["reviewer"]
    stage.agents["reviewer"] = msgspec.structs.replace(
        agent, limits=msgspec.structs.replace(agent.limits, rotate_tokens=1)
    )
    stage.want("opened")
    stage.run()
    before = stage.session()
    assert (before.turns, before.agent_turns) == (1, 1) and before.context_tokens > 1
    stage.want("pushed")
    stage.run()
    after = stage.session()
    assert after.identity == before.identity and after.claude_session != before.claude_session
    assert (after.turns, stage.turn(2).mode, stage.turn(2).handovers) == (2, "fresh", 1)
    assert after.summary and after.agent_turns == 3


# -- sessions ---------------------------------------------------------------------------------------------------------


def a_session(conn: sa.Connection, ref: str = REF, agent: str = "reviewer", identity: str = "reviewer-00000") -> None:
    registry.add_session(
        conn, ref=ref, key=f"key of {ref}", agent=agent, identity=identity, backend="process", cwd="work", now=1.0
    )


def test_demand_b01_set_get_drop_says_whether_and_drop_all(stage: Stage) -> None:
    stage.write(a_session)
    stage.write(lambda conn: a_session(conn, agent="tester", identity="tester-00000"))
    assert stage.session().identity == "reviewer-00000"
    drop = {"ref": REF, "now": 2.0, "agent": "reviewer", "bottle": True}
    assert [bool(stage.write(lambda conn: registry.forget(conn, **drop))) for _ in range(2)] == [True, False]
    assert len(stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=3.0))) == 1


def test_demand_b02_other_keys_are_untouched_by_a_drop(stage: Stage) -> None:
    others = [("repo 12, pull 8", "reviewer"), ("repo 13, pull 7", "reviewer"), (REF, "tester")]
    stage.write(a_session)
    for number, (ref, agent) in enumerate(others):
        stage.write(lambda conn, n=number, r=ref, a=agent: a_session(conn, r, a, f"other-0000{n}"))
    stage.write(lambda conn: registry.forget(conn, ref=REF, now=2.0, agent="reviewer", bottle=True))
    with reading(stage.engine) as conn:
        assert [(one.ref, one.agent) for one in registry.sessions(conn)] == others


def test_demand_b04_a_write_is_whole_or_not_at_all(stage: Stage) -> None:
    def half(conn: sa.Connection) -> None:
        a_session(conn)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stage.write(half)
    with reading(stage.engine) as conn:
        assert registry.sessions(conn, all=True) == []


def test_demand_b05_stray_and_damaged_files_take_nothing_down(desk: Desk) -> None:
    said = desk.run()
    room = desk.root / "state"
    (room / said["identity"] / ".metadata.json.123-abc").write_text("{half")
    (room / "reviewer-zzzzz").mkdir()
    (room / "reviewer-zzzzz" / "metadata.json").write_text("\x00 no JSON")
    assert desk.row()["identity"] == said["identity"]
    again = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "and?")
    assert again.returncode == 0, again.stderr


def test_demand_b06_fifty_writers_at_once_all_land(stage: Stage) -> None:
    go = threading.Barrier(50)

    def write(number: int) -> None:
        go.wait()
        stage.write(lambda conn: a_session(conn, ref=f"ref {number}", identity=f"reviewer-{number:05}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(stage.engine) as conn:
        assert len(registry.sessions(conn)) == 50


def test_demand_b07_several_processes_are_safe(desk: Desk) -> None:
    """Two that begin a database together, and run an agent each."""
    with desk.sit("run", "reviewer", "one") as one, desk.sit("run", "reviewer", "two") as two:
        assert (one.ends(), two.ends()) == (0, 0), one.plain + two.plain
    assert sorted(turn.state for turn in desk.turns()) == ["done", "done"]
    assert len({turn.identity for turn in desk.turns()}) == 2


def test_demand_b08_entry_means_resume_and_none_means_fresh(stage: Stage) -> None:
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    assert [turn.mode for turn in stage.turns()] == ["fresh", "resume"]


def test_demand_b09_the_id_is_durable_before_the_run_begins(stage: Stage) -> None:
    seen = []

    def look(_turn: object) -> None:
        seen.append(stage.session().claude_session)

    stage.errand.answer_instead = look
    stage.want("opened")
    stage.run()
    assert seen == [stage.session().claude_session]


def test_demand_b10_a_failing_write_kills_no_run_and_is_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([DatabaseError("the disk is full"), DatabaseError("the disk is full")])
    real = claims.finish

    def finish(*args: object, **named: object) -> object:
        for failure in failures:
            raise failure
        return real(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(claims, "finish", finish)
    stage.want("opened")
    assert stage.run().done == 1
    assert (stage.turn(1).state, stage.turn(1).launches) == ("done", 1)


def test_demand_b11_not_found_starts_afresh_once(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session()
    stage.environ["DEMO_AGENT"] = "lost"
    stage.want("pushed")
    stage.run()
    assert [one[1] for one in stage.errand.prepared] == ["fresh", "resume", "fresh"]
    assert stage.session().claude_session != before.claude_session and stage.turn(2).state == "done"


@pytest.mark.parametrize("words", ["fail", "login", "overloaded", "garbage", "budget"])
def test_demand_b12_any_other_error_keeps_the_session(stage: Stage, words: str) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session()
    stage.want("pushed", f"[agent: {words}]")
    stage.run()
    assert stage.turn(2).state != "done"
    assert (stage.session().claude_session, stage.session().note) == (before.claude_session, "")
    assert [one[1] for one in stage.errand.prepared] == ["fresh", "resume"]


def test_demand_b13_full_prompt_when_fresh_and_delta_when_resumed(stage: Stage) -> None:
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    prompts = [(stage.bottle() / "turns" / number / "prompt.md").read_text() for number in ("1", "2")]
    assert [prompt.split()[0] for prompt in prompts] == ["Full", "Delta"]


def test_demand_b16_closing_drops_every_agents_session(stage: Stage) -> None:
    for agent in ("reviewer", "tester"):
        stage.want(f"opened for {agent}", agent=agent)
    stage.run()
    dropped = stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=1.0))
    assert {one.agent for one in dropped} == {"reviewer", "tester"}
    with reading(stage.engine) as conn:
        assert registry.sessions(conn) == []


def test_demand_b17_reset_drops_one_key_and_says_truthfully_whether(stage: Stage) -> None:
    stage.want("opened")
    stage.want("opened too", ref="another")
    stage.run()
    before = stage.session().claude_session
    assert [len(stage.write(lambda conn: registry.forget(conn, ref=REF, now=1.0))) for _ in range(2)] == [1, 0]
    assert stage.session().claude_session != before
    stage.want("pushed too", ref="another")
    stage.run()
    assert stage.turns()[-1].mode == "resume"


def test_demand_b18_a_resume_is_visible_in_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="sessions")
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    assert f"resuming session {stage.session().claude_session}" in caplog.text


# -- later steps ------------------------------------------------------------------------------------------------------


def test_upstream_start_and_resume_are_python_calls_too(tmp_path: Path, scripted_environ: dict[str, str]) -> None:
    settings = Settings(
        state=tmp_path / "state", database=None, limits=Limits(), agents={"reviewer": Agent(backend="process", env=())}
    )
    terminal = Terminal(settings, environ=scripted_environ, stop=threading.Event())
    first = terminal.run("reviewer", "hello")
    again = terminal.run_resume(first.session.identity, claude_session=first.session.claude_session, task="and?")
    assert again.outcome is not None and "1 earlier message" in again.outcome.text
    engine = open_database(settings.state / "bottlepost.db", [tables.COMPONENT])
    with begin(engine) as conn:
        assert len(registry.turns(conn)) == 2
    engine.dispose()
