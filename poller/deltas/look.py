"""One look at one pull: which questions its row raises, and the answers as a sighting.

Knows which answer depends on which.  Must not know SQL or what becomes of the sighting.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from poller.deltas import ids
from poller.deltas.lists import missing
from poller.deltas.pulls import Comment, Inline, Known, Review, Row, Sighting, Step
from poller.deltas.reviews import REVIEW_EVENTS
from poller.forge.questions import Questions
from poller.forge.timeline import BARREN_AT_MOST, Timeline

#: Rows that say nothing about an act on the pull itself.
NOISE = frozenset({"commit_ref", "pull_ref", "comment_ref", "issue_ref"})
#: Rows after which head, base or merge state may be other than remembered.
MOVING = frozenset({"pull_push", "change_target_branch", "reopen", "merge_pull"})
#: So many missing things are asked about in one look; the others have their turn in the next one.
PROBES = 20


class Care(msgspec.Struct, frozen=True, kw_only=True):
    """How closely to look.

    `thorough`: at the exact list of comments and at the remarks of every review, also of those that did not move.
    `heads`: at the pull itself.  `ref_head`: what a sweep found as its head.
    """

    thorough: bool = False
    heads: bool = False
    ref_head: str | None = None


CASUAL = Care()


def look_at(
    questions: Questions,
    row: Row,
    known: Known | None,
    *,
    read_at: str,
    overlap: float,
    paged: bool | None,
    care: Care = CASUAL,
) -> Sighting:
    """Ask the forge what happened on a pull whose row moved, whose time to settle has come, or that is swept.

    The timeline always; reviews when there are or may be any; inline comments of reviews that are new or moved; the
    pull itself (the dear one) when head, base or state may have moved or nothing else explains the row.
    """
    whole = known is None or known.shallow or known.read_to is None
    since = _since(row, known, read_at=read_at, overlap=overlap) if not whole else None
    memo = known.reviews if known else {}
    hidden = sum(review.comments_count for review in memo.values())
    timeline = questions.timeline(row.repo, row.number, since=since, hidden=hidden)
    if _is_ahead(timeline.steps, row, known):
        row = questions.issue(row.repo, row.repo_id, row.number) or row
        timeline = questions.timeline(row.repo, row.number, since=since, hidden=hidden)
    comments = questions.comments(row.repo, row.number) if care.thorough else None
    reviews: tuple[Review, ...] | None = None
    # A server that cuts every page may hide a review's row behind its inline comments.
    if (
        memo
        or paged is not False
        or care.thorough
        or any(step.kind == "review" for step in timeline.steps)
        or not explained(row, known, _fresh(timeline.steps, known))
    ):
        reviews = questions.reviews(row.repo, row.number)
        timeline.read_on(sum(review.comments_count for review in reviews))
    _complete(timeline, row, known, comments, reviews, since=since, paged=paged)
    settling = read_at >= ids.shifted(row.updated_at, seconds=overlap)
    inline: dict[int, tuple[Inline, ...]] = {}
    for review in reviews or ():
        if _is_opened(review, known, care):
            remarks = questions.inline(row.repo, row.number, review.id)
            # Fewer than it counts: one went just now, or the answer is not whole.  Left out, they are asked for again.
            if len(remarks) >= review.comments_count or settling:
                inline[review.id] = remarks
    fresh = _fresh(timeline.steps, known)
    needs_heads = (
        whole
        or known is None
        or care.heads
        or known.heads is None
        or known.stray_head is not None
        or row.state != known.row.state
        or any(step.kind in MOVING for step in fresh)
        or (row.updated_at != known.row.updated_at and not inline and not explained(row, known, fresh))
    )
    seen = Sighting(
        row=row,
        steps=timeline.steps,
        reviews=reviews,
        inline=inline,
        heads=questions.heads(row.repo, row.number) if needs_heads else None,
        comments=comments,
        ref_head=care.ref_head,
        read_at=read_at,
        settling=settling,
        overlap=overlap,
    )
    return _without_what_is_gone(questions, known, seen)


def _since(row: Row, known: Known | None, *, read_at: str, overlap: float) -> str | None:
    """From where the timeline is news.  `None`, all of it: the forge's clock, or this row's, was put back."""
    if known is None or known.read_to is None or known.read_to > read_at or row.updated_at < known.row.updated_at:
        return None
    return ids.shifted(known.read_to, seconds=-overlap)


def _fresh(steps: Sequence[Step], known: Known | None) -> list[Step]:
    return [step for step in steps if known is None or step.id not in known.seen]


def _is_ahead(steps: Sequence[Step], row: Row, known: Known | None) -> bool:
    """Was somebody quicker than we?

    Then the row's labels and state are older than the steps: both are to be asked for again, the row first, so that
    whatever it shows has its step.
    """
    return any(step.at > row.updated_at for step in _fresh(steps, known))


def _complete(
    timeline: Timeline,
    row: Row,
    known: Known | None,
    comments: tuple[Comment, ...] | None,
    reviews: tuple[Review, ...] | None,
    *,
    since: str | None,
    paged: bool | None,
) -> None:
    """Read what the rows lack: on a server that pages, hidden ones can be in front of others, as many as somebody
    likes.  The row's stamp shows that there are more, and so do the exact lists."""
    if paged is not False and _has_stamp_of_its_own(row, known, reviews) and (since is None or since <= row.updated_at):
        timeline.read_until(lambda: max((step.at for step in timeline.steps), default="") >= row.updated_at)
    if known is None or comments is None:
        return
    if missed := _without_row(timeline, comments, reviews, known):
        # Stamps can be set by hand, or come late: from the oldest of them on, as few as may be are in front of it.
        timeline.read_again(min(missed))
        if paged is not False:
            timeline.read_until(lambda: not _without_row(timeline, comments, reviews, known), barren=BARREN_AT_MOST)


