"""When what is swept: the schedule, how it backs off, and how many requests it may send.

Knows the table of the sweeps.  Must not know the forge.  A pull that moved is swept after `poll.sweep` and then ever
more seldom, a repository too; what is found brings the short interval back.  Sweeps spend what the other requests
leave of `poll.requests_per_minute`, and never less than a fifth of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from poller import tables
from poller.config import Poll
from poller.deltas.sweep import Key, Swept, Unit, What
from poller.store import Forge, upsert

#: The longest intervals, as multiples of `poll.sweep`: an hour and a day by default.  A repository in which nothing is
#: open and nothing moves has a day, too: words on what was closed long ago may still be edited.
LONGEST: dict[What, int] = {"open": 1, "repo": 6, "pull": 144}
#: About how many requests a unit costs.
COST: dict[What, int] = {"open": 1, "repo": 3, "pull": 4}
PAGE = 50
#: Of the budget, sweeps have at least this share, however much else there is to ask.
SHARE = 0.2
#: Minutes' worth of requests that sweeps make up for at most.
PATIENCE = 10
#: Seconds after which a closed pull that nothing happened on is left alone.
COLD = 86_400.0


class Budget(msgspec.Struct, frozen=True):
    """Requests that sweeps may send now; it may go below zero and is paid back.  `None`: without bound.

    `owed`: what the others have sent beyond their part; sweeps make up for it by and by.
    """

    credit: float | None
    owed: float = 0.0

    @classmethod
    def now(cls, forge: Forge, poll: Poll, *, now: float, others: int) -> Budget:
        """What has gathered since the last reckoning, a minute's worth at most, without what others have sent."""
        if poll.sweep <= 0:
            return cls(None)
        rate, since = poll.requests_per_minute, now - forge.credit_at
        grown = rate / 60 * (min(60.0, since) if since >= 0 else 60.0)  # our clock was put back
        owed = min(forge.owed + others, PATIENCE * rate)
        paid = min(owed, grown * (1 - SHARE))
        return cls(min(rate, forge.credit + grown - paid), owed - paid)

    def afforded(self, units: Iterable[Unit], *, opened: int) -> list[Unit]:
        """The first of these that it pays for; one too dear for it is begun all the same, and paid off later."""
        left, chosen = self.credit, list[Unit]()
        for unit in units:
            if left is not None:
                if left <= 0:
                    break
                left -= COST[unit.what] + (opened // PAGE if unit.what == "open" else 0)
            chosen.append(unit)
        return chosen

    def after(self, sent: int) -> float:
        """What is left."""
        return (self.credit or 0.0) - sent if self.credit is not None else 0.0


def due(conn: sa.Connection, forge: str, poll: Poll, *, now: float) -> list[Unit]:
    """Units whose time has come, the longest overdue first."""
    table = tables.sweep
    query = sa.select(table).where(table.c.forge == forge).order_by(table.c.due_at, table.c.what)
    if poll.sweep > 0:
        # Planned from a moment that is still to come: our clock was put back since.
        planned_later = table.c.due_at - table.c.wait * 1.5 > now
        query = query.where(sa.or_(table.c.due_at <= now, planned_later))
    columns = Unit.__struct_fields__
    return [Unit(**{name: row[name] for name in columns}) for row in conn.execute(query).mappings()]


def is_begun(conn: sa.Connection, forge: str) -> bool:
    """Is anything swept yet?"""
    return conn.scalar(sa.select(tables.sweep.c.due_at).where(*_is(forge, ("open", 0, 0)))) is not None


def begin(conn: sa.Connection, forge: str, poll: Poll, *, now: float) -> None:
    """The list from now on, and every pull that is remembered as open."""
    _schedule(conn, forge, ("open", 0, 0), poll, now=now)
    table = tables.pull
    query = sa.select(table.c.repo_id, table.c.number).where(table.c.forge == forge, table.c.state == "open")
    for row in conn.execute(query).all():
        soon(conn, forge, row.repo_id, row.number, poll, now=now)


def soon(conn: sa.Connection, forge: str, repo_id: int, number: int, poll: Poll, *, now: float) -> None:
    """Something moved there, or it is new: sweep it after the short interval."""
    _schedule(conn, forge, ("pull", repo_id, number), poll, now=now)
    _schedule(conn, forge, ("repo", repo_id, 0), poll, now=now)


def over(conn: sa.Connection, forge: str, repo_id: int) -> None:
    """Nothing of this repository is swept any more."""
    table = tables.sweep
    conn.execute(table.delete().where(table.c.forge == forge, table.c.repo_id == repo_id))


def reckon(
    conn: sa.Connection, forge: str, units: list[Unit], swept: Swept, poll: Poll, *, now: float, read_to: str
) -> None:
    """After a sweep: when each unit is due again, or whether it is at all."""
    for unit in units:
        is_cold = unit.what != "open" and unit.key not in swept.found and _is_cold(conn, forge, unit, now=now)
        if unit.key in swept.over or (is_cold and unit.what == "pull"):
            conn.execute(tables.sweep.delete().where(*_is(forge, unit.key)))
            continue
        if unit.key in swept.skipped:
            continue
        failed, wait = swept.failed.get(unit.key, ""), poll.sweep
        if unit.key not in swept.found:
            longest = LONGEST["pull" if is_cold else unit.what]
            wait = min(max(unit.wait, poll.sweep) * 2, poll.sweep * longest)
        values = {"due_at": now + wait, "wait": wait, "error": failed}
        if not failed:
            values["read_to"] = read_to
        conn.execute(tables.sweep.update().where(*_is(forge, unit.key)).values(**values))


def failures(units: Iterable[Unit], swept: Swept) -> dict[str, str]:
    """What failed, under names for people."""
    names = swept.names
    return {
        _named(unit.what, names.get(unit.repo_id), unit.number): swept.failed[unit.key]
        for unit in units
        if unit.key in swept.failed
    }


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """How the sweeps stand, for `poll status`.  `overdue`: by more than an interval; `failing`: unit → reason."""

    pulls: int
    repositories: int
    overdue: int
    failing: dict[str, str]


def schedule(conn: sa.Connection, forge: str, poll: Poll, *, now: float) -> Schedule:
    """Counts, and what does not succeed."""
    table = tables.sweep
    counted = sa.select(table.c.what, sa.func.count()).where(table.c.forge == forge).group_by(table.c.what)
    counts = {what: int(count) for what, count in conn.execute(counted)}
    late = table.c.due_at < now - max(poll.sweep, 2 * poll.every)
    overdue = conn.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.forge == forge, late))
    named = sa.outerjoin(
        table,
        tables.known_repository,
        sa.and_(tables.known_repository.c.forge == forge, tables.known_repository.c.repo_id == table.c.repo_id),
    )
    columns = (table.c.what, table.c.number, table.c.error, tables.known_repository.c.name)
    failing = conn.execute(sa.select(*columns).select_from(named).where(table.c.forge == forge, table.c.error != ""))
    return Schedule(
        pulls=counts.get("pull", 0),
        repositories=counts.get("repo", 0),
        overdue=overdue or 0,
        failing={_named(row.what, row.name, row.number): row.error for row in failing},
    )


