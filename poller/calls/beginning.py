"""Verbs for whoever begins: `init`, `doctor`, `demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from sessions.shell import Common


def init(
    options: Common,
    schema: Annotated[bool, typer.Option("--schema", help="Print the config file's JSON schema instead.")] = False,
) -> int:
    """Write a commented config.yaml (asks nothing, overwrites nothing)."""
    from poller import init as verb

    return verb.init(options.path, schema=schema, as_json=options.as_json)


def doctor(
    options: Common,
    live: Annotated[
        bool, typer.Option("--live", help="Also fetch with git, and run one throw-away turn of each agent.")
    ] = False,
) -> int:
    """Check config, forge, token, repositories, clock, agents and disk; say the mend beside each failure."""
    from poller import doctor as verb

    return verb.doctor(options.path, live=live, as_json=options.as_json)


def demo(
    options: Common,
    claude: Annotated[bool, typer.Option("--claude", help="Use the real CLI and your login, not a script.")] = False,
) -> int:
    """See the whole pipeline at work on a built-in stand-in Gitea: no account, no network."""
    from poller.demo.story import demo as verb

    return verb(claude=claude, verbose=options.verbose > 0)
