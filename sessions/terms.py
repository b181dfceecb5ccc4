"""What all workers of a dispatcher share.  A shape only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sessions.turns import Afford, Errand, OnProgress

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.bottles import Bottle
    from sessions.config import Agent


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers of a dispatcher share."""

    engine: sa.Engine
    state: Path
    agents: Mapping[str, Agent]
    errand: Errand
    environ: Mapping[str, str]
    clock: Callable[[], float]
    lease: float
    grace: float
    tries: int | None
    on_progress: OnProgress
    #: The bottle of a backend's name.
    bottles: Callable[..., Bottle]
    #: Which state directory this is, where several share a database; else "".
    place: str = ""
    #: `None`: nobody counts.
    afford: Afford | None = None
