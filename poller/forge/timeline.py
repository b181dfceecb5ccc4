"""A pull's timeline, read to its end on servers that cut it and hide rows of it.

Knows paging.  Must not know what the rows mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poller.deltas import pulls
from poller.forge import wire
from poller.forge.client import Client

#: Rows of a page that may be missing for reasons of their own before a timeline counts as read.
SLACK = 10
#: Pages in a row that may be nothing but hidden rows: where a stamp lets us look for more, and where a list proves it.
BARREN, BARREN_AT_MOST = 5, 20
#: Pages in all.
LONGEST = 100


class Timeline:
    """One reading of a timeline, which can go on when more inline comments turn out to hide rows, or when something
    else shows that there must be more: whoever names the pull where we cannot read hides rows, too, and nobody says
    how many."""

    def __init__(self, client: Client, path: str, *, since: str | None, page: int) -> None:
        self._client, self._path, self._page = client, path, page
        self._since = {"since": since} if since else {}
        self._rows: dict[int, pulls.Step] = {}
        self._read = 0
        self._pages = 0
        self._whole = False

    @property
    def steps(self) -> tuple[pulls.Step, ...]:
        """The rows so far, by id."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    def read_on(self, hidden: int) -> None:
        """Read pages until what is missing cannot be explained by `hidden` inline comments."""
        while not self._whole and self._pages * self._page - self._read <= hidden + (SLACK if self._pages else 0):
            self._read_page()

    def read_until(self, is_enough: Callable[[], bool], *, barren: int = BARREN) -> None:
        """Read pages until they show what they must show, or for so many pages nothing that they never will."""
        empty = 0
        while not (self._whole or is_enough()) and empty < barren and self._pages < LONGEST:
            empty = 0 if self._read_page() else empty + 1

    def read_again(self, since: str | None) -> None:
        """The first page from another time on; what was read stays."""
        self._since = {"since": since} if since else {}
        self._pages, self._read = 0, 0
        self._read_page()

    def _read_page(self) -> int:
        """How many rows it shows."""
        self._pages += 1
        params: dict[str, Any] = {**self._since, "limit": self._page}
        if self._pages > 1:
            params["page"] = self._pages
        answer = self._client.get(self._path, list[wire.TimelineRow | None] | None, params)
        rows = wire.without_nulls(answer.body)
        self._rows.update({row.id: wire.step(row) for row in rows})
        self._read += len(rows)
        # More rows than the page holds: this server does not cut what nobody asked it to cut.
        self._whole = self._pages == 1 and len(rows) > self._page
        return len(rows)
