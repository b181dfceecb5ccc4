"""Numbers and times as people are told them."""

from __future__ import annotations

import pytest

from poller.amounts import counted, span


@pytest.mark.parametrize(("number", "told"), [(0, "0 turns"), (1, "1 turn"), (2, "2 turns"), (1000, "1,000 turns")])
def test_a_number_has_its_noun_in_the_right_form(number: int, told: str) -> None:
    assert counted(number, "turn") == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h")]
)
def test_a_time_is_told_in_the_unit_that_fits(seconds: float, told: str) -> None:
    assert span(seconds) == told
