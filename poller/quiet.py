"""Until when a forge is left alone, because it has asked for that: kept in the database, so that every call knows it.

Pure.  Knows errors and moments (epoch seconds).  Within one process `forge.courtesy` does the same.
"""

from __future__ import annotations

from poller.forge.courtesy import LONGEST, PATIENCE
from poller.forge.errors import ForgeError, RateLimited, patience


def quiet_until(failure: Exception, *, now: float) -> float:
    """The moment before which nothing is to be asked after this failure; 0.0 when it does not ask for that."""
    asked = failure.retry_after if isinstance(failure, ForgeError) else None
    return now + min(asked, LONGEST) if asked is not None and asked > PATIENCE else 0.0


def wants_quiet(until: float, *, now: float, forge: str) -> RateLimited | None:
    """What to raise instead of asking, as long as the remembered moment has not come.

    One that is further away than anybody may ask for was written under another clock: it does not count.
    """
    left = until - now
    return patience(left, where=forge) if 0 < left <= LONGEST else None
