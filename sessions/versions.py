"""Which version each room's tables have, and how they get to the one that this program knows: forwards only.

Knows how tables are made and moved, once, by whoever comes first.  Must not know what the tables mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from sessions.trouble import DatabaseError

if TYPE_CHECKING:
    from alembic.operations import Operations

_versions = sa.Table(
    "schema_version",
    sa.MetaData(),
    sa.Column("component", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


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


def is_empty(conn: sa.Connection) -> bool:
    """Has no bottlepost written here yet?"""
    return not sa.inspect(conn).has_table(_versions.name)


def known(conn: sa.Connection) -> dict[str, int]:
    """The version of each room's tables."""
    return {} if is_empty(conn) else {row.component: row.version for row in conn.execute(sa.select(_versions))}


def are_current(conn: sa.Connection, components: Sequence[Component]) -> bool:
    wanted = {component.name: component.version for component in components}
    return wanted.items() <= known(conn).items()


def newer(found: Mapping[str, int], components: Sequence[Component]) -> str:
    """What a later bottlepost has made of the tables; "" if none has."""
    for one in components:
        if found.get(one.name, 0) > one.version:
            return f"{one.name} has schema version {found[one.name]}, this bottlepost knows {one.version}"
    return ""


def bring_up(conn: sa.Connection, components: Sequence[Component], place: str) -> None:
    """Make what is missing and move what is old, in this write transaction.  Raises `DatabaseError`."""
    _versions.metadata.create_all(conn)
    found = known(conn)  # again: another process may have been quicker
    if ahead := newer(found, components):
        raise DatabaseError(f"{place}: {ahead}; upgrade bottlepost (an older one must not write here)")
    for component in components:
        if conn.dialect.name == "postgresql":
            _for_postgres(component.metadata)
        _bring_up_one(conn, component, found.get(component.name))


def _bring_up_one(conn: sa.Connection, component: Component, version: int | None) -> None:
    if version is None:
        component.metadata.create_all(conn)
        conn.execute(_versions.insert().values(component=component.name, version=component.version))
    elif version < component.version:
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        operations = Operations(MigrationContext.configure(conn))
        for number in range(version + 1, component.version + 1):
            component.steps[number](operations)
        row = _versions.c.component == component.name
        conn.execute(_versions.update().where(row).values(version=component.version))


def _for_postgres(metadata: sa.MetaData) -> None:
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options["postgresql"]["where"] = index.info["where"]
