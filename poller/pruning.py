"""What is forgotten of the event log, and when.

The rule: when a pull has been closed, and nothing was heard of it, for 180 days, its events go, with what they were to
become; what happened to repositories goes at the same age.  Nothing goes of a pull that is open, that has a turn which
waits, runs or failed, or words that were not sent.  Our memory of the pull stays: nothing is ever told again.

Knows tables.  Must not know the forge: what is pruned follows from rows alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice

import sqlalchemy as sa

from poller import deeds, store, tables
from poller.deltas.events import place_of, pull_ref
from poller.halves import stamp_of
from sessions import registry
from sessions.database import begin, reading
from sessions.logs import fields

log = logging.getLogger(__name__)

DAYS = 180
DAY = 86_400.0
#: Events that go in one transaction, and transactions of one call: whoever wants to write waits a moment at most.
STEP, STEPS = 500, 10
#: Pulls that are looked through at once, and of which events go at once.
PULLS, SOME = 500, 20


def run(engine: sa.Engine, *, forge: str, now: float) -> int:
    """Once a day, in steps; how many events went.  What is too much for one call is left to the next."""
    with reading(engine) as conn:
        known = store.forge(conn, forge)
    if known.cursor is None or now - known.pruned_at < DAY:
        return 0
    before = stamp_of(now - DAYS * DAY)
    gone = list(islice(_steps(engine, forge, before), STEPS))
    if len(gone) < STEPS:
        with begin(engine) as conn:
            deeds.forget(conn, before=now - DAYS * DAY)
            store.save_forge(conn, forge, pruned_at=now)
    if gone:
        log.info("old events removed", extra=fields(events=sum(gone), before=before))
    return sum(gone)


def _steps(engine: sa.Engine, forge: str, before: str) -> Iterator[int]:
    """Each removes some events and says how many."""
    while True:
        with begin(engine) as conn:
            count = _remove(conn, _of_repositories(forge, before))
        if not count:
            break
        yield count
    for refs in _over(engine, forge, before):
        while True:
            with begin(engine) as conn:  # in which nobody opens one again
                count = _remove(conn, tables.event.c.ref.in_(_still_over(conn, forge, refs, before)))
            if not count:
                break
            yield count


def _of_repositories(forge: str, before: str) -> sa.ColumnElement[bool]:
    c = tables.event.c
    return sa.and_(c.event == "repository", c.seen_at < before, c.key.startswith(f"{forge}/", autoescape=True))


def _over(engine: sa.Engine, forge: str, before: str) -> Iterator[list[str]]:
    """Pulls whose events may go, some at a time."""
    c = tables.pull.c
    place, last = sa.tuple_(c.repo_id, c.number), (-1, -1)
    while True:
        closed = (c.forge == forge, place > last, c.state == "closed", c.updated_at < before)
        query = sa.select(c.repo_id, c.number).where(*closed).order_by(c.repo_id, c.number).limit(PULLS)
        with reading(engine) as conn:
            places = [(row.repo_id, row.number) for row in conn.execute(query)]
            refs = _silent(conn, [pull_ref(forge, *one) for one in places], before)
        for start in range(0, len(refs), SOME):
            yield refs[start : start + SOME]
        if not places:
            return
        last = places[-1]


def _still_over(conn: sa.Connection, forge: str, refs: list[str], before: str) -> list[str]:
    """Which of them are closed and silent now, and needed by nobody."""
    c, needed = tables.pull.c, _needed(conn)
    places = [sa.and_(c.repo_id == repo_id, c.number == number) for repo_id, number in map(place_of, refs)]
    closed = conn.execute(sa.select(c.repo_id, c.number).where(c.forge == forge, c.state == "closed", sa.or_(*places)))
    there = [pull_ref(forge, row.repo_id, row.number) for row in closed]
    return [ref for ref in _silent(conn, there, before) if ref not in needed]


def _silent(conn: sa.Connection, refs: list[str], before: str) -> list[str]:
    """Which of them have events, the newest of which is old."""
    c = tables.event.c
    newest = sa.func.max(c.seen_at)
    return list(conn.scalars(sa.select(c.ref).where(c.ref.in_(refs)).group_by(c.ref).having(newest < before)))


def _needed(conn: sa.Connection) -> set[str]:
    """Pulls of which something is still to be done, or may be done again."""
    turns = [turn for state in ("waiting", "running", "failed") for turn in registry.turns(conn, state=state)]
    c = tables.outbox.c
    return {turn.ref for turn in turns} | set(
        conn.scalars(sa.select(c.ref).where(c.state.in_(["held", "waiting", "failed"])))
    )


def _remove(conn: sa.Connection, old: sa.ColumnElement[bool]) -> int:
    """Some of these events, the oldest first, with what they were to become."""
    event, decision = tables.event, tables.decision
    ids = list(conn.scalars(sa.select(event.c.id).where(old).order_by(event.c.seq).limit(STEP)))
    conn.execute(decision.delete().where(decision.c.event_id.in_(ids)))
    conn.execute(event.delete().where(event.c.id.in_(ids)))
    return len(ids)
