"""Any run of steps of a recorded trace, read as one poll, tells what its steps tell one by one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.deltas.diff import events_between
from poller.deltas.events import Event
from poller.deltas.lists import missing
from poller.deltas.pulls import Known, Sighting, Step
from poller.forge import wire
from tests.demo.recorded import VERSIONS, trace
from tests.examples import examples
from tests.poller.deltas.collapses import Collapses, Truth
from tests.poller.deltas.readers import EVERYTHING


class Recording:
    """What the forge would have shown of pull 1 after each step: answers are only of what is new, so they add up."""

    def __init__(self, version: str) -> None:
        self.sightings: list[Sighting] = []
        self.heads: list[str] = []
        self.review_of_row: dict[int, int] = {}
        self._steps: dict[int, Step] = {}
        self._parts: dict[str, Any] = {"reviews": (), "inline": {}}
        for step in trace(version):
            if step["number"] == 1:
                self._take(step)

    def _take(self, step: dict[str, Any]) -> None:
        for answer in step["answers"]:
            self._heard(answer["request"].removeprefix("GET /api/v1/repos/"), answer["body"])
        reviews = {review.id for review in self._parts["reviews"]}
        inline = {key: remarks for key, remarks in self._parts["inline"].items() if key in reviews}
        self.review_of_row |= {row.id: row.review_id for row in self._steps.values() if row.kind == "review"}
        head = self._parts["heads"].head_sha
        self.heads += [head] if self.heads[-1:] != [head] else []
        seen = Sighting(steps=tuple(self._steps.values()), read_at=step["since"], **self._parts | {"inline": inline})
        self.sightings.append(seen)

    def _heard(self, request: str, body: Any) -> None:
        path, _, query = request.partition("?")
        if path == "issues/search":
            for row in msgspec.convert(body, list[wire.IssueRow]):
                if row.number == 1:
                    self._parts["row"] = wire.row(row)
        elif path.endswith("/timeline"):
            found = wire.without_nulls(msgspec.convert(body, list[wire.TimelineRow | None] | None))
            self._steps = {} if "since=" not in query else self._steps
            self._steps |= {row.id: wire.step(row) for row in found}
        elif path.endswith("/reviews"):
            self._parts["reviews"] = tuple(map(wire.review, msgspec.convert(body, list[wire.ReviewRow])))
        elif "/reviews/" in path:
            remarks = tuple(map(wire.inline, msgspec.convert(body, list[wire.InlineRow])))
            self._parts["inline"] = self._parts["inline"] | {int(path.split("/")[-2]): remarks}
        elif "/pulls/" in path:
            self._parts["heads"] = wire.heads(msgspec.convert(body, wire.PullDetail))

    def told(self, polls: set[int]) -> list[Event]:
        """What a reader is told who looks after these steps (and, in the end, twice more)."""
        told: list[Event] = []
        known: Known | None = None
        for seen in self._looks(polls):
            words, reviews = missing(known, seen)
            seen = msgspec.structs.replace(seen, gone=frozenset(words), gone_reviews=frozenset(reviews))
            found, known = events_between(known, seen, forge="gitea.test", seen_at=seen.read_at, boundary=EVERYTHING)
            told += found
        return told

    def _looks(self, polls: set[int]) -> Iterator[Sighting]:
        last = self.sightings[-1]
        yield from (seen for at, seen in enumerate(self.sightings) if at in polls)
        yield from (last, msgspec.structs.replace(last, settling=True))

    def truth(self) -> Truth:
        bodies = dict.fromkeys(seen.row.body for seen in self.sightings)
        loose = frozenset({"base changes and forced ones deleted them"})
        return Truth(review_of_row=self.review_of_row, descriptions=list(bodies), heads=self.heads, loose=loose)

    def forgotten(self, one: Event) -> bool:
        """Of something that the forge does not show any more at the end: deleted, or done and undone without a row."""
        last = self.sightings[-1]
        gone_reviews = set(self.review_of_row.values()) - {review.id for review in last.reviews or ()}
        gone_rows = {step.id for seen in self.sightings for step in seen.steps} - {step.id for step in last.steps}
        subject = one.subject
        about_words = one.event == "pull_request_comment" and subject.comment_id in gone_rows
        undone = one.event == "pull_request_thread" or one.action == "undismissed"
        return about_words or undone or subject.review_id in gone_reviews or one.event == "pull_request_label"


@functools.cache
def recording(version: str) -> Recording:
    return Recording(version)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=examples(60))
@given(data=st.data())
def test_any_run_of_steps_read_as_one_poll_tells_the_same(version: str, data: st.DataObject) -> None:
    whole = recording(version)
    every = set(range(len(whole.sightings)))
    polls = data.draw(st.sets(st.sampled_from(sorted(every))))
    collapses = Collapses(whole.truth())
    one_by_one = [one for one in whole.told(every) if not whole.forgotten(one)]
    in_runs = [one for one in whole.told(polls) if not whole.forgotten(one)]
    assert collapses.story(in_runs) == collapses.story(one_by_one)
