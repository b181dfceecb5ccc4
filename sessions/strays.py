"""What is left of bottles that nobody has any more: processes, state directories.

Ours is what bears our mark and says that it is of this state directory; it is nobody's when no row knows it, and stays
until it is old enough not to be in the making.  Containers have the same in `bottles.holdings`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sessions import processes, registry, state
from sessions.bottles import EngineError, bottle_for
from sessions.bottles.home import home_of
from sessions.bottles.keeper import HOME, MARKER
from sessions.database import begin, reading
from sessions.housekeeping import YOUNG, remove
from sessions.logs import fields

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.config import Agent

log = logging.getLogger("sessions.housekeeping")


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """A process that a launch has started and no turn knows.  `start`: as `processes.start_of` says it."""

    pid: int
    start: str
    identity: str
    launch: str


def end_processes(engine: sa.Engine, root: Path, *, young: float = YOUNG) -> list[Stray]:
    """End processes of this state directory's launches that belong to no running turn; those that were told to."""
    found = _processes(engine, root, young=young)
    for one in found:
        if processes.kill(one.pid, one.start):
            log.info("stray process ended", extra=fields(bottle=one.identity, launch=one.launch, pid=one.pid))
    return found


def _processes(engine: sa.Engine, root: Path, *, young: float) -> list[Stray]:
    if not root.is_dir():
        return []
    home, found = home_of(root), []
    for pid, environ in processes.environments(HOME):
        identity, _, launch = environ.get(MARKER, "").partition("/")
        start = processes.start_of(pid)
        if environ[HOME] != home or not launch or start is None or processes.age_of(start) < young:
            continue
        found.append(Stray(pid=pid, start=start, identity=identity, launch=launch))
    if not found:
        return []
    with reading(engine) as conn:  # after the look: what it has seen was written down before it began
        running = {(turn.identity, turn.directory) for turn in registry.turns(conn, state="running")}
    return [one for one in found if (one.identity, one.launch) not in running]


def remove_ownerless(
    engine: sa.Engine,
    root: Path,
    *,
    now: float,
    grace: float,
    environ: Mapping[str, str],
    agents: Mapping[str, Agent] | None = None,
) -> list[str]:
    """Remove state directories that no session has (any more) and nobody has touched for `grace` seconds; their
    identities.

    One whose session says that it was removed is left of a removal that was killed, or that another machine had begun.

    A database that is younger than a directory cannot say whose it is (a new one was begun, or another one is asked):
    then it stays, and `bottle cleanup --orphans` removes it when a person says so."""
    with reading(engine) as conn:
        known = {one.identity: one for one in registry.sessions(conn, all=True)}
    begun = min((one.created_at for one in known.values()), default=None)
    gone = []
    for name in state.identities(root):
        place = state.bottle(root, name)
        session, metadata = known.get(name), state.read_metadata(place)
        if now - _touched_at(place) < grace:
            continue
        if session is not None:
            if session.removed_at is not None and remove(
                engine, root, session, now=now, why=session.closed_why, environ=environ, agents=agents or {}
            ):
                gone.append(name)
        elif metadata is None:
            continue
        elif begun is None or _moment(metadata.started_at) < begun:
            log.warning(
                "state without an owner is kept: the database is younger; "
                "put the old one back, or: bottle cleanup --orphans", extra=fields(bottle=name),
            )  # fmt: skip
        elif remove_state(engine, root, name, environ=environ):
            log.info("state without an owner removed", extra=fields(bottle=name))
            gone.append(name)
    return gone


def remove_state(engine: sa.Engine, root: Path, name: str, *, environ: Mapping[str, str]) -> bool:
    """Remove what no session owns; false when one does by now."""
    place = state.bottle(root, name)
    metadata = state.read_metadata(place)
    with begin(engine) as conn:  # an import puts its state in place before its session is there to be seen
        if registry.session_of(conn, name) is not None:
            return False
        if metadata is not None and metadata.backend == "docker":
            # Without the engine: containers without a bottle are found by themselves, when it is there again.
            with contextlib.suppress(EngineError):
                bottle_for("docker", environ=environ).destroy(place)
        return state.remove(place)


def _touched_at(place: Path) -> float:
    """When somebody has last made or written anything of ours in it."""
    there = [place, place / "metadata.json", place / "turns", place / "transcript", *(place / "turns").glob("*")]
    moments = []
    for one in there:
        with contextlib.suppress(OSError):
            moments.append(one.lstat().st_mtime)
    return max(moments)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
