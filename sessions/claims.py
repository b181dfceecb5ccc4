"""What a worker may do to the turn it holds, and how it comes to hold one.

A running turn has an owner, a deadline of its lease and a fence.  Every statement here about a held turn names its
fence: a worker that was taken for dead, and is not, changes nothing any more (`LeaseLost`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa

from sessions import leases, registry
from sessions import tables as t
from sessions.lifecycle import Verdict
from sessions.turns import Mode, Outcome, Session, Turn


class LeaseLost(Exception):
    """Somebody else has this turn now."""


def claim(
    conn: sa.Connection, *, owner: str, now: float, lease: float, limit_parallel: int, agents: Collection[str]
) -> Turn | None:
    """The next turn that is due and may run, now held by `owner` for `lease` seconds."""
    many = conn.execute(sa.select(sa.func.count()).select_from(t.turn).filter_by(state="running")).scalar_one()
    number = due(conn, now=now, agents=agents) if many < limit_parallel else None
    return None if number is None else hold(conn, number, owner=owner, now=now, lease=lease, anew=True)


def due(conn: sa.Connection, *, now: float, agents: Collection[str]) -> int | None:
    """The number of the oldest turn whose time has come, and of whose ref no other runs."""
    running = t.turn.alias()
    busy = sa.exists().where(running.c.ref == t.turn.c.ref, running.c.state == "running")
    where = (t.turn.c.state == "waiting", t.turn.c.not_before <= now, t.turn.c.agent.in_(list(agents)), ~busy)
    found = conn.execute(sa.select(t.turn.c.id).where(*where).order_by(t.turn.c.id).limit(1)).first()
    return None if found is None else int(found.id)


def hold(conn: sa.Connection, number: int, *, owner: str, now: float, lease: float, anew: bool) -> Turn:
    """This turn is `owner`'s: to be launched `anew`, or adopted with whatever its last launch has come to."""
    held: dict[str, Any] = {"owner": owner, "fence": t.turn.c.fence + 1, "lease_until": now + lease}
    if anew:
        held |= {"state": "running", "started_at": None, "deadline": None, "stop_asked": ""}
    conn.execute(t.turn.update().where(t.turn.c.id == number).values(**held))
    return _read(conn, number)


def orphans(conn: sa.Connection, *, now: float) -> list[Turn]:
    """Running turns that nobody holds: given back, over their lease, or of a dead process."""
    running = registry.turns(conn, state="running")
    return [one for one in running if leases.is_free(one.owner, one.lease_until, now)]


def heartbeat(conn: sa.Connection, turn: Turn, *, now: float, lease: float) -> str:
    """Hold it for longer; why it is to stop, or "".  Raises `LeaseLost`."""
    _change(conn, turn, lease_until=now + lease)
    return _read(conn, turn.id).stop_asked


def attended(conn: sa.Connection, turn: Turn, *, now: float, lease: float, minutes: float) -> Turn:
    """A person is at the terminal of this run: held for longer, and allowed on for so many minutes.

    Taken back from whoever adopted it meanwhile (a machine that slept).  Raises `LeaseLost` when it has been ended."""
    current = _read(conn, turn.id)
    if current.state != "running" or current.launches != turn.launches:
        raise LeaseLost(f"turn {turn.id} was ended by somebody else")
    if current.fence != turn.fence:
        current = hold(conn, turn.id, owner=turn.owner, now=now, lease=lease, anew=False)
    _change(conn, current, lease_until=now + lease, deadline=now + minutes * 60)
    return _read(conn, turn.id)


def asked_to_stop(conn: sa.Connection, turn: Turn) -> str:
    """Why it is to stop, or "".  Raises `LeaseLost`."""
    current = _read(conn, turn.id)
    if (current.fence, current.state) != (turn.fence, "running"):
        raise LeaseLost(f"turn {turn.id} was taken over")
    return current.stop_asked


def release(conn: sa.Connection, turn: Turn) -> None:
    """It runs on, and whoever comes next may adopt it."""
    _change(conn, turn, owner="", lease_until=0.0)


def belongs_to(conn: sa.Connection, turn: Turn, session: Session) -> Turn:
    """The turn will run in this session's bottle."""
    _change(conn, turn, session_id=session.id, claude_session=session.claude_session)
    return _read(conn, turn.id)


