"""The one door to the database: opening it, its transactions, its clock, its failures as one line.

SQLite by default, one file; PostgreSQL by the same statements.  Write transactions are one at a time on both: whoever
begins one sees everything that was committed before.  Knows engines; must not know what the tables mean.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from sessions import sqlite, versions
from sessions.trouble import DatabaseError, Said
from sessions.versions import Component, unique_where

__all__ = [
    "Component",
    "DatabaseError",
    "begin",
    "clock_of",
    "database_of",
    "is_absent",
    "is_shared",
    "open_database",
    "reading",
    "rehearsing",
    "unique_where",
]


def open_database(where: str | Path, components: Sequence[Component]) -> sa.Engine:
    """An engine whose schema is current.  Safe for several processes at once.  Raises `DatabaseError`."""
    engine = _engine(where)
    try:
        with _clear_errors(engine):
            with engine.connect().execution_options(**_reader(engine)) as conn:
                if versions.are_current(conn, components):
                    return engine
            with engine.begin() as conn:
                if _is_postgres(engine):
                    from sessions import postgres

                    postgres.unbounded(conn)
                versions.bring_up(conn, components, _place(engine))
    except BaseException:
        engine.dispose()
        raise
    return engine


def database_of(state: Path, database: str | None) -> str | Path:
    """Where the database is: what the config says, else one file in the state directory."""
    return database or state / "bottlepost.db"


def is_absent(where: str | Path) -> bool:
    """Has nothing been written there yet?  A place that cannot be looked at is another matter: opening it says why."""
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        try:
            return not Path(url.database or "").stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
    engine = _engine(where)
    try:
        with reading(engine) as conn:
            return versions.is_empty(conn)
    finally:
        engine.dispose()


@contextlib.contextmanager
def begin(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One write transaction: committed at the end, rolled back on any exception."""
    with _clear_errors(engine), engine.begin() as conn:
        yield conn


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One consistent look, which never waits for a writer."""
    with _clear_errors(engine), engine.connect().execution_options(**_reader(engine)) as conn:
        yield conn


@contextlib.contextmanager
def rehearsing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A write transaction of which nothing is kept."""
    with _clear_errors(engine), engine.connect() as conn:
        yield conn


def is_shared(engine: sa.Engine) -> bool:
    """May other machines use it too?"""
    return _is_postgres(engine)


def clock_of(engine: sa.Engine) -> Callable[[], float]:
    """Epoch seconds by which leases are held: of the server that all machines share, else of this machine."""
    if _is_postgres(engine):
        from sessions import postgres

        return postgres.clock_of(engine) or time.time
    return time.time


def _url(where: str | Path) -> sa.URL:
    if isinstance(where, Path) or "://" not in where:
        return sa.URL.create("sqlite", database=str(where))
    if where.startswith("postgresql"):
        from sessions import postgres

        return postgres.url_of(where)
    try:
        url = sa.make_url(where)
    except (exc.ArgumentError, ValueError):
        raise DatabaseError("database: not a URL; expected a file name or postgresql://user@host/name") from None
    if url.get_backend_name() != "sqlite":
        raise DatabaseError(f"database: {url.drivername}:// is not supported; expected a file name or postgresql://…")
    return url


def _engine(where: str | Path) -> sa.Engine:
    """Of whichever kind; nothing of its tables is looked at."""
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        return sqlite.engine_of(url)
    from sessions import postgres

    return postgres.engine_of(url)


def _is_postgres(engine: sa.Engine) -> bool:
    return engine.dialect.name == "postgresql"


def _reader(engine: sa.Engine) -> Mapping[str, Any]:
    if not _is_postgres(engine):
        return {sqlite.READ_ONLY: True}
    from sessions import postgres

    return postgres.READER


def _place(engine: sa.Engine) -> str:
    """As people may see it."""
    if not _is_postgres(engine):
        return engine.url.database or ":memory:"
    from sessions import postgres

    return postgres.shown(engine.url)


@contextlib.contextmanager
def _clear_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        said = _said(engine, error)
        if said is None:
            raise
        raise DatabaseError(f"{_place(engine)}: {said.what}; {said.mend}", passing=said.passing) from error
    except exc.TimeoutError as error:
        text = f"{_place(engine)}: all connections of this process are in use; try again"
        raise DatabaseError(text, passing=True) from error


def _said(engine: sa.Engine, error: exc.DBAPIError) -> Said | None:
    """Only the driver's own words: SQLAlchemy's text would quote the statement and its values.

    `None`: the world did not break.  A broken constraint or a wrong statement is a bug of ours."""
    by_class = isinstance(error, exc.OperationalError | exc.InterfaceError)
    if _is_postgres(engine):
        from sessions import postgres

        return postgres.said(error.orig) if by_class or postgres.is_outside(error.orig) else None
    if not by_class and type(error) is not exc.DatabaseError:
        return None
    return sqlite.said(" ".join(str(error.orig).split()))
