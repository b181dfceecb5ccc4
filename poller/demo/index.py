"""Pulls in the order of their last change, for the cross-repository search.

Knows stamps and ids.  Must not know filters, rights or pages.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poller.demo.pulls import Pull


class UpdateIndex:
    """A search with `since` looks at what moved since then, not at every pull of 10,000 repositories."""

    def __init__(self) -> None:
        self._order: list[tuple[int, int]] = []
        self._pulls: dict[int, Pull] = {}

    def add(self, pull: Pull) -> None:
        self._pulls[pull.id] = pull
        insort(self._order, (pull.updated, pull.id))

    def touch(self, pull: Pull, now: int) -> None:
        """Stamp the pull; one that is deleted stays out."""
        if pull.id in self._pulls:
            del self._order[bisect_left(self._order, (pull.updated, pull.id))]
            insort(self._order, (now, pull.id))
        pull.updated = now

    def remove(self, pull: Pull) -> None:
        del self._pulls[pull.id]
        del self._order[bisect_left(self._order, (pull.updated, pull.id))]

    def between(self, since: int | None, before: int | None) -> list[Pull]:
        """Pulls whose stamp lies between both, ends included, newest created first."""
        low = 0 if since is None else bisect_left(self._order, (since, 0))
        high = len(self._order) if before is None else bisect_right(self._order, (before + 1, 0))
        found = [self._pulls[pull_id] for _, pull_id in self._order[low:high]]
        return sorted(found, key=lambda pull: (pull.created, pull.id), reverse=True)
