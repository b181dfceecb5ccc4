"""What a worker may do to the turn it holds, and how it comes to hold one.

A running turn has an owner, a deadline of its lease and a fence.  Every statement here about a held turn names its
fence: a worker that was taken for dead, and is not, changes nothing any more (`LeaseLost`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa

from sessions import dates, leases, ledger, pauses, registry
from sessions import tables as t
from sessions.lifecycle import Verdict
from sessions.turns import Afford, Mode, NotNow, Outcome, Session, Turn

#: An owner of whom nobody can say that he is dead.
_NOBODY = "nobody"


class LeaseLost(Exception):
    """Somebody else has this turn now."""


def claim(
    conn: sa.Connection,
    *,
    owner: str,
    now: float,
    lease: float,
    limit_parallel: int,
    agents: Collection[str],
    unless: sa.ColumnElement[bool] | None = None,
    afford: Afford | None = None,
) -> Turn | None:
    """The next turn that is due and may run, now held by `owner` for `lease` seconds, with what it may cost reserved.

    What cannot be afforded is put off; write transactions are one at a time, so nobody counts on the same money."""
    many = conn.execute(sa.select(sa.func.count()).select_from(t.turn).filter_by(state="running")).scalar_one()
    while many < limit_parallel and (number := due(conn, now=now, agents=agents, unless=unless)) is not None:
        allowed = afford(conn, _read(conn, number)) if afford is not None else 0.0
        if isinstance(allowed, NotNow):
            if allowed.at <= now:
                return None  # others have to end first
            put_off = {"reason": allowed.reason, "patient": allowed.patient, "not_before": max(allowed.at, now + 1.0)}
            conn.execute(t.turn.update().where(t.turn.c.id == number).values(**put_off))
            continue
        turn = hold(conn, number, owner=owner, now=now, lease=lease, anew=True)
        return reserve(conn, turn, allowed)
    return None


def due(
    conn: sa.Connection, *, now: float, agents: Collection[str], unless: sa.ColumnElement[bool] | None = None
) -> int | None:
    """The number of the oldest turn whose time has come, and of whose ref no other runs.

    `unless`: of a row of the turn table, that whoever gave it the turn wants it to wait."""
    running = t.turn.alias()
    busy = sa.exists().where(running.c.ref == t.turn.c.ref, running.c.state == "running")
    is_time = dates.is_time(t.turn.c.not_before, now=now)
    where = [t.turn.c.state == "waiting", is_time, t.turn.c.agent.in_(list(agents)), ~busy]
    where.append(~pauses.holds_back(now))
    if unless is not None:
        where.append(~unless)
    found = conn.execute(sa.select(t.turn.c.id).where(*where).order_by(t.turn.c.id).limit(1)).first()
    return None if found is None else int(found.id)


def hold(conn: sa.Connection, number: int, *, owner: str, now: float, lease: float, anew: bool) -> Turn:
    """This turn is `owner`'s: to be launched `anew`, or adopted with whatever its last launch has come to."""
    held: dict[str, Any] = {"owner": owner, "fence": t.turn.c.fence + 1, "lease_until": now + lease}
    if anew:
        held |= {"state": "running", "started_at": None, "deadline": None, "stop_asked": "", "handing_over": False}
    conn.execute(t.turn.update().where(t.turn.c.id == number).values(**held))
    return _read(conn, number)


def reserve(conn: sa.Connection, turn: Turn, usd: float) -> Turn:
    """So much may its next launch cost."""
    if usd != turn.reserved:
        _change(conn, turn, reserved=usd)
    return msgspec.structs.replace(turn, reserved=usd)


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


def lay_down(conn: sa.Connection, turn: Turn, *, deaths: int, until: float) -> None:
    """Its run is over, and what came of it could not be recorded: nobody's, for whoever comes from then on."""
    _change(conn, turn, owner=_NOBODY, lease_until=until, deaths=deaths)


def belongs_to(conn: sa.Connection, turn: Turn, session: Session) -> Turn:
    """The turn will run in this session's bottle."""
    _change(conn, turn, session_id=session.id, claude_session=session.claude_session)
    return _read(conn, turn.id)


def launching(
    conn: sa.Connection,
    turn: Turn,
    session: Session,
    *,
    mode: Mode,
    told: tuple[str, ...],
    now: float,
    minutes: float,
    surprise: str = "",
    handover: bool = False,
) -> Turn:
    """One more launch is about to happen; written before it does.  A hand-over is no attempt of the turn itself."""
    values: dict[str, Any] = {"mode": mode, "claude_session": session.claude_session, "told": list(told)}
    values |= {"surprise": surprise, "handing_over": handover}
    if handover:
        values |= {"handovers": turn.handovers + 1}
    else:
        values |= {"attempts": turn.attempts + 1, "launches": turn.launches + 1}
    _change(conn, turn, started_at=now, deadline=now + minutes * 60, ended_at=None, exit=None, **values)
    return _read(conn, turn.id)


def renew(conn: sa.Connection, turn: Turn, outcome: Outcome, *, why: str, now: float) -> tuple[Turn, Session]:
    """Another conversation in the same bottle, for the turn to go on in at once."""
    # Where there was no conversation, nobody was told anything: that was no attempt.
    attempts = turn.attempts - (outcome.kind == "not_found")
    _change(conn, turn, renewed=True, attempts=attempts, started_at=None)
    ledger.enter(conn, turn, outcome, now=now)
    return _read(conn, turn.id), registry.new_conversation(conn, _session(conn, turn), why=why, now=now)