def _has_stamp_of_its_own(row: Row, known: Known | None, reviews: tuple[Review, ...] | None) -> bool:
    """Is the row stamped for something that must have a row of the timeline?  Not when it was made, nor for another
    description or a reply in a review, and what was read for a stamp once is not read for it again."""
    if known is None or known.shallow:
        return row.updated_at != row.created_at
    if row.updated_at == known.row.updated_at or row.body != known.row.body:
        return False
    counts = {key: memo.comments_count for key, memo in known.reviews.items()}
    return all(counts.get(review.id, review.comments_count) == review.comments_count for review in reviews or ())


def _without_row(
    timeline: Timeline, comments: tuple[Comment, ...], reviews: tuple[Review, ...] | None, known: Known
) -> list[str]:
    """From when on those are to be looked for that the lists show, and neither the memory nor the rows."""
    rows = {step.id for step in timeline.steps} | known.comments.keys()
    rowed = {step.review_id for step in timeline.steps if step.kind == "review"} | known.reviews.keys()
    missed = [one.updated_at for one in comments if one.id not in rows]
    return missed + [one.at for one in reviews or () if one.state in REVIEW_EVENTS and one.id not in rowed]


def _is_opened(review: Review, known: Known | None, care: Care) -> bool:
    """Are its remarks to be read?  What somebody (we, or anyone to a site admin) has not submitted is not said yet."""
    if review.state == "PENDING" or not (care.thorough or has_moved(review, known)):
        return False
    return bool(review.comments_count) or _had_remarks(review, known)


def _had_remarks(review: Review, known: Known | None) -> bool:
    return known is not None and any(memo.review_id == review.id for memo in known.remarks.values())


def _without_what_is_gone(questions: Questions, known: Known | None, seen: Sighting) -> Sighting:
    """What a list does not show any more is asked for by itself; and gone it is only if the pull itself is there."""
    row = seen.row
    words, reviews = missing(known, seen)
    gone = frozenset(one for one in sorted(words)[:PROBES] if not questions.is_comment(row.repo, one))
    gone_reviews = frozenset(
        one for one in sorted(reviews)[:PROBES] if not questions.is_review(row.repo, row.number, one)
    )
    if not (gone or gone_reviews) or questions.issue(row.repo, row.repo_id, row.number) is None:
        return seen
    return msgspec.structs.replace(seen, gone=gone, gone_reviews=gone_reviews)


def has_moved(review: Review, known: Known | None) -> bool:
    """Is there anything in a review that its memo does not tell?"""
    memo = known.reviews.get(review.id) if known else None
    return memo is None or (memo.state, memo.comments_count, memo.updated_at) != (
        review.state,
        review.comments_count,
        review.updated_at,
    )


def explained(row: Row, known: Known | None, fresh: list[Step]) -> bool:
    """Do the new rows, or what the search row itself shows, say why its stamp moved?"""
    if known is None:
        return True
    if any(step.kind not in NOISE for step in fresh):
        return True
    same = msgspec.structs.replace(known.row, updated_at=row.updated_at, comments=row.comments)
    return row != same
