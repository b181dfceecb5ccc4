"""Agents that the model's service refuses (login, credit, quota): all their sessions wait, and nothing is lost.

A pause has a date, at which one turn of the agent, alone, tries whether it is over; being served ends it.  Knows rows.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sessions import dates
from sessions import tables as t


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """`until`, `since`: epoch seconds.  One whose date has passed has not been served since."""

    agent: str
    until: float
    why: str
    since: float


def pause(conn: sa.Connection, agent: str, *, until: float, why: str, now: float) -> None:
    """None of the agent's turns starts before then.  Of two dates to come the later one counts."""
    c = t.agent_pause.c
    known = conn.execute(sa.select(c.until).where(c.agent == agent)).scalar()
    if known is None:
        conn.execute(t.agent_pause.insert().values(agent=agent, until=until, why=why, since=now))
    elif until > known or not dates.is_to_come(known, now=now):
        conn.execute(t.agent_pause.update().where(c.agent == agent).values(until=until, why=why, since=now))


def lift(conn: sa.Connection, agent: str, *, served_at: float) -> None:
    """What this agent began at that moment was served: a pause from before then is over."""
    c = t.agent_pause.c
    is_over = sa.or_(c.since <= served_at, c.since > served_at + dates.LONGEST)  # no run takes that long
    conn.execute(t.agent_pause.delete().where(c.agent == agent, is_over))


def pauses(conn: sa.Connection) -> list[Pause]:
    """Agents that are refused, by name."""
    rows = conn.execute(sa.select(t.agent_pause).order_by(t.agent_pause.c.agent)).mappings()
    return [Pause(**row) for row in rows]


def holds_back(now: float) -> sa.ColumnElement[bool]:
    """Of a row of the turn table: its agent is paused, or one of the agent's turns is trying whether it still is."""
    trying = t.turn.alias()
    is_tried = sa.exists().where(trying.c.agent == t.agent_pause.c.agent, trying.c.state == "running")
    c = t.agent_pause.c
    is_to_come = sa.and_(c.until > now, c.until <= now + dates.LONGEST)
    return sa.exists().where(c.agent == t.turn.c.agent, sa.or_(is_to_come, is_tried))
