"""Opening, versions, transactions, leases; several processes at once."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sqlalchemy as sa

from sessions import leases, processes, registry, tables
from sessions.database import Component, DatabaseError, begin, open_database, reading

if TYPE_CHECKING:
    from alembic.operations import Operations

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_database(tmp_path / "made" / "bottlepost.db", [tables.COMPONENT])
    yield made
    made.dispose()


def component(version: int) -> Component:
    def add_colour(operations: Operations) -> None:
        operations.add_column("thing", sa.Column("colour", sa.String, server_default="red"))

    metadata = sa.MetaData()
    columns: list[sa.Column[Any]] = [sa.Column("id", sa.Integer, primary_key=True)]
    columns += [sa.Column("colour", sa.String)] if version > 1 else []
    sa.Table("thing", metadata, *columns)
    return Component(name="things", metadata=metadata, version=version, steps={2: add_colour})


def test_database_and_its_directory_are_private(engine: sa.Engine, tmp_path: Path) -> None:
    with begin(engine) as conn:
        conn.execute(tables.lease.insert().values(name="x", owner="", fence=1, until=0))
    for path in (tmp_path / "made").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


def test_safe_settings_are_on(engine: sa.Engine) -> None:
    with begin(engine) as conn:
        found = [
            conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys", "synchronous")
        ]
    assert found == ["wal", 1, 2]


def test_exception_rolls_everything_back(engine: sa.Engine) -> None:
    """B4."""
    with pytest.raises(ZeroDivisionError), begin(engine) as conn:
        registry.enqueue(conn, ref="r", key="k", agent="a", event_id="e", why="w", now=1.0)
        raise ZeroDivisionError
    with reading(engine) as conn:
        assert registry.turns(conn) == []


def test_reader_is_not_kept_waiting_by_a_writer(engine: sa.Engine) -> None:
    with begin(engine) as writer:
        registry.enqueue(writer, ref="r", key="k", agent="a", event_id="e", why="w", now=1.0)
        with reading(engine) as conn:
            assert registry.turns(conn) == []


def test_older_schema_is_moved_and_newer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    open_database(path, [component(1)]).dispose()
    engine = open_database(path, [component(2)])
    with begin(engine) as conn:
        conn.exec_driver_sql("INSERT INTO thing (id) VALUES (1)")
        assert conn.exec_driver_sql("SELECT colour FROM thing").scalar() == "red"
    engine.dispose()
    with pytest.raises(DatabaseError, match=r"x\.db: things has schema version 2.*knows 1.*upgrade"):
        open_database(path, [component(1)])


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at" * 20, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    """B5."""
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(DatabaseError, match=r"x\.db: .*; while nothing runs, move it away"):
        open_database(tmp_path / "x.db", [tables.COMPONENT])
    assert (tmp_path / "x.db").read_bytes() == content


def test_stray_half_written_file_beside_the_database_hurts_nobody(engine: sa.Engine, tmp_path: Path) -> None:
    """B5."""
    (tmp_path / "made" / "bottlepost.db.tmp").write_bytes(b"\0\0")
    engine.dispose()
    again = open_database(tmp_path / "made" / "bottlepost.db", [tables.COMPONENT])
    again.dispose()


def test_place_that_cannot_hold_a_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot open the database"):
        open_database(tmp_path / "file" / "x.db", [tables.COMPONENT])


@pytest.mark.parametrize("url", ["mysql://root:hunter2@h/x", "postgresql+nodriver://u:hunter2@h/x", "://hunter2"])
def test_url_that_is_not_supported_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        open_database(url, [tables.COMPONENT])
    assert "hunter2" not in str(refused.value)


_OPENER = """
import sys
from sessions import tables, registry
from sessions.database import open_database, begin
engine = open_database(sys.argv[1], [tables.COMPONENT])
for number in range(int(sys.argv[3])):
    with begin(engine) as conn:
        event = f"{sys.argv[2]}-{number}"
        registry.enqueue(conn, ref=f"r{number}", key="k", agent="a", event_id=event, why="w", now=1.0)
