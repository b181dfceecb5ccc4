"""`bottle`: agents in bottles without any forge.

Knows verbs, options and exit codes.  What they do is elsewhere.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sessions import console
from sessions.shell import (
    Common,
    ConfigPath,
    Format,
    LogFormat,
    OutputFormat,
    UsageError,
    Verbose,
    Version,
    new_app,
    run_script,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.byhand import Ended
    from sessions.config import Settings

app = new_app("bottle", "Run agents in bottles: one identity, one conversation each, kept until you clean up.")

Identity = Annotated[str, typer.Argument(metavar="IDENTITY", show_default=False)]
TaskText = Annotated[str, typer.Argument(metavar="TASK", help="What to do; - reads it from stdin.", show_default=False)]


@app.callback()
def common(
    context: typer.Context,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
    version: Version = False,
) -> None:
    """Options that may also stand behind the verb."""
    context.obj = Common().overlaid(config=config, format=format, log_format=log_format, verbose=verbose)


@app.command("run")
def run(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="A name under `agents` of the config.")],
    task: TaskText,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """Start a new bottle, run TASK in it to its end, print the result (JSON)."""
    options, settings = _begin(context, config=config, format=format, log_format=log_format, verbose=verbose)
    text = console.task_text(task)
    with console.terminal(settings) as (terminal, on_progress, stop):
        ended = terminal.run(agent, text, on_progress=on_progress)
    return _finish(ended, options, interrupted=stop.is_set())


@app.command("run-resume")
def run_resume(
    context: typer.Context,
    identity: Identity,
    task: TaskText,
    claude_session: Annotated[str, typer.Option("--claude-session", help="The conversation's id.", show_default=False)],
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """Run TASK in the same bottle, in the same conversation; print the result (JSON)."""
    options, settings = _begin(context, config=config, format=format, log_format=log_format, verbose=verbose)
    text = console.task_text(task)
    with console.terminal(settings) as (terminal, on_progress, stop):
        ended = terminal.run_resume(identity, claude_session=claude_session, task=text, on_progress=on_progress)
    return _finish(ended, options, interrupted=stop.is_set())


@app.command("list")
def list_(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were put away.")] = False,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Sessions and their bottles, with turns, tokens, cost and state."""
    from sessions import registry, showing
    from sessions.database import reading

    options, settings = _begin(context, config=config, format=format, log_format=log_format, verbose=verbose)
    with _database(settings) as engine, reading(engine) as conn:
        found = registry.sessions(conn, all=all_)
    now = time.time()
    if options.as_json:
        typer.echo(json.dumps([showing.session_row(one, root=settings.state, now=now) for one in found]))
    elif found:
        typer.echo(showing.sessions_table(found, now=now))
    else:
        typer.echo("no sessions", err=True)


