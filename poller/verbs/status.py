"""`poll status`: is it well, and what is it doing?  The exit code says the first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from poller.amounts import span
from poller.app import database_at_hand
from poller.config import Config
from poller.health import health
from sessions.database import clock_of, reading
from sessions.logs import escaped


def status(config: Config, *, as_json: bool) -> int:
    """0 healthy, 1 not."""
    with database_at_hand(config) as engine, reading(engine) as conn:
        found = health(conn, config, now=clock_of(engine)())
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for line in _lines(found):
            print(escaped(line))
    return 0 if found["healthy"] else 1


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """The glance: what is wrong comes right behind the first line."""
    yield f"{'healthy' if found['healthy'] else 'NOT healthy'}: {found['forge']} as {found['bot'] or 'nobody yet'}"
    yield from (f"  - {problem}" for problem in found["problems"])
    for one in found["held"]:
        by = f" by {one['by']}" if one["by"] else ""
        waiting = f"; {one['waiting']} turns wait" if one["waiting"] else ""
        yield f"  paused{by}: {one['what']}, since {one['since']}: {one['reason']}{waiting}"
    for one in found["patient"]:
        yield f"  turn {one['turn']} on {one['key']} waits, looked at again at {one['until']}: {one['reason']}"
    if found["left_alone_until"] is not None:
        yield f"  left alone until {found['left_alone_until']}: the forge has asked for patience"
    if found["age_seconds"] is not None:
        yield f"  cursor {found['cursor']}, last successful cycle {span(found['age_seconds'])} ago"
    if found["lag_seconds"] is not None:
        yield f"  events are seen {span(found['lag_seconds'])} after they happened (the middle of the newest)"
    turns = found["turns"]
    yield (
        f"  turns: {turns['running']} running, {turns['waiting']} waiting, {turns['done']} done, "
        f"{turns['failed']} failed; sessions: {found['sessions']}; posts waiting: {found['outbox']}"
    )
    cost = found["cost"]
    cached = "" if cost["cache_read_ratio"] is None else f"; {cost['cache_read_ratio']:.0%} of the input from the cache"
    yield f"  cost: ${cost['today_usd']:.2f} today (UTC), ${cost['usd']:.2f} in all{cached}"
    for cap in found["caps"]:
        reserved = f", ${cap['reserved_usd']:.2f} reserved" if cap["reserved_usd"] else ""
        yield f"  limit of a {cap['of']}: ${cap['spent_usd']:.2f} of ${cap['cap_usd']:.2f} spent{reserved}"
    sweeps, requests = found["sweeps"], found["requests"]
    yield (
        f"  sweeps: {sweeps['pulls']} pulls, {sweeps['repositories']} repositories, {sweeps['overdue']} overdue; "
        f"requests: {requests['sent']} ({requests['per_minute']} a minute), {requests['by_sweeps']} of them by sweeps"
    )
