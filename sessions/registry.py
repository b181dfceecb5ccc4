"""Sessions and turns as rows: who wants what, and what is known about it.

Every function takes a connection inside a transaction; `now` is epoch seconds, UTC.  What a worker does to the turn it
holds is in `claims`.  Must not know files, processes, or what a `ref` means.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from sessions import tables as t
from sessions.turns import JOINED, Session, Turn, Usage

_Noun = TypeVar("_Noun", Session, Turn)
#: Seconds for which a closed session can be brought back; then its state is removed.
GRACE = 7 * 86400.0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    dropped: int = 0
    #: Live sessions.
    sessions: int = 0
    #: Since when the oldest waiting turn has waited (epoch seconds).
    oldest: float | None = None


def enqueue(conn: sa.Connection, *, ref: str, key: str, agent: str, event_id: str, why: str, now: float) -> int | None:
    """Join the waiting turn of (ref, agent), or make one; its number.  `None` when the agent had this event before."""
    known = sa.select(t.turn_event.c.turn_id).filter_by(agent=agent, event_id=event_id)
    if conn.execute(known).first():
        return None
    number = _waiting(conn, ref, agent)
    if number is None:
        number = add_turn(conn, ref=ref, key=key, agent=agent, why=why, now=now)
    position = sa.func.coalesce(sa.func.max(t.turn_event.c.position), 0) + 1
    last = conn.execute(sa.select(position).where(t.turn_event.c.turn_id == number)).scalar_one()
    conn.execute(t.turn_event.insert().values(agent=agent, event_id=event_id, turn_id=number, position=last))
    return number


def add_turn(
    conn: sa.Connection, *, ref: str, key: str, agent: str, why: str, now: float, by_hand: bool = False
) -> int:
    """A turn without an event; `by_hand` = only the caller, who holds it next, knows what it is to do."""
    state = "running" if by_hand else "waiting"
    values = {"ref": ref, "key": key, "agent": agent, "why": why, "state": state, "not_before": 0.0, "by_hand": by_hand}
    made = conn.execute(t.turn.insert().values(created_at=now, **values))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def add_session(
    conn: sa.Connection, *, ref: str, key: str, agent: str, identity: str, backend: str, cwd: str, now: float
) -> Session:
    """The entry of a new bottle, with the id of the conversation that it is going to have."""
    values = {"ref": ref, "key": key, "agent": agent, "identity": identity, "backend": backend, "cwd": cwd}
    began = {"created_at": now, "used_at": now, "conversation_at": now}
    conn.execute(t.session.insert().values(claude_session=str(uuid.uuid4()), **began, **values))
    return _session(conn, t.session.c.identity == identity)[0]


def session(conn: sa.Connection, *, ref: str, agent: str) -> Session | None:
    """The live session of (ref, agent)."""
    found = _session(conn, t.session.c.ref == ref, t.session.c.agent == agent, t.session.c.closed_at.is_(None))
    return found[0] if found else None


def session_of(conn: sa.Connection, identity: str) -> Session | None:
    """The session with this bottle, closed or not."""
    found = _session(conn, t.session.c.identity == identity)
    return found[0] if found else None


def sessions(conn: sa.Connection, *, all: bool = False) -> list[Session]:
    """Live sessions, oldest first; with `all` those that were put away too."""
    return _session(conn, *(() if all else (t.session.c.closed_at.is_(None),)))


def over(conn: sa.Connection, *, before: float) -> list[Session]:
    """Sessions that nothing brings back any more, and whose state is there: closed up to then, or reset, or unused."""
    c = t.session.c
    return _session(conn, c.removed_at.is_(None), sa.or_(c.closed_at <= before, c.closed_why.in_((RESET, UNUSED))))


def turn(conn: sa.Connection, number: int) -> Turn | None:
    found = _turns(conn, t.turn.c.id == number)
    return found[0] if found else None


def turns(
    conn: sa.Connection,
    *,
    ref: str | None = None,
    key: str | None = None,
    identity: str | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> list[Turn]:
    """Turns that fit, oldest first; with `limit` the last ones.  Of a `key` its end behind the forge is enough."""
    wanted = {t.turn.c.ref: ref, t.session.c.identity: identity, t.turn.c.state: state}
    where = [column == value for column, value in wanted.items() if value is not None]
    if key is not None:
        where.append(sa.or_(t.turn.c.key == key, t.turn.c.key.endswith(f"/{key}", autoescape=True)))
    return _turns(conn, *where, limit=limit)


def waiting(conn: sa.Connection) -> int:
    """How many turns wait.  Unlike `counts` it reads no more than these, however many have ended."""
    return int(conn.execute(sa.select(sa.func.count()).where(t.turn.c.state == "waiting")).scalar_one())


def counts(conn: sa.Connection) -> Counts:
    by_state = conn.execute(sa.select(t.turn.c.state, sa.func.count()).group_by(t.turn.c.state))
    live = sa.select(sa.func.count()).select_from(t.session).where(t.session.c.closed_at.is_(None))
    oldest = conn.scalar(sa.select(sa.func.min(t.turn.c.created_at)).where(t.turn.c.state == "waiting"))
    return Counts(**{row[0]: row[1] for row in by_state}, sessions=conn.execute(live).scalar_one(), oldest=oldest)


def note_posted(conn: sa.Connection, turn_id: int, what: str) -> None:
    """Remember what was said for this turn ("comment 91")."""
    known = conn.execute(sa.select(t.turn.c.posted).where(t.turn.c.id == turn_id)).scalar()
    if known is None:
        return  # said for no turn: the answer to a command
    conn.execute(t.turn.update().where(t.turn.c.id == turn_id).values(posted=[*known, what]))


def rename(conn: sa.Connection, *, ref: str, key: str) -> None:
    """People call it otherwise now; it is the same."""
    for table in (t.session, t.turn):
        conn.execute(table.update().where(table.c.ref == ref).values(key=key))


def put_away(conn: sa.Connection, *, ref: str, reason: str, now: float, agent: str | None = None) -> list[Session]:
    """Nothing more is to be done for `ref`: what waits is dropped, what runs is asked to stop, sessions are closed.

    Returns the sessions that this closed.  Their state stays for the grace time (`housekeeping`)."""
    mine = {"ref": ref} if agent is None else {"ref": ref, "agent": agent}
    dropped = {"state": "dropped", "reason": reason, "ended_at": now}
    conn.execute(t.turn.update().filter_by(state="waiting", **mine).values(**dropped))
    conn.execute(t.turn.update().filter_by(state="running", **mine).values(stop_asked=reason))
    live = _live(conn, ref, agent)
    closed = {"closed_at": now, "closed_why": reason}
    conn.execute(t.session.update().filter_by(closed_at=None, **mine).values(**closed))
    return live


def bring_back(conn: sa.Connection, *, ref: str, now: float, grace: float = GRACE) -> list[Session]:
    """Sessions of `ref` that were put away, not longer than `grace` seconds ago, live again."""
    live = {one.agent for one in _live(conn, ref)}
    back = []
    put_away_ones = _session(conn, t.session.c.ref == ref, t.session.c.closed_at.is_not(None))
    for one in sorted(put_away_ones, key=lambda one: -(one.closed_at or 0)):
        if one.agent in live or one.removed_at is not None or one.closed_why in (RESET, UNUSED):
            continue
        if now - (one.closed_at or 0) > grace:
            continue  # its state may be removed at any moment
        live.add(one.agent)
        values = {"closed_at": None, "closed_why": "", "used_at": now}
        conn.execute(t.session.update().where(t.session.c.id == one.id).values(**values))
        back.append(one)
    return back


#: Why a session was closed that nothing brings back.
RESET, UNUSED = "reset", "nothing was run in it"
BY_HAND = "reset by the operator"


def forget(
    conn: sa.Connection, *, ref: str, now: float, agent: str | None = None, bottle: bool = False, why: str = BY_HAND
) -> list[Session]:
    """Drop the conversation (with `bottle`, the bottle too): the next turn starts afresh, and says `why`.  Returns
    what was really there to drop: a second call finds nothing."""
    found = _live(conn, ref, agent)
    used = [one for one in found if bottle or _has_spoken(one)]
    for one in used:
        if bottle:
            put_away(conn, ref=ref, reason=RESET, now=now, agent=one.agent)
        else:
            new_conversation(conn, one, why=why, now=now)
            nothing = {"summary": "", "summary_turn": _newest_turn(conn) + 1}
            conn.execute(t.session.update().where(t.session.c.id == one.id).values(**nothing))
    return used


def _has_spoken(session: Session) -> bool:
    return bool(session.conversation_turns or session.transcript_bytes or session.summary or session.running)


def new_conversation(conn: sa.Connection, session: Session, *, why: str, now: float) -> Session:
    """The same bottle, another conversation, which has cost nothing yet.  What was summed up of earlier ones stays."""
    afresh: dict[str, Any] = {"claude_total": 0.0, "transcript_bytes": 0, "context_tokens": 0, "note": ""}
    afresh |= {"conversation_turns": 0, "conversation_at": now, "begun_why": why}
    row = t.session.c.id == session.id
    conn.execute(t.session.update().where(row).values(claude_session=str(uuid.uuid4()), **afresh))
    return _session(conn, row)[0]


def retry(conn: sa.Connection, turn_id: int, *, now: float) -> int | None:
    """Let a turn run again; the number of the turn that does it.  `None`: it is not over, or was started by hand."""
    old = turn(conn, turn_id)
    if old is None or old.by_hand or old.state not in ("failed", "dropped", "done"):
        return None
    waiting = _waiting(conn, old.ref, old.agent)
    if waiting is not None:
        _move_events(conn, source=old.id, target=waiting)
        if old.is_repeat:
            joined = t.turn.update().where(t.turn.c.id == waiting, t.turn.c.attempts == 0)
            conn.execute(joined.values(attempts=1))
        return waiting
    values = {"state": "waiting", "attempts": 0, "deaths": 0, "not_before": now}
    values |= {"ended_at": None, "stop_asked": "", "patient": False}
    conn.execute(t.turn.update().where(t.turn.c.id == turn_id).values(renewed=False, **values))
    return turn_id


def take_over_waiting(conn: sa.Connection, turn: Turn, *, now: float) -> None:
    """`turn` is about to wait again: another one that waits for the same (ref, agent) joins it, events in order."""
    other = _waiting(conn, turn.ref, turn.agent)
    if other is not None and other != turn.id:
        _move_events(conn, source=other, target=turn.id)
        joined = {"state": "dropped", "reason": f"{JOINED}{turn.id}", "ended_at": now}
        conn.execute(t.turn.update().where(t.turn.c.id == other).values(**joined))


def _move_events(conn: sa.Connection, *, source: int, target: int) -> None:
    last = sa.select(sa.func.coalesce(sa.func.max(t.turn_event.c.position), 0)).filter_by(turn_id=target)
    offset = conn.execute(last).scalar_one()
    conn.execute(
        t.turn_event.update()
        .where(t.turn_event.c.turn_id == source)
        .values(turn_id=target, position=t.turn_event.c.position + offset)
    )


def _waiting(conn: sa.Connection, ref: str, agent: str) -> int | None:
    asked = sa.select(t.turn.c.id).filter_by(ref=ref, agent=agent, state="waiting", by_hand=False)
    found = conn.execute(asked).first()
    return None if found is None else int(found.id)


def _live(conn: sa.Connection, ref: str, agent: str | None = None) -> list[Session]:
    """Found by the index: when a thousand are put away at once, not all sessions are read for each."""
    mine = (t.session.c.ref == ref, t.session.c.closed_at.is_(None))
    return _session(conn, *mine, *(() if agent is None else (t.session.c.agent == agent,)))


def _session(conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Session]:
    runs = sa.exists().where(t.turn.c.session_id == t.session.c.id, t.turn.c.state == "running").label("running")
    pause = (t.agent_pause.c.until.label("paused_until"), sa.func.coalesce(t.agent_pause.c.why, "").label("paused_why"))
    joined = t.session.outerjoin(t.agent_pause, t.session.c.agent == t.agent_pause.c.agent)
    asked = sa.select(t.session, runs, *pause).select_from(joined).where(*where)
    return [_as(Session, dict(row)) for row in conn.execute(asked.order_by(t.session.c.id)).mappings()]


def _newest_turn(conn: sa.Connection) -> int:
    return int(conn.execute(sa.select(sa.func.coalesce(sa.func.max(t.turn.c.id), 0))).scalar_one())


def _turns(conn: sa.Connection, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Turn]:
    joined = t.turn.outerjoin(t.session, t.turn.c.session_id == t.session.c.id)
    asked = sa.select(t.turn, t.session.c.identity).select_from(joined).where(*where)
    rows: Sequence[Any] = conn.execute(asked.order_by(t.turn.c.id.desc()).limit(limit)).mappings().all()
    events = _events(conn, [row["id"] for row in rows])
    return [_turn(row, events.get(row["id"], ())) for row in reversed(rows)]


def _turn(row: Mapping[str, Any], events: tuple[str, ...]) -> Turn:
    plain = {name: value for name, value in row.items() if name not in ("identity", "told", "posted")}
    return _as(
        Turn,
        plain,
        events=events,
        identity=row["identity"] or "",
        told=tuple(row["told"]),
        posted=tuple(row["posted"]),
    )


def _events(conn: sa.Connection, numbers: list[int]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for start in range(0, len(numbers), 500):  # SQLite takes a limited number of values in one statement
        some = t.turn_event.c.turn_id.in_(numbers[start : start + 500])
        for row in conn.execute(sa.select(t.turn_event).where(some).order_by(t.turn_event.c.position)):
            found[row.turn_id] = (*found.get(row.turn_id, ()), row.event_id)
    return found


def _as(kind: type[_Noun], row: Mapping[str, Any], **more: Any) -> _Noun:
    usage = Usage(**{name: row[name] for name in Usage.__struct_fields__})
    return kind(usage=usage, **{name: row[name] for name in kind.__struct_fields__ if name in row}, **more)
