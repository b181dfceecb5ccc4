"""SQL of the event log: events, and what each was to become.

Knows the tables of events and decisions.  Must not decide anything: it writes what the deciders said, inside the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from poller import tables
from poller.deltas.events import Event
from poller.store import CHUNK
from poller.triage import Decision


def add_events(conn: sa.Connection, events: Sequence[Event]) -> list[Event]:
    """Log what is new; what the log has already is left out of the answer."""
    if not events:
        return []
    known = set[str]()
    for start in range(0, len(events), CHUNK):
        some = [event.id for event in events[start : start + CHUNK]]
        known |= set(conn.scalars(sa.select(tables.event.c.id).where(tables.event.c.id.in_(some))))
    fresh = list({event.id: event for event in events if event.id not in known}.values())
    for event in fresh:
        values = {name: getattr(event, name) for name in ("id", "ref", "key", "event", "action", "at", "seen_at")}
        values["actor"] = event.actor.login.lower() if event.actor is not None else ""
        conn.execute(tables.event.insert().values(**values, line=event.to_json()))
    return fresh


def events(conn: sa.Connection, ids: Sequence[str]) -> list[Event]:
    """These events, in the order of the log."""
    table, found = tables.event, list[tuple[int, Event]]()
    for start in range(0, len(ids), CHUNK):
        query = sa.select(table.c.seq, table.c.line).where(table.c.id.in_(ids[start : start + CHUNK]))
        found += [(row.seq, Event.from_json(row.line)) for row in conn.execute(query)]
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def event_log(
    conn: sa.Connection, *, key: str | None = None, since: str | None = None, limit: int | None = None
) -> list[Event]:
    """The log, oldest first; with `limit` the newest so many of it."""
    table = tables.event
    query = sa.select(table.c.line)
    if key is not None:
        # By identity, so that a renamed repository's events are found under its present and its former name.
        refs = sa.select(table.c.ref).where(table.c.key == key).distinct()
        query = query.where(table.c.ref.in_(refs))
    if since is not None:
        query = query.where(table.c.seen_at >= since)
    if limit is None:
        return [Event.from_json(row.line) for row in conn.execute(query.order_by(table.c.seq))]
    newest = conn.execute(query.order_by(table.c.seq.desc()).limit(limit)).all()
    return [Event.from_json(row.line) for row in reversed(newest)]


def save_decisions(conn: sa.Connection, decisions: Iterable[Decision], turns: Mapping[tuple[str, str], int]) -> None:
    """What each event is to become; `turns` by (event id, agent) for those that wake one."""
    for decision in decisions:
        values = msgspec.structs.asdict(decision)
        turn_id = turns.get((decision.event_id, decision.agent))
        conn.execute(tables.decision.insert().values(**values, turn_id=turn_id))


def decisions(conn: sa.Connection, event_id: str) -> list[tuple[Decision, int | None]]:
    """What became of an event: each decision, and the turn that it joined."""
    table = tables.decision
    rows = conn.execute(sa.select(table).where(table.c.event_id == event_id).order_by(table.c.agent)).mappings()
    return [(Decision(**{name: row[name] for name in Decision.__struct_fields__}), row["turn_id"]) for row in rows]


def pull_named(conn: sa.Connection, key: str) -> str | None:
    """The identity of the pull that has, or had, this key."""
    ref: str | None = conn.scalar(sa.select(tables.event.c.ref).where(tables.event.c.key == key).limit(1))
    return ref
