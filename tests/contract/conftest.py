"""One suite for every server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from poller.demo.versions import VERSIONS
from tests.contract.grounds import Ground, Grounds, no_real_gitea
from tests.contract.patience import fresh


@pytest.fixture(scope="session")
def grounds() -> Iterator[Grounds]:
    with Grounds() as started:
        yield started


SERVERS = [f"stand-in-{name}" for name in VERSIONS]
if not no_real_gitea():
    SERVERS.append("gitea")


@pytest.fixture(params=SERVERS)
def ground(request: pytest.FixtureRequest, grounds: Grounds) -> Ground:
    return grounds[request.param]


class Scene:
    """A repository of its own for each test: `ana` and the bot may write, `owner` owns it."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.bot, self.ana, self.owner = fresh("bot"), fresh("ana"), fresh("acme")
        self.repo = ground.repo(f"{self.owner}/{fresh('api')}", collaborators={self.bot: "write", self.ana: "write"})
        self.clients: list[httpx.Client] = []
        self.http = self.client(ground.token(self.bot))

    def client(self, token: str | None) -> httpx.Client:
        headers = {"Authorization": f"token {token}"} if token else {}
        self.clients.append(httpx.Client(base_url=f"{self.ground.url}/api/v1", headers=headers, timeout=30))
        return self.clients[-1]

    def as_ana(self) -> httpx.Client:
        return self.client(self.ground.token(self.ana))

    def pull(self) -> str:
        """Another pull of ana's; its number as paths want it."""
        return str(self.ground.open_pull(self.repo, by=self.ana))

    def path(self, rest: str) -> str:
        return f"/repos/{self.repo}/{rest}"


@pytest.fixture
def scene(ground: Ground) -> Iterator[Scene]:
    made = Scene(ground)
    yield made
    for client in made.clients:
        client.close()
