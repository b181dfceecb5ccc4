"""A pull that has had a turn, for whatever follows from one."""

from __future__ import annotations

from poller.deltas.events import pull_ref
from poller.demo.pulls import Pull
from sessions import registry
from sessions.database import reading
from tests.poller.desk import Desk


class Turned:
    """`pull` was opened by ana; `turn` is what came of it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.told()
        self.pull: Pull = desk.repo.open_pull(by="ana")
        desk.told()
        with reading(desk.engine) as conn:
            (self.turn,) = registry.turns(conn)

    @property
    def ref(self) -> str:
        return self.ref_of(self.pull)

    def ref_of(self, pull: Pull) -> str:
        return pull_ref(self.desk.config.forge, self.desk.repo.id, pull.number)

    def pass_time(self, seconds: float) -> None:
        self.desk.world.clock.advance(seconds=int(seconds))

    @property
    def noted(self) -> tuple[str, ...]:
        """What the turn is known to have posted."""
        with reading(self.desk.engine) as conn:
            turn = registry.turn(conn, self.turn.id)
        assert turn is not None
        return turn.posted
