"""Whatever goes wrong at a door, at whichever call: answered once, nothing lost, clear words.

`BOTTLEPOST_FAULTS=4/17` plays the fourth of seventeen shares instead of the ordinary one, `1/1` everything.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults import scene

#: The share of an ordinary run.
NTH, OF = (int(part) for part in os.environ.get("BOTTLEPOST_FAULTS", "1/12").split("/"))
pytestmark = pytest.mark.timeout(1800)


def play(directory: Path, *, fresh: bool) -> None:
    wrong = scene.play(directory, fresh=fresh, nth=NTH - 1, of=OF)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)


class TestFresh:
    def test_a_first_turn_survives_each_fault_at_each_step(self, tmp_path: Path) -> None:
        play(tmp_path, fresh=True)


class TestResumed:
    def test_a_later_turn_survives_each_fault_at_each_step(self, tmp_path: Path) -> None:
        play(tmp_path, fresh=False)
