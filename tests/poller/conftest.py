from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.poller.desk import Desk
from tests.poller.house import House


@pytest.fixture
def desk(tmp_path: Path, database: Path | str) -> Iterator[Desk]:
    """On both kinds of database."""
    with closing(Desk(tmp_path, database=database)) as made:
        yield made


@pytest.fixture
def any_house(tmp_path: Path, database: Path | str) -> Iterator[House]:
    """On both kinds of database."""
    with closing(House(tmp_path, database=database)) as made:
        yield made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        yield made


@pytest.fixture(params=["1.22.6", "1.25.4", "1.26-dev"])
def version(request: pytest.FixtureRequest) -> str:
    """What the forge is."""
    return str(request.param)


@pytest.fixture
def versioned_desk(tmp_path: Path, version: str) -> Iterator[Desk]:
    with closing(Desk(tmp_path, version=version)) as made:
        yield made
