"""Turns that a person began by hand and left.  Knows that nobody waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessions.sources import Fetch
from sessions.turns import Dropped, Mode, Outcome, Session, Turn

if TYPE_CHECKING:
    import sqlalchemy as sa


class Nobodys:
    """The errand of a turn that a person began and left: its end is recorded, nothing is begun again."""

    def prepare(self, turn: Turn, session: Session, mode: Mode, fetch: Fetch) -> Dropped:
        return Dropped(reason="who started it by hand has gone")

    def settled(self, conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        """Nobody waits for it."""
