"""A pull as a forge might show it, put together row by row; looked at by the pure deciders alone."""

from __future__ import annotations

import itertools
from typing import Any
from zlib import crc32

import msgspec

from poller.deltas.diff import NEVER, events_between, shallow
from poller.deltas.events import Actor, Event
from poller.deltas.ids import shifted
from poller.deltas.pulls import Heads, Inline, Known, Label, Review, Row, Sighting, Step

ANA, BEN, GHOST = Actor(1, "ana"), Actor(2, "ben"), Actor(-1, "Ghost")
BEGIN = "2026-11-21T07:00:00Z"
ALWAYS = "2000-01-01T00:00:00Z"


def at(seconds: int) -> str:
    """So many seconds after the pull was opened."""
    return shifted(BEGIN, seconds=seconds)


class Shown:
    """What the forge shows now.  Change it, then `look`: that tells the events and remembers."""

    def __init__(self, *, head: str | None = "h0", boundary: str = ALWAYS) -> None:
        self.boundary, self._ids = boundary, itertools.count(100)
        self.known: Known | None = None
        self.steps: list[Step] = []
        self.reviews: dict[int, Review] = {}
        self.inline: dict[int, list[Inline]] = {}
        self.heads = Heads(
            head_sha=head or "base", head_ref="feature", base_ref="main", fork=False,
            state="open", merged=False, draft=False,
        )  # fmt: skip
        self.row = Row(
            issue_id=9, repo_id=5, repo="acme/api", number=7, title="Add five", body="please", state="open",
            merged=False, draft=False, author=ANA, labels=(), milestone=None, assignees=(), comments=0,
            created_at=BEGIN, updated_at=BEGIN, closed_at=None, html_url="http://gitea.test/acme/api/pulls/7",
        )  # fmt: skip
        if head is not None:
            self.pushed([head], seconds=0, live=False)

    # -- what is shown ------------------------------------------------------------------------------------------

    def step(self, kind: str, *, seconds: int = 10, by: Actor | None = ANA, **fields: Any) -> Step:
        """One more row of the timeline; the pull is stamped."""
        made = Step(
            id=self._next(), kind=kind, actor=by, at=at(seconds),
            updated_at=fields.pop("updated_at", at(seconds)), **fields,
        )  # fmt: skip
        self.steps.append(made)
        self.set(updated_at=max(self.row.updated_at, at(seconds)))
        return made

    def set(self, **fields: Any) -> None:
        """Change the row of the search."""
        self.row = msgspec.structs.replace(self.row, **fields)

    def rewrite(self, step: Step, **fields: Any) -> None:
        """Change a row of the timeline in its place."""
        self.steps[self.steps.index(step)] = msgspec.structs.replace(step, **fields)

    def pushed(
        self, commits: list[str], *, seconds: int = 10, forced: bool = False, live: bool = True, by: Actor = ANA
    ) -> Step:
        """The row of a push; the live head moves along unless it is not to."""
        if live:
            self.moved(commits[-1])
        return self.step("pull_push", seconds=seconds, by=by, commits=tuple(commits), forced=forced)

    def moved(self, head: str) -> None:
        """The live head moves, without a row."""
        self.heads = msgspec.structs.replace(self.heads, head_sha=head)

    def closed(self, *, seconds: int = 10, row: bool = True) -> None:
        self.set(state="closed", closed_at=at(seconds), updated_at=at(seconds))
        self.heads = msgspec.structs.replace(self.heads, state="closed")
        if row:
            self.step("close", seconds=seconds)

    def reopened(self, *, seconds: int = 20, row: bool = True) -> None:
        self.set(state="open", closed_at=None, updated_at=at(seconds))
        self.heads = msgspec.structs.replace(self.heads, state="open")
        if row:
            self.step("reopen", seconds=seconds)

    def reviewed(
        self, state: str = "COMMENT", *, seconds: int = 10, body: str = "", remarks: int = 0, row: bool = True
    ) -> Review:
        """A review by ben; its remarks are older than its row."""
        number = len(self.reviews) + 1
        remarked = [self._remark(number, seconds=seconds, by=BEN, body=f"remark {nth}") for nth in range(remarks)]
        self.inline[number] = remarked
        made = Review(
            id=number, actor=BEN, state=state, body=body, commit_id="h0", dismissed=False,
            comments_count=remarks, updated_at=at(seconds),
        )  # fmt: skip
        self.reviews[number] = made
        if row:
            self.step("review", seconds=seconds, by=BEN, body=body, review_id=number)
        return made

    def replied(self, review: Review, body: str, *, seconds: int = 20, by: Actor = ANA) -> Inline:
        """A reply in a review's thread: no row, only the counter moves."""
        made = self._remark(review.id, seconds=seconds, by=by, body=body)
        self.inline[review.id].append(made)
        count = len(self.inline[review.id])
        self.reviews[review.id] = msgspec.structs.replace(self.reviews[review.id], comments_count=count)
        self.set(updated_at=at(seconds))
        return made

    def _remark(self, review_id: int, *, seconds: int, by: Actor, body: str) -> Inline:
        return Inline(
            id=self._next(), review_id=review_id, actor=by, body=body, path="app.txt", line=5, diff_hunk="@@",
            at=at(seconds), updated_at=at(seconds),
        )  # fmt: skip

    def _next(self) -> int:
        """Rows and remarks count on in one sequence."""
        return next(self._ids)

    def label(self, name: str, *, seconds: int = 10, by: Actor = ANA, off: bool = False) -> Step:
        label = Label(crc32(name.encode()), name)
        self.set(labels=tuple(sorted({*self.row.labels} - {label} | (set() if off else {label}))))
        return self.step("label", seconds=seconds, by=by, label=name, label_id=label.id, body="" if off else "1")

    def titled(self, title: str, *, seconds: int = 10, draft: bool | None = None) -> None:
        before = self.row.title
        self.set(title=title, draft=self.row.draft if draft is None else draft)
        self.step("change_title", seconds=seconds, old_title=before, new_title=title)

    # -- looking at it ------------------------------------------------------------------------------------------

    def remember_shallowly(self) -> None:
        """A baseline that read the search row only."""
        self.known = shallow(self.row)

    def look(self, *, settling: bool = False, **other: Any) -> list[Event]:
        """The events of one look; `other` replaces parts of what is seen."""
        parts: dict[str, Any] = {
            "row": self.row,
            "steps": tuple(self.steps),
            "reviews": tuple(self.reviews.values()),
            "inline": {key: tuple(remarks) for key, remarks in self.inline.items() if remarks},
            "heads": self.heads,
            "read_at": shifted(self.row.updated_at, seconds=400 if settling else 5),
        }
        seen = Sighting(settling=settling, **parts | other)
        told, known = events_between(self.known, seen, forge="gitea.test", seen_at=seen.read_at, boundary=self.boundary)
        self.known = msgspec.json.decode(msgspec.json.encode(known), type=Known)
        assert [one.id for one in told] == list(dict.fromkeys(one.id for one in told))
        return told

    def names(self, *, settling: bool = False, **other: Any) -> list[str]:
        """What one look tells: `event action` each."""
        return [
            f"{one.event.removeprefix('pull_request_')} {one.action}" for one in self.look(settling=settling, **other)
        ]


def baseline() -> Shown:
    """A pull that was there when the watching began, and is known with all its rows."""
    shown = Shown(boundary=NEVER)
    assert shown.look() == []
    return shown
