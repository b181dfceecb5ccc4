"""What Claude's output means: every shape it has been seen in, and what never happened but must not hurt."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from sessions import claude
from sessions.turns import Usage

ID = "f2b0c7de-6c1b-4a2e-9f00-0123456789ab"
INIT = {"type": "system", "subtype": "init", "session_id": ID}
ASSISTANT = {"type": "assistant", "message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 1000}}}
SUCCESS = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "the words",
    "session_id": ID,
    "num_turns": 2,
    "total_cost_usd": 0.04,
    "usage": {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 4,
    },
}


def result(**fields: Any) -> dict[str, Any]:
    return SUCCESS | fields


def lines(*messages: dict[str, Any]) -> bytes:
    return "".join(json.dumps(message) + "\n" for message in messages).encode()


@pytest.mark.parametrize(
    ("structured", "said"),
    [({"structured_output": {"a": [1, "é"]}}, '{"a": [1, "\\u00e9"]}'), ({"structured_output": None}, ""), ({}, "")],
)
def test_answer_by_a_schema_is_handed_on_as_it_was_said(structured: dict[str, Any], said: str) -> None:
    outcome = claude.read(lines(INIT, result(**structured)), b"", exit=0)
    assert (outcome.text, outcome.structured) == ("the words", said)


def test_schema_is_asked_for_where_there_is_one() -> None:
    argv = claude.arguments(mode="resume", claude_session=ID, schema='{"type":"object"}')
    assert argv[-2:] == ("--json-schema", '{"type":"object"}')
    assert "--json-schema" not in claude.arguments(mode="resume", claude_session=ID)


@pytest.mark.parametrize(
    "out",
    [
        lines(INIT, ASSISTANT, SUCCESS),
        lines(SUCCESS),
        json.dumps(SUCCESS, indent=2).encode(),
        json.dumps([INIT, ASSISTANT, SUCCESS]).encode(),
        b"a warning before it\n" + lines(INIT, SUCCESS),
        b'torn":"line"}\n' + lines(SUCCESS),
        lines(INIT, SUCCESS) + b"and a word after it\n",
        lines(INIT, {"type": "some_later_kind", "usage": "of another shape"}, SUCCESS),
    ],
    ids=["stream", "object", "pretty object", "array", "noise before", "torn before", "noise after", "unknown kinds"],
)
def test_answer_is_read_from_every_shape(out: bytes) -> None:
    outcome = claude.read(out, b"", exit=0)
    assert (outcome.kind, outcome.text, outcome.claude_session) == ("done", "the words", ID)
    assert outcome.usage == Usage(input=1, output=2, cache_read=3, cache_write=4)
    assert (outcome.total_usd, outcome.agent_turns) == (0.04, 2)
    assert json.loads(outcome.result) == SUCCESS


def test_answer_is_read_from_large_output_too() -> None:
    read = {
        "type": "user",
        "message": {"content": "a file \\" + '{"type":"result","result":"no"}' * 10},
        "session_id": ID,
    }
    heard = [INIT, *[read] * 4000, ASSISTANT, SUCCESS]
    array = json.dumps(heard, separators=(",", ":")).encode() + b"\n"
    for out in (array, lines(*heard), b"[a warning]\n" + lines(*heard), b"[a warning]\n" + lines(*heard) + b"[done]\n"):
        outcome = claude.read(out, b"", exit=0)
        assert len(out) > 2**20
        assert (outcome.kind, outcome.text, outcome.claude_session) == ("done", "the words", ID)
        assert outcome.total_usd == 0.04 and (out is array or outcome.context_tokens)


@pytest.mark.parametrize(
    ("head", "part", "tail"),
    [
        (b"[", b"0,", b"0]"),
        (b"[", b"{},", b"{}]"),
        (b"", b"{\n", b""),
        (b"x", b"\n", b"x"),
        (b'{"type":"result","errors":[', b"{},", b"{}]}"),
        (b'{"type":"system"}\n{"type":"assistant","message":{"content":[', b"{},", b"{}]}}"),
    ],
)
def test_output_that_is_made_to_fill_the_memory_does_not(head: bytes, part: bytes, tail: bytes) -> None:
    """Of what is read at most (64 MiB) it would take all that the machine has."""
    out = head + part * (6 * 2**20 // len(part)) + tail
    tracemalloc.start()
    try:
        assert claude.read(out, b"", exit=0).kind == "unreadable"
        assert tracemalloc.get_traced_memory()[1] < 6 * len(out)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"cut \\ud83d", "cut ?"),
        (b"whole \\ud83d\\ude00", "whole \U0001f600"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"a\\u0000b", "ab"),
    ],
)
def test_broken_characters_cost_no_answer(written: bytes, text: str) -> None:
    out = json.dumps(result(result="HERE")).encode().replace(b"HERE", written)
    assert (claude.read(out, b"\xff", exit=0).kind, claude.read(out, b"", exit=0).text) == ("done", text)
    assert claude.read(lines(INIT) + out, b"", exit=0).text == text


NOT_FOUND = f"No conversation found with session ID: {ID}"


@pytest.mark.parametrize(
    ("out", "err", "exit", "kind"),
    [
        # Nothing, garbage, half.
        (b"", b"", 0, "unreadable"),
        (b"garbage\n", b"", 0, "unreadable"),
        (b"[1, 2]", b"", 0, "unreadable"),
        (b"{}", b"", 0, "unreadable"),
        (lines(INIT, ASSISTANT), b"", 0, "unreadable"),
        (lines(INIT, result(result={"not": "text"})), b"", 0, "unreadable"),
        (lines(INIT)[:20], b"", 0, "unreadable"),
        # Not found: from stderr or `errors`, never from the agent's words.
        (b"", NOT_FOUND.encode(), 1, "not_found"),
        (
            lines(result(subtype="error_during_execution", is_error=True, result=None, errors=[NOT_FOUND])),
            b"",
            1,
            "not_found",
        ),
        (lines(result(result=NOT_FOUND)), b"", 0, "done"),
        (lines(result(result=NOT_FOUND, is_error=True, terminal_reason="api_error")), b"", 1, "failed"),
        (b"", f"Error: Session ID {ID} is already in use.".encode(), 1, "failed"),
        # Limits of the turn.
        (lines(result(subtype="error_max_turns", is_error=True, result=None)), b"", 1, "limited"),
        (
            lines(result(subtype="error_max_budget_usd", is_error=True, result=None, errors=["Reached …"])),
            b"",
            1,
            "limited",
        ),
        (lines(result(subtype="error_max_turns", is_error=False, result=None)), b"", 0, "limited"),
        # Login, credit, quota.
        (lines(result(is_error=True, result="Not logged in · Please run /login")), b"", 1, "refused"),
        (lines(result(is_error=True, result="Invalid API key · Fix external API key")), b"", 1, "refused"),
        (lines(result(is_error=True, result="Credit balance is too low")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You've hit your session limit · resets 3am")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You've hit your limit · resets 3am")), b"", 1, "refused"),
        (
            lines(result(is_error=True, result="Failed to authenticate. API Error: 401", api_error_status=401)),
            b"",
            1,
            "refused",
        ),
        (b"", b"OAuth token has expired", 1, "refused"),
        (lines(result(is_error=True, result="OAuth token has been revoked")), b"", 1, "refused"),
        (lines(result(is_error=True, result="Authentication required · Sign in again to continue")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You've hit your weekly limit · resets Nov 25, 9am")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You’ve hit your Opus weekly limit")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You've hit your monthly spend limit.")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You've hit your channel's monthly spend limit.")), b"", 1, "refused"),
        (lines(result(is_error=True, result="You're out of usage credits.")), b"", 1, "refused"),
        (lines(result(is_error=True, result="5-hour limit reached · resets 3pm")), b"", 1, "refused"),
        # 429 is a quota that is used up as well as a crowd.
        (lines(result(is_error=True, result="You've hit your session limit", api_error_status=429)), b"", 1, "refused"),
        (
            lines(
                INIT,
                {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1.0}},
                result(is_error=True, result="API Error: 429 …", api_error_status=429),
            ),
            b"",
            1,
            "refused",
        ),
        (lines(result(result="Not logged in · Please run /login")), b"", 0, "done"),
        # The API is busy or away: "success" with is_error.
        (lines(result(is_error=True, result="API Error: Overloaded", api_error_status=529)), b"", 1, "overloaded"),
        (lines(result(is_error=True, result="API Error: 500 …", api_error_status=500)), b"", 1, "overloaded"),
        (lines(result(is_error=True, result="API Error: 429 …", api_error_status=429)), b"", 1, "overloaded"),
        (lines(result(is_error=True, result="API Error: …", api_error="connection_failed")), b"", 1, "overloaded"),
        (lines(result(is_error=True, result="API Error: 400 …", api_error_status=400)), b"", 1, "failed"),
        # Too long.
        (lines(result(is_error=True, result="Prompt is too long")), b"", 1, "too_long"),
        (lines(result(is_error=True, result="…", terminal_reason="prompt_too_long")), b"", 1, "too_long"),
        (
            lines(result(is_error=True, result="API Error: 400 prompt is too long: 210000 tokens > 200000 maximum")),
            b"",
            1,
            "too_long",
        ),
        # Killed.
        (b"", b"", 143, "interrupted"),
        (b"", b"", 137, "interrupted"),
        (lines(INIT, ASSISTANT), b"", None, "interrupted"),
        # Could not be started.
        (b"", b"/bin/sh: exec: /x/claude: not found", 127, "engine"),
        (b"", b"Permission denied", 126, "engine"),
        # Success that is none.
        (lines(SUCCESS), b"", 1, "failed"),
        (lines(result(is_error=True)), b"", 0, "failed"),
        (lines(result(subtype="error_during_execution", is_error=True, result=None)), b"", 1, "failed"),
        (b"", b"--dangerously-skip-permissions cannot be used with root/sudo privileges", 1, "failed"),
    ],
)
def test_outcome_is_judged_by_everything_together(out: bytes, err: bytes, exit: int | None, kind: str) -> None:
    outcome = claude.read(out, err, exit=exit)
    assert outcome.kind == kind
    assert (outcome.text == "") == (kind != "done")
    assert (outcome.reason == "") == (kind == "done"), "whoever reads the log is told why"
    assert "\n" not in outcome.reason and len(outcome.reason) <= 300


@pytest.mark.parametrize(
    ("ended", "kind"), [("minutes", "limited"), ("stopped", "interrupted"), ("cut off", "interrupted")]
)
def test_run_that_was_ended_from_outside_is_not_the_agents_failure(ended: claude.Ended, kind: str) -> None:
    assert claude.read(lines(INIT), b"", exit=143, ended=ended).kind == kind
    assert claude.read(lines(INIT, SUCCESS), b"", exit=0, ended=ended).kind == "done", "it was quicker"


def test_refusal_tells_when_it_ends() -> None:
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1795250000}}
    outcome = claude.read(lines(INIT, event, result(is_error=True, result="You've hit your limit")), b"", exit=1)
    assert (outcome.kind, outcome.resets_at) == ("refused", 1795250000.0)
    allowed = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed", "resetsAt": 1795250000}}
    assert claude.read(lines(INIT, allowed, SUCCESS), b"", exit=0).resets_at is None


def test_context_is_what_the_last_request_held() -> None:
    sub = {"type": "assistant", "parent_tool_use_id": "toolu_1", "message": {"usage": {"input_tokens": 9}}}
    assert claude.read(lines(INIT, ASSISTANT, sub, SUCCESS), b"", exit=0).context_tokens == 1003


def test_session_id_that_is_none_is_not_believed() -> None:
    assert claude.read(lines(result(session_id="../../etc")), b"", exit=0).claude_session == ""


def test_every_flag_is_passed_at_every_run() -> None:
    """A4, A7."""
    fresh = claude.arguments(mode="fresh", claude_session=ID, model="m", turns=3, usd=0.5)
    again = claude.arguments(mode="resume", claude_session=ID, model="m", turns=3, usd=0.5)
    assert fresh == (
        *("-p", "--output-format", "stream-json", "--verbose", "--session-id", ID),
        *("--dangerously-skip-permissions", "--setting-sources", "user", "--strict-mcp-config"),
        *("--model", "m", "--max-turns", "3", "--max-budget-usd", "0.5"),
    )
    assert again == tuple("--resume" if word == "--session-id" else word for word in fresh)
    assert "--model" not in claude.arguments(mode="fresh", claude_session=ID)


def said(words: str, **usage: int) -> dict[str, Any]:
    """One answer of the model as the stream has it."""
    content = [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": words}]
    return {"type": "assistant", "message": {"id": f"msg_{words}", "content": content, "usage": usage}}


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"subtype": "error_max_turns", "terminal_reason": "max_turns"}, "turns"),
        ({"subtype": "error_max_budget_usd", "terminal_reason": "budget_exhausted"}, "usd"),
    ],
)
def test_limit_that_ended_it_is_told_with_what_was_said_so_far(fields: dict[str, Any], limit: str) -> None:
    tool = {"type": "assistant", "message": {"id": "msg_3", "content": [{"type": "tool_use", "name": "Bash"}]}}
    helper = said("a helper's words") | {"parent_tool_use_id": "toolu_1"}
    out = lines(INIT, said("first"), said("the half of it"), tool, helper, result(is_error=True, result=None, **fields))
    outcome = claude.read(out, b"", exit=1)
    assert (outcome.limit, outcome.so_far, outcome.text) == (limit, "the half of it", "")


def test_run_that_was_ended_has_used_what_its_requests_used() -> None:
    first, second = said("a", input_tokens=3, cache_read_input_tokens=10), said("b", input_tokens=4, output_tokens=2)
    outcome = claude.read(lines(INIT, first, first, second), b"", exit=143, ended="minutes")
    assert (outcome.kind, outcome.limit, outcome.so_far) == ("limited", "minutes", "b")
    assert outcome.usage == Usage(input=7, output=2, cache_read=10), "an answer in several lines counts once"
    assert outcome.first == Usage(input=3, cache_read=10) and outcome.context_tokens == 6


@pytest.mark.parametrize(
    "words", ["[", '{"a":', '{"type":"assistant","message":', '{"type":"result","x":', '["\\ud800",']
)
def test_words_that_are_nested_without_end_are_unreadable_and_no_bug(words: str) -> None:
    """An agent can write into its own output whatever it likes."""
    deep = (words + "[" * 100_000).encode()
    for out in (deep, b'{"type":"system"}\n' + deep + b"\n"):
        assert claude.read(out, b"", exit=0).kind == "unreadable"
