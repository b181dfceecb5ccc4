"""A small world to begin with."""

from __future__ import annotations

from typing import Any

from poller.demo.pulls import Pull
from poller.demo.world import World

WRITERS = {"ana": "write", "ben": "write", "bot": "write"}


def a_world(version: str = "1.25.4") -> World:
    """Its clock stands still at seven."""
    world = World(version=version)
    world.clock.set("2026-11-21T07:00:00Z")
    return world


def a_pull(version: str = "1.25.4", **more: Any) -> Pull:
    """An open pull of ana's in a private repository to which the bot may write."""
    return a_world(version).repo("acme/api", private=True, collaborators=WRITERS).open_pull(by="ana", **more)


def stamps(pull: Pull) -> list[str]:
    """The types of all rows, hidden ones too."""
    return [row.type for row in pull.rows]
