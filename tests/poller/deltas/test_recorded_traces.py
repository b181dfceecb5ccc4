"""Every step of the recorded traces is read into exactly the events that its webhooks tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from poller.deltas.diff import NEVER, deleted, events_between
from poller.deltas.events import Event
from poller.deltas.lists import missing
from poller.deltas.pulls import Comment, Inline, Known, Label, Row, Sighting, Step
from poller.forge import wire

SAMPLES = Path(__file__).parents[2] / "samples"
VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]

#: No webhook exists for these, but their names are in the event log.
WITHOUT_WEBHOOK = {
    "review dismissed": [("pull_request_review_dismissal", "dismissed")],
    "review undismissed": [("pull_request_review_dismissal", "undismissed")],
    "review deleted": [("pull_request_review_dismissal", "deleted")],
    "inline thread resolved": [("pull_request_thread", "resolved")],
    "inline thread unresolved": [("pull_request_thread", "unresolved")],
    "deleted": [("pull_request", "deleted")],  # 1.22 sends none
}


def steps_of(version: str) -> Iterator[dict[str, Any]]:
    with (SAMPLES / f"gitea-{version}" / "trace.jsonl").open() as lines:
        yield from map(json.loads, lines)


class Reader:
    """Feeds a trace to the deciders as the watch and its sweeps would have seen it.

    What the answers of a step lack of an exact list is gone, as a question for itself would have shown.
    """

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self.rows: dict[int, Row] = {}
        self.comments: dict[int, Comment] = {}

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
                found["labels"] = tuple(sorted(Label(label["id"], label["name"]) for label in body["labels"] or ()))
        if "steps" not in found:
            return None
        if not found.get("moved"):  # the list of open pulls shows the row as it is
            self.rows[number] = msgspec.structs.replace(self.rows[number], labels=found["labels"])
        self._comments_after(step, found["steps"])
        return Sighting(
            row=self.rows[number],
            comments=tuple(self.comments.values()) if number == 1 else (),
            steps=found["steps"],
            reviews=found["reviews"],
            inline=inline,
            heads=found["heads"],
            read_at=step["since"],
            settling=not found.get("moved"),
        )

    def _comments_after(self, step: dict[str, Any], rows: tuple[Step, ...]) -> None:
        """The list of all plain comments, which the traces do not ask for: as the rows and the deletions tell."""
        if step["number"] != 1:
            return
        for row in rows:
            if row.kind == "comment":
                self.comments[row.id] = Comment(
                    id=row.id, actor=row.actor, body=row.body, at=row.at, updated_at=row.updated_at
                )
        for hook in step["webhooks"]:
            if (hook["event_type"], hook["payload"].get("action")) == ("pull_request_comment", "deleted"):
                del self.comments[hook["payload"]["comment"]["id"]]

    def events(self, step: dict[str, Any]) -> list[Event]:
        if step["step"] == "deleted":
            told, self.known[step["number"]] = deleted(
                self.known[step["number"]], forge="gitea.test", at=step["since"], seen_at=step["since"]
            )
            return [told] if told is not None else []
        seen = self.sighting(step)
        if seen is None:
            return []
        gone, gone_reviews = missing(self.known.get(step["number"]), seen)
        seen = msgspec.structs.replace(seen, gone=frozenset(gone), gone_reviews=frozenset(gone_reviews))
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
        expected = webhooks_of(step) or WITHOUT_WEBHOOK.get(step["step"], [])
        if sorted(told) != sorted(expected):
            wrong.append((step["step"], told, expected))
    assert wrong == []
