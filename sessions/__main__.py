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
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import sessions
from sessions import console

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.byhand import Ended
    from sessions.config import Settings

OK, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 70, 130


class Form(StrEnum):
    text = "text"
    json = "json"


class LogForm(StrEnum):
    text = "text"
    jsonl = "jsonl"


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Run agents in bottles: one identity, one conversation each, kept until you clean up.",
)

Config = Annotated[
    Path, typer.Option("--config", envvar="BOTTLEPOST_CONFIG", help="The config file.", show_default=True)
]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; twice: also what libraries say.")]
LogFormat = Annotated[Form, typer.Option("--log-format", help="How log lines on stderr look.")]
Format = Annotated[Form, typer.Option("--format", help="For people or for programs.")]
Identity = Annotated[str, typer.Argument(metavar="IDENTITY", show_default=False)]
TaskText = Annotated[str, typer.Argument(metavar="TASK", help="What to do; - reads it from stdin.", show_default=False)]

_CONFIG = Path("config.yaml")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bottlepost {sessions.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Which this is.")
    ] = False,
) -> None:
    """Every verb takes its own options."""


@app.command("run")
def run(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="A name under `agents` of the config.")],
    task: TaskText,
    config: Config = _CONFIG,
    form: Format = Form.json,
    verbose: Verbose = 0,
    log_format: LogFormat = Form.text,
) -> None:
    """Start a new bottle, run TASK in it to its end, print the result (JSON)."""
    settings = _begin(config, verbose, log_format)
    text = console.task_text(task)
    with console.terminal(settings) as (terminal, on_progress, stop):
        ended = terminal.run(agent, text, on_progress=on_progress)
    _finish(ended, form=form, config=config, interrupted=stop.is_set())


@app.command("run-resume")
def run_resume(
    identity: Identity,
    task: TaskText,
    claude_session: Annotated[str, typer.Option("--claude-session", help="The conversation's id.", show_default=False)],
    config: Config = _CONFIG,
    form: Format = Form.json,
    verbose: Verbose = 0,
    log_format: LogFormat = Form.text,
) -> None:
    """Run TASK in the same bottle, in the same conversation; print the result (JSON)."""
    settings = _begin(config, verbose, log_format)
    text = console.task_text(task)
    with console.terminal(settings) as (terminal, on_progress, stop):
        ended = terminal.run_resume(identity, claude_session=claude_session, task=text, on_progress=on_progress)
    _finish(ended, form=form, config=config, interrupted=stop.is_set())


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that were put away.")] = False,
    config: Config = _CONFIG,
    form: Format = Form.text,
    verbose: Verbose = 0,
    log_format: LogFormat = Form.text,
) -> None:
    """Sessions and their bottles, with turns, tokens, cost and state."""
    from sessions import registry, showing
    from sessions.database import reading

    settings = _begin(config, verbose, log_format)
    with _database(settings) as engine, reading(engine) as conn:
        found = registry.sessions(conn, all=all_)
    now = time.time()
    if form is Form.json:
        typer.echo(json.dumps([showing.session_row(one, root=settings.state, now=now) for one in found]))
    elif found:
        typer.echo(showing.sessions_table(found, now=now))
    else:
        typer.echo("no sessions", err=True)


@app.command("show")
def show(
    identity: Identity,
    config: Config = _CONFIG,
    form: Format = Form.text,
    verbose: Verbose = 0,
    log_format: LogFormat = Form.text,
) -> None:
    """One bottle: its session, its state directory, its turns."""
    from sessions import registry, showing
    from sessions.byhand import unknown
    from sessions.database import reading

    settings = _begin(config, verbose, log_format)
    with _database(settings) as engine, reading(engine) as conn:
        session = registry.session_of(conn, identity)
        turns = registry.turns(conn, identity=identity)
    if session is None:
        raise unknown(identity, settings.state)
    details = showing.session_details(session, turns, root=settings.state, now=time.time())
    typer.echo(json.dumps(details) if form is Form.json else showing.details_text(details, turns))


