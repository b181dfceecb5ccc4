from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.poller.desk import Desk
from tests.poller.house import House


@pytest.fixture
def desk(tmp_path: Path, database: Path | str) -> Iterator[Desk]:
    """On both kinds of database."""
    made = Desk(tmp_path, database=database)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def any_house(tmp_path: Path, database: Path | str) -> Iterator[House]:
    """On both kinds of database."""
    made = House(tmp_path, database=database)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        yield made
    finally:
        made.close()
