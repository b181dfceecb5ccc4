"""Repeats of safe requests: jittered, bounded, and as patient as the forge asks.

Knows tenacity.  Must not be used for a POST: Gitea has no idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from poller.forge import errors

T = TypeVar("T")

#: How often a request is sent at most, the first time included.
ATTEMPTS = 3


def repeating(send: Callable[[], T], first: errors.ForgeError, worth: Callable[[BaseException], bool]) -> T:
    """Send again after `first` failed, as long as it is `worth` it; raises the last failure."""
    jitter = tenacity.wait_random_exponential(multiplier=0.2, max=2)
    last = first

    def pause(state: tenacity.RetryCallState) -> float:
        return max(last.retry_after or 0.0, jitter(state))

    def again() -> T:
        nonlocal last
        if retrying.statistics.get("attempt_number", 1) == 1:
            raise last  # the first try was made before tenacity was needed
        try:
            return send()
        except errors.ForgeError as failure:
            last = failure
            raise

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=pause,
        retry=tenacity.retry_if_exception(worth),
        reraise=True,
    )
    return retrying(again)
