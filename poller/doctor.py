"""`poll doctor`: is everything there that the config asks for?

Puts the checks in order and shows them.  Must not look at anything itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import typer

from poller.amounts import counted
from poller.checks import Check, fail, ok
from poller.config import Config, ConfigError, load
from sessions.logs import escaped, hide, redacted

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
#: A live turn: gets the config and the environment, and gives findings.
Live = Callable[[Config, Mapping[str, str]], Iterator[Check]]


def doctor(path: Path, *, live: bool, as_json: bool) -> int:
    """The verb: show all findings, people's as they come.  Returns the exit code."""
    from poller.checks.live import live_turn

    checks: list[Check] = []
    for check in examine(path, environ=os.environ, live=live_turn if live else None):
        checks.append(check)
        if not as_json:
            typer.echo(redacted(as_text(check)))
    if as_json:
        typer.echo(redacted(json_of(checks)))
    return exit_code_of(checks)


def examine(path: Path, *, environ: Mapping[str, str], live: Live | None = None) -> Iterator[Check]:
    """All findings, as they come.  A config that cannot be read ends it; a forge that is down only ends its part."""
    from poller.checks.forge import of_the_forge
    from poller.checks.here import on_this_machine

    try:
        config = load(path, environ=environ)
    except ConfigError as error:
        what, _, mend = str(error).partition("; ")
        yield fail("config", what, mend, exit_code=error.exit_code)
        return
    hide(config.token.reveal())
    yield ok("config", f"{path}: {counted(len(config.repos), 'pattern')}, {counted(len(config.agents), 'agent')}")
    yield from on_this_machine(config, environ)

    from poller.checks.code import of_the_code
    from poller.checks.way import of_the_way
    from poller.forge.control import Control
    from poller.forge.way import Way

    try:
        way = Way.of(config.url, ca_file=config.ca_file, environ=environ)
        yield from of_the_way(way)
        with Control(config.url, config.token.reveal(), way=way, renewed=config.token.renewed) as control:
            yield from of_the_forge(config, control)
            if live is not None:
                yield from of_the_code(config, control, way, environ)
    except ConfigError as error:
        what, _, mend = str(error).partition("; ")
        yield fail("way", what, mend or "check `gitea.ca_file`", exit_code=error.exit_code)
    if live is not None:
        yield from live(config, environ)


def exit_code_of(checks: Iterable[Check]) -> int:
    """0 when nothing failed (warnings are no failures), else what the worst says: 2 config, 3 forge, 4 token, 1."""
    codes = {check.exit_code for check in checks if check.status == "fail"}
    return next((code for code in (2, 3, 4) if code in codes), 1 if codes else 0)


def as_text(check: Check) -> str:
    """A finding for people; its mend on a line of its own."""
    line = escaped(f"{_SIGNS[check.status]}  {check.name}: {check.found}")
    return f"{line}\n      → {escaped(check.mend)}" if check.mend else line


def json_of(checks: Iterable[Check]) -> str:
    """All findings as one JSON object."""
    checks = list(checks)
    rows = [{"name": check.name, "status": check.status, "found": check.found, "mend": check.mend} for check in checks]
    return msgspec.json.encode({"checks": rows, "exit": exit_code_of(checks)}).decode()
