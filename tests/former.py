"""Databases as earlier versions left them, of either kind: `samples/schema/` holds what those wrote (from SQLite)."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sessions.database import begin, open_database, reading


def restore(sample: Path, where: Path | str) -> None:
    """Lay the sample down at `where`, which is empty."""
    if isinstance(where, Path):
        where.parent.mkdir(exist_ok=True)
        with contextlib.closing(sqlite3.connect(where)) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.executescript(sample.read_text(encoding="utf-8"))
        return
    with tempfile.TemporaryDirectory() as aside:
        restore(sample, Path(aside) / "sample.db")
        source, target = open_database(Path(aside) / "sample.db", ()), open_database(where, ())
        try:
            with reading(source) as there, begin(target) as here:
                _copy(there, here)
        finally:
            source.dispose()
            target.dispose()


def _copy(there: sa.Connection, here: sa.Connection) -> None:
    """The same tables and rows, made as the same program would have made them on PostgreSQL."""
    found = sa.MetaData()
    found.reflect(there)
    for table in found.tables.values():
        for column in table.columns:
            column.type = column.type.as_generic()
            if isinstance(column.type, sa.Boolean) and column.server_default is not None:
                column.server_default = sa.DefaultClause(sa.false())
            if column.primary_key and len(table.primary_key) > 1:
                column.autoincrement = False
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"].get("where")
    found.create_all(here)
    for table in found.sorted_tables:
        if rows := [dict(row) for row in there.execute(sa.select(table)).mappings()]:
            here.execute(table.insert(), rows)
        counter = next((column for column in table.primary_key if isinstance(column.type, sa.Integer)), None)
        if counter is not None and len(table.primary_key) == 1:
            sequence = sa.func.pg_get_serial_sequence(f'"{table.name}"', counter.name)
            here.execute(
                sa.select(sa.func.setval(sequence, sa.select(sa.func.max(counter) + 1).scalar_subquery(), False))
            )


def rows_of(where: Path | str) -> dict[str, list[dict[str, Any]]]:
    """Everything that a database holds, by table."""
    engine = open_database(where, ())
    try:
        with reading(engine) as conn:
            found = sa.MetaData()
            found.reflect(conn)
            return {
                name: [dict(row) for row in conn.execute(sa.select(table).order_by(sa.text("1, 2"))).mappings()]
                for name, table in found.tables.items()
            }
    finally:
        engine.dispose()


def shape_of(where: Path | str) -> dict[str, Any]:
    """Tables with their columns, keys and indexes, whatever their order."""
    engine = open_database(where, ())
    try:
        with reading(engine) as conn:
            inspector = sa.inspect(conn)
            return {table: _shape(inspector, table) for table in inspector.get_table_names()}
    finally:
        engine.dispose()


def _shape(inspector: Any, table: str) -> dict[str, Any]:
    return {
        "columns": sorted(
            (column["name"], str(column["type"]), column["nullable"], str(column["default"]))
            for column in inspector.get_columns(table)
        ),
        "key": inspector.get_pk_constraint(table)["constrained_columns"],
        "unique": sorted(one["column_names"] for one in inspector.get_unique_constraints(table)),
        "foreign": sorted(one["constrained_columns"] for one in inspector.get_foreign_keys(table)),
        "indexes": sorted(
            (str(one["name"]), one["column_names"], bool(one["unique"])) for one in inspector.get_indexes(table)
        ),
    }
