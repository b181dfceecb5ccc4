"""What a shell may offer where a word is half typed: names of agents, identities of bottles, keys of pulls.

Asked at every press of Tab: reads the config and the state directory, and says nothing where they cannot be read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from sessions.shell import Common

if TYPE_CHECKING:
    from sessions.config import Settings

#: More than a screen of them helps nobody.
_MOST = 200


def agents(context: typer.Context, incomplete: str) -> list[str]:
    settings = _settings(context)
    return _fitting(list(settings.agents), incomplete) if settings is not None else []


def identities(context: typer.Context, incomplete: str) -> list[str]:
    """Bottles that have a state directory."""
    from sessions import state

    settings = _settings(context)
    try:
        return _fitting(state.identities(settings.state), incomplete) if settings is not None else []
    except OSError:
        return []


def keys(context: typer.Context, incomplete: str) -> list[str]:
    """Pulls that have a session; as far as a colon or a slash, a shell completes whole words only."""
    settings = _settings(context)
    return _fitting(_keys(settings), incomplete) if settings is not None else []


def keys_and_identities(context: typer.Context, incomplete: str) -> list[str]:
    return [*identities(context, incomplete), *keys(context, incomplete)]


def _keys(settings: Settings) -> list[str]:
    from sessions import registry, tables
    from sessions.database import DatabaseError, database_of, is_absent, open_database, reading

    where = database_of(settings.state, settings.database)
    if is_absent(where):
        return []
    try:
        engine = open_database(where, [tables.COMPONENT])
        try:
            with reading(engine) as conn:
                return list(dict.fromkeys(one.key for one in registry.sessions(conn)))
        finally:
            engine.dispose()
    except DatabaseError:
        return []


def called(context: typer.Context) -> Common:
    """The options that name the config, behind the verb or before it, of a call that is not complete yet."""
    named = context.params.get("config") or (context.parent.params.get("config") if context.parent else None)
    return Common(config=named)


def _settings(context: typer.Context) -> Settings | None:
    """Of the config that the words before it name.  Whatever is wrong with it is told when the call is made."""
    from sessions.config import ConfigError, load_settings

    try:
        return load_settings(called(context).path, environ=os.environ)
    except (ConfigError, OSError):
        return None


def _fitting(words: list[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)][:_MOST]
