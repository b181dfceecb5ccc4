"""`poll why`: what became of an event, or of everything on a pull: seen, decided, turn, outcome, posted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from poller import eventlog
from poller.app import database_at_hand
from poller.config import Config
from poller.deltas.events import Event
from poller.halves import stamp_of
from poller.pruning import DAYS
from poller.search import Wanted
from poller.triage import Decision
from poller.verbs.events import Listener, whole_key
from poller.verbs.screen import event_line
from sessions import registry
from sessions.database import reading
from sessions.shell import UsageError
from sessions.turns import Turn


def why(config: Config, subject: str, *, as_json: bool) -> int:
    """0, or `UsageError` if nobody has heard of it."""
    is_known = False
    with database_at_hand(config) as engine:
        for events in _found(engine, subject, config):
            for event, chain in _chains(engine, events):
                is_known = True
                if as_json:
                    print(json.dumps({"event": event.as_dict(), "decisions": chain}, ensure_ascii=False))
                else:
                    _say(event, chain)
    if not is_known:
        raise UsageError(
            f"{subject}: not in the log: unknown, or removed because its pull has been closed for {DAYS} days; "
            "expected the id of an event, or owner/repo#N"
        )
    return 0


def _found(engine: sa.Engine, subject: str, config: Config) -> Iterator[list[Event]]:
    """The event, or those of the pull, some at a time."""
    with reading(engine) as conn:
        one = eventlog.events(conn, [subject])
    if one:
        yield one
        return
    for page in Listener(engine, Wanted(key=whole_key(subject, config))).pages():
        yield [Event.from_json(line) for line in page]


def _chains(engine: sa.Engine, events: list[Event]) -> list[tuple[Event, list[dict[str, Any]]]]:
    """What became of each."""
    with reading(engine) as conn:
        made = eventlog.decisions_of(conn, [event.id for event in events])
        joined = {turn_id for decisions in made.values() for _, turn_id in decisions if turn_id is not None}
        turns = {turn_id: registry.turn(conn, turn_id) for turn_id in joined}
    return [
        (event, [_step(decision, turns.get(turn_id) if turn_id else None) for decision, turn_id in made[event.id]])
        for event in events
    ]


def _step(decision: Decision, turn: Turn | None) -> dict[str, Any]:
    step: dict[str, Any] = {"agent": decision.agent, "verdict": decision.verdict, "reason": decision.reason}
    if turn is not None:
        step["turn"] = {
            "turn": turn.id, "state": turn.state, "mode": turn.mode, "attempts": turn.attempts,
            "identity": turn.identity, "reason": turn.reason, "with": len(turn.events), "posted": list(turn.posted),
            "kind": turn.kind, "surprise": turn.surprise, "cost_usd": round(turn.cost_usd, 6),
            "ended_at": stamp_of(turn.ended_at) if turn.ended_at is not None else None,
        }  # fmt: skip
    return step


def _say(event: Event, chain: list[dict[str, Any]]) -> None:
    print(event_line(event))
    print(f"    id       {event.id}, seen {event.seen_at}")
    for step in chain:
        print(f"    {step['verdict']:<8} {step['agent'] + ': ' if step['agent'] else ''}{step['reason']}")
        turn = step.get("turn")
        if turn is not None:
            mode = f", {turn['mode']}" if turn["mode"] else ""
            mode += f" ({turn['surprise']})" if turn["surprise"] else ""
            others = f", with {turn['with'] - 1} other events" if turn["with"] > 1 else ""
            print(f"    turn     {turn['turn']} in {turn['identity'] or 'no bottle yet'}{mode}{others}")
            ended = f" at {turn['ended_at']}" if turn["ended_at"] else ""
            print(f"    outcome  {turn['state']}{ended}{': ' + turn['reason'] if turn['reason'] else ''}")
            print(f"    posted   {', '.join(turn['posted']) or 'nothing'}")
