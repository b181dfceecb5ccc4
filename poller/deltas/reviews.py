"""Reviews, their remarks on lines, and the replies to these.

A review has a row, which is younger than its own remarks and older than the replies; a reply has none.  Knows what
belongs to whom.  Must not know HTTP, SQL or the clock.
"""

from __future__ import annotations

from collections.abc import Iterable

from poller.deltas import ids
from poller.deltas.events import EventName, InlineComment, Subject
from poller.deltas.pulls import Inline, Review, Step
from poller.deltas.walk import LAST, Walk, is_reworded

REVIEW_EVENTS: dict[str, EventName] = {
    "APPROVED": "pull_request_review_approved",
    "REQUEST_CHANGES": "pull_request_review_rejected",
    "COMMENT": "pull_request_review_comment",
}


def read_reviews(walk: Walk) -> None:
    """Tell the reviews, then what was said in those that were there before."""
    for step in walk.reviewed:
        _with_row(walk, step)
    rows = {step.review_id: step.id for step in walk.steps if step.kind == "review" and walk.is_news(step)}
    rowless = [review for review in walk.seen.reviews or () if _has_no_row(walk, review)]
    for review in rowless:
        _without_row(walk, review)
    own = {remark.id for review in rowless for remark in _by_its_author(walk, review)}
    for review_id, remarks in walk.seen.inline.items():
        said = [one for one in sorted(remarks, key=lambda one: one.id) if one.id not in own]
        _in_thread(walk, review_id, said, since=rows.get(review_id, 0))


def waits(walk: Walk, review_id: int) -> bool:
    """A review whose own row could not be told yet keeps its remarks back with it.

    That row may be one that we have not seen at all: submitted after the timeline was asked for.
    """
    rows = [step for step in walk.steps if step.kind == "review" and step.review_id == review_id]
    if rows:
        return any(step.id in walk.unclear for step in rows)
    review = next((one for one in walk.seen.reviews or () if one.id == review_id), None)
    if review is not None and review.state == "PENDING":
        return True  # our own, or we are a site admin: nobody has said it yet
    if review is None or not _is_unknown(walk, review):
        return False
    if walk.is_first and not walk.is_new and review.updated_at < walk.boundary:
        return False
    return not walk.seen.settling or review.updated_at > walk.seen.row.updated_at


def _is_unknown(walk: Walk, review: Review) -> bool:
    return review.state in REVIEW_EVENTS and not (walk.known and review.id in walk.known.reviews)


def _with_row(walk: Walk, step: Step) -> None:
    review = next((one for one in walk.seen.reviews or () if one.id == step.review_id), None)
    name = REVIEW_EVENTS.get(review.state) if review else None
    if review is None or name is None or _lacks_remarks(walk, review):
        if not walk.seen.settling:
            walk.unclear.add(step.id)  # deleted meanwhile, or not asked for: ask again, do not guess the verdict
        return
    # The review's own remarks are older than its row; what is younger is a reply with an event of its own.
    remarks = [one for one in walk.seen.inline.get(review.id, ()) if one.id < step.id]
    subject = Subject(review_id=review.id, body=step.body, commit_id=review.commit_id, comments=_shown(remarks))
    walk.tell(
        step.id, name, "reviewed", at=step.at, actor=step.actor, key=("review", review.id), subject=subject,
        row_id=step.id, is_reworded=is_reworded(step) or _are_reworded(remarks, since=step.at),
    )  # fmt: skip


def _lacks_remarks(walk: Walk, review: Review) -> bool:
    """It counts remarks, and nobody has read them yet."""
    if not review.comments_count or review.id in walk.seen.inline:
        return False
    return walk.known is None or review.id not in walk.known.reviews


def _has_no_row(walk: Walk, review: Review) -> bool:
    """It is news, and its row was deleted without it: nothing of it will come any more."""
    if not _is_unknown(walk, review) or waits(walk, review.id) or _lacks_remarks(walk, review):
        return False
    is_rowed = any(step.kind == "review" and step.review_id == review.id for step in walk.steps)
    return walk.seen.settling and not is_rowed and review.at >= walk.boundary


def _without_row(walk: Walk, review: Review) -> None:
    """Which remarks are its own and which are replies nobody can say then: its author's are taken for its own."""
    remarks = _by_its_author(walk, review)
    subject = Subject(review_id=review.id, body=review.body, commit_id=review.commit_id, comments=_shown(remarks))
    order = min((one.id for one in remarks), default=LAST)
    key = ("review", review.id)
    walk.tell(
        order, REVIEW_EVENTS[review.state], "reviewed", at=review.at, actor=review.actor, key=key, subject=subject,
        is_reworded=_are_reworded(remarks, since=review.at),
    )  # fmt: skip


def _by_its_author(walk: Walk, review: Review) -> list[Inline]:
    author = review.actor.id if review.actor is not None else None
    return [one for one in walk.seen.inline.get(review.id, ()) if one.actor is not None and one.actor.id == author]


def _are_reworded(remarks: Iterable[Inline], *, since: str) -> bool:
    """Were they changed before anybody read them?  Until a review is submitted (`since`) only its author sees them.

    A push that outdates a line moves the same stamp, as an attachment does: then this errs, and one asks again."""
    return any(ids.seconds_between(max(one.at, since), one.updated_at) > 1 for one in remarks)


def _shown(remarks: Iterable[Inline]) -> list[InlineComment]:
    return [
        InlineComment(comment_id=one.id, path=one.path, line=one.line, body=one.body, diff_hunk=one.diff_hunk)
        for one in sorted(remarks, key=lambda one: one.id)
    ]


def _in_thread(walk: Walk, review_id: int, remarks: list[Inline], *, since: int) -> None:
    """Remarks of reviews that were there before: replies (no row of their own) and edits."""
    for remark in remarks:
        before = walk.known.inline.get(remark.id) if walk.known else None
        if before is not None:
            if before != remark.body:
                at, actor = remark.updated_at, remark.actor
                walk.tell_edit(remark.id, before, body=remark.body, at=at, actor=actor, where=remark)
        elif remark.id > since and walk.is_news_inline(remark) and not waits(walk, review_id):
            subject = Subject(
                comment_id=remark.id, body=remark.body, review_id=remark.review_id, path=remark.path, line=remark.line
            )
            walk.tell(
                remark.id, "pull_request_comment", "created", at=remark.at, actor=remark.actor,
                key=("comment", remark.id), subject=subject, is_reworded=_are_reworded([remark], since=remark.at),
            )  # fmt: skip
