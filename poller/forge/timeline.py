"""A pull's timeline, read to its end on servers that cut it and hide rows of it.

Knows paging.  Must not know what the rows mean.
"""

from __future__ import annotations

from typing import Any

from poller.deltas import pulls
from poller.forge import wire
from poller.forge.client import Client

#: Rows of a page that may be missing for reasons of their own before a timeline counts as read.
SLACK = 10


class Timeline:
    """One reading of a timeline, which can go on when more inline comments turn out to hide rows."""

    def __init__(self, client: Client, path: str, *, since: str | None, page: int) -> None:
        self._client, self._path, self._page = client, path, page
        self._since = {"since": since} if since else {}
        self._rows: dict[int, pulls.Step] = {}
        self._pages = 0
        self._whole = False

    @property
    def steps(self) -> tuple[pulls.Step, ...]:
        """The rows so far, by id."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    def read_on(self, hidden: int) -> None:
        """Read pages until what is missing cannot be explained by `hidden` inline comments."""
        while not self._whole and self._pages * self._page - len(self._rows) <= hidden + (SLACK if self._pages else 0):
            self._pages += 1
            params: dict[str, Any] = {**self._since, "limit": self._page}
            if self._pages > 1:
                params["page"] = self._pages
            answer = self._client.get(self._path, list[wire.TimelineRow | None] | None, params)
            rows = wire.without_nulls(answer.body)
            self._rows.update({row.id: wire.step(row) for row in rows})
            # More rows than the page holds: this server does not cut what nobody asked it to cut.
            self._whole = self._pages == 1 and len(rows) > self._page
