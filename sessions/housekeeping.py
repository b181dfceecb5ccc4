"""What becomes of bottles that are not needed any more.

Knows rows and state directories, and in which order they go: the row first, so that nobody brings back what is being
removed; a directory without a row that says "there" is finished by a later look for what nobody owns.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from sessions import files, places, registry, state
from sessions import tables as t
from sessions.bottles import EngineError, bottle_for
from sessions.database import begin, is_shared, reading
from sessions.logs import fields
from sessions.turns import Session

if TYPE_CHECKING:
    from sessions.bottles.holdings import Held
    from sessions.config import Agent

log = logging.getLogger("sessions.housekeeping")

#: Why a session was closed whose bottle somebody removed.
CLEANED = "cleaned up"
#: Seconds for which something may be there that nobody knows: whoever made it may be about to write that down.
YOUNG = 600.0
#: Seconds between two looks for what nobody owns: a look costs more than a whole idle cycle.
_LOOK_AGAIN = 3600.0


def run(
    engine: sa.Engine,
    root: Path,
    *,
    now: float,
    grace: float = registry.GRACE,
    environ: Mapping[str, str] | None = None,
    agents: Mapping[str, Agent] | None = None,
) -> list[str]:
    """Remove the state of sessions closed for longer than `grace` seconds; the identities that went.

    `environ` leads to the container engine; `agents` are those of the config."""
    environ = os.environ if environ is None else environ
    here = places.name_of(root) if is_shared(engine) else ""
    with reading(engine) as conn:
        over = registry.over(conn, before=now - grace)
        over = [one for one in over if not places.is_elsewhere(conn, one, here, now=now)]
    gone = [
        one.identity
        for one in over
        if not one.running
        and remove(engine, root, one, now=now, why=one.closed_why, environ=environ, agents=agents or {})
    ]
    for left in state.bottles(root).glob(".removing-*"):  # a removal that was killed half-way
        files.remove(left)
    if (root / "mirrors").is_dir():
        from sessions import workspace  # an idle call without code needs none of it

        for mirror in workspace.remove_unused(root):
            log.info("mirror removed: no bottle needs it", extra=fields(mirror=mirror))
    if _is_time_to_look(root, now):
        from sessions import strays  # an idle call has none of it

        for unfinished in state.bottles(root).glob(".importing-*"):
            if now - unfinished.lstat().st_mtime > grace:
                files.remove(unfinished)
        gone += strays.remove_ownerless(engine, root, now=now, grace=grace, environ=environ, agents=agents)
        strays.end_processes(engine, root)
        with reading(engine) as conn:
            there = {one.backend for one in registry.sessions(conn, all=True) if one.removed_at is None}
        if "docker" in {*there, *(agent.backend for agent in (agents or {}).values())}:
            remove_strays(engine, root, now=now, environ=environ)
    return gone


def remove_strays(engine: sa.Engine, root: Path, *, now: float, environ: Mapping[str, str]) -> list[str]:
    """Remove containers of this state directory that no turn and no bottle needs; the names of their launches."""
    from sessions.bottles import holdings

    gone = []
    try:
        old = (one for one in holdings.held(environ, root) if now - one.created > YOUNG)
        for one in stray(engine, old):
            holdings.drop(environ, one)
            gone.append(f"{one.identity}/{one.turn}")
            log.info("stray container removed", extra=fields(bottle=one.identity, launch=one.turn))
    except EngineError as error:
        log.warning("stray containers are not looked for: %s", error)
    return gone


def stray(engine: sa.Engine, found: Iterable[Held]) -> list[Held]:
    """Those of the containers that no turn and no bottle needs."""
    with reading(engine) as conn:
        return [one for one in found if _is_stray(conn, one)]


def _is_stray(conn: sa.Connection, one: Held) -> bool:
    session = registry.session_of(conn, one.identity)
    running = registry.turns(conn, identity=one.identity, state="running")
    if any(turn.directory == one.turn for turn in running):
        return False
    # One that has ended is kept for `bottle commit`, if that could find anything in it, as long as its bottle is.
    return one.running or not one.writable or session is None or session.removed_at is not None


def _is_time_to_look(root: Path, now: float) -> bool:
    """Once in a while, whoever comes: cron's calls have no memory but this file's time."""
    mark = root / ".looked-for-strays"
    try:
        if abs(now - mark.stat().st_mtime) < _LOOK_AGAIN:
            return False
    except FileNotFoundError:
        pass
    try:
        mark.touch(mode=0o600)
        os.utime(mark, (now, now))
    except OSError:  # there is no such directory yet; or it is full, and whoever has to write there says so
        return False
    return True


def remove(
    engine: sa.Engine,
    root: Path,
    session: Session,
    *,
    now: float,
    why: str,
    environ: Mapping[str, str],
    agents: Mapping[str, Agent],
) -> bool:
    """The bottle, its state directory, and the session's right to come back; false when it runs, lives again, or cannot
    be removed now."""
    with begin(engine) as conn:
        current = registry.session_of(conn, session.identity)
        if current is None or current.running or (session.closed_at is not None and current.closed_at is None):
            return False
        values = {"closed_at": current.closed_at or now, "closed_why": why, "removed_at": current.removed_at or now}
        conn.execute(t.session.update().where(t.session.c.id == current.id).values(**values))
    place = state.bottle(root, session.identity)
    if place.is_dir():
        try:
            bottle_for(session.backend, environ=environ).destroy(place, agents.get(session.agent))
        except EngineError as error:
            log.warning("bottle %s is not removed yet: %s", session.identity, error)
            with begin(engine) as conn:  # so that the next call tries again
                conn.execute(t.session.update().where(t.session.c.id == session.id).values(removed_at=None))
            return False
    there = state.remove(state.bottle(root, session.identity))
    if there:
        log.info("bottle removed", extra=fields(bottle=session.identity, pull=session.key, why=why))
    return there
