"""What no row tells and only the exact lists show: words edited, comments, remarks and reviews deleted, verdicts and
threads taken back.

Knows what a missing or a changed entry means.  Must not know HTTP, SQL or the clock.  That something is missing is
believed only when the sighting says that a second question did not find it either.
"""

from __future__ import annotations

import msgspec

from poller.deltas.events import Subject
from poller.deltas.pulls import Inline, Known, RemarkMemo, Review, Sighting
from poller.deltas.reviews import waits
from poller.deltas.walk import LAST, Walk


def read_lists(walk: Walk) -> None:
    """Tell what the lists of a sighting show beyond its rows."""
    _comments(walk)
    _reviews(walk)
    _threads(walk)
    _deleted_remarks(walk)


def _comments(walk: Walk) -> None:
    known, seen = walk.known, walk.seen
    texts = dict(known.comments) if known else {}
    texts |= {step.id: step.body for step in seen.steps if step.kind == "comment"}
    for one in seen.comments or ():
        before = texts.get(one.id)
        if before is not None and before != one.body:
            walk.tell_edit(one.id, before, body=one.body, at=one.updated_at, actor=one.actor)
    plain = (known.plain if known else frozenset()) | {step.id for step in seen.steps if step.kind == "comment"}
    for comment_id in sorted(seen.gone & plain):
        _tell_deleted(walk, Subject(comment_id=comment_id, body=texts.get(comment_id, "")))


def _deleted_remarks(walk: Walk) -> None:
    known = walk.known
    if known is None:
        return
    for remark_id in sorted(walk.seen.gone & known.inline.keys()):
        memo, body = known.remarks.get(remark_id), known.inline[remark_id]
        subject = Subject(comment_id=remark_id, body=body)
        if memo is not None:
            subject = msgspec.structs.replace(subject, review_id=memo.review_id, path=memo.path, line=memo.line)
        _tell_deleted(walk, subject)


def _tell_deleted(walk: Walk, subject: Subject) -> None:
    """Nobody says who did it, or when: `at` is our look."""
    key = ("comment", subject.comment_id, "deleted")
    walk.tell(LAST, "pull_request_comment", "deleted", at=walk.seen.read_at, actor=None, key=key, subject=subject)


def _reviews(walk: Walk) -> None:
    seen = walk.seen
    for review_id in sorted(seen.gone_reviews):
        walk.tell(
            LAST, "pull_request_review_dismissal", "deleted", at=seen.read_at, actor=None,
            key=("review", review_id, "deleted"), subject=Subject(review_id=review_id),
        )  # fmt: skip
    for review in seen.reviews or ():
        if is_undone(walk, review):
            walk.tell(
                LAST, "pull_request_review_dismissal", "undismissed", at=review.updated_at, actor=None,
                key=("undismissed", review.id, review.updated_at), subject=Subject(review_id=review.id),
            )  # fmt: skip


def is_undone(walk: Walk, review: Review) -> bool:
    """Was a dismissal that we know of taken back?  There is no row for that: the flag is simply off again."""
    if review.dismissed:
        return False
    memo = walk.known.reviews.get(review.id) if walk.known else None
    told = _dismissed_at(walk, review.id)
    # Just told: only a review that was stamped later can be the one after it, and not the one before.
    return review.updated_at > told if told is not None else memo is not None and memo.dismissed


def is_dismissed(walk: Walk, review: Review) -> bool:
    """Whether our events say so: the flag, unless a dismissal was told just now that it does not show yet."""
    return review.dismissed or (_dismissed_at(walk, review.id) is not None and not is_undone(walk, review))


def _dismissed_at(walk: Walk, review_id: int) -> str | None:
    steps = (step for step in walk.steps if step.kind == "dismiss_review" and step.review_id == review_id)
    return max((step.at for step in steps if walk.is_news(step)), default=None)


def _threads(walk: Walk) -> None:
    """Who marked a conversation as done is shown at its first remark; when, nowhere."""
    for review_id, remarks in walk.seen.inline.items():
        if waits(walk, review_id):
            continue
        for remark in remarks:
            memo = _memo_of(walk, remark)
            if memo is None or (memo.resolver is None) == (remark.resolver is None):
                continue
            action = "unresolved" if remark.resolver is None else "resolved"
            walk.tell(
                LAST, "pull_request_thread", action, at=walk.seen.read_at, actor=remark.resolver,
                key=("thread", remark.id, action, memo.toggles + 1),
                subject=Subject(comment_id=remark.id, resolver=remark.resolver),
            )  # fmt: skip


def _memo_of(walk: Walk, remark: Inline) -> RemarkMemo | None:
    """What is remembered of a remark; `None`: it is history, or nobody had asked for its thread so far."""
    known = walk.known
    if known is not None and remark.id in known.inline:
        return known.remarks.get(remark.id)
    if not walk.is_news_inline(remark):
        return None
    return RemarkMemo(review_id=remark.review_id, path=remark.path, line=remark.line)


# -- the memory -----------------------------------------------------------------------------------------------------


def words_of(known: Known | None, walk: Walk) -> tuple[dict[int, str], frozenset[int]]:
    """Comments and words of reviews by row, and which of them are plain comments, after a look."""
    seen = walk.seen
    words = dict(known.comments) if known else {}
    words |= {s.id: s.body for s in seen.steps if s.kind in ("comment", "review") and s.id not in walk.unclear}
    plain = (known.plain if known else frozenset()) | {step.id for step in seen.steps if step.kind == "comment"}
    for one in seen.comments or ():
        if one.id in words:  # what the rows have not shown yet is still to be told
            words[one.id] = one.body
            plain |= {one.id}
    return {key: body for key, body in words.items() if key not in seen.gone}, plain - seen.gone


def remarks_of(known: Known | None, walk: Walk, waiting: set[int]) -> tuple[dict[int, str], dict[int, RemarkMemo]]:
    """Remarks on lines after a look: their words, and where they stand."""
    seen = walk.seen
    words = dict(known.inline) if known else {}
    memos = dict(known.remarks) if known else {}
    for review_id, remarks in seen.inline.items():
        if review_id in waiting:
            continue
        for remark in remarks:
            memo = _memo_of(walk, remark)
            toggled = memo is not None and (memo.resolver is None) != (remark.resolver is None)
            words[remark.id] = remark.body
            memos[remark.id] = RemarkMemo(
                review_id=remark.review_id, path=remark.path, line=remark.line, resolver=remark.resolver,
                toggles=(memo.toggles if memo is not None else 0) + toggled,
            )  # fmt: skip
    lost = seen.gone | {key for key, memo in memos.items() if memo.review_id in seen.gone_reviews}
    return (
        {key: body for key, body in words.items() if key not in lost},
        {key: memo for key, memo in memos.items() if key not in lost},
    )


def missing(known: Known | None, seen: Sighting) -> tuple[set[int], set[int]]:
    """(comments and remarks, reviews) that were there and that the lists of this sighting do not show."""
    words, reviews = set[int](), set[int]()
    if seen.comments is not None:
        plain = (known.plain if known else frozenset()) | {step.id for step in seen.steps if step.kind == "comment"}
        words |= plain - {one.id for one in seen.comments}
    if known is None:
        return words, reviews
    if seen.reviews is not None:
        reviews = known.reviews.keys() - {review.id for review in seen.reviews}
    for review_id, remarks in seen.inline.items():
        mine = {key for key, memo in known.remarks.items() if memo.review_id == review_id}
        words |= mine - {remark.id for remark in remarks}
    return words, reviews
