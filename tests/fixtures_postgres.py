"""Databases for tests: a file, and one of a real PostgreSQL server that all tests of this process share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.app import COMPONENTS
from sessions.database import open_database
from tests.postgres import NoServer, Server, programs, serving


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server; without one on this machine the test is skipped, and says why."""
    try:
        programs()
    except NoServer as reason:
        if os.environ.get("BOTTLEPOST_REQUIRE_ALL") == "1":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    with serving() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """An empty database of its own."""
    url = postgres.database()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def postgres_ready(postgres: Server) -> str:
    """With our tables: copying them is quicker than making them."""
    url = postgres.database()
    open_database(url, COMPONENTS).dispose()
    return url


@pytest.fixture
def empty(database: Path | str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path | str]:
    """Where nothing has been written yet; of the same kind as `database`."""
    if isinstance(database, Path):
        yield tmp_path / "empty" / "bottlepost.db"
        return
    server: Server = request.getfixturevalue("postgres")
    url = server.database()
    yield url
    server.drop(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Where a test's database is; every test that takes this runs on both kinds."""
    if request.param == "sqlite":
        yield tmp_path / "state" / "bottlepost.db"
        return
    server: Server = request.getfixturevalue("postgres")
    url = server.database(like=request.getfixturevalue("postgres_ready"))
    yield url
    server.drop(url)
