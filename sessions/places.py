"""Machines that share a database: which of them has a bottle, and which has been heard of lately.

A place is a state directory.  It has a name that moves with it; a session belongs to the place that has its bottle, and
its turns wait for that one.  A place that nobody has heard of for `AWAY` seconds is away, and its turns are anybody's:
afresh, because the conversation is not to be had.  Knows rows and one file; `now` is the database's time.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path

import sqlalchemy as sa

from sessions import processes, state
from sessions import tables as t
from sessions.database import begin, is_shared
from sessions.turns import Session

#: Seconds.  Who cannot tell for `SILENT` that he is there ends his runs: they are about to be somebody else's.
AWAY, TELL, SILENT = 600.0, 60.0, 480.0


def name_of(root: Path) -> str:
    """The name of this state directory, given when it is first asked for."""
    file = root / "place"
    with contextlib.suppress(FileNotFoundError):
        return file.read_text("ascii").strip()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.write_first(file, f"{secrets.token_hex(8)}\n")  # or somebody was quicker: it is called as he says
    return file.read_text("ascii").strip()


def own_name(engine: sa.Engine, root: Path) -> str:
    """The name of this state directory where others share the database, else ""."""
    return name_of(root) if is_shared(engine) else ""


def tell(conn: sa.Connection, place: str, *, now: float) -> None:
    """Somebody is at work here."""
    c, row = t.lease.c, f"place {place}"
    told = {"owner": str(processes.me()), "until": now + AWAY}
    if not conn.execute(t.lease.update().where(c.name == row).values(**told)).rowcount:
        conn.execute(t.lease.insert().values(name=row, fence=0, **told))


class Presence:
    """That somebody is at work at a place; where one machine is alone there is nobody to tell."""

    def __init__(self, engine: sa.Engine, root: Path) -> None:
        self._engine, self._root, self._place, self._again = engine, root, "", 0.0

    def told(self, *, now: float) -> str:
        """Tell it, if it is time to; the place's name, or ""."""
        if is_shared(self._engine) and time.monotonic() >= self._again:
            self._place = self._place or name_of(self._root)
            with begin(self._engine) as conn:
                tell(conn, self._place, now=now)
            self._again = time.monotonic() + TELL
        return self._place


def not_here(place: str, *, now: float, unless: sa.ColumnElement[bool] | None = None) -> sa.ColumnElement[bool] | None:
    """Of a row of the turn table: its bottle is at another place, which is not away; or it is to wait (`unless`)."""
    if not place:
        return unless
    c = t.session.c
    mine = (c.ref == t.turn.c.ref, c.agent == t.turn.c.agent, c.closed_at.is_(None), c.place.not_in(["", place]))
    others = sa.exists().where(*mine, t.lease.c.name == "place " + c.place, t.lease.c.until > now)
    return others if unless is None else others | unless


def is_elsewhere(conn: sa.Connection, session: Session, place: str, *, now: float) -> bool:
    """Is the session's bottle at another place, which is not away?"""
    return bool(place) and session.place not in ("", place) and is_there(conn, session.place, now=now)


def is_there(conn: sa.Connection, place: str, *, now: float) -> bool:
    """Has it been heard of lately?"""
    until = conn.scalar(sa.select(t.lease.c.until).where(t.lease.c.name == f"place {place}"))
    return until is not None and until > now


def settle(conn: sa.Connection, session: Session, place: str) -> None:
    """The session's bottle is here from now on."""
    if place and session.place != place:
        conn.execute(t.session.update().where(t.session.c.id == session.id).values(place=place))
