"""What `poll doctor` sees of the database: whether it opens, holds what we know, and may be written to.

Looks and changes nothing: a file that is not there is not made, and no table either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from poller.checks import Check, fail, ok, warn
from poller.config import Config

#: Seconds by which two clocks may differ without a word: leases are held by the server's.
LITTLE = 5.0
#: The part of a server's connections that others may have before it is worth a word.
CROWDED = 0.8


def of_the_database(config: Config) -> Iterator[Check]:
    """All findings."""
    from sessions.database import DatabaseError, database_of, is_absent
    from sessions.surveying import survey

    where = database_of(config.state, config.database)
    on_disk = isinstance(where, Path) or not where.startswith("postgresql")
    try:
        if on_disk and is_absent(where):
            yield ok("database", f"{_file(where)} is not there yet")
            return
        found = survey(where)
    except DatabaseError as error:
        what, _, mend = str(error).partition("; ")
        yield fail("database", what, mend or "see the message", exit_code=error.exit_code)
        return
    from poller.app import COMPONENTS
    from sessions.versions import newer

    if ahead := newer(found.tables, COMPONENTS):
        yield fail("database", ahead, "upgrade bottlepost (an older one must not write here)", exit_code=2)
        return
    if found.damage:
        mend = "stop every `poll`, move the file and its -wal and -shm away, and restore a copy (or begin afresh)"
        yield fail("database", f"{_file(where)} is damaged: {found.damage}", mend, exit_code=2)
        return
    if on_disk:
        yield _of_file(_file(where), found.version)
        return
    place = f"{found.version}, schema {found.schema or '(none)'}" + ("" if found.tables else ", no tables yet")
    if not found.schema or not found.may_make:
        why = "may not make tables there" if found.schema else "its search_path names no schema that is there"
        mend = f"GRANT CREATE, USAGE ON SCHEMA {found.schema or 'public'} TO this user, or let it own the database"
        yield fail("database", f"{place}: {why}", mend, exit_code=2)
        return
    yield ok("database", place)
    if abs(found.clock_ahead) > LITTLE:
        mend = "let both keep time (NTP); leases go by the server's clock, the log's times too"
        side = "ahead of" if found.clock_ahead > 0 else "behind"
        yield warn("database clock", f"{abs(found.clock_ahead):.0f}s {side} this machine's", mend)
    if found.connections > CROWDED * found.most_connections:
        used = f"{found.connections} of {found.most_connections} connections are in use"
        yield warn("database connections", used, "raise the server's max_connections")


def _file(where: Path | str) -> Path:
    return where if isinstance(where, Path) else Path(where.partition("://")[2].removeprefix("/"))


def _of_file(file: Path, version: str) -> Check:
    if not os.access(file, os.W_OK) or not os.access(file.parent, os.W_OK):
        mend = "make the file and its directory writable, or set another `state`"
        return fail("database", f"{file} cannot be written", mend, exit_code=2)
    return ok("database", f"{file}, {version}")
