"""When the daemon looks next: at its pace, more rarely while nothing moves, ever more rarely while it fails.

Pure.  Times are seconds of a clock that never goes back.  Must not know what a cycle does.
"""

from __future__ import annotations

import msgspec

#: The longest pause after failures, if `every` itself is not longer.
LONGEST_PAUSE = 900.0
#: After so long without any change looks become rarer, up to `SLOWEST` times the interval after as long again.
IDLE = 1800.0
SLOWEST = 2.0
#: Part of a delay by which it is shorter or longer, so that many pollers do not meet.
JITTER = 0.1


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How it has gone lately.  `moved_at`: the last change (or the start); `asked`: the wait a failure asked for."""

    moved_at: float
    failures: int = 0
    asked: float | None = None

    def succeeded(self, *, moved: bool, now: float) -> Pace:
        """After a cycle that ended well; `moved`: it has found a change."""
        return Pace(moved_at=now if moved else self.moved_at)

    def failed(self, *, asked: float | None) -> Pace:
        """After one that did not; `asked`: seconds that the forge wants to be left alone."""
        return Pace(moved_at=self.moved_at, failures=self.failures + 1, asked=asked)

    def delay(self, *, every: float, now: float, jitter: float) -> float:
        """Seconds until the next cycle; `jitter` from -1 to 1."""
        swing = 1 + JITTER * jitter
        if self.asked is not None:
            # Not a second earlier than asked, but everybody was asked: not all at the same second, either.
            return max(self.asked, every) * (1 + JITTER * abs(jitter))
        if self.failures:
            doubled = every * 2.0 ** min(self.failures - 1, 30)
            return min(doubled, max(LONGEST_PAUSE, every)) * swing
        idle = max(0.0, now - self.moved_at - IDLE)
        stretched = every * (1 + (SLOWEST - 1) * min(1.0, idle / IDLE))
        return min(stretched * swing, SLOWEST * every)
