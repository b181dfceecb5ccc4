"""Each trap of the API and each habit of its webhooks is held by a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1] / "poller" / "traps"


@pytest.mark.parametrize(("what", "how_many"), [("trap", 36), ("point", 16)])
def test_none_is_left_out(what: str, how_many: int) -> None:
    named = re.compile(rf"^def test_{what}_(\d\d)_\w+\(", re.MULTILINE)
    found = {int(number) for file in ROOM.glob("test_*.py") for number in named.findall(file.read_text("utf-8"))}
    assert found == set(range(1, how_many + 1))
