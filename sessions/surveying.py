"""How a database stands, for whoever asks before anything is done with it.

Looks, and changes nothing.  Must not judge: what is well and what is not, its reader says.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import sqlalchemy as sa

from sessions import versions
from sessions.database import open_database, reading

_FACTS = """
SELECT current_setting('server_version') AS version,
       coalesce(current_schema(), '') AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_make,
       extract(epoch FROM clock_timestamp())::float8 AS moment,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most
"""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """`tables`: the version of each room's; empty before the first run.  `damage`: what SQLite's own check finds."""

    version: str
    tables: Mapping[str, int]
    damage: str = ""
    #: The PostgreSQL schema that tables are made in, "" = none of the search path is there; and whether they may be.
    schema: str = ""
    may_make: bool = True
    #: Seconds by which the server's clock is ahead of ours.
    clock_ahead: float = 0.0
    connections: int = 0
    most_connections: int = 0


def survey(where: str | Path) -> Survey:
    """Raises `DatabaseError`."""
    engine = open_database(where, ())
    try:
        with reading(engine) as conn:
            tables = versions.known(conn)
            if engine.dialect.name == "postgresql":
                return _of_postgres(conn, tables)
            version = f"SQLite {conn.exec_driver_sql('SELECT sqlite_version()').scalar()}"
            found = str(conn.exec_driver_sql("PRAGMA quick_check(1)").scalar())
            return Survey(version=version, tables=tables, damage="" if found == "ok" else found)
    finally:
        engine.dispose()


def _of_postgres(conn: sa.Connection, tables: Mapping[str, int]) -> Survey:
    before = time.time()
    row = conn.exec_driver_sql(_FACTS).one()
    return Survey(
        version=f"PostgreSQL {row.version}",
        tables=tables,
        schema=row.schema,
        may_make=row.may_make,
        clock_ahead=row.moment - (before + time.time()) / 2,
        connections=row.connections,
        most_connections=row.most,
    )
