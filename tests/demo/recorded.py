"""The recorded samples, and how a world is asked for the same.

Knows files and requests.  Must not know what the answers mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from poller.demo.world import World

SAMPLES = Path(__file__).parent.parent / "samples"
VERSIONS = ("1.22.6", "1.25.4", "1.26-dev")
BOT_SCOPES = "read:user,write:issue,write:repository"


def sample(version: str, name: str) -> dict[str, Any]:
    """One recorded answer: `request`, `status`, `headers`, `body`."""
    loaded: dict[str, Any] = json.loads((SAMPLES / f"gitea-{version}" / f"{name}.json").read_text("utf-8"))
    return loaded


def sample_names() -> list[str]:
    return sorted(path.stem for path in (SAMPLES / "gitea-1.25.4").glob("*.json"))


def trace(version: str) -> list[dict[str, Any]]:
    """The 60 steps of the trace (58 on 1.22.6)."""
    lines = (SAMPLES / f"gitea-{version}" / "trace.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def asking(
    world: World, login: str = "bot", *, scopes: str = BOT_SCOPES, token: str | None = None
) -> Iterator[httpx.Client]:
    """A client with a token of this user, against the world served anew."""
    secret = world.token(login, scopes=scopes) if token is None else token
    headers = {"Authorization": f"token {secret}"} if secret else {}
    with world.serve() as server, httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=10) as client:
        yield client