engine.dispose()
"""


def test_processes_that_open_and_write_at_once_all_land(tmp_path: Path) -> None:
    """B6, B7."""
    path = tmp_path / "x.db"
    words = [sys.executable, "-c", _OPENER, str(path)]
    running = [subprocess.Popen([*words, str(number), "10"], cwd=ROOT) for number in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    engine = open_database(path, [tables.COMPONENT])
    with reading(engine) as conn:
        turns = registry.turns(conn)
    engine.dispose()
    assert len(turns) == 10 and sum(len(turn.events) for turn in turns) == 40


def test_fifty_concurrent_writers_all_land(engine: sa.Engine) -> None:
    """B6."""
    ready = threading.Barrier(50)
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            ready.wait(30)
            with begin(engine) as conn:
                registry.enqueue(conn, ref="r", key="k", agent="a", event_id=f"e{number}", why="w", now=1.0)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with reading(engine) as conn:
        assert [len(turn.events) for turn in registry.turns(conn)] == [50]


def test_lease_belongs_to_one_until_its_deadline(engine: sa.Engine) -> None:
    other = str(msgspec.structs.replace(processes.me(), host="another-host"))
    with begin(engine) as conn:
        first = leases.take(conn, "cycle", now=100.0, ttl=60.0, owner=other)
        assert first is not None and first.fence == 1
        assert leases.take(conn, "cycle", now=159.0, ttl=60.0) is None
        assert leases.held(conn, "cycle", now=159.0) == first
        second = leases.take(conn, "cycle", now=160.0, ttl=60.0)
        assert second is not None and second.fence == 2
        assert leases.renew(conn, first, now=161.0, ttl=60.0) is None, "it was lost"
        assert leases.release(conn, first) is False
        renewed = leases.renew(conn, second, now=170.0, ttl=60.0)
        assert renewed is not None and renewed.until == 230.0
        assert leases.release(conn, renewed) is True
        assert leases.held(conn, "cycle", now=171.0) is None
        third = leases.take(conn, "cycle", now=171.0, ttl=60.0)
        assert third is not None and third.fence == 3


def test_lease_that_was_given_at_a_clock_that_was_ahead_is_free(engine: sa.Engine) -> None:
    """A container of before has another host's name: whether its poller lives cannot be seen."""
    other = str(msgspec.structs.replace(processes.me(), host="another-host"))
    with begin(engine) as conn:
        assert leases.take(conn, "cycle", now=30 * 86_400.0, ttl=300.0, owner=other)
        assert leases.held(conn, "cycle", now=0.0) is None
        assert leases.take(conn, "cycle", now=0.0, ttl=300.0) is not None


def test_lease_of_a_dead_process_of_this_host_is_taken_over_at_once(engine: sa.Engine) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        here = processes.me()
        owner = msgspec.structs.replace(here, pid=child.pid, start=processes.start_of(child.pid) or "")
        with begin(engine) as conn:
            assert leases.take(conn, "cycle", now=0.0, ttl=3600.0, owner=str(owner))
            assert leases.take(conn, "cycle", now=1.0, ttl=60.0) is None
        child.kill()
        child.wait()
        with begin(engine) as conn:
            assert leases.take(conn, "cycle", now=1.0, ttl=60.0) is not None


def test_pid_that_was_used_again_does_not_keep_a_lease_alive() -> None:
    here = processes.me()
    assert processes.is_alive(here) is True
    assert processes.is_alive(msgspec.structs.replace(here, start="1")) is False
    assert processes.is_alive(msgspec.structs.replace(here, boot="another-boot")) is False
    assert processes.is_alive(msgspec.structs.replace(here, host="another-host")) is None
    assert processes.is_alive(msgspec.structs.replace(here, space="another")) is None
    assert processes.Process.parse(str(here)) == here
    assert processes.Process.parse("nonsense") is None


def test_engine_leaves_no_connection_open(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    open_database(path, [tables.COMPONENT]).dispose()
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT component, version FROM schema_version").fetchall() == [
            ("sessions", tables.COMPONENT.version)
        ]
    raw.close()