def rotate(conn: sa.Connection, turn: Turn, outcome: Outcome, *, summary: str, now: float) -> tuple[Turn, Session]:
    """The hand-over is made (`summary`), or given up (""): another conversation, for the turn to begin in."""
    _change(conn, turn, handing_over=False, started_at=None, deadline=None)
    ledger.enter(conn, turn, outcome, now=now)
    _prove(conn, turn, outcome)
    session = _session(conn, turn)
    if session.claude_session == turn.claude_session:  # else somebody reset it meanwhile, and wants none of it
        session = registry.new_conversation(conn, session, why=turn.surprise, now=now)
        if summary:
            values = {"summary": summary, "summary_turn": turn.id}
            conn.execute(t.session.update().where(t.session.c.id == session.id).values(**values))
    return _read(conn, turn.id), _session(conn, turn)


def put_back(
    conn: sa.Connection,
    turn: Turn,
    *,
    reason: str,
    now: float,
    not_before: float,
    attempts: int | None = None,
    deaths: int | None = None,
    patient: bool = False,
) -> Turn:
    """It waits again, without an outcome; dropped, if somebody has asked that it stop, or was to do it by hand."""
    if asked := asked_to_stop(conn, turn):
        return drop(conn, turn, reason=asked, now=now)
    if turn.by_hand:  # only who has gone knew what it is to do: what joined it would be lost with it
        return drop(conn, turn, reason=reason, now=now)
    registry.take_over_waiting(conn, turn, now=now)
    tries = turn.attempts if attempts is None else attempts
    values = {"state": "waiting", "reason": reason, "patient": patient, "not_before": not_before, "attempts": tries}
    values |= {"deaths": turn.deaths if deaths is None else deaths}
    _change(conn, turn, owner="", lease_until=0.0, handing_over=False, **values)
    return _read(conn, turn.id)


def drop(conn: sa.Connection, turn: Turn, *, reason: str, now: float) -> Turn:
    """Its errand has gone: it ends without an outcome, and so does a session in which nothing was ever launched."""
    _change(conn, turn, state="dropped", reason=reason, ended_at=now, owner="", lease_until=0.0)
    if not turn.by_hand:  # what a person named may have had a life before this database
        _close_unused(conn, turn, now=now)
    return _read(conn, turn.id)


def _close_unused(conn: sa.Connection, turn: Turn, *, now: float) -> None:
    """Nobody would: its ref may be over.  It must not stand before one that was put away with its conversation."""
    c = t.session.c
    launches = sa.exists().where(t.turn.c.session_id == c.id, sa.or_(t.turn.c.launches > 0, t.turn.c.handovers > 0))
    unused = (c.id == turn.session_id, c.closed_at.is_(None), c.turns == 0, c.transcript_bytes == 0, ~launches)
    conn.execute(t.session.update().where(*unused).values(closed_at=now, closed_why=registry.UNUSED))


def finish(
    conn: sa.Connection, turn: Turn, outcome: Outcome, verdict: Verdict, *, now: float, transcript_bytes: int
) -> tuple[Turn, Session]:
    """Record what came of it, in the turn and in its session."""
    if verdict.turn == "waiting":
        registry.take_over_waiting(conn, turn, now=now)
    values: dict[str, Any] = {"state": verdict.turn, "kind": outcome.kind, "reason": verdict.reason, "patient": False}
    values |= {"answer": outcome.text, "exit": outcome.exit, "handing_over": False}
    values |= {"not_before": verdict.not_before, "ended_at": now, "owner": "", "lease_until": 0.0}
    _change(conn, turn, **values)
    ledger.enter(conn, turn, outcome, now=now)
    _prove(conn, turn, outcome)
    if verdict.paused_until is not None:
        pauses.pause(conn, turn.agent, until=verdict.paused_until, why=verdict.paused_why, now=now)
    _record_in_session(conn, turn, outcome, verdict, now=now, transcript_bytes=transcript_bytes)
    return _read(conn, turn.id), _session(conn, turn)


def _record_in_session(
    conn: sa.Connection, turn: Turn, outcome: Outcome, verdict: Verdict, *, now: float, transcript_bytes: int
) -> None:
    c = t.session.c
    ended = int(verdict.turn != "waiting")
    values = {"used_at": now, "turns": c.turns + ended}
    conn.execute(t.session.update().where(c.id == turn.session_id).values(**values))
    told: dict[str, Any] = {"note": verdict.note, "transcript_bytes": min(transcript_bytes, ledger.MOST)}
    told |= {"conversation_turns": c.conversation_turns + ended}
    if outcome.total_usd is not None:
        told["claude_total"] = outcome.total_usd
    if outcome.context_tokens:
        told["context_tokens"] = outcome.context_tokens
    if outcome.claude_session:
        told["claude_session"] = outcome.claude_session
    # Of the conversation, not of the bottle: not if somebody reset it while the turn ran.
    same = c.claude_session == turn.claude_session
    conn.execute(t.session.update().where(c.id == turn.session_id, same).values(**told))


def _prove(conn: sa.Connection, turn: Turn, outcome: Outcome) -> None:
    was_served = outcome.kind in ("done", "too_long") or outcome.limit in ("turns", "usd")
    if was_served and turn.started_at is not None:
        pauses.lift(conn, turn.agent, served_at=turn.started_at)


def _session(conn: sa.Connection, turn: Turn) -> Session:
    found = registry.session_of(conn, turn.identity)
    assert found is not None, "a turn that was launched has a session"
    return found


def _change(conn: sa.Connection, turn: Turn, **values: Any) -> None:
    held = (t.turn.c.id == turn.id, t.turn.c.fence == turn.fence, t.turn.c.state == "running")
    if not conn.execute(t.turn.update().where(*held).values(**values)).rowcount:
        raise LeaseLost(f"turn {turn.id} was taken over")


def _read(conn: sa.Connection, number: int) -> Turn:
    found = registry.turn(conn, number)
    assert found is not None, "turns are never deleted"
    return found
