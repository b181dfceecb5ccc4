"""Turns that go wrong: what is tried again, what is kept, what is said."""

from __future__ import annotations

import resource
import shutil

import pytest

from sessions import pauses, state, transcript
from sessions.database import begin, reading
from sessions.turns import Turn
from tests.sessions.stage import KEY, Stage, eventually


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


def test_missing_claude_is_not_the_sessions_fault(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    stage.environ["PATH"] = "/nonexistent"
    stage.want("opened")
    assert stage.run().failed == 1
    turn = stage.turn(1)
    assert (turn.state, turn.kind) == ("waiting", "engine") and "pip install" in turn.reason


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
