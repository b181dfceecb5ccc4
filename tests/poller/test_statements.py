"""How much is asked of the database: no more when more is waiting, and nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from poller import pauses
from poller.app import App
from poller.deltas.events import pull_ref
from poller.metrics import Figures
from sessions import registry
from sessions.database import begin
from tests.poller.desk import Desk


@contextmanager
def statements(engine: sa.Engine) -> Iterator[Counter[str]]:
    """Statement → how often."""
    seen = Counter[str]()

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        seen[statement] += 1

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


class Waiting:
    """Turns that wait, each on a pull of its own."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.forge, self.many = desk, desk.config.forge, 0

    def add(self, many: int) -> None:
        with begin(self.desk.engine) as conn:
            for _ in range(many):
                self.many += 1
                ref, key = pull_ref(self.forge, 1, self.many), f"{self.forge}/acme/api#{self.many}"
                registry.add_turn(conn, ref=ref, key=key, agent="reviewer", why="", now=self.desk.now() - self.many)

    def pause(self, number: int) -> None:
        with begin(self.desk.engine) as conn:
            pauses.pause(conn, pauses.pull(self.forge, 1, number, "acme/api"), reason="", now=0.0)


@pytest.fixture
def waiting(desk: Desk) -> Waiting:
    made = Waiting(desk)
    made.add(3)
    return made


def test_due_turns_are_found_by_as_many_statements_however_many_wait(desk: Desk, waiting: Waiting) -> None:
    with App(desk.config, engine=desk.engine, clock=desk.now) as app:
        waiting.pause(2)
        with statements(desk.engine) as few:
            assert [turn.key.rpartition("#")[2] for turn in app.due_turns()] == ["1", "3"]
        waiting.add(20)
        with statements(desk.engine) as more:
            assert len(app.due_turns()) == 22
    assert more.total() == few.total()


def test_where_nothing_is_paused_events_are_looked_up_by_one_statement(desk: Desk) -> None:
    for _ in range(4):
        desk.repo.open_pull(by="ana")
    desk.cycle()
    with App(desk.config, engine=desk.engine, clock=desk.now) as app:
        for pull in desk.repo.pulls.values():
            pull.comment("hm", by="ana")
        desk.world.clock.advance(seconds=2)
        events = [told.event for told in app.cycle.rehearse().told]
        assert len(events) == 4
        with statements(desk.engine) as asked:
            assert app.held_back(events) == set()
        assert sum("FROM pause" in statement for statement in asked.elements()) == 1
        with begin(desk.engine) as conn:
            scope = pauses.pull(desk.config.forge, desk.repo.id, 3, "acme/api")
            pauses.pause(conn, scope, reason="", now=0.0)
        assert app.held_back(events) == {pull_ref(desk.config.forge, desk.repo.id, 3)}


def test_figures_ask_for_nothing_twice(desk: Desk, waiting: Waiting) -> None:
    desk.cycle()
    with statements(desk.engine) as asked:
        page = Figures(desk.engine, lambda: desk.config, now=desk.now).page().decode()
    assert 'bottlepost_turns{state="waiting"} 3.0' in page
    oldest = next(line for line in page.splitlines() if line.startswith("bottlepost_oldest_waiting_turn_seconds "))
    assert float(oldest.split()[1]) >= 3.0
    assert {times for statement, times in asked.items() if "FROM turn" in statement} == {1}
