"""Each demand of the earlier systems is held by a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = {
    # A3 (signatures of webhooks) fell away with polling; D4, E7 and E8 are nobody's.
    "a": {1, 2, *range(4, 22)},
    "b": set(range(1, 19)),
    "c": set(range(1, 10)),
    "d": {1, 2, 3, 5},
    "e": {1, 2, 3, 4, 5, 6, 9},
}


def test_none_is_left_out() -> None:
    named = re.compile(r"^def test_demand_([a-e])(\d\d)_\w+\(", re.MULTILINE)
    files = [*TESTS.glob("sessions/test_demands_*.py"), TESTS / "acceptance" / "test_demands.py"]
    found = [match for file in files for match in named.findall(file.read_text("utf-8"))]
    assert {row: {int(number) for letter, number in found if letter == row} for row in ROWS} == ROWS
