"""A long history in a database: pulls, events, decisions and turns, as years of polling leave them.

Written with the plainest statements there are: a million events through the poller itself would take an hour.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from poller.deltas.events import Actor, Change, Event, PullFacts, Subject, pull_ref
from poller.deltas.pulls import Known, Row
from poller.halves import stamp_of

#: Of one pull; and events for each turn of an agent.
EVENTS_OF_PULL, EVENTS_OF_TURN = 50, 20
DAY = 86_400.0
BATCH = 10_000
#: Who did what: a few do most of it.
PEOPLE = [Actor(n, f"person{n:03}") for n in range(1, 201)]
#: (event, action) and its share.
KINDS: dict[tuple[Any, str], int] = {
    ("pull_request_comment", "created"): 40,
    ("pull_request_sync", "synchronized"): 20,
    ("pull_request_label", "label_updated"): 10,
    ("pull_request_review_comment", "reviewed"): 10,
    ("pull_request_review_approved", "reviewed"): 8,
    ("pull_request", "edited"): 6,
    ("pull_request_assign", "assigned"): 5,
    ("pull_request_thread", "resolved"): 1,
}


def fill(database: Path, *, forge: str, events: int, now: float, days: float) -> None:
    """Put `events` events of the last `days` into a database whose tables are there."""
    chance = random.Random(events)
    with closing(sqlite3.connect(database)) as raw:
        raw.execute("PRAGMA synchronous = OFF")
        raw.execute("PRAGMA cache_size = -200000")  # kB
        pulls = max(1, events // EVENTS_OF_PULL)
        _insert(raw, "pull", (_pull(forge, n, now=now, days=days, pulls=pulls) for n in range(1, pulls + 1)))
        _insert(raw, "event", _events(forge, events, pulls, chance, now=now, days=days))
        with raw:
            raw.execute(
                "INSERT INTO decision (event_id, agent, verdict, reason)"
                " SELECT id, '', 'ignore', 'nobody is woken by this' FROM event"
                " WHERE id NOT IN (SELECT event_id FROM decision)"
            )
        _insert(raw, "turn", (_turn(forge, n, pulls, now=now) for n in range(1, events // EVENTS_OF_TURN + 1)))


def _insert(raw: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, BATCH)):
        names = list(batch[0])
        values = ", ".join(f":{name}" for name in names)
        with raw:
            raw.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})", batch)


def _pull(forge: str, number: int, *, now: float, days: float, pulls: int) -> dict[str, Any]:
    """Closed; the older ones first."""
    moved = stamp_of(now - days * DAY * (1 - number / (pulls + 1)))
    row = Row(
        issue_id=number, repo_id=_repo_id(number), repo=_repo(number), number=number, title=f"Change {number}",
        body="What it is about. " * 20, state="closed", merged=True, draft=False, author=PEOPLE[0], labels=(),
        milestone=None, assignees=(), comments=20, created_at=moved, updated_at=moved,
        closed_at=moved, html_url=f"https://{forge}/{_repo(number)}/pulls/{number}",
    )  # fmt: skip
    known = Known(row=row, boundary=moved, seen=frozenset(range(number, number + EVENTS_OF_PULL)), read_to=moved)
    return {
        "forge": forge, "repo_id": row.repo_id, "number": number, "repo": row.repo, "state": "closed",
        "updated_at": moved, "errors": 0, "error": "", "boundary": moved, "known": msgspec.json.encode(known),
    }  # fmt: skip


def _events(
    forge: str, events: int, pulls: int, chance: random.Random, *, now: float, days: float
) -> Iterator[dict[str, Any]]:
    """Those of one pull lie among those of its neighbours."""
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=events)
    for nth, (kind, action) in enumerate(kinds):
        number = min(pulls, max(1, int(pulls * nth / events) + chance.randint(-20, 20)))
        at = stamp_of(now - days * DAY * (1 - nth / events))
        actor = PEOPLE[min(int(chance.expovariate(0.1)), len(PEOPLE) - 1)]
        event = Event(
            id=f"{forge}/{_repo_id(number)}/{number}/history/{nth}", event=kind, action=action, forge=forge,
            repo=_repo(number), repo_id=_repo_id(number), number=number, at=at, seen_at=at, actor=actor,
            changes={"title": Change("Before")} if action == "edited" else {},
            subject=Subject(comment_id=nth, body="Some words about it. " * 10),
            pull=PullFacts(
                title=f"Change {number}", state="open", draft=False, merged=False, head_sha="a" * 40,
                head_ref="feature", base_ref="main", html_url=f"https://{forge}/{_repo(number)}/pulls/{number}",
            ),
        )  # fmt: skip
        yield {
            "id": event.id, "ref": pull_ref(forge, event.repo_id, number), "key": event.key, "event": kind,
            "action": action, "at": at, "seen_at": at, "actor": actor.login, "line": event.to_json(),
        }  # fmt: skip


def _turn(forge: str, nth: int, pulls: int, *, now: float) -> dict[str, Any]:
    number = 1 + nth % pulls
    return {
        "ref": pull_ref(forge, _repo_id(number), number), "key": f"{forge}/{_repo(number)}#{number}",
        "agent": "reviewer", "state": "done", "by_hand": False, "why": "mentioned", "told": "[]", "claude_session": "",
        "attempts": 1, "launches": 1, "renewed": False, "not_before": now - DAY, "created_at": now - DAY,
        "kind": "done", "reason": "", "answer": "Words. " * 100, "cost_usd": 0.1, "input": 0, "output": 0,
        "cache_read": 0, "cache_write": 0, "posted": "[]", "stop_asked": "",
        "owner": "", "fence": 1, "lease_until": 0.0,
    }  # fmt: skip


def _repo(number: int) -> str:
    return f"history/r{number % 100:02}"


def _repo_id(number: int) -> int:
    return 1_000_000 + number % 100
