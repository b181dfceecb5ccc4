"""Sessions and turns as programs and people read them.

Knows the shapes of the contract (`bottle list --format json`, `bottle log --format jsonl`).  Reads nothing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sessions import state
from sessions.byhand import Ended
from sessions.logs import escaped
from sessions.turns import Session, Turn, Usage

if TYPE_CHECKING:
    from sessions.cleaning import Candidate
    from sessions.resuming import Plan


def session_row(session: Session, *, root: Path, now: float) -> dict[str, Any]:
    """One object of `bottle list --format json`.  A process's cwd is where it is now: the state can be moved."""
    is_here = not Path(session.cwd).is_absolute()
    return {
        "key": session.key,
        "agent": session.agent,
        "identity": session.identity,
        "claude_session": session.claude_session,
        "backend": session.backend,
        "cwd": str(state.work(state.bottle(root, session.identity), session.cwd)) if is_here else session.cwd,
        "state": session.state(now),
        "turns": session.turns,
        "cost_usd": _money(session.cost_usd),
        "tokens": _tokens(session.usage),
    }


def session_details(session: Session, turns: Sequence[Turn], *, root: Path, now: float) -> dict[str, Any]:
    """`bottle show --format json`: the row, and what else is known."""
    bottle = state.bottle(root, session.identity)
    return session_row(session, root=root, now=now) | {
        "agent_turns": session.agent_turns,
        "context_tokens": session.context_tokens,
        "created_at": moment(session.created_at),
        "used_at": moment(session.used_at),
        "closed_at": moment(session.closed_at),
        "closed_why": session.closed_why or None,
        "removed_at": moment(session.removed_at),
        "paused_until": moment(session.paused_until),
        "paused_why": session.paused_why or None,
        "not_resumable": session.note or None,
        "conversation": {
            "turns": session.conversation_turns,
            "since": moment(session.conversation_at),
            "begun": session.begun_why or None,
        },
        "cache_read_ratio": ratio(session.usage),
        "hand_over": session.summary or None,
        "state_directory": str(bottle),
        "preserved": state.is_preserved(bottle),
        "log": [_turn_details(turn) for turn in turns],
    }


def turn_row(turn: Turn) -> dict[str, Any]:
    """One line of `bottle log --format jsonl`."""
    return {
        "turn": turn.id,
        "key": turn.key,
        "agent": turn.agent,
        "identity": turn.identity or None,
        "claude_session": turn.claude_session or None,
        "mode": turn.mode,
        "why": turn.why,
        "events": list(turn.events),
        "state": turn.state,
        "attempts": turn.attempts,
        "started_at": moment(turn.started_at),
        "ended_at": moment(turn.ended_at),
        "exit": turn.exit,
        "cost_usd": _money(turn.cost_usd),
        "posted": list(turn.posted),
    }


def _turn_details(turn: Turn) -> dict[str, Any]:
    return turn_row(turn) | {
        "kind": turn.kind or None,
        "reason": turn.reason or None,
        "surprise": turn.surprise or None,
        "handovers": turn.handovers,
        "tokens": _tokens(turn.usage),
        "cache_read_ratio": ratio(turn.usage),
    }


def result_object(ended: Ended) -> dict[str, Any]:
    """What `bottle run` prints: Claude's own result with `identity` added, or one like it where it printed none."""
    identity = {"identity": ended.session.identity}
    outcome = ended.outcome
    if outcome is not None and outcome.result:
        return dict(msgspec.json.decode(outcome.result)) | identity
    why = ended.turn.reason if outcome is None else outcome.reason
    said = {"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": [why]}
    return said | {"session_id": ended.session.claude_session} | identity


def plan_object(plan: Plan) -> dict[str, Any]:
    """`bottle resume --dry-run --format json`: what would be launched."""
    return {name: value for name, value in msgspec.to_builtins(plan).items() if name != "trouble"} | {
        "trouble": plan.trouble or None
    }


def plan_text(found: dict[str, Any]) -> str:
    """The same for people."""
    lines = found | {
        "image": found["image"] or "- (no container)",
        "dockerfile": found["dockerfile"] or "- (none of its own)",
        "argv": shlex.join(found["argv"]),
        "env": ", ".join(found["env"]) or "-",
        "missing_env": ", ".join(found["missing_env"]),
    }
    shown = {name.replace("_", " "): value for name, value in lines.items() if value}
    width = max(len(name) for name in shown)
    return "\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in shown.items())


def sessions_table(sessions: Sequence[Session], *, now: float) -> str:
    head = ("IDENTITY", "KEY", "STATE", "TURNS", "TOKENS", "COST", "USED", "CLAUDE SESSION")
    rows = [
        (
            one.identity,
            one.key,
            _state(one, now),
            str(one.turns),
            str(sum(_tokens(one.usage).values())),
            f"${one.cost_usd:.4f}",
            moment(one.used_at) or "",
            one.claude_session,
        )
        for one in sessions
    ]
    tokens = sum(sum(_tokens(one.usage).values()) for one in sessions)
    usd = sum(one.cost_usd for one in sessions)
    sums = ("", "", "", str(sum(one.turns for one in sessions)), str(tokens), f"${usd:.4f}", "", "")
    return _columns([head, *rows, *([sums] if len(rows) > 1 else [])])


def _state(session: Session, now: float) -> str:
    if session.closed_at is not None:
        return f"closed ({session.closed_why})"
    state = session.state(now)
    return f"paused until {moment(session.paused_until)}" if state == "paused" else state


def turns_table(turns: Sequence[Turn]) -> str:
    head = ("TURN", "STARTED", "KEY", "IDENTITY", "MODE", "STATE", "EXIT", "CACHED", "COST", "WHY")
    rows = [
        (
            str(one.id),
            moment(one.started_at) or "-",
            one.key,
            one.identity or "-",
            one.mode or "-",
            one.state,
            "-" if one.exit is None else str(one.exit),
            "-" if one.usage.cached is None else f"{one.usage.cached:.0%}",
            f"${one.cost_usd:.4f}",
            "; ".join(words for words in (one.why, one.surprise, one.reason) if words),
        )
        for one in turns
    ]
    usd = sum(one.cost_usd for one in turns)
    sums = ("",) * 8 + (f"${usd:.4f}", "")
    return _columns([head, *rows, *([sums] if len(rows) > 1 else [])])


def details_text(details: dict[str, Any], turns: Sequence[Turn]) -> str:
    shown = {name: value for name, value in details.items() if value not in (None, "") and name != "log"}
    width = max(len(name) for name in shown)
    lines = [f"{name:<{width}}  {_plain(value)}" for name, value in shown.items()]
    return "\n".join([*lines, "", turns_table(turns)] if turns else lines)


def candidates_table(candidates: Sequence[Candidate]) -> str:
    head = ("WHAT", "NAME", "KEY", "FATE", "WHY")
    return _columns([head, *((one.what, one.name, one.key or "-", one.fate, one.why) for one in candidates)])


def moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _money(amount: float) -> float:
    return round(amount, 6)


def _tokens(usage: Usage) -> dict[str, int]:
    return dict(msgspec.structs.asdict(usage))


def ratio(usage: Usage) -> float | None:
    """The part of what the model was sent that came from its cache."""
    return None if usage.cached is None else round(usage.cached, 3)


def _plain(value: Any) -> str:
    return escaped(value if isinstance(value, str) else json.dumps(value))


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Keys and reasons come from outside: nothing in them may move the cursor."""
    clean = [tuple(escaped(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean
    )
