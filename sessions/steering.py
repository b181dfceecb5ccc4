"""What people may do to the turns of one ref without waiting for them.

Knows rows.  Must not know who may ask for it, or why.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sessions import tables as t


class Stopped(msgspec.Struct, frozen=True):
    """How many turns were asked to stop, and how many were dropped before they began."""

    running: int
    waiting: int


def stop(conn: sa.Connection, *, ref: str, reason: str, now: float) -> Stopped:
    """What runs is to end, what waits is dropped; sessions and their conversations stay."""
    waiting = drop_waiting(conn, ref=ref, reason=reason, now=now)
    runs = (t.turn.c.ref == ref, t.turn.c.state == "running")
    running = conn.execute(t.turn.update().where(*runs).values(stop_asked=reason)).rowcount
    return Stopped(running, waiting)


def drop_waiting(conn: sa.Connection, *, ref: str, reason: str, now: float) -> int:
    """What waits is dropped; how many turns that is."""
    waits = (t.turn.c.ref == ref, t.turn.c.state == "waiting")
    dropped = {"state": "dropped", "reason": reason, "ended_at": now}
    return conn.execute(t.turn.update().where(*waits).values(**dropped)).rowcount


def hasten(conn: sa.Connection, *, ref: str, now: float, turn: int | None = None) -> int:
    """What waits for its time (all of the pull, or this turn) may begin now, or be told again why it may not; how many
    turns that is."""
    which = t.turn.c.id == turn if turn is not None else sa.true()
    due = (t.turn.c.ref == ref, t.turn.c.state == "waiting", t.turn.c.not_before > now, which)
    return conn.execute(t.turn.update().where(*due).values(not_before=now)).rowcount
