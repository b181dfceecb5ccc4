"""Named leases: who may do a thing that only one process may do at a time.

A lease has an owner, a deadline and a fence, which grows with every taking: work that carries an old fence is refused.
The lease of a dead process of this host is taken over at once, anybody else's at its deadline.  `now` is an argument.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from sessions import processes
from sessions.tables import lease as _lease

#: Seconds, twice what any lease is given for: what lies further ahead was dated by a clock that was put back since.
#: Whose it is counts for nothing then: who works for it says so again soon, or is told that he has lost it.
LONGEST = 3600.0


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    owner: str
    fence: int
    until: float


def take(conn: sa.Connection, name: str, *, now: float, ttl: float, owner: str | None = None) -> Lease | None:
    """The lease until `now + ttl` (epoch seconds), or `None` while somebody else has it.  In a write transaction."""
    mine = owner or str(processes.me())
    known = _read(conn, name)
    if known is None:
        first = Lease(name=name, owner=mine, fence=1, until=now + ttl)
        conn.execute(_lease.insert().values(**msgspec.structs.asdict(first)))
        return first
    if not is_free(known.owner, known.until, now):
        return None
    taken = Lease(name=name, owner=mine, fence=known.fence + 1, until=now + ttl)
    conn.execute(_lease.update().where(_lease.c.name == name).values(**msgspec.structs.asdict(taken)))
    return taken


def renew(conn: sa.Connection, lease: Lease, *, now: float, ttl: float) -> Lease | None:
    """The same lease for longer; `None` when it was lost, and with it the right to write."""
    found = conn.execute(_lease.update().where(*_same(lease)).values(until=now + ttl)).rowcount
    return msgspec.structs.replace(lease, until=now + ttl) if found else None


def release(conn: sa.Connection, lease: Lease) -> bool:
    """Give it back; false when it was not ours any more."""
    return bool(conn.execute(_lease.update().where(*_same(lease)).values(owner="", until=0.0)).rowcount)


def held(conn: sa.Connection, name: str, *, now: float) -> Lease | None:
    """Who has it now, if anybody."""
    known = _read(conn, name)
    return None if known is None or is_free(known.owner, known.until, now) else known


def is_free(owner: str, until: float, now: float, *, longest: float = LONGEST) -> bool:
    """Whether what `owner` held until `until` may be taken: given back, over its time (or more than `longest` ahead),
    or its process is dead."""
    if not owner or until <= now or until > now + longest:
        return True
    process = processes.Process.parse(owner)
    return process is not None and processes.is_alive(process) is False


def _read(conn: sa.Connection, name: str) -> Lease | None:
    row = conn.execute(sa.select(_lease).where(_lease.c.name == name)).one_or_none()
    return None if row is None else Lease(name=row.name, owner=row.owner, fence=row.fence, until=row.until)


def _same(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return (_lease.c.name == lease.name, _lease.c.owner == lease.owner, _lease.c.fence == lease.fence)
