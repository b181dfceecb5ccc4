"""How it goes: figures, and everything that keeps answers from coming.  For `poll status`, metrics and reports.

Unhealthy is: no successful cycle for two hours (or ten times `poll.every`), a last cycle that failed, a repository,
pull or sweep that cannot be read, an agent that the model's service refuses, a turn that waits after a failure, and,
for a day, a turn that failed or an answer that could not be posted.  What somebody has paused is no trouble, nor is a
turn that waits for money or for consent.

Knows rows and the config.  Must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import eventlog, letters, money, rounds, store
from poller import pauses as held
from poller.amounts import span
from poller.config import Config
from poller.halves import stamp_of
from poller.quiet import wants_quiet
from sessions import dates, ledger, pauses, registry
from sessions.turns import Turn

#: Seconds without a successful cycle after which something is wrong, however rarely cron calls.
STALE = 7200.0
#: For so many seconds a failure that nobody mends keeps it from being healthy.
DAY = 86_400.0


def health(conn: sa.Connection, config: Config, *, now: float, counts: registry.Counts | None = None) -> dict[str, Any]:
    """The object of `poll status --format json`; `healthy` when `problems` is empty.

    `counts`: what `registry.counts` says, for whoever has asked it already."""
    forge = store.forge(conn, config.forge)
    counts = counts or registry.counts(conn)
    waiting = [turn for turn in registry.turns(conn, state="waiting") if turn.reason]
    troubles = store.troubled_repositories(conn, config.forge)
    unread = [place for place in store.troubled_places(conn, config.forge) if config.watches(place.repo)]
    pulls = {f"{place.repo}#{place.number}": place.error for place in unread}
    age = now - forge.success_at if forge.success_at is not None else None
    is_quiet = wants_quiet(forge.quiet_until, now=now, forge=config.forge) is not None
    failing = bool(forge.error) and (forge.success_at is None or (forge.error_at or 0) >= forge.success_at)
    problems = []
    if age is None:
        problems.append("no cycle has succeeded yet: run `poll --once`")
    elif age > max(STALE, 10 * float(config.poll.every)):
        problems.append(f"the last successful cycle was {span(age)} ago: is the timer running?")
    if failing:
        problems.append(f"the last cycle failed: {forge.error}")
    problems += [f"{name} cannot be read: {error}" for name, error in {**troubles, **pulls}.items()]
    sweeps = rounds.schedule(conn, config.forge, config.poll, now=now)
    problems += [f"the sweep of {name} failed: {error}" for name, error in sweeps.failing.items()]
    problems += _of_turns(conn, waiting, now=now)
    problems += [
        f"the answer {f'of turn {one.turn_id}' if one.turn_id > 0 else 'to a command'} could not be posted on "
        f"{one.place}: {one.error}; {one.mend}"
        for one in letters.failures(conn, now - DAY)
    ]
    return {
        "healthy": not problems,
        "problems": problems,
        "forge": config.forge,
        "version": forge.version,
        "bot": forge.bot.login if forge.bot is not None else None,
        "cursor": forge.cursor,
        "lag_seconds": eventlog.lag(conn),
        "last_success": stamp_of(forge.success_at) if forge.success_at is not None else None,
        "age_seconds": round(age, 1) if age is not None else None,
        "left_alone_until": stamp_of(forge.quiet_until) if is_quiet else None,
        "last_error": {"at": stamp_of(forge.error_at), "error": forge.error} if forge.error_at is not None else None,
        "turns": {"running": counts.running, "waiting": counts.waiting, "failed": counts.failed, "done": counts.done},
        "sessions": counts.sessions,
        "cost": _cost(conn, now=now),
        "caps": [_cap(cap) for cap in money.caps(conn, config.limits, now=now)],
        "paused": [{"agent": one.agent, "until": stamp_of(one.until), "why": one.why} for one in pauses.pauses(conn)],
        "patient": [_patient(turn) for turn in waiting if turn.patient],
        "held": [_held(conn, one) for one in held.pauses(conn, config.forge)],
        "sweeps": {"pulls": sweeps.pulls, "repositories": sweeps.repositories, "overdue": sweeps.overdue},
        "requests": _requests(forge, now=now),
        "outbox": letters.waiting(conn),
    }


def _patient(turn: Turn) -> dict[str, Any]:
    """A turn that waits for money, or for somebody's consent: it is as it was asked for."""
    return {"turn": turn.id, "key": turn.key, "until": stamp_of(turn.not_before), "reason": turn.reason}


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


def _cap(cap: money.Cap) -> dict[str, Any]:
    """What is used of what a day or a month may cost; those of pulls and repositories show in the turns that wait."""
    used = {"spent_usd": round(cap.spent, 6), "reserved_usd": round(cap.reserved, 6)}
    return {"of": cap.of, "cap_usd": cap.usd, **used}


def _of_turns(conn: sa.Connection, waiting: Sequence[Turn], *, now: float) -> list[str]:
    """What keeps agents from answering: pauses, turns that wait after a failure, turns that failed for good."""
    found = []
    for pause in pauses.pauses(conn):
        until = (
            f"paused until {stamp_of(pause.until)}" if dates.is_to_come(pause.until, now=now) else "to be tried again"
        )
        found.append(f"agent {pause.agent} is {until}: {pause.why}; its events are kept")
    for turn in waiting:
        if not turn.patient:
            found.append(f"turn {turn.id} on {turn.key} waits until {stamp_of(turn.not_before)}: {turn.reason}")
    for turn in registry.turns(conn, state="failed", limit=20):
        # Whoever ran one by hand was told, and `poll retry` has nothing to repeat.
        if turn.ended_at is not None and now - turn.ended_at < DAY and not turn.by_hand:
            found.append(f"turn {turn.id} on {turn.key} failed: {turn.reason}; `poll retry {turn.id}` runs it again")
    return found
