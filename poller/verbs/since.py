"""`--since`, as all verbs read it."""

from __future__ import annotations

from poller.scalars import start_of
from sessions.shell import UsageError


def begin_of(since: str, *, now: float) -> float:
    """The moment that the call names, epoch seconds.  Raises `UsageError`."""
    try:
        return start_of(since, now=now)
    except ValueError:
        raise UsageError(f"--since {since}: expected 30d, 24h, or a time such as 2026-11-01T00:00:00Z") from None
