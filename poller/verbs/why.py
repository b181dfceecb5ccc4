"""`poll why`: what became of an event, or of everything on a pull: seen, decided, turn, outcome, posted."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from poller import eventlog
from poller.app import database_at_hand
from poller.config import Config
from poller.deltas.events import Event
from poller.halves import stamp_of
from poller.verbs.events import whole_key
from poller.verbs.screen import event_line
from sessions import registry
from sessions.database import reading
from sessions.shell import UsageError


def why(config: Config, subject: str, *, as_json: bool) -> int:
    """0, or `UsageError` if nobody has heard of it."""
    with database_at_hand(config) as engine, reading(engine) as conn:
        found = eventlog.events(conn, [subject]) or eventlog.event_log(conn, key=whole_key(subject, config))
        if not found:
            raise UsageError(f"{subject}: not in the log; expected the id of an event, or owner/repo#N")
        chains = [(event, _chain(conn, event)) for event in found]
    for event, chain in chains:
        if as_json:
            print(json.dumps({"event": event.as_dict(), "decisions": chain}, ensure_ascii=False))
        else:
            _say(event, chain)
    return 0


def _chain(conn: sa.Connection, event: Event) -> list[dict[str, Any]]:
    steps = []
    for decision, turn_id in eventlog.decisions(conn, event.id):
        step: dict[str, Any] = {"agent": decision.agent, "verdict": decision.verdict, "reason": decision.reason}
        turn = registry.turn(conn, turn_id) if turn_id is not None else None
        if turn is not None:
            step["turn"] = {
                "turn": turn.id, "state": turn.state, "mode": turn.mode, "attempts": turn.attempts,
                "identity": turn.identity, "reason": turn.reason, "with": len(turn.events), "posted": list(turn.posted),
                "ended_at": stamp_of(turn.ended_at) if turn.ended_at is not None else None,
            }  # fmt: skip
        steps.append(step)
    return steps


def _say(event: Event, chain: list[dict[str, Any]]) -> None:
    print(event_line(event))
    print(f"    id       {event.id}, seen {event.seen_at}")
    for step in chain:
        print(f"    {step['verdict']:<8} {step['agent'] + ': ' if step['agent'] else ''}{step['reason']}")
        turn = step.get("turn")
        if turn is not None:
            mode = f", {turn['mode']}" if turn["mode"] else ""
            others = f", with {turn['with'] - 1} other events" if turn["with"] > 1 else ""
            print(f"    turn     {turn['turn']} in {turn['identity'] or 'no bottle yet'}{mode}{others}")
            ended = f" at {turn['ended_at']}" if turn["ended_at"] else ""
            print(f"    outcome  {turn['state']}{ended}{': ' + turn['reason'] if turn['reason'] else ''}")
            print(f"    posted   {', '.join(turn['posted']) or 'nothing'}")
