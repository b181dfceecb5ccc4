"""The world's clock: whole seconds, as Gitea stamps them.

Runs in real time until `set` stops it.  Must not know what is stamped.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_FRACTION = re.compile(r"\.\d+")


class Clock:
    """Seconds since the epoch.  After `set` it stands still until `advance` or the next `set`."""

    def __init__(self) -> None:
        self._frozen: int | None = None
        self._offset = 0

    def now(self) -> int:
        """Whole seconds since the epoch, as the world sees them."""
        return self._frozen if self._frozen is not None else int(time.time()) + self._offset

    def set(self, moment: str | int) -> None:
        """Stop the clock at an RFC 3339 time (or at epoch seconds).  It may go back: servers' clocks do."""
        self._frozen = moment if isinstance(moment, int) else epoch(moment)

    def advance(self, *, seconds: int) -> None:
        """Move on (or back) by whole seconds."""
        if self._frozen is not None:
            self._frozen += seconds
        else:
            self._offset += seconds

    def text(self) -> str:
        """The time now, as Gitea writes it."""
        return stamp(self.now())


def stamp(seconds: int) -> str:
    """Epoch seconds as `2026-11-21T07:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> int:
    """An RFC 3339 time with a zone as epoch seconds, fractions cut; `ValueError` for anything else."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(text)
    return int(datetime.fromisoformat(_FRACTION.sub("", text)).timestamp())
