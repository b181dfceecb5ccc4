"""What every kind of bottle can do: start a run that outlives us, and tell later what became of it.

Knows launches.  Must not know SQL, prompts, or what the output means.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from sessions.turns import Launch


class EngineError(Exception):
    """A run could not be started: not the session's fault.  The text is one line with the mend."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch looks like from outside.

    "not started": nobody claimed its directory yet (a late starter still may, unless we take the claim);
    "cut off": it was claimed, runs no more, and left no exit code."""

    state: Literal["not started", "running", "ended", "cut off"]
    exit: int | None = None


class Bottle(Protocol):
    """Calls take a `Launch`, and find everything else in its directory: whoever adopts a run knows no more."""

    def check(self) -> None:
        """Whether runs can be started here at all; raises `EngineError` with the mend."""
        ...

    def start(self, launch: Launch) -> None:
        """Start it, detached.  Returns at once; raises `EngineError`."""
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
