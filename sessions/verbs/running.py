"""Verbs that run an agent: `run`, `run-resume`, `resume`."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from sessions import completing, console
from sessions.shell import Common, UsageError
from sessions.verbs import Identity, settings_of

if TYPE_CHECKING:
    from sessions.byhand import Ended
    from sessions.config import Settings

TaskText = Annotated[str, typer.Argument(metavar="TASK", help="What to do; - reads it from stdin.", show_default=False)]


def run(
    options: Common,
    agent: Annotated[
        str,
        typer.Argument(metavar="AGENT", help="A name under `agents` of the config.", autocompletion=completing.agents),
    ],
    task: TaskText,
) -> int:
    """Start a new bottle, run TASK in it to its end, print the result (JSON)."""
    settings = settings_of(options)
    text = console.task_text(task)
    with console.terminal(settings) as (terminal, on_progress, stop):
        ended = terminal.run(agent, text, on_progress=on_progress)
    return _finish(ended, settings, options, interrupted=stop.is_set())


def run_resume(
    options: Common,
    identity: Identity,
    task: TaskText,
    claude_session: Annotated[str, typer.Option("--claude-session", help="The conversation's id.", show_default=False)],
) -> int:
    """Run TASK in the same bottle, in the same conversation; print the result (JSON)."""
    settings = settings_of(options)
    text = console.task_text(task)
    with console.terminal(settings) as (terminal, on_progress, stop):
        ended = terminal.run_resume(identity, claude_session=claude_session, task=text, on_progress=on_progress)
    return _finish(ended, settings, options, interrupted=stop.is_set())


def resume(
    options: Common,
    identity: Identity,
    claude_session: Annotated[
        str | None,
        typer.Option("--claude-session", help="Another conversation than the bottle's own.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be launched; launch nothing.")] = False,
) -> int:
    """Go on with the bottle's conversation yourself, at this terminal."""
    settings = settings_of(options)
    if options.as_json and not dry_run:
        raise UsageError("--format json goes with --dry-run: what is said at a terminal is no JSON")
    from sessions import byhand, resuming

    if claude_session is not None:
        byhand.check_id(settings, identity, claude_session)
    if dry_run:
        return console.say_plan(
            resuming.plan(settings, identity, claude_session, environ=os.environ), as_json=options.as_json
        )
    visited = resuming.resume(settings, identity, claude_session, environ=os.environ)
    console.say_visited(visited, options=_behind(options))
    return visited.exit


def _finish(ended: Ended, settings: Settings, options: Common, *, interrupted: bool) -> int:
    """The result is JSON unless text was asked for: programs call this more often than people."""
    is_well = console.say_result(ended, root=settings.state, as_json=options.format != "text", options=_behind(options))
    if interrupted:
        return 130
    return 0 if is_well else 1


def _behind(options: Common) -> str:
    """What a next command needs behind it."""
    return f" --config {shlex.quote(options.config)}" if options.config else ""
