"""In what two readings of one history may differ, each with its name; everything else must be the same.

Knows events and what really happened.  Must not know how anything was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from poller.deltas.events import Event

Line = tuple[Any, ...]

EDITED = "edited before it was seen"
DESCRIBED = "described more than once between two looks"
LABELLED = "labelled by one person within a second"
PUSHED = "pushed, and the rows do not tell: "


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, as only the forge knows it."""

    #: row of the timeline → its review
    review_of_row: Mapping[int, int]
    #: every description, in order
    descriptions: Sequence[str]
    #: every head, in order
    heads: Sequence[str]
    #: why rows do not tell of each push; empty when they do
    loose: frozenset[str]


class Collapses:
    """Takes them out of a reader's events, and counts them by name."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.counts = Counter[str]()

    def story(self, told: Sequence[Event], *, since: int = 0) -> list[Line]:
        """What is left of the events from the one numbered `since` on, as lines that compare.  No id comes twice."""
        assert len({one.id for one in told}) == len(told), "an id twice"
        late = {one.id for one in told[since:]}
        kept = [one for one in self._with_last_words(told) if one.id in late]
        kept = self._without_descriptions(kept)
        kept = self._with_pushes_as_far_as_rows_tell(kept)
        return list(self._lines_of(kept))

    def bag(self, told: Sequence[Event]) -> list[str]:
        """The same without the order: of what happens during a look, the later part may be seen first."""
        labels = {mark for one in told if one.event == "pull_request_label" for mark in _marks(one)}
        others = self.story([one for one in told if one.event != "pull_request_label"])
        return sorted([*map(repr, others), *map(repr, labels)])

    def _with_last_words(self, told: Sequence[Event]) -> list[Event]:
        """Who comes later reads the last text only.  Edits must follow each other without a gap."""
        texts: dict[str, str] = {}
        kept: list[Event] = []
        for one in told:
            if one.event == "pull_request_comment" and one.action == "edited":
                of, before = str(self._about(one)), str(one.changes["body"].from_)
                assert before == texts.get(of, before)
                assert one.subject.body != before
                texts[of] = str(one.subject.body)
                self.counts[EDITED] += 1
                continue
            if (about := self._about(one)) is not None:
                assert about not in texts, "made twice"
                texts[about] = str(one.subject.body)
            for remark in one.subject.comments or ():
                texts[f"comment {remark.comment_id}"] = remark.body
            kept.append(one)
        return [self._with_text(one, texts) for one in kept]

    def _about(self, one: Event) -> str | None:
        """The comment or review whose words the event carries."""
        if one.subject.body is msgspec.UNSET or one.event == "pull_request_review_dismissal":
            return None
        row = one.subject.comment_id
        if row is msgspec.UNSET:
            return f"review {one.subject.review_id}"
        review = self._truth.review_of_row.get(row)
        return f"comment {row}" if review is None else f"review {review}"

    def _with_text(self, one: Event, texts: Mapping[str, str]) -> Event:
        subject, of = one.subject, self._about(one)
        if of is not None:
            subject = msgspec.structs.replace(subject, body=texts[of])
        if subject.comments:
            remarks = [
                msgspec.structs.replace(remark, body=texts[f"comment {remark.comment_id}"])
                for remark in subject.comments
            ]
            subject = msgspec.structs.replace(subject, comments=remarks)
        return msgspec.structs.replace(one, subject=subject)

    def _without_descriptions(self, told: list[Event]) -> list[Event]:
        """No row tells of them, so several are one, and it comes last in its look."""
        edits = [one for one in told if one.event == "pull_request" and "body" in one.changes]
        places = [self._truth.descriptions.index(str(one.changes["body"].from_)) for one in edits]
        assert places == sorted(set(places)), "each starts from a later text"
        self.counts[DESCRIBED] += max(0, len(self._truth.descriptions) - 1 - len(edits))
        return [one for one in told if one not in edits]

    def _with_pushes_as_far_as_rows_tell(self, told: list[Event]) -> list[Event]:
        """Rows that were deleted or never written: then only the heads are compared, with those that really were.

        A row that names no head is told with the one that is there when it is read; that may be of the next push
        already, whose own row then comes with the same head, and from nobody knows where."""
        if not self._truth.loose:
            return told
        self.counts.update(PUSHED + why for why in self._truth.loose)
        pushes = [one.subject for one in told if one.event == "pull_request_sync"]
        assert all(push.before != push.after for push in pushes)
        rest, last = iter(self._truth.heads), ""
        for push in pushes:
            is_later = not push.after or any(push.after == head for head in rest)
            assert is_later or (not push.before and push.after == last), "a head that was not, or not then"
            last = push.after or last
        return [one for one in told if one.event != "pull_request_sync"]

    def _lines_of(self, told: Sequence[Event]) -> Iterator[Line]:
        """Calls of one person within a second cannot be told from one: labels that follow each other are a set."""
        for (name, who), group in groupby(told, key=lambda one: (one.event, one.actor.login if one.actor else None)):
            if name == "pull_request_label":
                marks = [mark for one in group for mark in _marks(one)]
                self.counts[LABELLED] += len(marks) > 1
                yield name, who, frozenset(marks)
                continue
            for one in group:
                changes = {field: change.from_ for field, change in one.changes.items()}
                yield one.id, name, one.action, one.at, who, changes, msgspec.to_builtins(one.subject)


def _marks(one: Event) -> list[tuple[str, str]]:
    added, removed = one.subject.added or (), one.subject.removed or ()
    return [("+", name) for name in added] + [("-", name) for name in removed]
