"""`poll events`: the event log, oldest first."""

from __future__ import annotations

import sys

from poller import eventlog
from poller.app import database_at_hand
from poller.config import Config
from poller.halves import stamp_of
from poller.scalars import start_of
from poller.verbs.screen import event_line
from sessions.database import reading


def moment_of(text: str, *, now: float) -> str:
    """`24h` ago, or a time, as `…Z`.  Raises `ValueError`."""
    return stamp_of(start_of(text, now=now))


def events(config: Config, *, key: str | None, since: str | None, limit: int | None, as_lines: bool) -> int:
    """Print the log; `since` is a stamp as `moment_of` makes it."""
    with database_at_hand(config) as engine, reading(engine) as conn:
        wanted = whole_key(key, config) if key is not None else None
        found = eventlog.event_log(conn, key=wanted, since=since, limit=limit)
    for event in found:
        if as_lines:
            sys.stdout.write(event.to_json().decode() + "\n")
        else:
            print(event_line(event))
    return 0


def whole_key(key: str, config: Config) -> str:
    """`acme/api#7` is enough where there is one forge."""
    return key if key.startswith(f"{config.forge}/") else f"{config.forge}/{key}"
