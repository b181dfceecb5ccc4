"""The verbs of `bottle`: their arguments, and what they call.  `sessions/__main__.py` gives them their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sessions import completing
from sessions.shell import Common

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.config import Settings

Identity = Annotated[str, typer.Argument(metavar="IDENTITY", show_default=False, autocompletion=completing.identities)]


def settings_of(options: Common) -> Settings:
    """The part of the config that bottles need."""
    from sessions.config import load_settings

    return load_settings(options.path, environ=os.environ)


@contextmanager
def database(settings: Settings) -> Iterator[sa.Engine]:
    """To look at: where nothing has run yet, nothing is made."""
    from sessions import tables
    from sessions.database import database_of, is_absent, open_database

    where = database_of(settings.state, settings.database)
    engine = open_database(":memory:" if is_absent(where) else where, [tables.COMPONENT])
    try:
        yield engine
    finally:
        engine.dispose()
