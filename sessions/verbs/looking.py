"""Verbs that look: `list`, `show`, `log`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sessions import completing
from sessions.shell import Common, OutputFormat, UsageError
from sessions.verbs import Identity, database, settings_of

if TYPE_CHECKING:
    import sqlalchemy as sa


def list_(
    options: Common,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were put away.")] = False,
) -> None:
    """Sessions and their bottles, with turns, tokens, cost and state."""
    from sessions import registry, showing
    from sessions.database import reading

    settings = settings_of(options)
    with database(settings) as engine, reading(engine) as conn:
        found = registry.sessions(conn, all=all_)
    now = time.time()
    if options.as_json:
        typer.echo(json.dumps([showing.session_row(one, root=settings.state, now=now) for one in found]))
    elif found:
        typer.echo(showing.sessions_table(found, now=now))
    else:
        typer.echo("no sessions", err=True)


def show(options: Common, identity: Identity) -> None:
    """One bottle: its session, its state directory, its turns."""
    from sessions import registry, showing
    from sessions.byhand import unknown
    from sessions.database import reading

    settings = settings_of(options)
    with database(settings) as engine, reading(engine) as conn:
        session = registry.session_of(conn, identity)
        turns = registry.turns(conn, identity=identity)
    if session is None:
        raise unknown(identity, settings.state)
    details = showing.session_details(session, turns, root=settings.state, now=time.time())
    typer.echo(json.dumps(details) if options.as_json else showing.details_text(details, turns))


def log(
    options: Common,
    of: Annotated[
        str | None,
        typer.Argument(metavar="[KEY|IDENTITY]", show_default=False, autocompletion=completing.keys_and_identities),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the last N.", show_default=False)] = None,
    format: Annotated[str | None, typer.Option("--format", metavar="text|jsonl", help="Lines or objects.")] = None,
) -> None:
    """The turns, oldest first."""
    from sessions import registry, showing
    from sessions.database import reading

    if format not in (None, "text", "json", "jsonl"):
        raise UsageError(f"--format {format}: expected text or jsonl")
    wanted: OutputFormat | None = None if format is None else "text" if format == "text" else "json"
    options, settings = options.overlaid(format=wanted), settings_of(options)
    with database(settings) as engine, reading(engine) as conn:
        is_bottle = of is not None and registry.session_of(conn, of) is not None
        turns = registry.turns(conn, limit=limit, **({"identity" if is_bottle else "key": of} if of else {}))
        if of is not None and not turns and not is_bottle:
            _check_key(conn, of, settings.state)
    if options.as_json:
        for turn in turns:
            typer.echo(json.dumps(showing.turn_row(turn)))
    elif turns:
        typer.echo(showing.turns_table(turns))
    else:
        typer.echo(f"no turns of {of}" if of else "no turns", err=True)


def _check_key(conn: sa.Connection, of: str, root: Path) -> None:
    """Whether there is a session with this key, of which its end is enough.  Raises `Refused`, `UsageError`."""
    from sessions import registry, state
    from sessions.byhand import unknown

    if any(f"/{one.key}".endswith(f"/{of}") for one in registry.sessions(conn, all=True)):
        return
    if state.is_identity(of):
        raise unknown(of, root)
    raise UsageError(f"{of}: no turn and no session of it; expected KEY or IDENTITY, `bottle list --all` shows them")
