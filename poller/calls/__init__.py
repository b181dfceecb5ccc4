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


def common(context: typer.Context, **behind: object) -> Common:
    """The options from before the verb, with those behind it over them."""
    before: Common = context.obj
    return before.overlaid(**behind)  # type: ignore[arg-type]


def config_of(options: Common) -> Config:
    """The whole config; its token is known to the log from here on, so that no line can show it."""
    from poller.config import load

    config = load(options.path, environ=os.environ)
    hide(config.token.reveal())
    return config
