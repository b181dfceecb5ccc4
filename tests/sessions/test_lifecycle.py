"""How a turn starts and what each end means, as tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions import dates, lifecycle
from sessions.config import AgentLimits
from sessions.lifecycle import Opening
from sessions.turns import Kind, Mode, Outcome, Session, Turn, Usage

NOW = 1_000.0
SESSION = Session(
    id=1, ref="r", key="k", agent="a", identity="a-00000", claude_session="uuid", backend="process", cwd="work"
)
TURN = Turn(id=1, ref="r", key="k", agent="a", state="running", why="w", mode="resume", attempts=1)


def shape(opening: Opening) -> tuple[str, bool, bool]:
    return opening.mode, opening.renew, opening.set_aside


@pytest.mark.parametrize(
    ("condition", "known_bytes", "note", "expected"),
    [
        ("absent", 0, "", ("fresh", False, False)),
        ("absent", 500, "", ("fresh", True, False)),
        ("stub", 0, "", ("fresh", False, True)),
        ("stub", 500, "", ("fresh", False, True)),
        ("damaged", 500, "", ("fresh", True, True)),
        ("sound", 0, "", ("resume", False, False)),  # the first run was killed: the registry never heard of its end
        ("sound", 500, "", ("resume", False, False)),
        ("sound", 500, "it was too long", ("fresh", True, False)),
    ],
)
def test_only_a_transcript_with_a_message_is_resumed(
    condition: lifecycle.Condition, known_bytes: int, note: str, expected: tuple[str, bool, bool]
) -> None:
    session = msgspec.structs.replace(SESSION, transcript_bytes=known_bytes, note=note)
    opening = lifecycle.opening(condition, session)
    assert shape(opening) == expected
    assert opening.mode == "resume" or opening.why, "a start from nothing says why"


def test_stub_where_there_was_a_conversation_is_a_loss() -> None:
    opening = lifecycle.opening("stub", msgspec.structs.replace(SESSION, turns=1, conversation_turns=1))
    assert shape(opening) == ("fresh", True, True) and opening.surprise
    assert lifecycle.opening("stub", SESSION).surprise == ""


@pytest.mark.parametrize("condition", ["absent", "stub", "damaged", "sound"])
def test_last_good_copy_is_put_back_where_the_record_is_less_than_that(condition: lifecycle.Condition) -> None:
    session = msgspec.structs.replace(SESSION, transcript_bytes=500)
    size = {"absent": 0, "stub": 20}.get(condition, 400)
    opening = lifecycle.opening(condition, session, size=size, good=500)
    assert (opening.mode, opening.restore, opening.renew) == ("resume", True, False)
    assert opening.set_aside == (condition != "absent") and opening.surprise
    whole = lifecycle.opening("sound", session, size=500, good=500)
    assert (whole.mode, whole.restore, whole.surprise) == ("resume", False, "")
    given_up = msgspec.structs.replace(session, note="it was too long")
    assert lifecycle.opening(condition, given_up, size=size, good=500).restore is False


@pytest.mark.parametrize(
    ("turn", "session", "expected"),
    [
        ({"mode": "fresh"}, {"turns": 1}, "a's first turn here"),
        ({"mode": "fresh"}, {"turns": 2}, "nothing was said in it before"),
        ({"mode": "fresh", "surprise": "its transcript is gone"}, {"turns": 1}, "its transcript is gone"),
        ({"mode": "resume", "surprise": "a copy was put back"}, {"conversation_turns": 4}, "a copy was put back"),
        ({"mode": "resume"}, {"turns": 9, "conversation_turns": 4}, "its 4th turn"),
        ({"mode": "resume"}, {"conversation_turns": 23}, "its 23rd turn"),
        ({"mode": "resume"}, {"conversation_turns": 112}, "its 112th turn"),
        ({"mode": "resume", "attempts": 2}, {"turns": 1, "conversation_turns": 1}, "this turn was begun before"),
        ({"mode": "resume", "attempts": 1}, {"conversation_turns": 0}, ""),
    ],
)
def test_people_are_told_why_a_conversation_is_new_or_how_old_it_is(
    turn: dict[str, Any], session: dict[str, Any], expected: str
) -> None:
    over, left = msgspec.structs.replace(TURN, **turn), msgspec.structs.replace(SESSION, **session)
    assert lifecycle.continuity(over, left, is_successor=False) == expected
    other = "the bottle before was put away"
    is_unsaid = turn["mode"] == "fresh" and not turn.get("surprise")
    assert lifecycle.continuity(over, left, is_successor=True) == (other if is_unsaid else expected)


@pytest.mark.parametrize(
    ("kind", "state", "pause"),
    [
        ("done", "done", None),
        ("failed", "waiting", 30),
        ("unreadable", "waiting", 30),
        ("engine", "waiting", 30),
        ("overloaded", "waiting", 60),
        ("refused", "waiting", 900),
        ("too_long", "renew", None),
        ("limited", "failed", None),
        ("not_found", "renew", None),
    ],
)
def test_first_end_of_each_kind(kind: Kind, state: str, pause: float | None) -> None:
    verdict = lifecycle.after(Outcome(kind=kind, reason="so", exit=1), TURN, SESSION, now=NOW)
    assert verdict.turn == state
    if pause is not None:
        assert verdict.not_before == NOW + pause


@pytest.mark.parametrize("kind", ["failed", "unreadable", "interrupted", "engine", "overloaded", "refused", "limited"])
def test_no_other_kind_than_lost_or_too_long_ever_starts_afresh_at_once(kind: Kind) -> None:
    """B12."""
    for attempts in range(1, 20):
        turn = msgspec.structs.replace(TURN, attempts=attempts)
        verdict = lifecycle.after(Outcome(kind=kind, reason="so", exit=1), turn, SESSION, now=NOW)
        assert verdict.turn in ("waiting", "failed")


def test_not_found_is_no_reason_to_start_afresh_twice() -> None:
    """B11."""
    outcome = Outcome(kind="not_found", reason="so", exit=1)
    renewed = msgspec.structs.replace(TURN, renewed=True)
    fresh = msgspec.structs.replace(TURN, mode="fresh")
    assert lifecycle.after(outcome, renewed, SESSION, now=NOW).turn == "waiting"
    assert lifecycle.after(outcome, fresh, SESSION, now=NOW).turn == "waiting"


def test_run_that_was_cut_off_goes_on_at_once_and_one_that_was_killed_waits() -> None:
    cut_off = Outcome(kind="interrupted", reason="cut off")
    killed = Outcome(kind="interrupted", reason="killed", exit=137)
    assert lifecycle.after(cut_off, TURN, SESSION, now=NOW).not_before == NOW
    assert lifecycle.after(killed, TURN, SESSION, now=NOW).not_before == NOW + 30


def test_refusal_lasts_until_the_date_it_named() -> None:
    verdict = lifecycle.after(Outcome(kind="refused", reason="quota", resets_at=5_000.0), TURN, SESSION, now=NOW)
    assert (verdict.not_before, verdict.paused_until, verdict.paused_why) == (5_000.0, 5_000.0, "quota")


def test_refusals_never_use_up_the_event() -> None:
    turn = msgspec.structs.replace(TURN, attempts=500)
    assert lifecycle.after(Outcome(kind="refused", reason="login"), turn, SESSION, now=NOW).turn == "waiting"


def test_stopped_turn_is_dropped_with_the_reason_of_whoever_stopped_it() -> None:
    turn = msgspec.structs.replace(TURN, stop_asked="merged")
    verdict = lifecycle.after(Outcome(kind="interrupted", reason="stopped", exit=143), turn, SESSION, now=NOW)
    assert (verdict.turn, verdict.reason) == ("dropped", "merged")
    assert lifecycle.after(Outcome(kind="done"), turn, SESSION, now=NOW).turn == "done", "it was quicker"


@given(st.sampled_from(["failed", "unreadable", "engine", "overloaded", "interrupted"]), st.integers(1, 50))
def test_every_failing_turn_ends(kind: Kind, attempts: int) -> None:
    turn = msgspec.structs.replace(TURN, attempts=attempts)
    verdict = lifecycle.after(Outcome(kind=kind, reason="so", exit=1), turn, SESSION, now=NOW)
    assert verdict.turn == "failed" or attempts < 8
    assert lifecycle.backoff(kind, attempts) <= lifecycle.backoff(kind, attempts + 1)


@pytest.mark.parametrize(("total", "before", "cost"), [(None, 3.0, 0.0), (3.5, 3.0, 0.5), (0.2, 3.0, 0.2), (3, 3, 0)])
def test_cost_is_the_difference_of_totals_or_the_smaller_total_itself(
    total: float | None, before: float, cost: float
) -> None:
    assert lifecycle.spent(total, before) == pytest.approx(cost)


def test_conversation_that_did_not_grow_is_said_not_to_be_resumable() -> None:
    assert lifecycle.kept(Outcome(kind="done"), "docker", bytes_before=10, bytes_after=10)
    assert lifecycle.kept(Outcome(kind="done"), "docker", bytes_before=0, bytes_after=0)
    assert not lifecycle.kept(Outcome(kind="done"), "docker", bytes_before=10, bytes_after=11)
    assert not lifecycle.kept(Outcome(kind="failed", reason="so"), "docker", bytes_before=10, bytes_after=10)


def test_conversation_that_somebody_elses_runner_keeps_is_resumed_without_a_file_of_ours() -> None:
    theirs = msgspec.structs.replace(SESSION, backend="command", turns=1, conversation_turns=1)
    assert lifecycle.opening("absent", theirs).mode == "resume"
    assert lifecycle.opening("absent", msgspec.structs.replace(theirs, conversation_turns=0)).mode == "fresh"
    assert lifecycle.opening("absent", msgspec.structs.replace(theirs, transcript_bytes=9)).mode == "fresh"
    assert not lifecycle.kept(Outcome(kind="done"), "command", bytes_before=0, bytes_after=0)
    assert lifecycle.kept(Outcome(kind="done"), "command", bytes_before=9, bytes_after=9)


LIMITS = AgentLimits(rotate_tokens=1_000, rotate_turns=5, rotate_after=7200.0)
OLD = msgspec.structs.replace(SESSION, conversation_turns=2, context_tokens=900, conversation_at=NOW - 60)
NEXT = msgspec.structs.replace(TURN, attempts=0)


@pytest.mark.parametrize(
    ("session", "turn", "why"),
    [
        ({}, {}, ""),
        ({"context_tokens": 1_000}, {}, ""),
        ({"context_tokens": 1_001}, {}, "the conversation had grown to 1,001 tokens"),
        ({"conversation_turns": 5}, {}, "the conversation had gone on for 5 turns"),
        ({"conversation_at": NOW - 7200}, {}, "the conversation was 2 hours old"),
        ({"conversation_at": NOW - 7 * 86_400}, {}, "the conversation was 7 days old"),
        ({"context_tokens": 9_999, "conversation_turns": 0}, {}, ""),  # nothing has ended in it: nothing to hand over
        ({"context_tokens": 9_999}, {"attempts": 1}, ""),  # the old one knows this turn already
        ({"context_tokens": 9_999}, {"by_hand": True}, ""),  # somebody named this very conversation
    ],
)
def test_when_a_conversation_is_handed_over(session: dict[str, Any], turn: dict[str, Any], why: str) -> None:
    old, new = msgspec.structs.replace(OLD, **session), msgspec.structs.replace(NEXT, **turn)
    assert lifecycle.rotation(old, new, LIMITS, now=NOW) == why


def test_without_limits_nothing_is_handed_over_by_turns_or_age() -> None:
    old = msgspec.structs.replace(OLD, conversation_turns=10_000, conversation_at=0.0)
    assert lifecycle.rotation(old, NEXT, AgentLimits(rotate_tokens=1_000), now=1e12) == ""


@pytest.mark.parametrize(
    ("outcome", "handovers", "expected"),
    [
        (Outcome(kind="done", text="the note"), 1, ("renew", 0.0)),
        (Outcome(kind="done"), 1, ("renew", 0.0)),
        (Outcome(kind="limited", reason="so", exit=1), 1, ("renew", 0.0)),
        (Outcome(kind="failed", reason="so", exit=1), 1, ("renew", 0.0)),
        (Outcome(kind="unreadable", reason="so", exit=0), 1, ("renew", 0.0)),
        (Outcome(kind="not_found", reason="so", exit=1), 1, ("renew", 0.0)),
        (Outcome(kind="too_long", reason="so", exit=1), 1, ("renew", 0.0)),
        (Outcome(kind="refused", reason="so", exit=1), 99, ("waiting", NOW + 900)),
        (Outcome(kind="overloaded", reason="so", exit=1), 1, ("waiting", NOW + 60)),
        (Outcome(kind="overloaded", reason="so", exit=1), 2, ("waiting", NOW + 120)),
        (Outcome(kind="overloaded", reason="so", exit=1), 3, ("renew", 0.0)),
        (Outcome(kind="engine", reason="so"), 1, ("waiting", NOW + 30)),
        (Outcome(kind="interrupted", reason="cut off"), 1, ("waiting", NOW)),
        (Outcome(kind="interrupted", reason="cut off"), 3, ("renew", 0.0)),
    ],
)
def test_end_of_a_hand_over(outcome: Outcome, handovers: int, expected: tuple[str, float]) -> None:
    turn = msgspec.structs.replace(NEXT, handovers=handovers, handing_over=True)
    verdict = lifecycle.after_handover(outcome, turn, SESSION, now=NOW)
    assert (verdict.turn, verdict.not_before) == expected
    assert (verdict.paused_until is not None) == (outcome.kind == "refused")
    stopped = msgspec.structs.replace(turn, stop_asked="merged")
    assert lifecycle.after_handover(outcome, stopped, SESSION, now=NOW).turn == "dropped"


@pytest.mark.parametrize(
    ("resets_at", "reason", "until"),
    [
        (None, "Not logged in", NOW + 900),
        (NOW + 5_000, "You've hit your session limit", NOW + 5_000),
        (None, "You've hit your session limit · resets 1am (UTC)", 3_600.0),
        (NOW - 5, "You've hit your session limit", NOW + 60),  # its clock and ours differ
        (NOW + 1e9, "You've hit your session limit", NOW + 8 * 86_400),  # nobody would wait for a misread date
    ],
)
def test_pause_lasts_until_the_stated_date_within_reason(resets_at: float | None, reason: str, until: float) -> None:
    verdict = lifecycle.after(Outcome(kind="refused", reason=reason, resets_at=resets_at), TURN, SESSION, now=NOW)
    assert verdict.paused_until == verdict.not_before == until
    assert dates.is_to_come(until, now=NOW), "what is written is believed"


@pytest.mark.parametrize(
    ("mode", "context", "first", "cold"),
    [
        ("resume", 50_000, Usage(input=50, cache_write=50_000), True),
        ("resume", 50_000, Usage(input=50, cache_read=14_000, cache_write=36_000), True),  # the tools alone
        ("resume", 50_000, Usage(input=50, cache_read=50_000), False),
        ("fresh", 50_000, Usage(input=50, cache_write=50_000), False),
        ("resume", 500, Usage(input=500), False),
        ("resume", 50_000, Usage(), False),  # it was killed before it asked anything
    ],
)
def test_resume_that_was_billed_like_a_cold_start_is_noticed(
    mode: Mode, context: int, first: Usage, cold: bool
) -> None:
    turn = msgspec.structs.replace(TURN, mode=mode)
    session = msgspec.structs.replace(SESSION, context_tokens=context, used_at=NOW - 7200)
    warning = lifecycle.billed_cold(Outcome(kind="done", first=first), turn, session, now=NOW)
    assert bool(warning) == cold
    assert not cold or f"{first.cache_read:,} came from the cache, 120 minutes after" in warning


@pytest.mark.parametrize(
    ("limit", "words"),
    [("turns", "its 7 turns (`limits.turns`) are used up"), ("usd", "its $0.50 (`limits.usd`) are used up"),
     ("minutes", "its 2.5 minutes (`limits.minutes`) are over"), ("", "")],
)  # fmt: skip
def test_limit_that_was_reached_is_named_as_the_config_names_it(limit: Any, words: str) -> None:
    limits = AgentLimits(turns=7, usd=0.5, minutes=2.5)
    assert lifecycle.limit_reached(Outcome(kind="limited", limit=limit), limits) == words
