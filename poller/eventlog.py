"""SQL of the event log: events, and what each was to become.  Finding events by more than their ids is `search`'s.

Knows the tables of events and decisions.  Must not decide anything: it writes what the deciders said, inside the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import tables
from poller.deltas.events import Event
from poller.search import Search, Wanted, newest, spelled
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
    if fresh:
        conn.execute(tables.event.insert(), [_row(event) for event in fresh])
    return fresh


def _row(event: Event) -> dict[str, Any]:
    columns = ("id", "ref", "key", "event", "action", "at", "seen_at", "is_reworded")
    actor = event.actor.login.lower() if event.actor is not None else ""
    return {name: getattr(event, name) for name in columns} | {"actor": actor, "line": event.to_json()}


def events(conn: sa.Connection, ids: Sequence[str]) -> list[Event]:
    """These events, in the order of the log."""
    table, found = tables.event, list[tuple[int, Event]]()
    for start in range(0, len(ids), CHUNK):
        query = sa.select(table.c.seq, table.c.line, table.c.is_reworded)
        for row in conn.execute(query.where(table.c.id.in_(ids[start : start + CHUNK]))):
            event = Event.from_json(row.line)
            found.append((row.seq, msgspec.structs.replace(event, is_reworded=True) if row.is_reworded else event))
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def marked(conn: sa.Connection, read: Sequence[Event]) -> list[Event]:
    """Events as they were read from the log, with what its lines leave out: whose words were changed before that."""
    c, changed = tables.event.c, set[str]()
    for start in range(0, len(read), CHUNK):
        some = [event.id for event in read[start : start + CHUNK]]
        changed |= set(conn.scalars(sa.select(c.id).where(c.id.in_(some), c.is_reworded)))
    return [msgspec.structs.replace(one, is_reworded=True) if one.id in changed else one for one in read]


def event_log(
    conn: sa.Connection, *, key: str | None = None, since: str | None = None, limit: int | None = None
) -> list[Event]:
    """The log at once, oldest first; with `limit` the newest so many of it."""
    search, until = Search(conn, Wanted(key=key, since=since)), newest(conn)
    after, found = search.beginning(conn, until=until, limit=limit), list[Event]()
    while page := search.page(conn, after=after, until=until):
        found += [Event.from_json(line) for _, line in page]
        after = page[-1].seq
    return found


def save_decisions(conn: sa.Connection, decisions: Iterable[Decision], turns: Mapping[tuple[str, str], int]) -> None:
    """What each event is to become; `turns` by (event id, agent) for those that wake one."""
    rows = [
        msgspec.structs.asdict(decision) | {"turn_id": turns.get((decision.event_id, decision.agent))}
        for decision in decisions
    ]
    if rows:
        conn.execute(tables.decision.insert(), rows)


def decisions(conn: sa.Connection, event_id: str) -> list[tuple[Decision, int | None]]:
    """What became of an event: each decision, and the turn that it joined."""
    return decisions_of(conn, [event_id])[event_id]


def decisions_of(conn: sa.Connection, ids: Sequence[str]) -> dict[str, list[tuple[Decision, int | None]]]:
    """The same of each of these events."""
    table, found = tables.decision, {event_id: list[tuple[Decision, int | None]]() for event_id in ids}
    for start in range(0, len(ids), CHUNK):
        query = sa.select(table).where(table.c.event_id.in_(ids[start : start + CHUNK])).order_by(table.c.agent)
        for row in conn.execute(query).mappings():
            decision = Decision(**{name: row[name] for name in Decision.__struct_fields__})
            found[decision.event_id].append((decision, row["turn_id"]))
    return found


def lag(conn: sa.Connection, *, newest_ones: int = 21) -> float | None:
    """Seconds from a happening to its sight, the middle of the newest ones; `None` without any."""
    c = tables.event.c
    rows = conn.execute(sa.select(c.at, c.seen_at).order_by(c.seq.desc()).limit(newest_ones))
    lags = sorted(
        max(0.0, (datetime.fromisoformat(row.seen_at) - datetime.fromisoformat(row.at)).total_seconds()) for row in rows
    )
    return lags[len(lags) // 2] if lags else None


def held(conn: sa.Connection, ref: str) -> list[tuple[str, Decision]]:
    """Ids of events of a pull that wait for a word of somebody trusted, oldest first, with what was decided."""
    table = tables.decision
    joined = table.join(tables.event, tables.event.c.id == table.c.event_id)
    waits = (tables.event.c.ref == ref, table.c.verdict == "hold", table.c.turn_id.is_(None))
    query = sa.select(table).select_from(joined).where(*waits).order_by(tables.event.c.seq, table.c.agent)
    rows = conn.execute(query).mappings()
    return [(row["event_id"], Decision(**{name: row[name] for name in Decision.__struct_fields__})) for row in rows]


def comments_since(conn: sa.Connection, event: Event) -> list[Event]:
    """What was told of comments on the event's pull from this event on, oldest first."""
    c, first = tables.event.c, tables.event.alias().c
    begins = sa.select(first.seq).where(first.id == event.id).scalar_subquery()
    mine = (c.ref == event.ref, c.event == "pull_request_comment", c.seq >= begins)
    return [Event.from_json(line) for line in conn.scalars(sa.select(c.line).where(*mine).order_by(c.seq))]


def last_push(conn: sa.Connection, ref: str) -> str:
    """When the head of a pull was pushed to, as far as it was told; "" = never."""
    c = tables.event.c
    mine = (c.ref == ref, c.event == "pull_request_sync")
    return conn.scalar(sa.select(c.at).where(*mine).order_by(c.seq.desc()).limit(1)) or ""


def joins(conn: sa.Connection, event_id: str, agent: str, turn_id: int) -> None:
    """What was held has joined a turn after all."""
    mine = (tables.decision.c.event_id == event_id, tables.decision.c.agent == agent)
    conn.execute(tables.decision.update().where(*mine).values(turn_id=turn_id))


def pull_named(conn: sa.Connection, key: str) -> str | None:
    """The identity of the pull that has, or last had, this key, however that is spelled."""
    c = tables.event.c
    ref: str | None = conn.scalar(sa.select(c.ref).where(c.key == spelled(conn, key)).order_by(c.seq.desc()).limit(1))
    return ref
