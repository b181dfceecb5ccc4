"""What somebody said, as it stands now: by the log, and by the forge where it was seen some time ago.

Knows which answers show which words: of a review, the timeline has its text (`reviews` keeps the old one), the list of
its remarks has these.  Must not know who may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from poller import eventlog
from poller.deltas import ids
from poller.deltas.events import Event, Subject
from poller.deltas.reviews import REVIEW_EVENTS
from poller.forge import errors
from poller.forge.questions import Questions
from sessions.database import reading

#: Seconds for which words are taken to stand as they were seen.
SETTLED = 30.0
#: Comments and reviews of one turn that are looked for, each.
PROBES = 20
T = TypeVar("T")


class Wording:
    """`age`: the seconds since an event was seen."""

    def __init__(self, engine: sa.Engine, questions: Questions, *, age: Callable[[Event], float]) -> None:
        self._engine, self._questions, self._age = engine, questions, age

    def now(self, repo: str, events: Sequence[Event]) -> dict[str, Subject | None]:
        """Event id → its subject with the words that stand there now, `None` = they were deleted.

        `events` are of one pull; those without words are left out.  Raises `ForgeError`."""
        comments = [event for event in events if comment_of(event)]
        reviews = [event for event in events if is_review(event)]
        now = self._comments(repo, comments)
        found: dict[str, Subject | None] = {}
        for event in comments:
            words = now[comment_of(event)]
            found[event.id] = msgspec.structs.replace(event.subject, body=words) if words is not None else None
        found |= {event.id: event.subject for event in reviews}
        for event in [event for event in reviews if self._age(event) >= SETTLED][-PROBES:]:
            found[event.id] = self._unless_gone(repo, event, partial(self._review, repo, event))
        return found

    def _comments(self, repo: str, events: Sequence[Event]) -> dict[int, str | None]:
        """Comment id → what it says."""
        if not events:
            return {}
        with reading(self._engine) as conn:
            told = eventlog.comments_since(conn, events[0])
        now, seen = dict[int, str | None](), dict[int, Event]()
        for event in told:
            now[comment_of(event)] = None if event.action == "deleted" else event.subject.body or ""
            seen[comment_of(event)] = event
        old = {comment_of(event): event for event in events if self._age(seen[comment_of(event)]) >= SETTLED}
        for comment_id in [one for one in sorted(old) if now[one] is not None][-PROBES:]:
            event, known = old[comment_id], now[comment_id]
            now[comment_id] = self._unless_gone(repo, event, partial(self._words, repo, event, known))
        return now

    def _words(self, repo: str, event: Event, known: str | None) -> str | None:
        number, review_id = event.number, event.subject.review_id
        if number is None or not isinstance(review_id, int):
            words = self._questions.words(repo, comment_of(event))
            return words if words is not None else known
        remarks = self._questions.inline(repo, number, review_id)
        return next((one.body for one in remarks if one.id == comment_of(event)), None)

    def _review(self, repo: str, event: Event) -> Subject:
        number, review_id = event.number, event.subject.review_id
        assert number is not None and isinstance(review_id, int)
        remarks = {one.id: one.body for one in self._questions.inline(repo, number, review_id)}
        since = ids.shifted(event.at, seconds=-1)
        rows = self._questions.timeline(repo, number, since=since, hidden=len(remarks)).steps
        # Whoever takes back the text of a review and not the review takes its row away.
        body = next((row.body for row in rows if row.kind == "review" and row.review_id == review_id), "")
        said = msgspec.structs.replace(event.subject, body=body)
        if isinstance(said.comments, msgspec.UnsetType):
            return said
        stand = [one for one in said.comments if one.comment_id in remarks]
        stand = [msgspec.structs.replace(one, body=remarks[one.comment_id]) for one in stand]
        return msgspec.structs.replace(said, comments=stand)

    def _unless_gone(self, repo: str, event: Event, ask: Callable[[], T]) -> T | None:
        """The answer; `None`: what is asked about was deleted.  Where the pull or the repository is what is gone nobody
        has taken back his words, and the `NotFound` is raised."""
        try:
            return ask()
        except errors.NotFound:
            if event.number is None or self._questions.what_is_gone(repo, event.repo_id, event.number):
                raise
            return None


def comment_of(event: Event) -> int:
    """The comment that it is about, 0 = none."""
    number = event.subject.comment_id
    return number if event.event == "pull_request_comment" and isinstance(number, int) else 0


def is_review(event: Event) -> bool:
    """Does it tell a review that was submitted?"""
    return event.event in REVIEW_EVENTS.values() and isinstance(event.subject.review_id, int)
