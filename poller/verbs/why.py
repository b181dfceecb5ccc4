"""`poll why`: what became of an event, or of everything on a pull: seen, decided, turn, outcome, posted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from poller import eventlog, letters, pauses, store, waiting
from poller.app import database_at_hand
from poller.config import Config
from poller.deltas.events import Event, place_of
from poller.halves import stamp_of
from poller.pruning import DAYS
from poller.search import Wanted
from poller.triage import Decision
from poller.verbs.chain import said_of
from poller.verbs.events import Listener, whole_key
from sessions import registry
from sessions.database import clock_of, reading
from sessions.logs import escaped
from sessions.shell import UsageError
from sessions.turns import Turn


def why(config: Config, subject: str, *, as_json: bool) -> int:
    """0, or `UsageError` if nobody has heard of it."""
    is_known = False
    with database_at_hand(config) as engine:
        for events in _found(engine, subject, config):
            if not is_known and not as_json and events and events[0].id != subject:
                with reading(engine) as conn:
                    print(escaped(_standing(conn, events[0].ref, subject, config)))
            for event, chain in _chains(engine, events, config, now=clock_of(engine)()):
                is_known = True
                if as_json:
                    print(json.dumps({"event": event.as_dict(), "decisions": chain}, ensure_ascii=False))
                else:
                    print(said_of(event, chain))
        if not is_known:
            with reading(engine) as conn:
                raise UsageError(_unheard(conn, subject, config))
    return 0


def _unheard(conn: sa.Connection, subject: str, config: Config) -> str:
    """Why the log has nothing, as far as it can be known without the forge."""
    repo, _, number = subject.removeprefix(f"{config.forge}/").rpartition("#")
    if not number.isdecimal() or "/" not in repo:
        return (
            f"{subject}: not in the log: unknown, or removed because its pull has been closed for {DAYS} days; "
            "expected the id of an event, or owner/repo#N"
        )
    if not config.watches(repo):
        return f"{subject}: not in the log: `repos` in {config.path} does not name {repo}, or excludes it"
    trouble = {name.lower(): error for name, error in store.troubled_repositories(conn, config.forge).items()}
    if repo.lower() in trouble:
        return f"{subject}: not in the log: {repo} cannot be read: {trouble[repo.lower()]}; `poll doctor` says the mend"
    return (
        f"{subject}: not in the log: nothing has happened there since the watching began (`poll.start` is "
        f"{config.poll.start}), it is no pull request, or it has been closed for {DAYS} days and was forgotten"
    )


def _standing(conn: sa.Connection, ref: str, key: str, config: Config) -> str:
    """How the pull stands now, and what holds it back."""
    place = store.places(conn, config.forge, [place_of(ref)]).get(place_of(ref)) if "#" in key else None
    lines = [key]
    if place is not None and place.known is not None:
        row = place.known.row
        lines[0] += f": {'gone' if place.known.gone else row.state}, last moved {row.updated_at}"
    if place is not None and place.error:
        lines.append(f"cannot be read: {place.error}")
    lines += [one.told for one in pauses.paused(conn, ref=ref, key=whole_key(key, config))]
    return "; ".join(lines)


def _found(engine: sa.Engine, subject: str, config: Config) -> Iterator[list[Event]]:
    """The event, or those of the pull, some at a time."""
    with reading(engine) as conn:
        one = eventlog.events(conn, [subject])
    if one:
        yield one
        return
    for page in Listener(engine, Wanted(key=whole_key(subject, config))).pages():
        yield [Event.from_json(line) for line in page]


def _chains(
    engine: sa.Engine, events: list[Event], config: Config, *, now: float
) -> list[tuple[Event, list[dict[str, Any]]]]:
    """What became of each."""
    with reading(engine) as conn:
        made = eventlog.decisions_of(conn, [event.id for event in events])
        joined = {turn_id for decisions in made.values() for _, turn_id in decisions if turn_id is not None}
        turns = {turn_id: registry.turn(conn, turn_id) for turn_id in joined}
        steps = {number: _turn_step(conn, turn, config, now=now) for number, turn in turns.items() if turn is not None}
    return [
        (event, [_step(decision, steps.get(turn_id or 0)) for decision, turn_id in made[event.id]]) for event in events
    ]


def _step(decision: Decision, turn: dict[str, Any] | None) -> dict[str, Any]:
    step: dict[str, Any] = {"agent": decision.agent, "verdict": decision.verdict, "reason": decision.reason}
    return step if turn is None else step | {"turn": turn}


def _turn_step(conn: sa.Connection, turn: Turn, config: Config, *, now: float) -> dict[str, Any]:
    """The turn that an event joined, with what it waits for and what is on its way to the forge."""
    return {
        "turn": turn.id, "state": turn.state, "mode": turn.mode, "attempts": turn.attempts,
        "identity": turn.identity, "reason": turn.reason, "with": len(turn.events), "posted": list(turn.posted),
        "kind": turn.kind, "surprise": turn.surprise, "cost_usd": round(turn.cost_usd, 6),
        "started_at": stamp_of(turn.started_at) if turn.started_at is not None else None,
        "ended_at": stamp_of(turn.ended_at) if turn.ended_at is not None else None,
        "waits_for": waiting.obstacles(conn, turn, config, now=now) if turn.state == "waiting" else [],
        "unposted": letters.unposted(conn, turn.id),
        "reply": config.agents[turn.agent].reply if turn.agent in config.agents else None,
    }  # fmt: skip
