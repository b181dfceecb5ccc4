"""Every step of the recorded traces is read into exactly the events that its webhooks tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from poller.deltas.diff import NEVER, events_between
from poller.deltas.events import Event
from poller.deltas.pulls import Inline, Known, Row, Sighting
from poller.forge import wire

SAMPLES = Path(__file__).parents[2] / "samples"
VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]

#: No webhook exists for these, but their names are in the event log.
WITHOUT_WEBHOOK = {"review dismissed": [("pull_request_review_dismissal", "dismissed")]}
#: They move no timestamp, or only the absence of something shows: the slow sweep's business.
FOR_THE_SWEEP = {"comment deleted", "deleted"}


def steps_of(version: str) -> Iterator[dict[str, Any]]:
    with (SAMPLES / f"gitea-{version}" / "trace.jsonl").open() as lines:
        yield from map(json.loads, lines)


class Reader:
    """Feeds a trace to the deciders as the watch would have seen it."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self.rows: dict[int, Row] = {}

    def sighting(self, step: dict[str, Any]) -> Sighting | None:
        number, answers = step["number"], step["answers"]
        found: dict[str, Any] = {}
        inline: dict[int, tuple[Inline, ...]] = {}
        for answer in answers:
            path = answer["request"].split("?")[0].removeprefix("GET /api/v1/repos/")
            body = answer["body"]
            if answer["status"] != 200:
                continue
            if path == "issues/search":
                for row in msgspec.convert(body, list[wire.IssueRow]):
                    read = wire.row(row)
                    if read is not None and read.number == number:
                        self.rows[number] = read
                        found["moved"] = True
            elif path.endswith("/timeline"):
                rows = wire.without_nulls(msgspec.convert(body, list[wire.TimelineRow | None] | None))
                found["steps"] = tuple(map(wire.step, rows))
            elif path.endswith("/reviews"):
                found["reviews"] = tuple(map(wire.review, msgspec.convert(body, list[wire.ReviewRow])))
            elif "/reviews/" in path:
                review_id = int(path.split("/")[-2])
                inline[review_id] = tuple(map(wire.inline, msgspec.convert(body, list[wire.InlineRow])))
            elif "/pulls/" in path:
                found["heads"] = wire.heads(msgspec.convert(body, wire.PullDetail))
        if "steps" not in found:
            return None
        return Sighting(
            row=self.rows[number],
            steps=found["steps"],
            reviews=found["reviews"],
            inline=inline,
            heads=found["heads"],
            read_at=step["since"],
            settling=not found.get("moved"),
        )

    def events(self, step: dict[str, Any]) -> list[Event]:
        seen = self.sighting(step)
        if seen is None:
            return []
        boundary = "2000-01-01T00:00:00Z" if step["step"].startswith("opened") else NEVER
        told = self._read(step, seen, boundary)
        if self.known[step["number"]].stray_head is not None:  # believed when another look finds it still there
            told += self._read(step, msgspec.structs.replace(seen, settling=True), boundary)
        return told

    def _read(self, step: dict[str, Any], seen: Sighting, boundary: str) -> list[Event]:
        told, self.known[step["number"]] = events_between(
            self.known.get(step["number"]), seen, forge="gitea.test", seen_at=step["since"], boundary=boundary
        )
        return told


def webhooks_of(step: dict[str, Any]) -> list[tuple[str, str]]:
    names = [(hook["event_type"], hook["payload"].get("action", "")) for hook in step["webhooks"]]
    return [name for name in names if name[0].startswith("pull_request")]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_step_gives_the_events_of_its_webhooks(version: str) -> None:
    reader, wrong = Reader(), []
    for step in steps_of(version):
        told = [(event.event, event.action) for event in reader.events(step)]
        expected = webhooks_of(step) + WITHOUT_WEBHOOK.get(step["step"], [])
        if step["step"] in FOR_THE_SWEEP:
            expected = []
        if sorted(told) != sorted(expected):
            wrong.append((step["step"], told, expected))
    assert wrong == []
