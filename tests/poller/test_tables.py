"""Databases of earlier versions: `samples/schema/` holds what those wrote, and nothing of it may be lost."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from poller import eventlog, letters, store, tables
from poller.app import COMPONENTS
from poller.search import Search, Wanted, newest
from sessions import registry
from sessions.database import DatabaseError, begin, open_database, reading
from tests.former import restore, rows_of, shape_of

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "tests" / "samples" / "schema").glob("poller-*.sql"))
FORGE = "gitea.example.com"


#: Columns that went into a table of their own; `tests/sessions/test_tables.py` looks for them there.
MOVED = {("session", "paused_until"), ("session", "paused_why")}


def test_every_former_version_has_a_sample() -> None:
    assert [path.stem for path in SAMPLES] == [f"poller-{version}" for version in range(1, tables.COMPONENT.version)]


@pytest.fixture(params=SAMPLES, ids=[path.stem for path in SAMPLES])
def former(request: pytest.FixtureRequest, empty: Path | str) -> Path | str:
    """A database as an earlier bottlepost left it."""
    restore(request.param, empty)
    return empty


def test_nothing_that_was_written_is_lost(former: Path | str) -> None:
    before = rows_of(former)
    open_database(former, COMPONENTS).dispose()
    after = rows_of(former)
    before.pop("schema_version")
    assert {name for name, rows in before.items() if rows} >= {"forge", "watch", "pull", "event", "decision", "outbox"}
    for name, rows in before.items():
        kept = [{key: value for key, value in row.items() if (name, key) not in MOVED} for row in rows]
        assert [{key: row[key] for key in kept[0]} for row in after[name]] == kept, name


def test_it_is_read_as_if_it_had_been_written_today(former: Path | str) -> None:
    engine = open_database(former, COMPONENTS)
    with reading(engine) as conn:
        events = eventlog.event_log(conn)
        forge = store.forge(conn, FORGE)
        places = store.places(conn, FORGE, [(1, 1), (1, 2), (2, 1)])
        assert forge.cursor == "2026-11-20T07:03:00Z"
        assert forge.bot is not None
        assert (forge.bot.login, forge.pruned_at, forge.quiet_until) == ("bot", 0, 0)
        assert set(store.watches(conn, FORGE)) == {"acme/*", "acme/api"}
        assert {place.known.row.title for place in places.values() if place.known is not None} == {
            "Add a small cache", "To be merged", "Zürich — naïve",
        }  # fmt: skip
        assert letters.waiting(conn) == 1
        assert [turn.state for turn in registry.turns(conn)] == ["done"] * 4
        assert sum(len(eventlog.decisions(conn, event.id)) for event in events) == 13
    engine.dispose()
    assert len(events) == 13
    assert Counter(event.actor.login if event.actor else "" for event in events) == {
        "ana": 5, "bot": 3, "ben": 3, "Eva": 1, "": 1,
    }  # fmt: skip


@pytest.mark.parametrize("who", ["ana", "bot", "ben", "eva"])
def test_who_did_it_can_be_asked_of_old_events_too(former: Path | str, who: str) -> None:
    engine = open_database(former, COMPONENTS)
    with reading(engine) as conn:
        events = eventlog.event_log(conn)
        found = Search(conn, Wanted(actors=(who,))).page(conn, after=0, until=newest(conn))
        assert [seq for seq, _ in found] == [
            nth for nth, event in enumerate(events, 1) if event.actor and event.actor.login.lower() == who
        ]
    engine.dispose()


def test_it_gets_the_shape_of_a_new_one(former: Path | str, database: Path | str) -> None:
    for place in (former, database):
        open_database(place, COMPONENTS).dispose()
    assert shape_of(former) == shape_of(database)


def test_a_log_is_moved_some_events_at_a_time(empty: Path | str) -> None:
    """More of them than one step takes."""
    restore(SAMPLES[0], empty)
    lines = [f'{{"actor":{{"id":1,"login":"Person{nth}"}}}}' if nth % 5 else '{"actor":null}' for nth in range(1, 2501)]
    blank = dict.fromkeys(("ref", "key", "event", "action", "at", "seen_at"), "")
    columns = [sa.column(name) for name in ("id", "line", *blank)]
    more = [blank | {"id": f"more/{nth}", "line": line.encode()} for nth, line in enumerate(lines, 1)]
    engine = open_database(empty, ())
    with begin(engine) as conn:
        conn.execute(sa.table("event", *columns).insert(), more)
    engine.dispose()
    open_database(empty, COMPONENTS).dispose()
    found = {row["id"]: row["actor"] for row in rows_of(empty)["event"]}
    assert all(found[f"more/{nth}"] == (f"person{nth}" if nth % 5 else "") for nth in range(1, 2501))


#: Says when it begins a transaction, the first time to look, the second time to write; then what it found.
_OPENER = """
import sys
import sqlalchemy as sa
from poller import letters, eventlog
from poller.app import COMPONENTS
from sessions.database import open_database, reading
sa.event.listen(sa.Engine, "begin", lambda conn: print("begin", flush=True))
engine = open_database(sys.argv[1], COMPONENTS)
with reading(engine) as conn:
    print(len(eventlog.event_log(conn)), flush=True)
"""


def test_two_processes_may_open_it_at_once(former: Path | str) -> None:
    """Both have seen that it is old before either can move it."""
    call = [sys.executable, "-c", _OPENER, str(former)]
    engine, writing = open_database(former, ()), contextlib.ExitStack()
    writing.enter_context(begin(engine))
    with (
        writing,
        subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one,
        subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as two,
    ):
        for process in (one, two):
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["begin\n"] * 2
        writing.close()
        for process in (one, two):
            out, err = process.communicate(timeout=60)
            assert (out.splitlines()[-1], process.returncode, err) == ("13", 0, "")
    engine.dispose()
    assert {row["component"]: row["version"] for row in rows_of(former)["schema_version"]} == {
        component.name: component.version for component in COMPONENTS
    }


def test_what_a_newer_bottlepost_wrote_is_refused_and_left_alone(empty: Path | str) -> None:
    engine = open_database(empty, COMPONENTS)
    with begin(engine) as conn:
        conn.execute(sa.text("UPDATE schema_version SET version = version + 1 WHERE component = 'poller'"))
    engine.dispose()
    before = rows_of(empty)
    with pytest.raises(DatabaseError, match=r"poller has schema version .*; upgrade bottlepost") as refused:
        open_database(empty, COMPONENTS)
    assert refused.value.exit_code == 2
    assert rows_of(empty) == before
