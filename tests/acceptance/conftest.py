"""A forge, a repository on it, and a bot that watches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.gitside.forge import Forge
from tests.gitside.server import GitServer


@pytest.fixture
def version() -> str:
    """Of the stand-in; a test that takes all of them has a parameter of this name."""
    return "1.25.4"


@pytest.fixture
def world(version: str) -> World:
    """`acme` with its owner `olga`; `ana` and `ben` will write, `eve` is a stranger."""
    made = World(version=version)
    made.org("acme", owners=["olga"])
    for login in ("bot", "ana", "ben", "eve"):
        made.user(login)
    return made


@pytest.fixture
def repo(world: World) -> Repo:
    return world.repo("acme/api", private=True, collaborators={"bot": "write", "ana": "write", "ben": "write"})


@pytest.fixture
def bot(tmp_path: Path, world: World, repo: Repo) -> Iterator[Bot]:
    """Nothing of it has run yet; what it finds on its first look back at the last 24 hours is news to it."""
    with world.serve() as server:
        made = Bot(tmp_path, world, server.url)
        yield made
        made.leave()


@pytest.fixture
def forge(tmp_path: Path, world: World, repo: Repo) -> Forge:
    return Forge(tmp_path / "forge", world, repo)


@pytest.fixture
def coder(tmp_path: Path, world: World, forge: Forge) -> Iterator[tuple[Bot, GitServer]]:
    """A bot whose agent gets the code."""
    place = tmp_path / "bot"
    place.mkdir()
    with world.serve() as stand_in, GitServer(tmp_path / "forge", beyond=stand_in.url) as server:
        made = Bot(place, world, server.url)
        made.agent(checkout=True)
        server.token, server.after_push = made.token, forge.follow
        yield made, server
        made.leave()
