"""What becomes of bottles that are not needed any more.

Knows rows and state directories, and in which order they go: the row first, so that nobody brings back what is being
removed; a directory without a row that says "there" is finished by the next call.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Literal

import msgspec
import sqlalchemy as sa

from sessions import registry, state
from sessions import tables as t
from sessions.database import begin, reading
from sessions.logs import fields
from sessions.turns import Session

log = logging.getLogger("sessions.housekeeping")

#: Why a session was closed whose bottle somebody removed.
CLEANED = "cleaned up"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A bottle that could go.  `fate`: "remove" it, or why it is kept."""

    identity: str
    key: str
    agent: str
    fate: Literal["remove", "running", "preserved", "orphan"]
    why: str


def run(engine: sa.Engine, root: Path, *, now: float, grace: float = registry.GRACE) -> list[str]:
    """Remove the state of sessions closed for longer than `grace` seconds; the identities that went."""
    with reading(engine) as conn:
        over = registry.over(conn, before=now - grace)
    gone = [one.identity for one in over if not one.running and remove(engine, root, one, now=now, why=one.closed_why)]
    for left in state.bottles(root).glob(".removing-*"):  # a removal that was killed half-way
        shutil.rmtree(left, ignore_errors=True)
    if (root / "mirrors").is_dir():
        from sessions import workspace  # an idle call without code needs none of it

        for mirror in workspace.remove_unused(root):
            log.info("mirror removed: no bottle needs it", extra=fields(mirror=mirror))
    return gone


def remove(engine: sa.Engine, root: Path, session: Session, *, now: float, why: str) -> bool:
    """The state directory, and the session's right to come back; false when it runs, or lives again."""
    with begin(engine) as conn:
        current = registry.session_of(conn, session.identity)
        if current is None or current.running or (session.closed_at is not None and current.closed_at is None):
            return False
        values = {"closed_at": current.closed_at or now, "closed_why": why, "removed_at": current.removed_at or now}
        conn.execute(t.session.update().where(t.session.c.id == current.id).values(**values))
    there = state.remove(state.bottle(root, session.identity))
    if there:
        log.info("bottle removed", extra=fields(bottle=session.identity, pull=session.key, why=why))
    return there


def candidates(engine: sa.Engine, root: Path, identities: list[str], *, orphans: bool) -> list[Candidate]:
    """What a cleanup would do: to these identities, or (without any) to all; directories nobody knows on request."""
    with reading(engine) as conn:
        known = {one.identity: one for one in registry.sessions(conn, all=True)}
    there = state.identities(root)
    found = [_candidate(known[name], named=bool(identities)) for name in identities or there if name in known]
    if orphans:
        why = "no session knows it"
        found += [
            Candidate(identity=name, key="", agent=metadata.agent_name if metadata else "", fate="orphan", why=why)
            for name in there
            if name not in known and (not identities or name in identities)
            for metadata in [state.read_metadata(state.bottle(root, name))]
        ]
    return found


def clean(engine: sa.Engine, root: Path, going: list[Candidate], *, now: float) -> list[str]:
    """Do it; the identities that really went."""
    gone = []
    for one in going:
        with reading(engine) as conn:
            session = registry.session_of(conn, one.identity)
        if session is not None:
            went = remove(engine, root, session, now=now, why=session.closed_why or CLEANED)
        else:
            went = state.remove(state.bottle(root, one.identity))
        gone += [one.identity] if went else []
    return gone


def _candidate(session: Session, *, named: bool) -> Candidate:
    fate: Literal["remove", "running", "preserved", "orphan"] = "remove"
    why = session.closed_why or "asked for"
    if session.running:
        fate, why = "running", "a turn of it runs"
    elif session.closed_at is None and not named:
        fate, why = "preserved", "it can be resumed; name it to remove it all the same"
    return Candidate(identity=session.identity, key=session.key, agent=session.agent, fate=fate, why=why)
