"""Events that an agent has had before, fed to it once more, because somebody has asked for that.

Knows rows.  An event is in one turn of an agent at a time: it leaves the turn that is over for the one that will run.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sessions import registry
from sessions import tables as t


class Had(msgspec.Struct, frozen=True):
    """Where an event is: the number and the state of the turn that has it."""

    turn: int
    state: str

    @property
    def is_on_its_way(self) -> bool:
        return self.state in ("waiting", "running")


def had(conn: sa.Connection, *, agent: str, event_id: str) -> Had | None:
    """The turn in which the agent has this event, if it was ever given it."""
    joined = t.turn_event.join(t.turn, t.turn.c.id == t.turn_event.c.turn_id)
    asked = sa.select(t.turn.c.id, t.turn.c.state).select_from(joined)
    row = conn.execute(asked.where(t.turn_event.c.agent == agent, t.turn_event.c.event_id == event_id)).first()
    return None if row is None else Had(row.id, row.state)


def feed(conn: sa.Connection, *, ref: str, key: str, agent: str, event_id: str, why: str, now: float) -> int | None:
    """Let the event join the waiting turn of (ref, agent), or a new one; its number.

    `None`: it waits or runs already."""
    before = had(conn, agent=agent, event_id=event_id)
    if before is not None:
        if before.is_on_its_way:
            return None
        conn.execute(t.turn_event.delete().filter_by(agent=agent, event_id=event_id))
    return registry.enqueue(conn, ref=ref, key=key, agent=agent, event_id=event_id, why=why, now=now)
