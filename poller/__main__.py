"""`poll`: its verbs and options.  Each verb is a file of its own, imported when it is called."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sessions import completing
from sessions.logs import hide
from sessions.shell import (
    Common,
    ConfigPath,
    Format,
    LogFormat,
    UsageError,
    Verbose,
    Version,
    importing,
    new_app,
    run_script,
)

if TYPE_CHECKING:
    from poller.config import Config

poll = new_app("poll", "A bottled agent for every pull request, on hosts that no webhook can reach.")


def main() -> None:
    """The console script."""
    sys.exit(run_script(poll, name="poll"))


@poll.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One cycle, then every due turn, then the outbox.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="With --once: leave started turns running.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --once: show events and turns; write and post nothing.")
    ] = False,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
    version: Version = False,
) -> int:
    """Watch the forge: for ever, or once.  Without a verb and without --once it runs until it is told to stop."""
    common = Common().overlaid(config=config, format=format, log_format=log_format, verbose=verbose)
    context.obj = common
    if context.invoked_subcommand is not None:
        if once or no_wait or dry_run:
            raise UsageError(f"--once, --no-wait and --dry-run do not go with `{context.invoked_subcommand}`")
        return 0
    if (no_wait or dry_run) and not once:
        raise UsageError("--no-wait and --dry-run go with --once: poll --once …")
    if no_wait and dry_run:
        raise UsageError("--no-wait and --dry-run exclude each other: a dry run starts nothing")
    settings = _config(common)
    if once:
        with importing():
            from poller.verbs.once import once as poll_once
            from poller.verbs.once import rehearse

        if dry_run:
            return rehearse(settings, as_json=common.as_json)
        return poll_once(settings, wait=not no_wait, as_json=common.as_json)
    from poller.verbs.forever import forever

    return forever(settings)


@poll.command()
def init(
    context: typer.Context,
    schema: Annotated[bool, typer.Option("--schema", help="Print the config file's JSON schema instead.")] = False,
    config: ConfigPath = None,
) -> int:
    """Write a commented config.yaml (asks nothing, overwrites nothing)."""
    from poller import init as verb

    return verb.init(_common(context, config=config).path, schema=schema)


@poll.command()
def doctor(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Also run one throw-away turn.")] = False,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """Check config, forge, token, repositories, clock, agents and disk; say the mend beside each failure."""
    from poller import doctor as verb

    common = _common(context, config=config, format=format, log_format=log_format, verbose=verbose)
    return verb.doctor(common.path, live=live, as_json=common.as_json)


@poll.command()
def demo(
    context: typer.Context,
    claude: Annotated[bool, typer.Option("--claude", help="Use the real CLI and your login, not a script.")] = False,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """See the whole pipeline at work on a built-in stand-in Gitea: no account, no network."""
    from poller.demo.story import demo as verb

    common = _common(context, log_format=log_format, verbose=verbose)
    return verb(claude=claude, verbose=common.verbose > 0)


@poll.command()
def status(
    context: typer.Context,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """How it goes: cursor, turns, last error.  Exit code 0: healthy, 1: not."""
    from poller.verbs.status import status as verb

    common = _common(context, config=config, format=format, log_format=log_format, verbose=verbose)
    return verb(_config(common), as_json=common.as_json)


@poll.command()
def events(
    context: typer.Context,
    pull: Annotated[
        str | None,
        typer.Option("--pull", metavar="KEY", help="Only of this pull: acme/api#7.", autocompletion=completing.keys),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="NAME", help="Only EVENT or EVENT/ACTION; can be repeated.")
    ] = None,
    actor: Annotated[
        list[str] | None, typer.Option("--actor", metavar="LOGIN", help="Only by this person; can be repeated.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="24h ago, or a time.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the newest N.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones until interrupted.")] = False,
    config: ConfigPath = None,
    format: Annotated[
        str | None, typer.Option("--format", metavar="text|jsonl", help="One line or one object.")
    ] = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """The event log, oldest first."""
    from poller.verbs import events as verb

    common = _common(context, config=config, log_format=log_format, verbose=verbose)
    if format not in (None, "text", "json", "jsonl"):
        raise UsageError(f"--format {format}: expected text or jsonl")
    as_lines = format in ("json", "jsonl") or (format is None and common.as_json)
    wanted = verb.wanted(pull=pull, kinds=kind or [], actors=actor or [], since=since, now=time.time())
    run = verb.follow if follow else verb.events
    return run(_config(common), wanted, limit=limit, as_lines=as_lines)


@poll.command()
def why(
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="KEY|EVENT_ID", help="acme/api#7, or the id of an event.", autocompletion=completing.keys
        ),
    ],
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """What became of an event: seen, allowed?, which agent, which turn, its outcome, what was posted."""
    from poller.verbs.why import why as verb

    common = _common(context, config=config, format=format, log_format=log_format, verbose=verbose)
    return verb(_config(common), subject, as_json=common.as_json)


@poll.command()
def reset(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The pull: acme/api#7.", autocompletion=completing.keys)],
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Only this agent's session.", autocompletion=completing.agents),
    ] = None,
    bottle: Annotated[bool, typer.Option("--bottle", help="The bottle too, not only the conversation.")] = False,
    config: ConfigPath = None,
) -> int:
    """Forget the Claude session of a pull: the next event starts afresh."""
    from poller.verbs.steer import reset as verb

    return verb(_config(_common(context, config=config)), key, agent=agent, bottle=bottle)


@poll.command()
def retry(
    context: typer.Context,
    turn: Annotated[int, typer.Argument(metavar="TURN", help="The turn's number.")],
    config: ConfigPath = None,
) -> int:
    """Run a failed turn again."""
    from poller.verbs.steer import retry as verb

    return verb(_config(_common(context, config=config)), turn)


def _common(context: typer.Context, **behind: object) -> Common:
    before: Common = context.obj
    return before.overlaid(**behind)  # type: ignore[arg-type]


def _config(common: Common) -> Config:
    """The whole config; its token is known to the log from here on, so that no line can show it."""
    from poller.config import load

    config = load(Path(common.path), environ=os.environ)
    hide(config.token.reveal())
    return config


if __name__ == "__main__":
    main()
