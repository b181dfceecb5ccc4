"""The one door to the database: opening it, its schema's versions, its transactions.

SQLite by default, one file; PostgreSQL by the same statements.  Write transactions are one at a time on both: whoever
begins one sees everything that was committed before.  Knows engines; must not know what the tables mean.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

if TYPE_CHECKING:
    from alembic.operations import Operations

_BUSY_SECONDS = 30
_POSTGRES_LOCK = 0x626F7474  # "bott": any number, as long as every bottlepost takes the same
_READ_ONLY = "bottlepost_read_only"

_versions = sa.Table(
    "schema_version",
    sa.MetaData(),
    sa.Column("component", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


class DatabaseError(Exception):
    """The database cannot be used (now); the text is one line with the place and the mend."""

    exit_code = 2


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A room's tables.  `steps[n]` moves them from version n-1 to n, by alembic's operations."""

    name: str
    metadata: sa.MetaData
    version: int
    steps: Mapping[int, Callable[[Operations], None]] = {}


def unique_where(name: str, *columns: sa.Column[Any], where: sa.ColumnElement[bool]) -> None:
    """A partial unique index: at most one row with these values among those that fit `where`."""
    # PostgreSQL's option, named here, would import its dialect on every start; `_for_postgres` adds it when needed.
    sa.Index(name, *columns, unique=True, sqlite_where=where, info={"where": where})


def open_database(where: str | Path, components: Sequence[Component]) -> sa.Engine:
    """An engine whose schema is current.  Safe for several processes at once.  Raises `DatabaseError`."""
    url = _url(where)
    place = str(where) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgres(url)
    try:
        _bring_up(engine, components, place)
    except BaseException:
        engine.dispose()
        raise
    return engine


def database_of(state: Path, database: str | None) -> str | Path:
    """Where the database is: what the config says, else one file in the state directory."""
    return database or state / "bottlepost.db"


def is_absent(where: str | Path) -> bool:
    """Is there no database yet?  A place that cannot be looked at is another matter: opening it says why."""
    try:
        return isinstance(where, Path) and not where.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def begin(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One write transaction: committed at the end, rolled back on any exception."""
    with _clear_errors(engine), engine.begin() as conn:
        yield conn


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One consistent look, which never waits for a writer."""
    with _clear_errors(engine), engine.connect().execution_options(**{_READ_ONLY: True}) as conn:
        yield conn


@contextlib.contextmanager
def rehearsing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A write transaction of which nothing is kept."""
    with _clear_errors(engine), engine.connect() as conn:
        yield conn


def _url(where: str | Path) -> sa.URL:
    if isinstance(where, Path) or "://" not in where:
        return sa.URL.create("sqlite", database=str(where))
    try:
        url = sa.make_url(where)
    except exc.ArgumentError:
        raise DatabaseError("database: not a URL; expected a file name or postgresql://user@host/name") from None
    if url.get_backend_name() == "postgresql" and url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() in ("sqlite", "postgresql"):
        return url
    raise DatabaseError(f"database: {url.drivername}:// is not supported; expected a file name or postgresql://…")


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database and url.database != ":memory:":
        _make_private_file(Path(url.database))
    # isolation_level=None: Python's sqlite3 begins no transactions of its own, `_begin_sqlite` does.
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None})
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private_file(path: Path) -> None:
    """The file, 0600 from its first moment; SQLite gives its -wal and -shm the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseError(
            f"{path}: cannot open the database ({error.strerror}); "
            "make it readable and writable, or set another `state`"
        ) from None


def _set_up_sqlite(raw: Any, _record: object) -> None:
    cursor = raw.cursor()
    try:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")
        _to_wal(cursor)
    finally:
        cursor.close()


def _to_wal(cursor: Any) -> None:
    import sqlite3

    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not call its busy handler here: two first openers meet, one must come again.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(conn: sa.Connection) -> None:
    # IMMEDIATE: a transaction that began as a reader cannot become a writer once somebody else has written.
    read_only = conn.get_execution_options().get(_READ_ONLY)
    conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _postgres(url: sa.URL) -> sa.Engine:
    try:
        engine = sa.create_engine(url, pool_pre_ping=True)
    except exc.NoSuchModuleError:
        raise DatabaseError(f"database: {url.drivername}:// is not supported; expected postgresql://…") from None
    except ModuleNotFoundError as error:
        raise DatabaseError(f"database: {url.drivername} needs a driver: pip install {error.name}") from None
    sa.event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(conn: sa.Connection) -> None:
    if not conn.get_execution_options().get(_READ_ONLY):
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")


def _bring_up(engine: sa.Engine, components: Sequence[Component], place: str) -> None:
    wanted = {component.name: component.version for component in components}
    try:
        with engine.connect().execution_options(**{_READ_ONLY: True}) as conn:
            if wanted.items() <= _known_versions(conn).items():
                return
        with engine.begin() as conn:
            _versions.metadata.create_all(conn)
            known = _known_versions(conn)  # again: another process may have been quicker
            for component in components:
                _bring_up_one(conn, component, known.get(component.name), place)
    except exc.DatabaseError as error:
        _refuse(error, place)


def _known_versions(conn: sa.Connection) -> dict[str, int]:
    if not sa.inspect(conn).has_table(_versions.name):
        return {}
    return {row.component: row.version for row in conn.execute(sa.select(_versions))}


def _bring_up_one(conn: sa.Connection, component: Component, known: int | None, place: str) -> None:
    if known is None:
        if conn.dialect.name == "postgresql":
            _for_postgres(component.metadata)
        component.metadata.create_all(conn)
        conn.execute(_versions.insert().values(component=component.name, version=component.version))
        return
    if known > component.version:
        raise DatabaseError(
            f"{place}: {component.name} has schema version {known}, this bottlepost knows {component.version}; "
            "upgrade bottlepost (an older one must not write here)"
        )
    if known < component.version:
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        operations = Operations(MigrationContext.configure(conn))
        for version in range(known + 1, component.version + 1):
            component.steps[version](operations)
        row = _versions.c.component == component.name
        conn.execute(_versions.update().where(row).values(version=component.version))


def _for_postgres(metadata: sa.MetaData) -> None:
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options["postgresql"]["where"] = index.info["where"]


@contextlib.contextmanager
def _clear_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError) as error:
        _refuse(error, engine.url.render_as_string(hide_password=True).removeprefix("sqlite:///"))
    except exc.DatabaseError as error:
        if type(error) is not exc.DatabaseError:  # a broken constraint or a wrong statement is a bug of ours
            raise
        _refuse(error, engine.url.render_as_string(hide_password=True).removeprefix("sqlite:///"))


def _refuse(error: exc.DBAPIError, place: str) -> Never:
    """Only the driver's own words: SQLAlchemy's text would quote the statement and its values."""
    said = " ".join(str(error.orig).split())
    mend = "check that the database can be reached"
    if "not a database" in said or "malformed" in said:
        mend = "move the file away (a new one is made, which begins afresh) or restore a copy"
    elif "locked" in said:
        mend = "another process has been writing for long; try again"
    elif "full" in said:
        mend = "make room on the disk"
    elif "readonly" in said or "unable to open" in said:
        mend = "make the file and its directory readable and writable"
    raise DatabaseError(f"{place}: {said}; {mend}") from error