def launching(
    conn: sa.Connection, turn: Turn, session: Session, *, mode: Mode, told: tuple[str, ...], now: float, minutes: float
) -> Turn:
    """One more launch is about to happen; written before it does."""
    values: dict[str, Any] = {"mode": mode, "claude_session": session.claude_session, "told": list(told)}
    values |= {"attempts": turn.attempts + 1, "launches": turn.launches + 1}
    _change(conn, turn, started_at=now, deadline=now + minutes * 60, ended_at=None, exit=None, **values)
    return _read(conn, turn.id)


def renew(conn: sa.Connection, turn: Turn, session: Session) -> tuple[Turn, Session]:
    """The conversation is lost: another one in the same bottle.  The launch that found it out told nobody anything."""
    _change(conn, turn, renewed=True, attempts=turn.attempts - 1, started_at=None)
    return _read(conn, turn.id), registry.new_conversation(conn, session)


def put_back(
    conn: sa.Connection, turn: Turn, *, reason: str, now: float, not_before: float, attempts: int | None = None
) -> Turn:
    """It waits again, without an outcome."""
    registry.take_over_waiting(conn, turn, now=now)
    tries = turn.attempts if attempts is None else attempts
    values = {"state": "waiting", "reason": reason, "not_before": not_before, "attempts": tries}
    _change(conn, turn, owner="", lease_until=0.0, **values)
    return _read(conn, turn.id)


def drop(conn: sa.Connection, turn: Turn, *, reason: str, now: float) -> Turn:
    """Its errand has gone: it ends without an outcome."""
    _change(conn, turn, state="dropped", reason=reason, ended_at=now, owner="", lease_until=0.0)
    return _read(conn, turn.id)


def finish(
    conn: sa.Connection, turn: Turn, outcome: Outcome, verdict: Verdict, *, now: float, transcript_bytes: int
) -> tuple[Turn, Session]:
    """Record what came of it, in the turn and in its session."""
    if verdict.turn == "waiting":
        registry.take_over_waiting(conn, turn, now=now)
    usage = {name: value + getattr(turn.usage, name) for name, value in msgspec.structs.asdict(outcome.usage).items()}
    values: dict[str, Any] = {"state": verdict.turn, "kind": outcome.kind, "reason": verdict.reason}
    values |= {"answer": outcome.text, "exit": outcome.exit, "cost_usd": turn.cost_usd + outcome.cost_usd}
    values |= {"not_before": verdict.not_before, "ended_at": now, "owner": "", "lease_until": 0.0}
    _change(conn, turn, **values, **usage)
    _record_in_session(conn, turn, outcome, verdict, now=now, transcript_bytes=transcript_bytes)
    after = _read(conn, turn.id)
    session = registry.session_of(conn, after.identity)
    assert session is not None, "a turn that was launched has a session"
    return after, session


def _record_in_session(
    conn: sa.Connection, turn: Turn, outcome: Outcome, verdict: Verdict, *, now: float, transcript_bytes: int
) -> None:
    c = t.session.c
    usage = {name: c[name] + value for name, value in msgspec.structs.asdict(outcome.usage).items()}
    values: dict[str, Any] = {"cost_usd": c.cost_usd + outcome.cost_usd, "used_at": now}
    values |= {"turns": c.turns + (verdict.turn != "waiting"), "agent_turns": c.agent_turns + outcome.agent_turns}
    values |= {"paused_until": verdict.paused_until, "paused_why": verdict.paused_why}
    conn.execute(t.session.update().where(c.id == turn.session_id).values(**values, **usage))
    told: dict[str, Any] = {"note": verdict.note, "transcript_bytes": transcript_bytes}
    if outcome.total_usd is not None:
        told["claude_total"] = outcome.total_usd
    if outcome.context_tokens:
        told["context_tokens"] = outcome.context_tokens
    if outcome.claude_session:
        told["claude_session"] = outcome.claude_session
    # Of the conversation, not of the bottle: not if somebody reset it while the turn ran.
    same = c.claude_session == turn.claude_session
    conn.execute(t.session.update().where(c.id == turn.session_id, same).values(**told))


def _change(conn: sa.Connection, turn: Turn, **values: Any) -> None:
    held = (t.turn.c.id == turn.id, t.turn.c.fence == turn.fence, t.turn.c.state == "running")
    if not conn.execute(t.turn.update().where(*held).values(**values)).rowcount:
        raise LeaseLost(f"turn {turn.id} was taken over")


def _read(conn: sa.Connection, number: int) -> Turn:
    found = registry.turn(conn, number)
    assert found is not None, "turns are never deleted"
    return found
