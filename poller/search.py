"""Finds events in a log of any length: by its indexes, in its order, a page at a time.

Knows which index answers what.  Must not know what is done with the events.  Every statement reads one index (or the
table itself) in the order of `seq` and stops when it has enough: nothing is sorted, nothing is read to its end.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from poller.tables import event as table

#: Events that are read at once; between two pages nobody is kept from anything.
PAGE = 500


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; what is not named is no condition.

    `since`: seen by us at this time (`…Z`) or later.  `kinds`: (event, action).  `actors`: logins, in any case.
    """

    key: str | None = None
    since: str | None = None
    kinds: tuple[tuple[str, str], ...] = ()
    actors: tuple[str, ...] = ()


class Found(NamedTuple):
    """An event of the log: its place, and the contract's JSON object."""

    seq: int
    line: bytes


def newest(conn: sa.Connection) -> int:
    """The place of the last event, 0 if there is none."""
    return int(conn.scalar(sa.select(sa.func.max(table.c.seq))) or 0)


class Search:
    """What is wanted, as far as it is known when the search begins: a pull may get another name later."""

    def __init__(self, conn: sa.Connection, wanted: Wanted) -> None:
        self._wanted = wanted
        self._lanes = _lanes(conn, wanted)

    def beginning(self, conn: sa.Connection, *, until: int, limit: int | None = None) -> int:
        """The place behind which the search begins; with `limit`, so that the newest so many up to `until` follow."""
        after = 0
        if self._wanted.since is not None:
            # Our clock may have been put back: the least place of all later ones need not be that of the earliest.
            # The sum keeps SQLite from looking for it in the table, from its beginning.
            least = sa.func.min(table.c.seq + 0)
            first = conn.scalar(sa.select(least).where(table.c.seen_at >= self._wanted.since))
            after = until if first is None else first - 1
        if limit is not None:
            last = sorted(self._seqs(conn, after, until, count=limit, backwards=True))[-limit:]
            after = last[0] - 1 if last else until
        return after

    def page(self, conn: sa.Connection, *, after: int, until: int, size: int = PAGE) -> list[Found]:
        """The next events behind `after`, oldest first; none: there are no more up to `until`."""
        places = sorted(self._seqs(conn, after, until, count=size))[:size]
        rows = conn.execute(sa.select(table.c.seq, table.c.line).where(table.c.seq.in_(places)).order_by(table.c.seq))
        return [Found(row.seq, row.line) for row in rows] if places else []

    def _seqs(self, conn: sa.Connection, after: int, until: int, *, count: int, backwards: bool = False) -> list[int]:
        order = table.c.seq.desc() if backwards else table.c.seq
        found: list[int] = []
        for lane in self._lanes:
            query = sa.select(table.c.seq).where(*lane, table.c.seq > after, table.c.seq <= until)
            found += conn.scalars(query.order_by(order).limit(count))
        return found


def spelled(conn: sa.Connection, key: str) -> str:
    """A pull's key as the log has it: its case does not matter to the forge."""
    c = table.c
    if conn.execute(sa.select(c.seq).where(c.key == key).limit(1)).first() is not None:
        return key
    alike = sa.select(c.key).where(sa.func.lower(c.key) == key.lower()).order_by(c.seq.desc()).limit(1)
    return conn.scalar(alike) or key


def _lanes(conn: sa.Connection, wanted: Wanted) -> list[list[sa.ColumnElement[bool]]]:
    """Conditions of the statements that find it together: each names one value of one index, no event fits two."""
    kinds, actors = sorted(set(wanted.kinds)), {login.lower() for login in wanted.actors}
    rest: list[sa.ColumnElement[bool]] = []
    if wanted.since is not None:
        rest.append(table.c.seen_at >= wanted.since)
    heads: list[list[sa.ColumnElement[bool]]] = [[]]
    if wanted.key is not None:
        # By identity, so that a renamed repository's events are found under its present and its former name.
        refs = conn.scalars(sa.select(table.c.ref).where(table.c.key == spelled(conn, wanted.key)).distinct())
        heads = [[table.c.ref == ref] for ref in refs]
    if actors and wanted.key is None:
        heads = [[table.c.actor == login] for login in sorted(actors)]
    elif actors:
        rest.append(table.c.actor.in_(sorted(actors)))
    if kinds and wanted.key is None and not actors:
        heads = [[table.c.event == event, table.c.action == action] for event, action in kinds]
    elif kinds:
        rest.append(sa.tuple_(table.c.event, table.c.action).in_(kinds))
    return [[*head, *rest] for head in heads]
