"""What every kind of bottle can do: start a run that outlives us, and tell later what became of it.

Knows launches.  Must not know SQL, prompts, or what the output means.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from sessions.turns import Launch

if TYPE_CHECKING:
    from sessions.config import Agent


#: Bytes of one file that an agent can write, wherever it runs.
MOST_FILE = 16 * 2**30


class EngineError(Exception):
    """A run could not be started: not the session's fault.  The text is one line with the mend."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch looks like from outside.

    "not started": nobody claimed its directory yet (a late starter still may, unless we take the claim);
    "cut off": it was claimed, runs no more, and left no exit code."""

    state: Literal["not started", "running", "ended", "cut off"]
    exit: int | None = None


class Bottle(Protocol):
    """Calls take a `Launch`, and find everything else in its directory: whoever adopts a run knows no more.

    Each of them raises `EngineError` when what runs the bottles cannot be reached; nothing is decided then."""

    def check(self, agent: Agent | None = None) -> None:
        """Whether runs (of this agent) can be started here at all; raises `EngineError` with the mend."""
        ...

    def start(self, launch: Launch) -> None:
        """Start it, detached; if it was started already, that one is it.  Raises `EngineError`."""
        ...

    def look(self, launch: Launch) -> Sight: ...

    def wait(self, launch: Launch, seconds: float) -> None:
        """Return when it may have ended, or after `seconds`."""
        ...

    def forbid(self, launch: Launch) -> bool:
        """See to it that a launch that was not started never will be; false when it was started meanwhile."""
        ...

    def stop(self, launch: Launch, *, grace: float) -> None:
        """End it: politely, then firmly, then by force, `grace` seconds apart.  Returns when it has ended."""
        ...

    def sweep(self, launch: Launch) -> None:
        """End what a run left behind (a server that a tool started, a child whose keeper was killed)."""
        ...

    def clear(self, launch: Launch) -> None:
        """Remove what is kept of a run beside its files, now that it is recorded; what stays is found by others."""
        ...

    def destroy(self, bottle: Path, agent: Agent | None = None) -> None:
        """Remove all that is kept of a bottle beside its state directory; nothing of it runs when this is called."""
        ...
