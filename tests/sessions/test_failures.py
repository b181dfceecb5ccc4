"""Turns that go wrong: what is tried again, what is kept, what is said."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from sessions import claims, pauses, registry, state, tables, transcript
from sessions.bottles.process import ProcessBottle
from sessions.database import DatabaseError, begin, reading
from sessions.founding import new_session
from sessions.turns import Launch, Outcome, Session, Turn
from tests.sessions.stage import KEY, REF, Stage, eventually


def test_failed_turn_waits_and_is_tried_three_times(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.want("opened", "[agent: fail]")
    for attempt, pause in ((1, 30), (2, 120)):
        tally = stage.run()
        assert (tally.failed, tally.waiting) == (1, 1)
        turn = stage.turn(1)
        assert (turn.state, turn.attempts, turn.not_before) == ("waiting", attempt, stage.now + pause)
        assert stage.run().started == 0, "not before its time"
        stage.now = turn.not_before
    assert stage.run().failed == 1
    assert stage.turn(1).state == "failed"
    assert [told[1] for told in stage.errand.settled_as] == ["waiting", "waiting", "failed"]
    assert [attempts for _, _, attempts in stage.errand.prepared] == [0, 1, 2]
    assert sorted(path.name for path in (stage.bottle() / "turns").iterdir()) == ["1", "1-2", "1-3"]


def test_end_that_cannot_be_read_is_given_up_in_time(stage: Stage) -> None:
    """The agent has put something in the way of what we write there: neither its pull nor a slot is held for ever."""
    stage.now = 1_000_000.0

    class Stuck(ProcessBottle):
        def sweep(self, launch: Launch) -> None:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(launch.directory / "exit"))

    def run() -> None:
        stage.run(bottles=lambda _, environ: Stuck(environ=environ))

    stage.want("opened")
    run()
    assert stage.turn(1).state == "running"
    for seconds in (3600, 60, 3600, 60):
        stage.now += seconds
        run()
    assert (stage.turn(1).state, stage.errand.settled_as[-1][2]) == ("done", "done")


@pytest.mark.parametrize(("number", "ends"), [(errno.EACCES, True), (errno.ENOSPC, False)])
def test_end_that_fails_over_a_file_counts_unless_the_disk_says_it(stage: Stage, number: int, ends: bool) -> None:
    stage.now = 1_000_000.0
    settled = stage.errand.settled

    def trouble(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        if outcome.kind == "done":
            raise OSError(number, os.strerror(number), "a file")
        settled(conn, turn, session, outcome)

    stage.errand.settled = trouble  # type: ignore[method-assign]
    stage.want("opened")
    for _ in range(12):
        stage.run()
        stage.now += 3600
    assert stage.turn(1).state == ("failed" if ends else "running")
    if not ends:
        stage.errand.settled = settled  # type: ignore[method-assign]
        stage.run()
        assert stage.turn(1).state == "done"


def test_session_survives_a_failure_and_the_retry_resumes_it(stage: Stage) -> None:
    """B12: on any other error than "not found" the session is kept."""
    stage.want("opened")
    stage.run()
    before = stage.session().claude_session
    stage.now = 2_000_000_000.0
    stage.want("pushed", "[agent: fail 1]")
    stage.run()
    stage.now += 30
    assert stage.run().done == 1
    assert stage.session().claude_session == before
    assert [mode for _, mode, _ in stage.errand.prepared] == ["fresh", "resume", "resume"]


def test_session_that_claude_does_not_find_is_dropped_and_tried_once_afresh(stage: Stage) -> None:
    """B11: with the full prompt, a new id, the same bottle."""
    stage.want("opened")
    stage.run()
    before, identity = stage.session().claude_session, stage.session().identity
    stage.environ["DEMO_AGENT"] = "lost"
    stage.want("pushed")
    assert stage.run().done == 1
    session, turn = stage.session(), stage.turn(2)
    assert session.claude_session != before and session.identity == identity
    assert (turn.mode, turn.attempts, turn.launches, turn.renewed) == ("fresh", 1, 2, True)
    assert stage.errand.prepared[1:] == [(2, "resume", 0), (2, "fresh", 0)]
    assert turn.cost_usd > 0


def test_fresh_start_after_not_found_happens_once_only(stage: Stage) -> None:
    """B11."""
    stage.want("opened")
    stage.run()
    stage.environ["DEMO_AGENT"] = "lost, fail"
    stage.now = 2_000_000_000.0
    stage.want("pushed")
    assert stage.run().failed == 1
    assert stage.errand.prepared[1:] == [(2, "resume", 0), (2, "fresh", 0)]
    stage.now = stage.turn(2).not_before
    assert stage.run().failed == 1
    assert stage.errand.prepared[3:] == [(2, "resume", 1)]
    assert (stage.turn(2).state, stage.turn(2).kind) == ("waiting", "not_found")


def test_login_failure_pauses_the_session_and_keeps_the_event(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.want("opened", "[agent: login]")
    assert stage.run().failed == 1
    turn, session = stage.turn(1), stage.session()
    assert (turn.state, turn.kind) == ("waiting", "refused")
    assert session.state(stage.now) == "paused" and "login" in session.paused_why
    stage.errand.texts["opened"] = ""
    stage.now = turn.not_before
    assert session.state(stage.now) == "idle"
    assert stage.run().done == 1
    assert stage.session().paused_until is None, "being served ends it"


def test_refusal_pauses_all_sessions_of_the_agent_and_no_other_agents(stage: Stage) -> None:
    stage.now = 1_000_000.0
    for name in "ab":
        stage.want(f"opened {name}", ref=f"pull {name}")
    stage.run()
    stage.want("pushed a", "[agent: quota 2:00pm (UTC)]", ref="pull a")
    stage.run()
    paused = stage.session(ref="pull b")
    assert paused.state(stage.now) == "paused" and "session limit" in paused.paused_why
    assert paused.paused_until == 1_000_800.0, "the date that was stated: it was 13:46:40"
    stage.want("pushed b", ref="pull b")
    stage.want("opened b for another", ref="pull b", agent="tester")
    assert stage.run().done == 1, "the other agent's"
    assert stage.turns(state="waiting")[-1].events == ("pushed b",), "its event stays"


def test_at_the_end_of_a_pause_one_turn_alone_tries_whether_it_is_over(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.want("opened a", "[agent: login]", ref="pull a")
    stage.run()
    for name in "bcd":
        stage.want(f"opened {name}", "[agent: login]", ref=f"pull {name}")
    stage.now = stage.turn(1).not_before
    assert stage.run().failed == 1, "the others need not be refused, too"
    stage.now += 900
    stage.environ["DEMO_AGENT"] = ""
    for event in stage.errand.texts:
        stage.errand.texts[event] = ""
    assert stage.run().done == 4, "once it was served, all go on"


def test_pause_outlives_the_process_and_what_was_begun_before_it_does_not_end_it(stage: Stage) -> None:
    with begin(stage.engine) as conn:
        pauses.pause(conn, "reviewer", until=2_000.0, why="weekly limit", now=1_000.0)
        pauses.pause(conn, "reviewer", until=1_500.0, why="login", now=1_100.0)
        pauses.lift(conn, "reviewer", served_at=999.0)
    stage.now = 1_999.0
    stage.want("opened")
    assert stage.run().started == 0
    stage.now = 2_000.0
    assert stage.run().done == 1
    with reading(stage.engine) as conn:
        assert pauses.pauses(conn) == []


def test_overload_backs_off_and_goes_on_in_the_same_session(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.want("opened", "[agent: overloaded 4]")
    for _ in range(4):
        assert stage.run().failed == 1
        assert stage.turn(1).kind == "overloaded"
        stage.now = stage.turn(1).not_before
    assert stage.run().done == 1
    assert [mode for _, mode, _ in stage.errand.prepared] == ["fresh", *["resume"] * 4]


def test_turn_over_its_budget_fails_at_once_and_its_session_can_be_resumed(stage: Stage) -> None:
    stage.want("opened", "[agent: budget]")
    assert stage.run().failed == 1
    assert (stage.turn(1).state, stage.turn(1).kind) == ("failed", "limited")
    assert stage.turn(1).reason == "its $1.00 (`limits.usd`) are used up"
    stage.want("pushed")
    assert stage.run().done == 1
    assert stage.turn(2).mode == "resume"


def test_conversation_that_became_too_long_goes_on_in_a_new_one_at_once(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session()
    stage.want("pushed", "[agent: long 1]")
    assert stage.run().done == 1
    session, turn = stage.session(), stage.turn(2)
    assert session.claude_session != before.claude_session and session.identity == before.identity
    assert (turn.mode, turn.attempts, turn.surprise) == ("fresh", 2, "the conversation had become too long")
    assert stage.errand.prepared[1:] == [(2, "resume", 0), (2, "fresh", 1)], "it may have done something: a repeat"


def test_turn_that_is_too_long_by_itself_fails_with_the_reason_after_one_fresh_start(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    stage.want("pushed", "[agent: long]")
    assert stage.run().failed == 1
    turn = stage.turn(2)
    assert (turn.state, turn.kind, turn.reason, turn.launches) == ("failed", "too_long", "Prompt is too long", 2)
    stage.want("commented")
    assert stage.run().done == 1, "the next event starts afresh"
    assert (stage.turn(3).mode, stage.turn(3).surprise) == ("fresh", "the conversation had become too long")


@pytest.mark.parametrize("words", ["garbage", "silent"])
def test_unreadable_answer_fails_the_turn_and_keeps_the_transcript(stage: Stage, words: str) -> None:
    stage.want("opened", f"[agent: {words}]")
    stage.run()
    assert stage.turn(1).kind == "unreadable"
    assert stage.transcript().exists()


def test_run_over_its_minutes_is_ended(stage: Stage) -> None:
    stage.limit(minutes=0.03)
    stage.want("opened", "[agent: stubborn, sleep 60]")
    stage.run(grace=0.2)
    turn = stage.turn(1)
    assert (turn.state, turn.kind, turn.reason) == ("failed", "limited", "its 0.03 minutes (`limits.minutes`) are over")


def test_clock_that_is_put_ahead_ends_no_run(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 3]")
    with stage.running():
        eventually(lambda: any(one.what == "running" for one in stage.progress))
        stage.now = (stage.turn(1).deadline or 0) + 1
    assert stage.turn(1).state == "done"


def test_what_a_turn_left_running_ends_with_it(stage: Stage) -> None:
    """Claude's tools run in sessions of their own: the process group does not hold them."""
    from sessions import processes
    from sessions.bottles.process import MARKER

    stage.want("opened", "[agent: child 60]")
    assert stage.run().done == 1
    assert not list(processes.marked(MARKER, f"{stage.session().identity}/1"))


