"""PostgreSQL: what its failures are called, that its password is nowhere, whose clock counts, that it may go away."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from sessions import leases, postgres, registry, tables
from sessions.database import DatabaseError, begin, clock_of, is_absent, open_database, reading
from sessions.surveying import survey
from tests.postgres import Server, serving
from tests.sessions.stage import eventually

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    made = open_database(postgres_url, [tables.COMPONENT])
    yield made
    made.dispose()


def refused(url: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as error:
        open_database(url, [tables.COMPONENT])
    assert "\n" not in str(error.value)
    return error.value


def want(conn: sa.Connection, event: str) -> int | None:
    return registry.enqueue(conn, ref="r", key="k", agent="a", event_id=event, why="w", now=1.0)


# -- failures ---------------------------------------------------------------------------------------------------------


def test_wrong_password_is_said_without_it(postgres: Server) -> None:
    error = refused(postgres.url("postgres", password="hunter2-and-more"))
    assert "password authentication failed" in str(error) and "check user and password" in str(error)
    assert "hunter2" not in str(error) and error.exit_code == 2


def test_missing_database_is_said_with_the_mend(postgres: Server) -> None:
    error = refused(postgres.url("nowhere"))
    assert '"nowhere" does not exist' in str(error) and "createdb" in str(error) and error.exit_code == 2
    assert postgres.password not in str(error)


def test_server_that_is_not_there_is_a_passing_trouble(postgres: Server, tmp_path: Path) -> None:
    for place in (f"/x?host={tmp_path}", "127.0.0.1:1/x"):
        error = refused(f"postgresql://me:{postgres.password}@{place}")
        assert "check that the server runs" in str(error) and error.exit_code == 3
        assert postgres.password not in str(error)


def test_user_who_may_make_no_tables_is_told_so(postgres: Server, postgres_url: str) -> None:
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", url=postgres_url)
    postgres.execute("DROP ROLE IF EXISTS nobodys; CREATE ROLE nobodys LOGIN PASSWORD 'pass-of-nobody'")
    url = postgres_url.replace(f"bottlepost:{postgres.password}", "nobodys:pass-of-nobody")
    error = refused(url)
    assert "permission denied" in str(error) and "GRANT CREATE" in str(error) and error.exit_code == 2
    found = survey(url)
    assert (found.may_make, dict(found.tables)) == (False, {})


def test_no_connection_left_is_a_passing_trouble(postgres: Server, postgres_url: str) -> None:
    name = postgres_url.partition("@/")[2].partition("?")[0]
    postgres.execute("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN CONNECTION LIMIT 1 PASSWORD 'pass-of-guest'")
    url = postgres.url(name, user="guest", password="pass-of-guest")
    with psycopg.connect(url):
        error = refused(url)
    assert "too many connections" in str(error) and "max_connections" in str(error) and error.exit_code == 3


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:pass@word-of-mine@host/x", "postgresql://me:word-of-mine@host:word-of-mine/x",
        "postgresql+psycopg2://me:word-of-mine@host/x",
    ],
)  # fmt: skip
def test_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    assert "word-of-mine" not in str(refused(url)) and "expected postgresql://" in str(refused(url))


@pytest.mark.parametrize("url", ["postgresql://h/x?user=me&password=hunter22", "postgresql://me:hunter22@h/x"])
def test_a_password_is_never_shown_wherever_it_stands(url: str) -> None:
    assert postgres.shown(postgres.url_of(url)) == "postgresql://me@h/x"


def test_without_the_driver_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError(\"No module named 'psycopg'\", name='psycopg')")
    (tmp_path / "config.yaml").write_text(
        "gitea: {url: http://127.0.0.1:1, token: abcdefgh}\nrepos: [a/b]\nstate: s\n"
        "database: postgresql://me:hunter22@h/x\n"
    )
    call = [sys.executable, "-m", "poller", "--once"]
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{ROOT}", "HOME": str(tmp_path)}
    done = subprocess.run(call, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "poll: database: postgresql://me@h/x needs psycopg, which is not installed; "
        "pip install '.[postgres]' in bottlepost's checkout, or write `database: null`\n"
    )


def test_an_error_in_a_statement_of_ours_stays_a_bug(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.ProgrammingError), begin(engine) as conn:
        conn.exec_driver_sql("SELECT nothing FROM nowhere")
    with pytest.raises(sa.exc.IntegrityError), begin(engine) as conn:
        conn.execute(tables.lease.insert(), [{"name": "x", "owner": "", "fence": 1, "until": 0.0}] * 2)


# -- transactions -----------------------------------------------------------------------------------------------------


def test_writers_are_one_at_a_time_and_a_reader_sees_one_moment(engine: sa.Engine) -> None:
    with begin(engine) as writer, reading(engine) as reader:
        assert registry.turns(reader) == []
        want(writer, "first")
        assert registry.turns(reader) == [], "what is not committed is not seen"
        writer.commit()
        assert registry.turns(reader) == [], "nor what was committed since"
    with reading(engine) as reader:
        assert len(registry.turns(reader)) == 1
        with pytest.raises(sa.exc.InternalError, match="read-only"):
            want(reader, "second")


def test_writer_who_waits_for_too_long_gives_up_in_one_line(engine: sa.Engine, postgres_url: str) -> None:
    other = open_database(postgres_url, [tables.COMPONENT])
    sa.event.listen(other, "connect", lambda raw, _: raw.execute("SET lock_timeout = '50ms'") and raw.commit())
    other.dispose()
    with begin(engine), pytest.raises(DatabaseError, match=r"another process has been writing.*try again") as error:
        with begin(other):
            pass
    assert error.value.passing
    other.dispose()


def test_writer_whose_process_stands_still_is_thrown_out(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setattr(postgres, "_WRITER_IDLES", 1)
    other = open_database(postgres_url, [tables.COMPONENT])
    with pytest.raises(DatabaseError, match="try again") as error, begin(engine) as conn:
        want(conn, "first")
        with begin(other) as patient:  # it has its turn within the time that writers wait
            assert registry.turns(patient) == []
        want(conn, "second")
    other.dispose()
    assert error.value.passing
    with begin(engine) as conn:
        assert registry.turns(conn) == [] and want(conn, "third") == 2


def test_text_with_what_the_server_cannot_hold_is_kept_without_it(engine: sa.Engine) -> None:
    with begin(engine) as conn:
        number = want(conn, "first")
        conn.execute(tables.turn.update().values(answer="a\0b", told=["c\0d"]))
        conn.execute(tables.lease.insert(), [{"name": name, "owner": "\0", "fence": 1, "until": 0.0} for name in "xy"])
    with reading(engine) as conn:
        turn = registry.turn(conn, number or 0)
        assert turn is not None and turn.answer == "a\ufffdb"
        assert conn.execute(sa.select(tables.lease.c.owner)).scalars().all() == ["\ufffd", "\ufffd"]


def test_counts_may_be_larger_than_32_bits(engine: sa.Engine) -> None:
    with begin(engine) as conn:
        want(conn, "first")
        conn.execute(tables.turn.update().values(cache_read=5_000_000_000))
        assert registry.turns(conn)[0].usage.cache_read == 5_000_000_000


def test_threads_of_one_process_keep_few_connections(engine: sa.Engine, postgres: Server, postgres_url: str) -> None:
    ready = threading.Barrier(12)

    def write(number: int) -> None:
        ready.wait(30)
        with begin(engine) as conn:
            want(conn, f"e{number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    name = postgres_url.partition("@/")[2].partition("?")[0]

    def kept() -> list[str]:
        """What those call themselves that are connected: one that was closed is there for a moment more."""
        asked = f"FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = 'client backend'"
        return [str(row[0]) for row in postgres.execute(f"SELECT application_name {asked}")]

    eventually(lambda: len(kept()) <= 3)
    assert all(one.startswith("bottlepost ") for one in kept())
    with reading(engine) as conn:
        assert [len(turn.events) for turn in registry.turns(conn)] == [12]


# -- a server that goes away ------------------------------------------------------------------------------------------


@pytest.fixture
def own(postgres: Server) -> Iterator[Server]:
    """One that may be stopped; where there can be one."""
    with serving() as server:
        yield server


@pytest.mark.parametrize("at_once", [False, True], ids=["stopped", "unplugged"])
def test_restart_in_the_middle_of_a_transaction_loses_it_whole_and_nothing_else(own: Server, at_once: bool) -> None:
    engine = open_database(own.database(), [tables.COMPONENT])
    with begin(engine) as conn:
        want(conn, "before")
    with pytest.raises(DatabaseError, match="try again") as error, begin(engine) as conn:
        want(conn, "meanwhile")
        own.restart(at_once=at_once)
        want(conn, "after")
    assert error.value.passing and own.password not in str(error.value)
    with begin(engine) as conn:
        want(conn, "again")
        assert [turn.events for turn in registry.turns(conn)] == [("before", "again")]
    own.stop()
    with pytest.raises(DatabaseError, match="check that the server runs") as error, begin(engine):
        pass
    assert error.value.passing
    own.start()
    with reading(engine) as conn:
        assert len(registry.turns(conn)) == 1
    engine.dispose()


# -- whose clock ------------------------------------------------------------------------------------------------------


def test_leases_go_by_the_servers_clock(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    now, real = clock_of(engine), time.time()
    monkeypatch.setattr(time, "time", lambda: real + 7200)
    with begin(engine) as conn:
        taken = leases.take(conn, "cycle", now=now(), ttl=60.0, owner="somebody")
        assert taken is not None and abs(taken.until - 60 - real) < 30, "this machine's clock is wrong by two hours"
        assert leases.take(conn, "cycle", now=now(), ttl=60.0) is None


def test_servers_clock_does_not_go_back_for_a_slow_answer() -> None:
    clock = postgres.Clock()
    clock.heard(1_000.0)
    first = clock()
    clock.heard(999.5)  # it was on its way for half a second
    assert clock() >= first
    clock.heard(900.0)  # somebody has set it
    assert clock() < 910.0


def test_nothing_is_made_by_looking(postgres_url: str) -> None:
    assert is_absent(postgres_url)
    found = survey(postgres_url)
    assert found.version.startswith("PostgreSQL 1") and dict(found.tables) == {} and found.schema == "public"
    assert found.may_make and abs(found.clock_ahead) < 30 and 0 < found.connections < found.most_connections
    assert is_absent(postgres_url)
    open_database(postgres_url, [tables.COMPONENT]).dispose()
    assert not is_absent(postgres_url)
