"""What a report tells: pulls with their events and turns, what was spent, how long it took, what failed.

Knows rows.  Times are epoch seconds, UTC.  Must not know how it is shown.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import store, tables
from poller.config import Config
from poller.deltas.events import place_of
from poller.halves import stamp_of
from poller.health import health
from sessions import tables as session_tables

#: Pulls that get a lane of their own: those on which something happened last.
LANES = 60
#: Failures and reasons that are named.
NAMED = 50
_turn, _run = session_tables.turn, session_tables.run


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """An event on a lane."""

    at: float
    event: str
    action: str
    who: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A turn on a lane; `started`, `ended`: `None` before they are."""

    turn: int
    agent: str
    state: str
    mode: str
    reason: str
    created: float
    started: float | None
    ended: float | None
    cost_usd: float

    @property
    def took(self) -> float | None:
        """Seconds from the moment it was asked for to its end."""
        return None if self.ended is None else max(0.0, self.ended - self.created)


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One pull, or what stands for it; `url`: its page on the forge, "" if it has none."""

    key: str
    title: str
    state: str
    url: str
    marks: list[Mark]
    turns: list[Stretch]

    @property
    def cost_usd(self) -> float:
        return sum(turn.cost_usd for turn in self.turns)


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an agent, as the ledger has it."""

    at: float
    usd: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report tells.  `refusals`: reason → how often; `posts`: answers that were given up."""

    forge: str
    bot: str
    since: float
    until: float
    health: dict[str, Any]
    events: int
    lanes: list[Lane]
    more: int
    turns: list[tuple[str, Stretch]]
    spent: list[Spent]
    refusals: list[tuple[str, int]]
    posts: list[tuple[float, str, str]]


def gathered(conn: sa.Connection, config: Config, *, since: float, now: float) -> Facts:
    """All of it, from `since` to `now`."""
    found = health(conn, config, now=now)
    marks, keys = _marks(conn, config.forge, since)
    turns = _turns(conn, since)
    lanes, more = _lanes(conn, config, marks, turns, keys)
    run = _run.c
    rows = conn.execute(sa.select(run.at, run.cost_usd).where(run.at >= since).order_by(run.at))
    return Facts(
        forge=config.forge,
        bot=found["bot"] or "",
        since=since,
        until=now,
        health=found,
        events=sum(len(some) for some in marks.values()),
        lanes=lanes,
        more=more,
        turns=[(key, turn) for _, key, turn in turns],
        spent=[Spent(at=row.at, usd=row.cost_usd) for row in rows],
        refusals=_refusals(conn, since),
        posts=_posts(conn, since),
    )


def _marks(conn: sa.Connection, forge: str, since: float) -> tuple[dict[str, list[Mark]], dict[str, str]]:
    """Ref → its events, oldest first; ref → what it was called last."""
    c = tables.event.c
    mine = (c.seen_at >= stamp_of(since), c.key.startswith(f"{forge}/", autoescape=True))
    marks, keys = dict[str, list[Mark]](), dict[str, str]()
    for row in conn.execute(sa.select(c.ref, c.key, c.event, c.action, c.at, c.actor).where(*mine).order_by(c.seq)):
        mark = Mark(at=datetime.fromisoformat(row.at).timestamp(), event=row.event, action=row.action, who=row.actor)
        marks.setdefault(row.ref, []).append(mark)
        keys[row.ref] = row.key
    return marks, keys


def _turns(conn: sa.Connection, since: float) -> list[tuple[str, str, Stretch]]:
    c = _turn.c
    recent = sa.or_(c.created_at >= since, c.ended_at >= since, c.state.in_(["waiting", "running"]))
    return [
        (
            row.ref, row.key,
            Stretch(
                turn=row.id, agent=row.agent, state=row.state, mode=row.mode or "", reason=row.reason,
                created=row.created_at, started=row.started_at, ended=row.ended_at, cost_usd=row.cost_usd,
            ),
        )
        for row in conn.execute(sa.select(_turn).where(recent).order_by(c.id))
    ]  # fmt: skip


def _lanes(
    conn: sa.Connection,
    config: Config,
    marks: dict[str, list[Mark]],
    turns: list[tuple[str, str, Stretch]],
    keys: dict[str, str],
) -> tuple[list[Lane], int]:
    """The pulls on which something happened last, the newest first; how many more there are."""
    stretches = dict[str, list[Stretch]]()
    for ref, key, turn in turns:
        stretches.setdefault(ref, []).append(turn)
        keys[ref] = key
    last = {ref: max(mark.at for mark in some) for ref, some in marks.items()}
    for ref, some in stretches.items():
        last[ref] = max(last.get(ref, 0.0), *(turn.ended or turn.created for turn in some))
    shown = sorted(last, key=lambda ref: -last[ref])[:LANES]
    spots = [place_of(ref) for ref in shown if _is_pull(ref, config.forge)]
    places = store.places(conn, config.forge, spots)
    lanes = []
    for ref in shown:
        place = places.get(place_of(ref)) if _is_pull(ref, config.forge) else None
        row = place.known.row if place is not None and place.known is not None else None
        lanes.append(
            Lane(
                key=keys[ref].removeprefix(f"{config.forge}/"), title=row.title if row is not None else "",
                state=row.state if row is not None else "",
                url=f"{config.url.rstrip('/')}/{row.repo}/pulls/{row.number}" if row is not None else "",
                marks=marks.get(ref, []), turns=stretches.get(ref, []),
            )
        )  # fmt: skip
    return lanes, len(last) - len(shown)


def _is_pull(ref: str, forge: str) -> bool:
    """Else it is about a repository, or somebody ran it by hand."""
    return ref.startswith(f"{forge}|") and not ref.endswith("|")


def _refusals(conn: sa.Connection, since: float) -> list[tuple[str, int]]:
    """Why people were refused, and how often."""
    decision, event = tables.decision.c, tables.event.c
    joined = tables.decision.join(tables.event, event.id == decision.event_id)
    query = sa.select(decision.reason).select_from(joined)
    refused = query.where(decision.verdict == "refuse", event.seen_at >= stamp_of(since))
    return Counter(conn.scalars(refused)).most_common(NAMED)


def _posts(conn: sa.Connection, since: float) -> list[tuple[float, str, str]]:
    c = tables.outbox.c
    query = sa.select(c.created_at, c.repo, c.number, c.error).where(c.state == "failed", c.created_at >= since)
    rows = conn.execute(query.order_by(c.id.desc()).limit(NAMED))
    return [(row.created_at, f"{row.repo}#{row.number}", row.error) for row in rows]
