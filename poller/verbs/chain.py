"""The chain of one event in words: seen, allowed, which agent, which turn, its outcome, what was posted.

Pure.  Knows the steps as `poll why --format json` prints them.  Must not know where they come from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from poller.amounts import counted
from poller.deltas.events import Event
from poller.verbs.screen import event_line
from sessions.logs import escaped

#: What a verdict means, for people.
VERDICTS = {
    "wake": "yes", "ignore": "nobody was asked", "refuse": "no", "hold": "not yet", "command": "obeyed",
    "close": "the end",
}  # fmt: skip


def said_of(event: Event, chain: list[dict[str, Any]]) -> str:
    """All lines of one event."""
    lines = [event_line(event), _line("seen", f"{event.seen_at}{_lag(event)}, id {event.id}")]
    for step in chain:
        who = f"{step['agent']}: " if step["agent"] else ""
        lines.append(_line("allowed", f"{VERDICTS.get(step['verdict'], step['verdict'])}, {who}{step['reason']}"))
        if (turn := step.get("turn")) is not None:
            lines += _of_turn(turn)
    return "\n".join(lines)


def _of_turn(turn: dict[str, Any]) -> list[str]:
    mode = f", {turn['mode']}" if turn["mode"] else ""
    mode += f" ({turn['surprise']})" if turn["surprise"] else ""
    others = f", with {counted(turn['with'] - 1, 'other event')}" if turn["with"] > 1 else ""
    lines = [_line("turn", f"{turn['turn']} in {turn['identity'] or 'no bottle yet'}{mode}{others}")]
    lines += [_line("waits for", one) for one in turn["waits_for"]]
    lines.append(_line("outcome", _outcome(turn)))
    lines += [_line("posted", one) for one in (*turn["posted"], *turn["unposted"])]
    if not turn["posted"] and not turn["unposted"] and turn["state"] in ("done", "failed", "dropped"):
        none = turn["reply"] == "none" and turn["state"] != "dropped"
        lines.append(_line("posted", "nothing: the agent's `reply` is none" if none else "nothing"))
    return lines


def _outcome(turn: dict[str, Any]) -> str:
    tries = f" after {turn['attempts']} attempts" if turn["attempts"] > 1 else ""
    ended = f" at {turn['ended_at']}" if turn["ended_at"] else ""
    if turn["state"] == "running":
        ended = f" since {turn['started_at']}" if turn["started_at"] else ""
    took = _took(turn["started_at"], turn["ended_at"]) if turn["state"] in ("done", "failed") else ""
    cost = f", ${turn['cost_usd']:.2f}" if turn["cost_usd"] else ""
    retry = f"; again: poll retry {turn['turn']}" if turn["state"] == "failed" else ""
    return f"{turn['state']}{tries}{ended}{took}{cost}{': ' + turn['reason'] if turn['reason'] else ''}{retry}"


def _took(started: str | None, ended: str | None) -> str:
    if started is None or ended is None:
        return ""
    return f", took {max(0.0, _seconds(started, ended)):.0f} s"


def _lag(event: Event) -> str:
    try:
        lag = _seconds(event.at, event.seen_at)
    except ValueError:  # a moment that the forge wrote in its own way
        return ""
    return f", {lag:.0f} s after it happened" if lag >= 1 else ""


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _line(label: str, text: str) -> str:
    return escaped(f"    {label:<9} {text}")
