"""A config, a forge for it, and what `poll doctor` finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poller import doctor
from poller.checks import Check
from poller.demo.world import World

SCOPES = "read:user,write:issue,write:repository"


@pytest.fixture
def world() -> World:
    world = World()
    world.repo("acme/api", private=True, collaborators={"bot": "write"})
    return world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with world.serve() as server:
        yield server.url


Examine = Callable[..., dict[str, Check]]


@pytest.fixture
def examine(world: World, url: str, tmp_path: Path) -> Examine:
    """Findings by name for a config of these parts."""

    def found(
        *, scopes: str = SCOPES, token: str | None = None, url: str = url, repos: str = "[acme/api]",
        more: str = "agents: {r: {backend: process, env: []}}", mode: int = 0o600,
    ) -> dict[str, Check]:  # fmt: skip
        file = tmp_path / "config.yaml"
        token = world.token("bot", scopes=scopes) if token is None else token
        file.write_text(f"gitea: {{url: '{url}', token: {token}}}\nrepos: {repos}\nstate: state\n{more}\n", "utf-8")
        file.chmod(mode)
        checks = list(doctor.examine(file, environ={"PATH": os.environ["PATH"]}))
        assert all("\n" not in check.found + check.mend for check in checks)
        assert not any(token in check.found + check.mend for check in checks)
        assert all(check.mend for check in checks if check.status != "ok")
        return {check.name: check for check in checks}

    return found
