"""A reader of one forge without a database: real requests, real deciders, a memory that is a dict.

Knows how a cycle asks.  Must not know what is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from poller.deltas.events import Event
from poller.deltas.pulls import Known
from poller.deltas.watch import Gathered, Scope, gather
from poller.forge.client import Answer, Client
from poller.forge.questions import Questions
from poller.store import Place

FORGE = "gitea.test"
OVERLAP = 300.0
EVERYTHING = "2000-01-01T00:00:00Z"
Spot = tuple[int, int]


class Interruptible(Client):
    """Real requests, before each of which something may happen on the forge."""

    _happens: Callable[[], None] | None = None

    @contextmanager
    def interrupted(self, happens: Callable[[], None]) -> Iterator[None]:
        self._happens = happens
        try:
            yield
        finally:
            self._happens = None

    def get(self, path: str, kind: Any, params: Mapping[str, str | int] | None = None) -> Answer:
        if self._happens is not None:
            self._happens()
        return super().get(path, kind, params)


class Reader:
    """Polls whenever it is told to, and keeps what it was told."""

    def __init__(self, questions: Questions, *, repo_id: int, cursor: str, boundary: str = EVERYTHING) -> None:
        self.questions, self._repo_id = questions, repo_id
        self.boundary = boundary
        self.cursor = cursor
        self.paged: bool | None = None
        self.places: dict[Spot, Place] = {}
        self.told: list[Event] = []

    def poll(self) -> Gathered:
        found = gather(self.questions, self._scope())
        assert found.troubles == []
        self.paged = found.paged
        self.cursor = max(self.cursor, found.newest)
        for look in found.looks:
            assert look.known is not None
            row = look.known.row
            self.places[row.place] = Place(
                repo_id=row.repo_id,
                number=row.number,
                repo=row.repo,
                boundary=look.known.boundary,
                known=msgspec.json.decode(msgspec.json.encode(look.known), type=Known),
                due_at=look.due_at,
                errors=0,
                error="",
            )
        self.told += found.events
        return found

    def due(self) -> list[str]:
        """When what is to be looked at again."""
        return [place.due_at for place in self.places.values() if place.due_at is not None]

    def _scope(self) -> Scope:
        return Scope(
            forge=FORGE,
            seen_at=EVERYTHING,
            since=self.cursor,
            overlap=OVERLAP,
            owner="",
            owners=(),
            paged=self.paged,
            baseline=False,
            watched=lambda rows: [row for row in rows if row.repo_id == self._repo_id],
            boundary=lambda _repo: self.boundary,
            fresh=lambda _repo: False,
            places=self._places,
            due=self._due,
        )

    def _places(self, wanted: Iterable[Spot]) -> dict[Spot, Place]:
        return {spot: self.places[spot] for spot in wanted if spot in self.places}

    def _due(self, at: str) -> list[Place]:
        return [place for place in self.places.values() if place.due_at is not None and place.due_at <= at]