def _named(what: What, name: str | None, number: int) -> str:
    if what == "open":
        return "the list of open pulls"
    return f"{name or 'a repository'}#{number}" if what == "pull" else name or "a repository"


def _is(forge: str, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    table, (what, repo_id, number) = tables.sweep, key
    return table.c.forge == forge, table.c.what == what, table.c.repo_id == repo_id, table.c.number == number


def _schedule(conn: sa.Connection, forge: str, key: Key, poll: Poll, *, now: float) -> None:
    """After the short interval, each at a moment of its own: what is scheduled together is not swept together."""
    what, repo_id, number = key
    spread = 0.5 + (zlib.crc32(f"{what} {repo_id} {number}".encode()) % 1000) / 1000
    due_at = now + poll.sweep * spread
    planned = conn.scalar(sa.select(tables.sweep.c.due_at).where(*_is(forge, key)))
    place = {"forge": forge, "what": what, "repo_id": repo_id, "number": number}
    values = {"due_at": min(due_at, planned) if planned is not None else due_at, "wait": poll.sweep}
    upsert(conn, tables.sweep, place, values)


def _is_cold(conn: sa.Connection, forge: str, unit: Unit, *, now: float) -> bool:
    """A pull that was closed, or a repository without an open pull, when nothing moved there for a day."""
    table = tables.pull
    mine = [table.c.forge == forge, table.c.repo_id == unit.repo_id]
    if unit.what == "pull":
        mine.append(table.c.number == unit.number)
    warm = sa.or_(table.c.state == "open", table.c.updated_at > _stamp(now - COLD))
    return conn.scalar(sa.select(table.c.number).where(*mine, warm).limit(1)) is None


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
