"""Finding events: the right ones, in the order of the log, and without reading the rest of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from poller import eventlog
from poller.app import COMPONENTS
from poller.deltas.events import Actor, Event
from poller.search import Search, Wanted, newest
from sessions.database import begin, open_database, reading
from tests.poller.happenings import Happenings

KINDS = [
    ("pull_request", "opened"),
    ("pull_request", "closed"),
    ("pull_request_comment", "created"),
    ("pull_request_comment", "edited"),
]
PEOPLE = ["Ana", "ben", None]
#: Ours, which was put back once.
CLOCK = ["2026-11-21T08:00:00Z", "2026-11-21T09:00:00Z", "2026-11-21T08:30:00Z", "2026-11-21T10:00:00Z"]
#: The second pull was renamed in the middle.
PULLS = [("acme/api", 12, 7), ("acme/old", 13, 7), ("acme/new", 13, 7)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path_factory.mktemp("log") / "log.db", COMPONENTS)
    with begin(engine) as conn:
        eventlog.add_events(conn, log())
    yield engine
    engine.dispose()


def log() -> list[Event]:
    """Every kind by everybody on every pull, at each time of our clock."""
    happens, found = Happenings(), list[Event]()
    for seen_at, (repo, repo_id, number), login, kind in itertools.product(CLOCK, PULLS, PEOPLE, KINDS):
        actor = Actor(1, login) if login else None
        event = happens(*kind, actor=actor)  # type: ignore[arg-type]
        place: dict[str, Any] = {"repo": repo, "repo_id": repo_id, "number": number}
        found.append(msgspec.structs.replace(event, seen_at=seen_at, **place))
    return found


def fits(event: Event, wanted: Wanted) -> bool:
    named = {"gitea.example.com/acme/old#7", "gitea.example.com/acme/new#7"}
    return (
        (wanted.key is None or event.key == wanted.key or {event.key, wanted.key} <= named)
        and (wanted.since is None or event.seen_at >= wanted.since)
        and (not wanted.kinds or (event.event, event.action) in wanted.kinds)
        and (not wanted.actors or (event.actor is not None and event.actor.login.lower() in wanted.actors))
    )


def found(engine: sa.Engine, wanted: Wanted, *, limit: int | None = None, size: int = 500) -> list[str]:
    with reading(engine) as conn:
        search, until, ids = Search(conn, wanted), newest(conn), list[str]()
        after = search.beginning(conn, until=until, limit=limit)
        while page := search.page(conn, after=after, until=until, size=size):
            assert len(page) <= size
            ids += [Event.from_json(line).id for _, line in page]
            after = page[-1].seq
        return ids


WANTED = st.builds(
    Wanted,
    key=st.none() | st.sampled_from([f"gitea.example.com/{repo}#{number}" for repo, _, number in PULLS]),
    since=st.none() | st.sampled_from([*CLOCK, "2026-11-21T08:15:00Z", "2026-11-22T00:00:00Z"]),
    kinds=st.lists(st.sampled_from(KINDS), max_size=3).map(tuple),
    actors=st.lists(st.sampled_from(["ana", "ben", "carl"]), max_size=2).map(tuple),
)


@given(wanted=WANTED, limit=st.none() | st.integers(1, 60), size=st.integers(1, 50))
def test_what_is_found_is_what_fits_in_the_order_of_the_log(
    engine: sa.Engine, wanted: Wanted, limit: int | None, size: int
) -> None:
    fitting = [event.id for event in log() if fits(event, wanted)]
    assert found(engine, wanted, limit=limit, size=size) == (fitting if limit is None else fitting[-limit:])


def test_a_login_is_the_same_in_any_case(engine: sa.Engine) -> None:
    assert found(engine, Wanted(actors=("ANA", "ana"))) == found(engine, Wanted(actors=("Ana",))) != []


def test_of_an_empty_log_there_is_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "log.db", COMPONENTS)
    assert found(engine, Wanted()) == found(engine, Wanted(since=CLOCK[0]), limit=5) == []
    engine.dispose()


#: Each filter alone, and what is usually asked together.
ASKED = {
    "everything": Wanted(),
    "a pull": Wanted(key="gitea.example.com/acme/api#7"),
    "since": Wanted(since=CLOCK[1]),
    "a kind": Wanted(kinds=(KINDS[0],)),
    "kinds": Wanted(kinds=(KINDS[0], KINDS[2], KINDS[3])),
    "an actor": Wanted(actors=("ana",)),
    "actors": Wanted(actors=("ana", "ben")),
    "a pull since": Wanted(key="gitea.example.com/acme/api#7", since=CLOCK[1]),
    "a kind on a pull": Wanted(key="gitea.example.com/acme/api#7", kinds=(KINDS[0],)),
    "an actor on a pull": Wanted(key="gitea.example.com/acme/api#7", actors=("ana", "ben")),
    "a kind since": Wanted(kinds=(KINDS[0],), since=CLOCK[1]),
    "an actor since": Wanted(actors=("ana",), since=CLOCK[1]),
    "a kind by an actor": Wanted(kinds=(KINDS[0], KINDS[1]), actors=("ana",)),
    "all at once": Wanted(key="gitea.example.com/acme/api#7", kinds=(KINDS[0],), actors=("ana",), since=CLOCK[1]),
}


@pytest.mark.parametrize("wanted", ASKED.values(), ids=list(ASKED))
@pytest.mark.parametrize("limit", [None, 20])
def test_no_question_reads_or_sorts_the_whole_log(engine: sa.Engine, wanted: Wanted, limit: int | None) -> None:
    """SQLite plans without having counted the rows: for four of them as for a million."""
    asked = list[tuple[str, Any]]()
    with reading(engine) as conn:
        sa.event.listen(conn, "before_cursor_execute", lambda _c, _cur, sql, values, *_: asked.append((sql, values)))
        search, until = Search(conn, wanted), newest(conn)
        search.page(conn, after=search.beginning(conn, until=until, limit=limit), until=until)
        statements = [(sql, values) for sql, values in asked if "FROM event" in sql]
        assert len(statements) >= 3
        for sql, values in statements:
            plan = [row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
            # The greatest of all is at the end; the least that fits a condition is wherever an index says.
            assert any(step.startswith("SEARCH event USING") for step in plan) or "WHERE" not in sql, (sql, plan)
            assert not any(step.startswith("SCAN event") or "FOR ORDER BY" in step for step in plan), (sql, plan)


@pytest.mark.parametrize("wanted", [ASKED["a kind"], ASKED["kinds"], ASKED["an actor"], ASKED["a kind by an actor"]])
def test_what_does_not_fit_is_passed_over_in_the_index(engine: sa.Engine, wanted: Wanted) -> None:
    """Of a person's million comments none is fetched to find the one pull he closed."""
    asked = list[tuple[str, Any]]()
    with reading(engine) as conn:
        search, until = Search(conn, wanted), newest(conn)
        sa.event.listen(conn, "before_cursor_execute", lambda _c, _cur, sql, values, *_: asked.append((sql, values)))
        search.page(conn, after=0, until=until)
        *places, _lines = list(asked)
        for sql, values in places:
            plan = [row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert any(step.startswith("SEARCH event USING COVERING INDEX") for step in plan), plan
