"""`poll status`: is it well, and what is it doing?  The exit code says the first."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import outbox, rounds, store
from poller import pauses as held
from poller.app import database_at_hand
from poller.config import Config
from poller.halves import stamp_of
from sessions import ledger, pauses, registry
from sessions.database import reading
from sessions.logs import escaped

#: Seconds without a successful cycle after which something is wrong, however rarely cron calls.
STALE = 7200.0
#: For so many seconds a failure that nobody mends keeps `status` from being healthy.
DAY = 86_400.0


def status(config: Config, *, as_json: bool) -> int:
    """0 healthy, 1 not."""
    with database_at_hand(config) as engine, reading(engine) as conn:
        found = _gathered(conn, config, now=time.time())
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _say(found)
    return 0 if found["healthy"] else 1


def _gathered(conn: sa.Connection, config: Config, *, now: float) -> dict[str, Any]:
    forge = store.forge(conn, config.forge)
    counts = registry.counts(conn)
    troubles = store.troubled_repositories(conn, config.forge)
    unread = [place for place in store.troubled_places(conn, config.forge) if config.watches(place.repo)]
    pulls = {f"{place.repo}#{place.number}": place.error for place in unread}
    age = now - forge.success_at if forge.success_at is not None else None
    failing = bool(forge.error) and (forge.success_at is None or (forge.error_at or 0) >= forge.success_at)
    problems = []
    if age is None:
        problems.append("no cycle has succeeded yet: run `poll --once`")
    elif age > max(STALE, 10 * float(config.poll.every)):
        problems.append(f"the last successful cycle was {_span(age)} ago: is the timer running?")
    if failing:
        problems.append(f"the last cycle failed: {forge.error}")
    problems += [f"{name} cannot be read: {error}" for name, error in {**troubles, **pulls}.items()]
    sweeps = rounds.schedule(conn, config.forge, config.poll, now=now)
    problems += [f"the sweep of {name} failed: {error}" for name, error in sweeps.failing.items()]
    problems += _of_turns(conn, now=now)
    problems += [f"an answer could not be posted on {key}: {error}" for key, error in outbox.failures(conn, now - DAY)]
    return {
        "healthy": not problems,
        "problems": problems,
        "forge": config.forge,
        "version": forge.version,
        "bot": forge.bot.login if forge.bot is not None else None,
        "cursor": forge.cursor,
        "last_success": stamp_of(forge.success_at) if forge.success_at is not None else None,
        "age_seconds": round(age, 1) if age is not None else None,
        "last_error": {"at": stamp_of(forge.error_at), "error": forge.error} if forge.error_at is not None else None,
        "turns": {"running": counts.running, "waiting": counts.waiting, "failed": counts.failed, "done": counts.done},
        "sessions": counts.sessions,
        "cost": _cost(conn, now=now),
        "paused": [{"agent": one.agent, "until": stamp_of(one.until), "why": one.why} for one in pauses.pauses(conn)],
        "held": [_held(conn, one) for one in held.pauses(conn, config.forge)],
        "sweeps": {"pulls": sweeps.pulls, "repositories": sweeps.repositories, "overdue": sweeps.overdue},
        "requests": _requests(forge, now=now),
        "outbox": outbox.waiting(conn),
    }


def _held(conn: sa.Connection, pause: held.Pause) -> dict[str, Any]:
    """What somebody paused: that is no trouble, but nobody should have to remember it."""
    waiting = held.turns_within(conn, pause.scope)["waiting"]
    about = {"what": pause.name, "reason": pause.reason, "by": pause.by, "since": stamp_of(pause.since)}
    return {**about, "waiting": waiting}


def _requests(forge: store.Forge, *, now: float) -> dict[str, Any]:
    """How many were sent since the counting began, and how many of them by sweeps."""
    since = forge.counted_from
    minutes = max(1.0, (now - since) / 60)
    return {
        "since": stamp_of(since) if since else None,
        "sent": forge.requests,
        "by_sweeps": forge.swept,
        "per_minute": round(forge.requests / minutes, 1),
    }


def _cost(conn: sa.Connection, *, now: float) -> dict[str, Any]:
    today, ever = ledger.spent_since(conn, ledger.day_of(now)), ledger.spent_since(conn, 0.0)
    cached = ever.usage.cached
    return {
        "today_usd": round(today.usd, 6),
        "usd": round(ever.usd, 6),
        "today_tokens": msgspec.structs.asdict(today.usage),
        "cache_read_ratio": None if cached is None else round(cached, 3),
    }


def _of_turns(conn: sa.Connection, *, now: float) -> list[str]:
    """What keeps agents from answering: pauses, turns that wait after a failure, turns that failed for good."""
    found = []
    for pause in pauses.pauses(conn):
        until = f"paused until {stamp_of(pause.until)}" if pause.until > now else "to be tried again"
        found.append(f"agent {pause.agent} is {until}: {pause.why}; its events are kept")
    for turn in registry.turns(conn, state="waiting"):
        if turn.reason:
            found.append(f"turn {turn.id} on {turn.key} waits until {stamp_of(turn.not_before)}: {turn.reason}")
    for turn in registry.turns(conn, state="failed", limit=20):
        # Whoever ran one by hand was told, and `poll retry` has nothing to repeat.
        if turn.ended_at is not None and now - turn.ended_at < DAY and not turn.by_hand:
            found.append(f"turn {turn.id} on {turn.key} failed: {turn.reason}; `poll retry {turn.id}` runs it again")
    return found


def _say(found: dict[str, Any]) -> None:
    turns = found["turns"]
    print(f"{'healthy' if found['healthy'] else 'NOT healthy'}: {found['forge']} as {found['bot'] or 'nobody yet'}")
    if found["age_seconds"] is not None:
        print(f"  cursor {found['cursor']}, last successful cycle {_span(found['age_seconds'])} ago")
    print(
        f"  turns: {turns['running']} running, {turns['waiting']} waiting, {turns['done']} done, "
        f"{turns['failed']} failed; sessions: {found['sessions']}; posts waiting: {found['outbox']}"
    )
    cost = found["cost"]
    cached = "" if cost["cache_read_ratio"] is None else f"; {cost['cache_read_ratio']:.0%} of the input from the cache"
    print(f"  cost: ${cost['today_usd']:.2f} today (UTC), ${cost['usd']:.2f} in all{cached}")
    sweeps, requests = found["sweeps"], found["requests"]
    print(
        f"  sweeps: {sweeps['pulls']} pulls, {sweeps['repositories']} repositories, {sweeps['overdue']} overdue; "
        f"requests: {requests['sent']} ({requests['per_minute']} a minute), {requests['by_sweeps']} of them by sweeps"
    )
    for one in found["held"]:
        by = f" by {one['by']}" if one["by"] else ""
        waiting = f"; {one['waiting']} turns wait" if one["waiting"] else ""
        print(escaped(f"  paused{by}: {one['what']}, since {one['since']}: {one['reason']}{waiting}"))
    for problem in found["problems"]:
        print(f"  - {problem}")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
