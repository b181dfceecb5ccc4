"""A conversation that is handed over to the next one: once, whatever is killed meanwhile, and with what it knew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessions import handover, ledger, processes, registry
from sessions.bottles.process import MARKER
from sessions.database import begin, reading
from tests.sessions.stage import REF, Stage, eventually

ROOT = Path(__file__).parents[2]
NOTE = "Note: the words so far."


@pytest.fixture
def grown(stage: Stage) -> Stage:
    """A session whose conversation has come to its end: the next turn begins in a new one."""
    stage.limit(rotate_turns=1)
    stage.want("opened")
    assert stage.run().done == 1
    return stage


def launches(stage: Stage) -> list[str]:
    return sorted(path.name for path in (stage.bottle() / "turns").iterdir())


def prompt(stage: Stage, launch: str) -> str:
    return (stage.bottle() / "turns" / launch / "prompt.md").read_text()


def transcripts(stage: Stage) -> int:
    return len(list(stage.transcript().parent.glob("*.jsonl")))


def test_new_conversation_in_the_same_bottle_begins_with_the_note_and_the_full_prompt(grown: Stage) -> None:
    """A19."""
    before = grown.session()
    grown.want("pushed")
    tally = grown.run()
    assert (tally.started, tally.done, tally.failed) == (1, 1, 0)
    session, turn = grown.session(), grown.turn(2)
    assert session.identity == before.identity and session.claude_session != before.claude_session
    assert turn.surprise == "the conversation had gone on for 1 turns"
    assert (turn.mode, turn.attempts, turn.launches, turn.handovers) == ("fresh", 1, 1, 1)
    assert launches(grown) == ["1", "2", "2-handover"]
    assert prompt(grown, "2-handover") == handover.PROMPT
    assert prompt(grown, "2") == f"Full prompt\nNote: {session.summary}\npushed: "
    assert session.summary.startswith(NOTE) and session.summary_turn == 2
    assert turn.answer.endswith("This is our first message."), "and nothing of the note is an answer"
    assert [settled[:3] for settled in grown.errand.settled_as] == [(1, "done", "done"), (2, "done", "done")]


def test_hand_over_speaks_in_the_old_conversation_with_small_limits(grown: Stage) -> None:
    before = grown.session().claude_session
    grown.limit(turns=30, minutes=60)
    grown.want("pushed")
    grown.run()
    argv = json.loads((grown.bottle() / "turns" / "2-handover" / "argv.json").read_text())
    assert argv[argv.index("--resume") + 1] == before and argv[argv.index("--max-turns") + 1] == "3"
    assert argv[argv.index("--max-budget-usd") + 1] == "1", "as one turn's, at most"


def test_hand_over_that_does_not_end_is_ended_and_costs_the_note_only(grown: Stage) -> None:
    grown.limit(minutes=60)
    grown.environ["DEMO_AGENT"] = "handover sleep 60"
    grown.want("pushed")
    with grown.running(grace=0.2) as stop:
        eventually((grown.bottle() / "turns" / "2-handover" / "out.jsonl").exists)
        turn = grown.turn(2)
        assert turn.deadline is not None and turn.started_at is not None
        assert turn.deadline - turn.started_at == 300, "five minutes, whatever a turn may take"
        stop.set()
    grown.now = turn.deadline + 1
    grown.run(grace=0.2)
    assert grown.turn(2).state == "done", "whoever adopts it finds its minutes over"
    assert (grown.turn(2).mode, grown.turn(2).attempts, grown.session().summary) == ("fresh", 1, "")


def test_hand_over_is_paid_for_by_the_turn_that_made_it_necessary(grown: Stage) -> None:
    first = grown.session().cost_usd
    grown.want("pushed")
    grown.run()
    session, turn = grown.session(), grown.turn(2)
    assert session.cost_usd == pytest.approx(first + turn.cost_usd)
    assert session.claude_total < turn.cost_usd, "the new conversation has its own total"
    with reading(grown.engine) as conn:
        assert ledger.spent_since(conn, 0.0, ref=REF).usd == pytest.approx(session.cost_usd)
        assert ledger.spent_since(conn, 0.0, ref=REF).runs == 3
        assert ledger.spent_since(conn, 0.0, ref=REF).usage == session.usage


def test_next_turn_resumes_the_new_conversation(grown: Stage) -> None:
    grown.want("pushed")
    grown.run()
    grown.limit(rotate_turns=2)
    after = grown.session().claude_session
    grown.want("commented")
    assert grown.run().done == 1
    assert (grown.turn(3).mode, grown.turn(3).surprise, grown.session().claude_session) == ("resume", "", after)
    grown.want("commented again")
    assert grown.run().done == 1
    assert grown.turn(4).surprise == "the conversation had gone on for 2 turns"


def test_conversation_that_has_grown_is_handed_over_by_its_tokens(stage: Stage) -> None:
    stage.limit(rotate_tokens=10)
    stage.want("opened")
    stage.run()
    tokens = stage.session().context_tokens
    stage.want("pushed")
    assert stage.run().done == 1
    assert stage.turn(2).surprise == f"the conversation had grown to {tokens} tokens" and tokens > 10


@pytest.mark.parametrize("words", ["fail", "garbage", "silent", "long", "lost"])
def test_failed_hand_over_costs_the_note_and_nothing_else(grown: Stage, words: str) -> None:
    grown.environ["DEMO_AGENT"] = words if words == "lost" else f"handover {words}"
    grown.want("pushed")
    tally = grown.run()
    assert (tally.done, tally.failed) == (1, 0)
    assert (grown.turn(2).mode, grown.turn(2).attempts, grown.session().summary) == ("fresh", 1, "")
    assert prompt(grown, "2") == "Full prompt\npushed: "


def test_note_of_a_hand_over_that_ran_into_its_limit_is_taken(grown: Stage) -> None:
    grown.environ["DEMO_AGENT"] = "handover budget"
    grown.want("pushed")
    assert grown.run().done == 1
    assert grown.session().summary == "I have looked at half of it."


def test_refused_hand_over_pauses_the_agent_and_is_asked_again(grown: Stage) -> None:
    grown.now = 1_000_000.0
    grown.environ["DEMO_AGENT"] = "handover login"
    before = grown.session().claude_session
    grown.want("pushed")
    assert grown.run().failed == 1
    turn = grown.turn(2)
    assert (turn.state, turn.kind, turn.attempts, turn.not_before) == ("waiting", "refused", 0, 1_000_900.0)
    assert grown.session().claude_session == before and grown.session().state(grown.now) == "paused"
    grown.environ["DEMO_AGENT"] = ""
    grown.now = turn.not_before
    assert grown.run().done == 1
    assert launches(grown) == ["1", "2", "2-handover", "2-handover-2"]
    assert grown.session().summary.startswith(NOTE) and grown.session().paused_until is None
    assert [settled[1] for settled in grown.errand.settled_as] == ["done", "waiting", "done"]


def test_overloaded_hand_over_is_tried_three_times_and_then_given_up(grown: Stage) -> None:
    grown.now = 1_000_000.0
    grown.environ["DEMO_AGENT"] = "handover overloaded"
    grown.want("pushed")
    for pause in (60, 120):
        assert grown.run().failed == 1
        assert grown.turn(2).not_before == grown.now + pause
        grown.now += pause
    assert grown.run().done == 1
    assert (grown.turn(2).attempts, grown.turn(2).handovers, grown.session().summary) == (1, 3, "")


def test_pull_that_closes_during_the_hand_over_drops_the_turn(grown: Stage) -> None:
    grown.environ["DEMO_AGENT"] = "handover sleep 60"
    grown.want("pushed")
    bottle, before = grown.bottle(), grown.session().claude_session
    with grown.running():
        eventually((bottle / "turns" / "2-handover" / "out.jsonl").exists)
        with begin(grown.engine) as conn:
            registry.put_away(conn, ref=REF, reason="merged", now=grown.clock())
    turn = grown.turn(2)
    assert (turn.state, turn.reason, turn.attempts, turn.claude_session) == ("dropped", "merged", 0, before)
    assert not (bottle / "turns" / "2").exists()


def test_reset_during_the_hand_over_is_a_reset(grown: Stage) -> None:
    grown.environ["DEMO_AGENT"] = "handover sleep 3"
    grown.want("pushed")
    with grown.running():
        eventually((grown.bottle() / "turns" / "2-handover" / "out.jsonl").exists)
        with begin(grown.engine) as conn:
            (forgotten,) = registry.forget(conn, ref=REF, now=grown.clock())
    assert forgotten.agent == "reviewer"
    assert grown.turn(2).state == "done" and grown.session().summary == ""
    assert grown.session().summary_turn == 3, "what came before is not to be told"
    assert "Note" not in prompt(grown, "2")


def test_call_that_does_not_wait_leaves_the_hand_over_to_the_next_ones(grown: Stage) -> None:
    grown.environ["DEMO_AGENT"] = "handover sleep 1"
    grown.want("pushed")
    tally = grown.run(wait=False)
    assert (tally.started, tally.done) == (1, 0) and grown.turn(2).directory == "2-handover"
    eventually((grown.bottle() / "turns" / "2-handover" / "exit").exists)
    tally = grown.run(wait=False)
    assert (tally.adopted, tally.done) == (1, 0) and grown.turn(2).directory == "2"
    eventually((grown.bottle() / "turns" / "2" / "exit").exists)
    assert grown.run().done == 1
    assert transcripts(grown) == 2


# -- killed at every step ----------------------------------------------------------------------------------------


def start(stage: Stage, **more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.sessions.runner", str(stage.state.parent)]
    environ = {**stage.environ, "PYTHONPATH": str(ROOT), "LIMITS": '{"rotate_turns": 1}', **more}
    return subprocess.Popen(words, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def handed_over_once(stage: Stage, number: int, where: str = "") -> None:
    """One hand-over that came to something, one answer, nothing left of the way to it."""
    turn = stage.turn(number)
    assert (turn.state, turn.attempts, turn.mode, turn.handing_over) == ("done", 1, "fresh", False), where
    bottle = stage.state / "state" / turn.identity
    # A launch that was written down and never happened has a directory, and nothing in it.
    ran = sorted("handover" in path.parent.name for path in (bottle / "turns").glob(f"{number}*/out.jsonl"))
    assert ran == [False, True], where
    assert len(list((bottle / "transcript" / ".claude" / "projects" / "pr").glob("*.jsonl"))) == 2, where
    session = stage.session(ref=turn.ref)
    assert session.summary.startswith(NOTE) and session.claude_session == turn.claude_session, where
    with reading(stage.engine) as conn:
        spent = ledger.spent_since(conn, 0.0, ref=turn.ref)
    assert (spent.runs, spent.usd) == (3, pytest.approx(session.cost_usd)), where


@pytest.mark.timeout(900)
def test_runner_killed_at_any_statement_of_a_rotation_neither_loses_the_turn_nor_rotates_twice(stage: Stage) -> None:
    stage.limit(rotate_turns=1)
    killed = 0
    for number in range(2, 200, 4):
        ref = f"pull {number}"
        stage.want(f"{number} opened|", ref=ref)
        assert stage.run().done == 1
        turn = stage.want(f"{number} pushed|", ref=ref) or 0
        runner = start(stage, KILLED_AT_STATEMENT=str(number))
        ended = runner.wait(60)
        runner.communicate()
        assert ended in (0, -signal.SIGKILL)
        stage.run()
        handed_over_once(stage, turn, f"killed at statement {number}")
        if ended == 0:
            break
        killed += 1
    assert killed > 8


@pytest.mark.parametrize("agent_too", [False, True], ids=["the runner", "the runner and the agent"])
def test_killed_in_the_middle_of_a_hand_over(grown: Stage, agent_too: bool) -> None:
    grown.want("pushed|")
    out = grown.bottle() / "turns" / "2-handover" / "out.jsonl"
    runner = start(grown, DEMO_AGENT="handover sleep 2 1")
    try:
        eventually(out.exists)
        eventually(lambda: "Write a hand-over" in grown.transcript().read_text())
    finally:
        runner.kill()
        runner.communicate()
    if agent_too:
        for pid in processes.marked(MARKER, f"{grown.session().identity}/2-handover"):
            os.kill(pid, signal.SIGKILL)
    tally = grown.run()
    assert (tally.adopted, tally.done) == (1, 1)
    if agent_too:
        assert launches(grown) == ["1", "2", "2-handover", "2-handover-2"], "asked again"
        assert grown.session().summary.startswith(NOTE)
    else:
        handed_over_once(grown, 2)