@app.command("show")
def show(
    context: typer.Context,
    identity: Identity,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """One bottle: its session, its state directory, its turns."""
    from sessions import registry, showing
    from sessions.byhand import unknown
    from sessions.database import reading

    options, settings = _begin(context, config=config, format=format, log_format=log_format, verbose=verbose)
    with _database(settings) as engine, reading(engine) as conn:
        session = registry.session_of(conn, identity)
        turns = registry.turns(conn, identity=identity)
    if session is None:
        raise unknown(identity, settings.state)
    details = showing.session_details(session, turns, root=settings.state, now=time.time())
    typer.echo(json.dumps(details) if options.as_json else showing.details_text(details, turns))


@app.command("log")
def log(
    context: typer.Context,
    of: Annotated[str | None, typer.Argument(metavar="[KEY|IDENTITY]", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the last N.", show_default=False)] = None,
    config: ConfigPath = None,
    format: Annotated[str | None, typer.Option("--format", metavar="text|jsonl", help="Lines or objects.")] = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """The turns, oldest first."""
    from sessions import registry, showing
    from sessions.database import reading

    if format not in (None, "text", "json", "jsonl"):
        raise UsageError(f"--format {format}: expected text or jsonl")
    wanted: OutputFormat | None = None if format is None else "text" if format == "text" else "json"
    options, settings = _begin(context, config=config, format=wanted, log_format=log_format, verbose=verbose)
    with _database(settings) as engine, reading(engine) as conn:
        is_bottle = of is not None and registry.session_of(conn, of) is not None
        turns = registry.turns(conn, limit=limit, **({"identity" if is_bottle else "key": of} if of else {}))
    if options.as_json:
        for turn in turns:
            typer.echo(json.dumps(showing.turn_row(turn)))
    elif turns:
        typer.echo(showing.turns_table(turns))
    else:
        typer.echo(f"no turns of {of}" if of else "no turns", err=True)


@app.command("build")
def build(
    context: typer.Context,
    identity: Annotated[
        str | None,
        typer.Argument(metavar="[IDENTITY]", help="A bottle with a Dockerfile of its own.", show_default=False),
    ] = None,
    base: Annotated[str | None, typer.Option("--base", metavar="IMAGE", help="Build on this image.")] = None,
    tag: Annotated[str, typer.Option("--tag", metavar="TAG", help="Its name.")] = "bottlepost/claude:latest",
    config: ConfigPath = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Make the image that containers are started from (or that of a bottle's own Dockerfile); print its name."""
    from sessions import imaging

    if identity is None:
        context.obj.overlaid(config=config, log_format=log_format, verbose=verbose)
        typer.echo(imaging.build(base=base, tag=tag, environ=os.environ, say=console.note))
        return
    _, settings = _begin(context, config=config, log_format=log_format, verbose=verbose)
    with _database(settings) as engine:
        typer.echo(imaging.build_own(engine, settings, identity, environ=os.environ, say=console.note))


@app.command("commit")
def commit(
    context: typer.Context,
    identity: Identity,
    config: ConfigPath = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Freeze a container's file system as the image that the bottle boots from now on; print its name."""
    from sessions import imaging

    _, settings = _begin(context, config=config, log_format=log_format, verbose=verbose)
    with _database(settings) as engine:
        tag, note = imaging.commit(engine, settings, identity, environ=os.environ)
    if note:
        console.complain(note)
    typer.echo(tag)


@app.command("cleanup")
def cleanup(
    context: typer.Context,
    identities: Annotated[list[str] | None, typer.Argument(metavar="[IDENTITY]...", show_default=False)] = None,
    orphans: Annotated[bool, typer.Option("--orphans", help="Also state that no session knows.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigPath = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Remove bottles and their state: those that were put away, or those named.  Lists them first."""
    from sessions import housekeeping, showing
    from sessions.byhand import unknown

    _, settings = _begin(context, config=config, log_format=log_format, verbose=verbose)
    with _database(settings) as engine:
        found = housekeeping.candidates(engine, settings.state, identities or [], orphans=orphans)
        for name in set(identities or []) - {one.identity for one in found}:
            raise unknown(name, settings.state)
        if not found:
            typer.echo("nothing to clean up", err=True)
            return
        typer.echo(showing.candidates_table(found))
        going = [one for one in found if one.fate in ("remove", "orphan")]
        if not going or not console.agreed(len(going), yes=yes):
            return
        gone = housekeeping.clean(
            engine, settings.state, going, now=time.time(), environ=os.environ, agents=settings.agents
        )
        typer.echo(f"removed: {', '.join(gone) or 'nothing'}")


def _begin(
    context: typer.Context,
    *,
    config: str | None,
    format: OutputFormat | None = None,
    log_format: OutputFormat | None,
    verbose: int,
) -> tuple[Common, Settings]:
    from sessions.config import load_settings

    before: Common = context.obj
    options = before.overlaid(config=config, format=format, log_format=log_format, verbose=verbose)
    return options, load_settings(options.path, environ=os.environ)


@contextmanager
def _database(settings: Settings) -> Iterator[sa.Engine]:
    """To look at: where nothing has run yet, nothing is made."""
    from sessions import tables
    from sessions.database import database_of, is_absent, open_database

    where = database_of(settings.state, settings.database)
    engine = open_database(":memory:" if is_absent(where) else where, [tables.COMPONENT])
    try:
        yield engine
    finally:
        engine.dispose()


def _finish(ended: Ended, options: Common, *, interrupted: bool) -> int:
    """The result is JSON unless text was asked for: programs call this more often than people."""
    behind = f" --config {shlex.quote(options.config)}" if options.config else ""
    is_well = console.say_result(ended, as_json=options.format != "text", options=behind)
    if interrupted:
        return 130
    return 0 if is_well else 1


def main() -> None:
    """The console script."""
    sys.exit(run_script(app, name="bottle"))


if __name__ == "__main__":
    main()
