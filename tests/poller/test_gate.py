"""The last look before a launch, where it is asked about less than usual."""

from __future__ import annotations

from poller.forge.control import Control
from poller.gate import Gate
from tests.poller.desk import Desk
from tests.poller.turned import Turned


def test_a_turn_that_has_no_events_any_more_has_none_that_are_refused(desk: Desk) -> None:
    """Those of one that is tried again after they had joined another."""

    def nobody() -> Control:
        raise AssertionError("there is nothing to ask")

    gate = Gate(desk.engine, desk.questions, desk.config, control=nobody, now=desk.now)
    turned = Turned(desk)
    row = desk.questions.issue(desk.repo.full_name, desk.repo.id, turned.pull.number)
    assert row is not None
    assert gate.passed(turned.turn, row, []) == []