def test_answer_without_a_transcript_is_said_loudly_and_not_resumed(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.want("opened", "[agent: forget]")
    stage.run()
    assert "cannot be resumed" in caplog.text
    stage.want("pushed")
    stage.run()
    assert [turn.mode for turn in stage.turns()] == ["fresh", "fresh"]


def test_bug_in_an_errand_stops_loudly_but_not_every_later_cycle(stage: Stage) -> None:
    def broken(turn: Turn) -> None:
        raise ZeroDivisionError("a bug")

    stage.errand.answer_instead = broken
    stage.want("opened")
    with pytest.raises(ZeroDivisionError):
        stage.run()
    assert (stage.turn(1).state, stage.turn(1).attempts) == ("waiting", 0), "nobody was told anything"
    assert stage.run().started == 0


def test_turn_whose_preparation_always_meets_a_bug_is_given_up(stage: Stage) -> None:
    def broken(turn: Turn) -> None:
        raise ZeroDivisionError("a bug")

    stage.now = 1_000_000.0
    stage.errand.answer_instead = broken
    stage.want("opened")
    waits: list[float] = []
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            stage.run()
        if stage.turn(1).state == "waiting":
            waits.append(stage.turn(1).not_before - stage.now)
            stage.now = stage.turn(1).not_before
    assert waits == [60, 60, 60, 60, 120, 480, 480, 480, 480]
    why = "preparing it failed: ZeroDivisionError, 10 times"
    assert (stage.turn(1).state, stage.turn(1).reason, stage.turn(1).launches) == ("failed", why, 0)
    assert stage.errand.settled_as == [(1, "failed", "interrupted", why)]


def test_database_that_fails_while_a_turn_is_prepared_is_no_attempt_of_it(stage: Stage) -> None:
    failures = iter([DatabaseError("disk full; make room")])

    def away(turn: Turn) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure

    stage.now = 1_000_000.0
    stage.errand.answer_instead = away
    stage.want("opened")
    assert stage.run().failed == 1
    stage.now = stage.turn(1).lease_until
    assert stage.run().done == 1
    assert (stage.turn(1).attempts, stage.turn(1).deaths) == (1, 1)


def test_failing_write_at_the_end_is_repeated_and_the_result_is_not_lost(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """B10."""
    failures = iter([DatabaseError("disk full; make room"), None])
    remember = stage.errand.settled

    def settled(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        if (failure := next(failures)) is not None:
            raise failure
        remember(conn, turn, session, outcome)

    stage.errand.settled = settled  # type: ignore[method-assign]
    stage.want("opened")
    assert stage.run().done == 1
    assert "trying again: disk full" in caplog.text
    assert len(stage.errand.settled_as) == 1 and stage.session().turns == 1


def test_result_that_could_not_be_recorded_is_collected_by_a_later_run(stage: Stage) -> None:
    """B10: the exit file stays."""
    remember, broken = stage.errand.settled, True

    def settled(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        if broken:
            raise DatabaseError("disk full; make room")
        remember(conn, turn, session, outcome)

    stage.errand.settled = settled  # type: ignore[method-assign]
    stop = threading.Event()
    stop.set()  # do not wait between the repetitions
    stage.want("opened")
    dispatcher = stage.dispatcher(lease=0.3)
    with stage.running(lease=0.3) as leave:
        eventually(lambda: (stage.bottle() / "turns" / "1" / "exit").exists() if stage.turns(state="running") else 0)
        leave.set()
    broken = False
    eventually(lambda: stage.clock() > stage.turn(1).lease_until)
    tally = dispatcher.run_due(wait=True, stop=threading.Event())
    assert (tally.adopted, tally.started, tally.done) == (1, 0, 1)
    assert len(list((stage.bottle() / "turns").iterdir())) == 1, "it ran once"


def test_missing_claude_is_not_the_sessions_fault(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    stage.environ["PATH"] = "/nonexistent"
    stage.want("opened")
    assert stage.run().failed == 1
    turn = stage.turn(1)
    assert (turn.state, turn.kind) == ("waiting", "engine") and "pip install" in turn.reason


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


def test_launch_that_cannot_be_written_down_is_told_of_by_what_the_system_said(stage: Stage) -> None:
    """Of a write that fails it names no file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    stage.want("opened", "words " * 2**21)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 2**20, before[1]))
    try:
        assert stage.run().failed == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (stage.turn(1).state, stage.turn(1).kind) == ("waiting", "engine")
    assert stage.turn(1).reason == "File too large; make room on the disk, or make it writable"


def test_damaged_transcript_is_kept_aside_and_the_conversation_begins_anew(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session().claude_session
    shutil.rmtree(stage.bottle() / "generations")
    stage.transcript().write_text("\x00\x00 not JSON\n")
    stage.want("pushed")
    assert stage.run().done == 1
    assert stage.session().claude_session != before
    assert stage.turn(2).mode == "fresh"
    kept = list(state.config_dir(stage.bottle()).glob(f"projects/pr/{before}.jsonl.aside-*"))
    assert [path.read_text() for path in kept] == ["\x00\x00 not JSON\n"]


def test_stub_of_a_killed_first_run_does_not_block_the_key(stage: Stage) -> None:
    """Neither --resume nor --session-id works with it."""
    seen: list[str] = []

    def leave_a_stub(turn: Turn) -> None:
        if not seen:
            seen.append(stage.session().claude_session)

    stage.errand.answer_instead = leave_a_stub
    stage.now = 1_000_000.0
    stage.want("opened", "[agent: fail]")
    stage.run()
    stage.transcript().write_text('{"type":"queue-operation","operation":"enqueue"}\n')
    assert transcript.look(state.config_dir(stage.bottle()), seen[0]).condition == "stub"
    stage.errand.texts["opened"] = ""
    stage.now = stage.turn(1).not_before
    assert stage.run().done == 1
    assert stage.session().claude_session == seen[0]
    assert stage.turn(1).key == KEY


def test_half_a_character_in_the_prompt_costs_no_turn(stage: Stage) -> None:
    """JSON can carry a lone surrogate, and a comment is JSON."""
    stage.want("opened", "hello \ud800")
    assert stage.run().done == 1
    assert "hello ?" in (stage.bottle() / "turns" / "1" / "prompt.md").read_text()


def test_secret_that_the_agent_was_talked_into_printing_is_not_passed_on(stage: Stage) -> None:
    stage.environ["ANTHROPIC_API_KEY"] = "sk-ant-1234567890"
    stage.want("opened", "[agent: say the key is sk-ant-1234567890]")
    stage.run()
    assert "sk-ant-1234567890" not in stage.turn(1).answer
    assert "the key is" in stage.turn(1).answer


def test_turn_that_kills_every_worker_before_its_launch_is_given_up(stage: Stage) -> None:
    """Restarts and reboots kill a few; what always does is not taken up for ever, and not at once."""
    stage.now = time.time()
    stage.want("opened")

    def taken(conn: sa.Connection) -> tuple[Turn, Session]:
        now = stage.clock()
        turn = claims.claim(conn, owner="a dead one", now=now, lease=1.0, limit_parallel=1, agents=stage.agents)
        assert turn is not None
        session = registry.session(conn, ref=turn.ref, agent=turn.agent) or new_session(
            conn, state=stage.state, agent=turn.agent, backend="process", now=now, ref=turn.ref, key=turn.key
        )
        return claims.belongs_to(conn, turn, session), session

    waits: list[float] = []
    while (turn := stage.turn(1)).state == "waiting":
        waits.append(max(turn.not_before - stage.now, 0.0))
        stage.now += waits[-1]
        stage.dispatcher().adopt_one(*stage.write(taken))
    assert [round(wait) for wait in waits] == [0, 0, 0, 0, 30, 120, 480, 480, 480, 480]
    assert (turn.state, turn.attempts) == ("failed", 0)
    assert turn.reason == "its worker died before the launch, 10 times"
