"""Verbs for whoever begins: `init`, `doctor`, `demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from poller.calls import common
from sessions.shell import ConfigPath, Format, LogFormat, Verbose


def init(
    context: typer.Context,
    schema: Annotated[bool, typer.Option("--schema", help="Print the config file's JSON schema instead.")] = False,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """Write a commented config.yaml (asks nothing, overwrites nothing)."""
    from poller import init as verb

    options = common(context, config=config, format=format, log_format=log_format, verbose=verbose)
    return verb.init(options.path, schema=schema, as_json=options.as_json)


def doctor(
    context: typer.Context,
    live: Annotated[
        bool, typer.Option("--live", help="Also fetch with git, and run one throw-away turn of each agent.")
    ] = False,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """Check config, forge, token, repositories, clock, agents and disk; say the mend beside each failure."""
    from poller import doctor as verb

    options = common(context, config=config, format=format, log_format=log_format, verbose=verbose)
    return verb.doctor(options.path, live=live, as_json=options.as_json)


def demo(
    context: typer.Context,
    claude: Annotated[bool, typer.Option("--claude", help="Use the real CLI and your login, not a script.")] = False,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """See the whole pipeline at work on a built-in stand-in Gitea: no account, no network."""
    from poller.demo.story import demo as verb

    options = common(context, log_format=log_format, verbose=verbose)
    return verb(claude=claude, verbose=options.verbose > 0)
