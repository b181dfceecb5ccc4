"""Desks on the server of a test's choice; without sweeps unless it asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.poller.desk import Desk
from tests.poller.traps.stage import NEVER_SWEEP, STABLE


@pytest.fixture
def version() -> str:
    """Tests name the servers on which it matters; all others speak of this one."""
    return STABLE


@pytest.fixture
def desk(tmp_path: Path, version: str) -> Iterator[Desk]:
    """What it tells, it has found without any sweep."""
    made = Desk(tmp_path, version=version, sweep=NEVER_SWEEP)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def sweeping(tmp_path: Path, version: str) -> Iterator[Desk]:
    """Every cycle sweeps."""
    made = Desk(tmp_path, version=version, sweep="0s")
    try:
        yield made
    finally:
        made.close()
