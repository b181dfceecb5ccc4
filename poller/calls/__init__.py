"""How the verbs of `poll` are called: their words and options.  `poller/__main__.py` gives them their names.

What they do is in `poller/verbs`, a file each, imported when it is called.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from sessions import completing
from sessions.logs import hide
from sessions.shell import Common

if TYPE_CHECKING:
    from poller.config import Config

Key = Annotated[str, typer.Argument(metavar="KEY", help="The pull: acme/api#7.", autocompletion=completing.keys)]


def places(context: typer.Context, incomplete: str) -> list[str]:
    """What a pause may name: owners and repositories of the config, and pulls that have a session."""
    from poller.config import ConfigError

    try:
        config = config_of(completing.called(context))
    except (ConfigError, OSError):
        return []
    names = [name.removesuffix("/*") for name in config.wanted]
    owners = [name.partition("/")[0] for name in names]
    pulls = [key.removeprefix(f"{config.forge}/") for key in completing.keys(context, "")]
    return [name for name in dict.fromkeys([*owners, *names, *pulls]) if name.startswith(incomplete)]


def failed_turns(context: typer.Context, incomplete: str) -> list[str]:
    """Turns that can be run again, the newest first."""
    from poller.app import database_at_hand
    from poller.config import ConfigError
    from sessions import registry
    from sessions.database import DatabaseError, reading

    try:
        with database_at_hand(config_of(completing.called(context))) as engine, reading(engine) as conn:
            found = registry.turns(conn, state="failed", limit=50)
    except (ConfigError, DatabaseError, OSError):
        return []
    return [str(turn.id) for turn in reversed(found) if str(turn.id).startswith(incomplete)]


def config_of(options: Common) -> Config:
    """The whole config; its token is known to the log from here on, so that no line can show it."""
    from poller.config import load

    config = load(options.path, environ=os.environ)
    hide(config.token.reveal())
    return config