@app.command("log")
def log(
    of: Annotated[str | None, typer.Argument(metavar="[KEY|IDENTITY]", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the last N.", show_default=False)] = None,
    config: Config = _CONFIG,
    form: Annotated[LogForm, typer.Option("--format", help="For people or for programs.")] = LogForm.text,
    verbose: Verbose = 0,
    log_format: LogFormat = Form.text,
) -> None:
    """The turns, oldest first."""
    from sessions import registry, showing
    from sessions.database import reading

    settings = _begin(config, verbose, log_format)
    with _database(settings) as engine, reading(engine) as conn:
        is_bottle = of is not None and registry.session_of(conn, of) is not None
        turns = registry.turns(conn, limit=limit, **({"identity" if is_bottle else "key": of} if of else {}))
    if form is LogForm.jsonl:
        for turn in turns:
            typer.echo(json.dumps(showing.turn_row(turn)))
    elif turns:
        typer.echo(showing.turns_table(turns))
    else:
        typer.echo(f"no turns of {of}" if of else "no turns", err=True)


@app.command("cleanup")
def cleanup(
    identities: Annotated[list[str] | None, typer.Argument(metavar="[IDENTITY]...", show_default=False)] = None,
    orphans: Annotated[bool, typer.Option("--orphans", help="Also state that no session knows.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = _CONFIG,
    verbose: Verbose = 0,
    log_format: LogFormat = Form.text,
) -> None:
    """Remove bottles and their state: those that were put away, or those named.  Lists them first."""
    from sessions import housekeeping, showing
    from sessions.byhand import unknown

    settings = _begin(config, verbose, log_format)
    with _database(settings) as engine:
        found = housekeeping.candidates(engine, settings.state, identities or [], orphans=orphans)
        for name in set(identities or []) - {one.identity for one in found}:
            raise unknown(name, settings.state)
        if not found:
            typer.echo("nothing to clean up", err=True)
            return
        typer.echo(showing.candidates_table(found))
        going = [one for one in found if one.fate in ("remove", "orphan")]
        if not going or not _agreed(len(going), yes=yes):
            return
        gone = housekeeping.clean(engine, settings.state, going, now=time.time())
        typer.echo(f"removed: {', '.join(gone) or 'nothing'}")


def _agreed(number: int, *, yes: bool) -> bool:
    if yes:
        return True
    if sys.stdin.isatty():
        return typer.confirm(f"remove {number}?")
    typer.echo("nothing removed: say --yes to remove those", err=True)
    return False


def _begin(config: Path, verbose: int, log_format: Form) -> Settings:
    from sessions.config import load_settings
    from sessions.logs import set_up

    set_up(verbose=verbose, log_format=log_format.value)
    return load_settings(config, environ=os.environ)


@contextmanager
def _database(settings: Settings) -> Iterator[sa.Engine]:
    """To look at: where nothing has run yet, nothing is made."""
    from sessions import tables
    from sessions.database import database_of, open_database

    where = database_of(settings.state, settings.database)
    is_missing = isinstance(where, Path) and not where.exists()
    engine = open_database(":memory:" if is_missing else where, [tables.COMPONENT])
    try:
        yield engine
    finally:
        engine.dispose()


def _finish(ended: Ended, *, form: Form, config: Path, interrupted: bool) -> None:
    options = "" if config == _CONFIG else f" --config {shlex.quote(str(config))}"
    is_well = console.say_result(ended, as_json=form is Form.json, options=options)
    if interrupted or not is_well:
        raise typer.Exit(INTERRUPTED if interrupted else FAILED)


def main(arguments: list[str] | None = None) -> None:
    """The console script.  Expected failures are one line; anything else is a bug, with a report to paste."""
    from sessions.byhand import Refused
    from sessions.config import ConfigError
    from sessions.database import DatabaseError

    try:
        app(arguments, prog_name="bottle")
    except (Refused, ConfigError, DatabaseError) as error:
        console.complain(error)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as bug:
        typer.echo(console.report(bug), err=True)
        sys.exit(BUG)


if __name__ == "__main__":
    main()
