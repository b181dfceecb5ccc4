"""The real `claude` in a process bottle, talking to a stand-in model: what the facts say, seen again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from sessions import handover, processes, tables, transcript
from sessions.bottles.process import MARKER
from tests.model.server import Model
from tests.sessions.stage import Stage, eventually

pytestmark = pytest.mark.claude


def kill(stage: Stage, launch: str = "1") -> None:
    """All of a run at once, as a power cut would."""
    for pid in processes.marked(MARKER, f"{stage.session().identity}/{launch}"):
        os.kill(pid, signal.SIGKILL)


def test_second_turn_remembers_the_first(real_stage: Stage, model: Model) -> None:
    """A4, A5, A6, A9, A10, A11."""
    real_stage.want("opened", "the colour is teal")
    assert real_stage.run().done == 1, real_stage.turn(1).reason
    real_stage.want("pushed", "which colour?")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    session, (first, second) = real_stage.session(), real_stage.turns()
    assert [turn.mode for turn in (first, second)] == ["fresh", "resume"]
    assert {request.session_id for request in model.requests} == {session.claude_session}
    assert "the colour is teal" in second.answer.split("I remember")[1]
    assert session.cost_usd == pytest.approx(session.claude_total) and first.cost_usd > 0 and second.cost_usd > 0
    assert session.cost_usd == pytest.approx(first.cost_usd + second.cost_usd), "its total is the conversation's"
    assert session.usage.input == 20 and session.usage.output == 10
    assert real_stage.transcript().is_file(), "in the project directory that we named"


def test_session_that_is_not_there_is_started_afresh_once(real_stage: Stage, model: Model) -> None:
    """B11."""
    real_stage.want("opened", "hello")
    real_stage.run()
    before = real_stage.session().claude_session
    shutil.rmtree(real_stage.bottle() / "generations")
    # Sound to us, nothing to claude: this takes the place of a file that only it can judge.
    real_stage.transcript().write_text('{"type":"queue-operation"}\n{"type":"user"}\n')
    real_stage.want("pushed", "again")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    turn = real_stage.turn(2)
    assert real_stage.session().claude_session != before
    assert (turn.renewed, turn.mode, turn.launches, turn.attempts) == (True, "fresh", 2, 1)
    err = (real_stage.bottle() / "turns" / "2" / "err.log").read_text()
    assert f"No conversation found with session ID: {before}" in err


def test_first_turn_killed_in_the_middle_is_resumed(real_stage: Stage, model: Model) -> None:
    """B9: the request had left, the answer had not come."""
    real_stage.want("opened", "the colour is teal")
    with model.hold(), real_stage.running():
        model.wait_for_requests(1)
        eventually(
            lambda: transcript.look(real_stage.transcript().parents[2], real_stage.session().claude_session).size
        )
        kill(real_stage)
        eventually(lambda: real_stage.turn(1).state == "done", seconds=60)
    turn = real_stage.turn(1)
    assert (turn.attempts, turn.mode) == (2, "resume")
    assert "This was interrupted before." in model.requests[-1].heard[-1]
    assert "the colour is teal" in model.requests[-1].heard[-1], "it names its events again"


def test_first_turn_killed_before_its_message_was_written_does_not_block_the_key(
    real_stage: Stage, model: Model
) -> None:
    real_stage.want("opened", "hello")
    real_stage.run()
    session = real_stage.session()
    lines = real_stage.transcript().read_text().splitlines(keepends=True)
    assert '"queue-operation"' in lines[0]
    real_stage.transcript().write_text(lines[0])
    # As if no turn had ever come to its end.
    shutil.rmtree(real_stage.bottle() / "generations")
    real_stage.write(lambda conn: conn.execute(tables.session.update().values(turns=0, conversation_turns=0)))
    real_stage.want("pushed", "again")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    assert real_stage.turn(2).mode == "fresh" and real_stage.session().claude_session == session.claude_session


def test_torn_last_line_costs_nothing(real_stage: Stage, model: Model) -> None:
    real_stage.want("opened", "the colour is teal")
    real_stage.run()
    with real_stage.transcript().open("a") as file:
        file.write('{"type":"assistant","mess')
    real_stage.want("pushed", "which colour?")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    assert real_stage.turn(2).mode == "resume" and "teal" in real_stage.turn(2).answer


def test_copy_that_was_put_back_is_resumed(real_stage: Stage, model: Model) -> None:
    real_stage.want("opened", "the colour is teal")
    real_stage.run()
    before = real_stage.session().claude_session
    real_stage.transcript().write_bytes(b"\0" * 4096)
    real_stage.want("pushed", "which colour?")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    assert (real_stage.session().claude_session, real_stage.turn(2).mode) == (before, "resume")
    assert "the colour is teal" in real_stage.turn(2).answer.split("I remember")[1]


def test_record_with_a_hole_is_put_back_for_it_would_be_resumed_without_its_memory(
    real_stage: Stage, model: Model
) -> None:
    """Claude itself goes on without a word, and knows nothing of what stood before the hole."""
    for event, text in (("opened", "the colour is teal"), ("pushed", "and the shape is round")):
        real_stage.want(event, text)
        assert real_stage.run().done == 1, real_stage.turns()[-1].reason
    place = real_stage.transcript()
    first, second = place.read_bytes().splitlines(keepends=True), []
    for line in first:
        is_answer = b'"type":"assistant"' in line and b"the shape is round" in line
        second.append(b"\0" * (len(line) - 1) + b"\n" if is_answer else line)
    assert first != second
    place.write_bytes(b"".join(second))
    real_stage.want("commented", "what do you know?")
    assert real_stage.run().done == 1, real_stage.turns()[-1].reason
    heard = " ".join(model.requests[-1].heard)
    assert "the colour is teal" in heard and "the shape is round" in heard
    assert "put back" in real_stage.turns()[-1].surprise
    kept = real_stage.bottle() / "generations" / place.name
    assert kept.read_bytes() == place.read_bytes(), "it only ever grows"


def test_moved_state_directory_remembers(real_stage: Stage, model: Model, tmp_path: Path) -> None:
    real_stage.want("opened", "the colour is teal")
    real_stage.run()
    real_stage.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(real_stage.state, elsewhere / "state-root")
    moved = Stage(elsewhere, real_stage.environ)
    try:
        moved.want("pushed", "which colour?")
        assert moved.run().done == 1, moved.turn(2).reason
        assert moved.turn(2).mode == "resume" and "teal" in moved.turn(2).answer
    finally:
        moved.close()


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (401, "authentication_error", "refused"),
        (529, "overloaded_error", "overloaded"),
        (400, "invalid_request_error", "failed"),
    ],
)
def test_api_error_is_told_from_the_agents_words(
    real_stage: Stage, model: Model, status: int, kind: str, expected: str
) -> None:
    """B12: and the session goes on afterwards."""
    real_stage.now = 1_000_000_000.0
    model.fail(status, kind, times=40)  # it tries on its own, also with requests of another shape
    real_stage.want("opened", "hello")
    assert real_stage.run().failed == 1
    turn = real_stage.turn(1)
    assert (turn.state, turn.kind) == ("waiting", expected), turn.reason
    model.recover()
    real_stage.now = turn.not_before
    assert real_stage.run().done == 1, real_stage.turn(1).reason
    assert real_stage.turn(1).claude_session == turn.claude_session


def test_api_that_is_away_is_waited_for(real_stage: Stage, model: Model) -> None:
    real_stage.environ["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
    real_stage.want("opened", "hello")
    real_stage.run()
    assert (real_stage.turn(1).state, real_stage.turn(1).kind) == ("waiting", "overloaded"), real_stage.turn(1).reason


def test_turn_limit_ends_the_turn_and_keeps_the_session(real_stage: Stage, model: Model) -> None:
    agent = real_stage.agents["reviewer"]
    real_stage.agents["reviewer"] = type(agent)(
        backend="process", env=agent.env, limits=type(agent.limits)(turns=1, minutes=2, usd=1.0)
    )
    model.use("Bash", command="true", description="nothing")
    real_stage.want("opened", "hello")
    real_stage.run()
    assert (real_stage.turn(1).state, real_stage.turn(1).kind) == ("failed", "limited"), real_stage.turn(1).reason
    real_stage.want("pushed", "again")
    assert real_stage.run().done == 1
    assert real_stage.turn(2).mode == "resume"


def test_what_a_tool_left_running_ends_with_the_turn(real_stage: Stage, model: Model) -> None:
    """Its tools run in sessions of their own."""
    model.use("Bash", command="setsid sleep 300 >/dev/null 2>&1 & echo started", description="a server")
    real_stage.want("opened", "hello")
    assert real_stage.run().done == 1, real_stage.turn(1).reason
    assert not list(processes.marked(MARKER, f"{real_stage.session().identity}/1"))


def test_run_over_its_minutes_is_ended_and_resumed_by_the_next_event(real_stage: Stage, model: Model) -> None:
    real_stage.limit(minutes=0.3)
    real_stage.want("opened", "the colour is teal")
    with model.hold(), real_stage.running(grace=3.0):
        model.wait_for_requests(1)
        eventually(lambda: real_stage.turn(1).state != "running", seconds=60)
    real_stage.limit(minutes=2)
    assert real_stage.turn(1).kind == "limited", real_stage.turn(1).reason
    real_stage.want("pushed", "which colour?")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    assert real_stage.turn(2).mode == "resume" and "teal" in real_stage.turn(2).answer


def test_conversation_is_handed_over_and_the_next_one_begins_with_the_note(real_stage: Stage, model: Model) -> None:
    """A19: what the model is really sent."""
    real_stage.limit(rotate_tokens=5)
    real_stage.want("opened", "the colour is teal")
    assert real_stage.run().done == 1, real_stage.turn(1).reason
    old = real_stage.session()
    assert old.context_tokens > 5
    model.say("The colour was teal.")
    real_stage.want("pushed", "which colour?")
    assert real_stage.run().done == 1, real_stage.turn(2).reason
    new, turn = real_stage.session(), real_stage.turn(2)
    opened, asked, begun = model.requests
    assert opened.session_id == asked.session_id == old.claude_session
    assert "the colour is teal" in asked.heard[0] and asked.heard[-1] == handover.PROMPT.strip()
    assert begun.session_id == new.claude_session != old.claude_session and new.identity == old.identity
    assert begun.heard == ["Full prompt\nNote: The colour was teal.\npushed: which colour?"]
    assert "the colour is teal" not in str(begun.messages), "nothing else came along"
    assert (turn.mode, turn.attempts, new.summary) == ("fresh", 1, "The colour was teal.")
    assert turn.answer.startswith("You said: Full prompt")
    assert new.cost_usd == pytest.approx(sum(one.cost_usd for one in real_stage.turns()))
    real_stage.limit(rotate_tokens=120_000)
    real_stage.want("commented", "go on")
    assert real_stage.run().done == 1, real_stage.turn(3).reason
    assert real_stage.turn(3).mode == "resume" and model.requests[-1].heard[0] == begun.heard[0]


def test_note_is_asked_for_in_a_conversation_whose_hand_over_was_killed(real_stage: Stage, model: Model) -> None:
    real_stage.limit(rotate_tokens=5)
    real_stage.want("opened", "the colour is teal")
    real_stage.run()
    real_stage.want("pushed", "which colour?")
    with model.hold(), real_stage.running():
        model.wait_for_requests(2)
        kill(real_stage, "2-handover")
        eventually(lambda: real_stage.turn(2).state == "done", seconds=60)
    assert [real_stage.turn(2).handovers, real_stage.turn(2).attempts] == [2, 1]
    assert real_stage.session().summary.startswith("You said: Write a hand-over note")


@pytest.mark.parametrize(
    ("status", "kind", "words", "expected"),
    [
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "refused"),
        (403, "permission_error", "OAuth token has been revoked", "refused"),
        (429, "rate_limit_error", "This request would exceed your rate limit", "overloaded"),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "too_long"),
    ],
)
def test_refusal_is_told_from_a_crowd_and_from_a_long_prompt(
    real_stage: Stage, model: Model, status: int, kind: str, words: str, expected: str
) -> None:
    model.fail(status, kind, words, times=40)
    real_stage.want("opened", "hello")
    real_stage.run()
    turn = real_stage.turn(1)
    assert turn.kind == expected, turn.reason
    assert real_stage.session().state(real_stage.clock()) == ("paused" if expected == "refused" else "idle")


def test_answer_by_a_schema_is_handed_on_first_and_when_resumed(real_stage: Stage, model: Model) -> None:
    real_stage.errand.schema = '{"type":"object","properties":{"verdict":{"type":"string"}},"required":["verdict"]}'
    for number, verdict in enumerate(("no", "yes"), start=1):
        model.use("StructuredOutput", verdict=verdict)
        real_stage.want(f"event {number}", "what do you say?")
        assert real_stage.run().done == 1, real_stage.turn(number).reason
    assert [json.loads(one) for one in real_stage.errand.structured] == [{"verdict": "no"}, {"verdict": "yes"}]
    assert [turn.mode for turn in real_stage.turns()] == ["fresh", "resume"]
