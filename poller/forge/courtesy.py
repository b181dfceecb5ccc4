"""What one process owes a forge: few requests at once, and none while it has asked for quiet.

Knows moments and errors, and how much is sent.  Must not know what: both clients ask here before they send anything.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from poller.forge import errors

#: Requests at the same time, whatever the number of threads.  The forge is somebody's small server.
AT_ONCE = 4
#: Seconds of a `Retry-After` that are waited for on the spot; more is the next cycle's business.
PATIENCE = 10.0
#: Seconds for which nobody keeps quiet longer, whatever was asked.
LONGEST = 3600.0
#: Seconds between one try of a thing and the next.
WAITS = (5.0, 30.0, 120.0, 600.0, 3600.0)


class Courtesy:
    """Shared by all clients of one forge in one process.  `clock` gives seconds; only differences count."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._quiet_until = 0.0
        self._sent = 0
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        """Requests of all these clients so far, repeats included."""
        return self._sent

    @contextmanager
    def request(self, where: str) -> Iterator[None]:
        """One request's place.  Raises `RateLimited`, and nothing is to be sent, while the forge wants quiet."""
        self._check(where)
        with self._places:
            self._check(where)  # it may have asked meanwhile
            with self._lock:
                self._sent += 1
            yield

    def heard(self, error: errors.ForgeError) -> None:
        """Note what a refusal asks for."""
        if error.retry_after is not None and error.retry_after > PATIENCE:
            self.keep_quiet(error.retry_after)

    def keep_quiet(self, seconds: float) -> None:
        """Send nothing for so long; an hour at most."""
        self._quiet_until = max(self._quiet_until, self._clock() + min(seconds, LONGEST))

    def _check(self, where: str) -> None:
        left = self._quiet_until - self._clock()
        if 0 < left <= LONGEST:  # more: the clock was put back
            raise errors.patience(left, where=where)


def is_worth_repeating(failure: BaseException) -> bool:
    """May the same safe request succeed within seconds?"""
    if not isinstance(failure, errors.ForgeError):
        return False
    return failure.passing and (failure.retry_after is None or failure.retry_after <= PATIENCE)


def until_next(tries: int, trouble: BaseException) -> float:
    """Seconds until a thing is tried again, after so many tries of which this ended the last; not all at one moment."""
    wait = WAITS[min(max(tries, 1), len(WAITS)) - 1] * random.uniform(0.8, 1.0)  # noqa: S311
    asked = trouble.retry_after if isinstance(trouble, errors.ForgeError) else None
    return max(wait, min(asked or 0.0, LONGEST))
