"""Verbs that look: `status`, `events`, `why`, `simulate`, `report`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from poller.calls import config_of
from sessions import completing
from sessions.shell import Common, UsageError


def status(options: Common) -> int:
    """How it goes: cursor, turns, pauses, last error.  Exit code 0: healthy, 1: not."""
    from poller.verbs.status import status as verb

    return verb(config_of(options), as_json=options.as_json)


def events(
    options: Common,
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
    format: Annotated[
        str | None, typer.Option("--format", metavar="text|jsonl", help="One line or one object.")
    ] = None,
) -> int:
    """The event log, oldest first."""
    from poller.verbs import events as verb

    if format not in (None, "text", "json", "jsonl"):
        raise UsageError(f"--format {format}: expected text or jsonl")
    as_lines = format in ("json", "jsonl") or (format is None and options.as_json)
    wanted = verb.wanted(pull=pull, kinds=kind or [], actors=actor or [], since=since, now=time.time())
    run = verb.follow if follow else verb.events
    return run(config_of(options), wanted, limit=limit, as_lines=as_lines)


def why(
    options: Common,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="KEY|EVENT_ID", help="acme/api#7, or the id of an event.", autocompletion=completing.keys
        ),
    ],
) -> int:
    """What became of an event: seen, allowed?, which agent, which turn, its outcome, what was posted."""
    from poller.verbs.why import why as verb

    return verb(config_of(options), subject, as_json=options.as_json)


def report(
    options: Common,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Where to [default: stdout].")] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="30d, 24h, or a time.")] = "30d",
) -> int:
    """One HTML page: pulls and turns in time, cost, how long it took, what failed and why."""
    from poller.verbs.report import report as verb

    return verb(config_of(options), since=since, out=out, as_json=options.as_json)


def simulate(
    options: Common,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="30d, 24h, or a time.")] = "30d",
) -> int:
    """What a changed config would have made of the logged events, and about what it would have cost.

    Name the changed file with --config; it must name the same `gitea.url` and `state`.  Writes nothing, asks nobody:
    people are judged by what is remembered of their rights.
    """
    from poller.verbs.simulating import simulated

    return simulated(config_of(options), since=since, as_json=options.as_json)
