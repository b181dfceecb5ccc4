"""What was used: one row for every run that ended, and sums over them.

Knows rows, and what running turns have reserved.  `now` and `since` are epoch seconds, UTC.  Must not know what anybody
may spend, or show anything.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from sessions import tables as t
from sessions.turns import Outcome, Turn, Usage

DAY = 86_400.0
#: What a plain integer column can hold, whatever the database.
MOST = 2**31 - 1


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars and tokens of so many runs.  One that was killed told no dollars; the one after it does."""

    usd: float = 0.0
    usage: Usage = Usage()
    runs: int = 0


def enter(conn: sa.Connection, turn: Turn, outcome: Outcome, *, now: float) -> None:
    """What one run of the turn used: a row, and the sums of its turn and its session."""
    used = msgspec.structs.asdict(outcome.usage) | {"cost_usd": outcome.cost_usd}
    about = {"turn_id": turn.id, "session_id": turn.session_id, "ref": turn.ref, "agent": turn.agent}
    what = "handover" if turn.handing_over else "turn"
    conn.execute(t.run.insert().values(**about, what=what, kind=outcome.kind, at=now, **used))
    of_turn = {name: t.turn.c[name] + value for name, value in used.items()}
    conn.execute(t.turn.update().where(t.turn.c.id == turn.id).values(**of_turn))
    of_session: dict[str, Any] = {name: t.session.c[name] + value for name, value in used.items()}
    before, more = t.session.c.agent_turns, min(outcome.agent_turns, MOST)
    of_session["agent_turns"] = sa.case((before > MOST - more, MOST), else_=before + more)
    conn.execute(t.session.update().where(t.session.c.id == turn.session_id).values(**of_session))


def spent_since(
    conn: sa.Connection,
    since: float,
    *,
    ref: str | None = None,
    agent: str | None = None,
    within: str | None = None,
) -> Spent:
    """What was used from `since` on: by all, or by one pull (`ref`) or agent.

    `within`: by everything whose ref begins so."""
    c = t.run.c
    sums = [sa.func.coalesce(sa.func.sum(c[name]), 0) for name in ("cost_usd", *Usage.__struct_fields__)]
    wanted = {c.ref: ref, c.agent: agent}
    where = [column == value for column, value in wanted.items() if value is not None]
    where += [] if within is None else [c.ref.startswith(within, autoescape=True)]
    usd, *tokens, runs = conn.execute(sa.select(*sums, sa.func.count()).where(c.at >= since, *where)).one()
    usage = Usage(**dict(zip(Usage.__struct_fields__, map(int, tokens), strict=True)))
    return Spent(usd=float(usd), usage=usage, runs=runs)


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of an agent that came to this: how many, US dollars, tokens."""

    agent: str
    what: str
    kind: str
    count: int
    usd: float
    usage: Usage


def runs(conn: sa.Connection) -> list[Runs]:
    """Everything that was ever used, by agent and outcome."""
    c = t.run.c
    sums = [sa.func.sum(c[name]) for name in Usage.__struct_fields__]
    query = sa.select(c.agent, c.what, c.kind, sa.func.count(), sa.func.sum(c.cost_usd), *sums)
    return [
        Runs(
            agent=agent, what=what, kind=kind, count=count, usd=float(usd),
            usage=Usage(**dict(zip(Usage.__struct_fields__, map(int, tokens), strict=True))),
        )
        for agent, what, kind, count, usd, *tokens in conn.execute(query.group_by(c.agent, c.what, c.kind))
    ]  # fmt: skip


def reserved(
    conn: sa.Connection, *, ref: str | None = None, within: str | None = None, but: int | None = None
) -> float:
    """US dollars that running turns may still cost: all, or of one ref, or of refs that begin so; one turn left out."""
    c = t.turn.c
    where = [c.state == "running"]
    where += [] if ref is None else [c.ref == ref]
    where += [] if within is None else [c.ref.startswith(within, autoescape=True)]
    where += [] if but is None else [c.id != but]
    return float(conn.execute(sa.select(sa.func.coalesce(sa.func.sum(c.reserved), 0)).where(*where)).scalar_one())


def day_of(now: float) -> float:
    """When the day of this moment began (UTC)."""
    return now - now % DAY


def month_of(now: float) -> float:
    """When the month of this moment began (UTC)."""
    return _midnight(datetime.fromtimestamp(now, UTC).replace(day=1))


def month_after(now: float) -> float:
    """When the month after this moment's begins (UTC)."""
    return _midnight((datetime.fromtimestamp(now, UTC).replace(day=28) + timedelta(days=4)).replace(day=1))


def _midnight(moment: datetime) -> float:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
