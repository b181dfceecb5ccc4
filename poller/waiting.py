"""Why a turn that waits does not run: all that stands in its way, in words.

Knows rows and the config.  Decides nothing: who may run is decided where turns are claimed.
"""

from __future__ import annotations

import sqlalchemy as sa

from poller import money, store
from poller import pauses as held
from poller.config import Config
from poller.halves import stamp_of
from poller.quiet import wants_quiet
from sessions import dates, pauses, places, processes, registry
from sessions import tables as session_tables
from sessions.turns import Turn

NOTHING = "nothing: it runs with the next `poll --once`, or at once if `poll` is running"


def obstacles(conn: sa.Connection, turn: Turn, config: Config, *, now: float) -> list[str]:
    """What a waiting turn waits for, the weightiest first; `[NOTHING]` when it only has to be claimed."""
    found = [one.told for one in held.paused(conn, ref=turn.ref, key=turn.key)]
    if turn.agent not in config.agents:
        found.append(f"agent {turn.agent} is not in the config any more")
    for pause in pauses.pauses(conn):
        if pause.agent == turn.agent and dates.is_to_come(pause.until, now=now):
            found.append(f"agent {pause.agent} is refused until {stamp_of(pause.until)}: {pause.why}")
    if dates.is_to_come(turn.not_before, now=now):
        found.append(f"its time, {stamp_of(turn.not_before)}{f': {turn.reason}' if turn.reason else ''}")
    found += [text for text in _full_caps(conn, turn, config, now=now) if text != turn.reason]
    found += _elsewhere(conn, turn, config, now=now)
    running = registry.turns(conn, state="running")
    found += [f"turn {one.id} of the same pull, which is running" for one in running if one.ref == turn.ref]
    if len(running) >= config.limits.parallel:
        found.append(f"a free place: {len(running)} turns are running (limits.parallel is {config.limits.parallel})")
    quiet = store.forge(conn, config.forge).quiet_until
    if wants_quiet(quiet, now=now, forge=config.forge) is not None:
        found.append(f"the forge, which wants to be left alone until {stamp_of(quiet)}")
    return found or [NOTHING]


def _elsewhere(conn: sa.Connection, turn: Turn, config: Config, *, now: float) -> list[str]:
    """The machine that has its bottle, if that is another one."""
    session = registry.session(conn, ref=turn.ref, agent=turn.agent)
    if session is None or not session.place:
        return []
    if not places.is_elsewhere(conn, session, places.own_name(conn.engine, config.state), now=now):
        return []
    lease = session_tables.lease.c
    owner = conn.scalar(sa.select(lease.owner).where(lease.name == f"place {session.place}"))
    teller = processes.Process.parse(owner or "")
    where = f"the machine that has its bottle{f' ({teller.host})' if teller is not None else ''}"
    return [f"{where}: another runs it only when nothing has been heard of that one for {places.AWAY / 60:.0f} minutes"]


def _full_caps(conn: sa.Connection, turn: Turn, config: Config, *, now: float) -> list[str]:
    """Caps of money that a launch of this turn would not fit in."""
    if turn.by_hand or turn.agent not in config.agents:
        return []
    usd = config.agents[turn.agent].limits.usd
    return [
        cap.said(usd) for cap in money.caps(conn, config.limits, now=now, ref=turn.ref, but=turn.id) if cap.is_full(usd)
    ]
