"""One look at one pull: which questions its row raises, and the answers as a sighting.

Knows which answer depends on which.  Must not know SQL or what becomes of the sighting.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from poller.deltas import ids
from poller.deltas.pulls import Inline, Known, Review, Row, Sighting, Step
from poller.forge.questions import Questions

#: Rows that say nothing about an act on the pull itself.
NOISE = frozenset({"commit_ref", "pull_ref", "comment_ref", "issue_ref"})
#: Rows after which head, base or merge state may be other than remembered.
MOVING = frozenset({"pull_push", "change_target_branch", "reopen", "merge_pull"})


def look_at(
    questions: Questions, row: Row, known: Known | None, *, read_at: str, overlap: float, paged: bool | None
) -> Sighting:
    """Ask the forge what happened on a pull whose row moved, or whose time to settle has come.

    The timeline always; reviews when there are or may be any; inline comments of reviews that are new or moved; the
    pull itself (the dear one) when head, base or state may have moved or nothing else explains the row.
    """
    whole = known is None or known.shallow or known.read_to is None
    since = None
    if known is not None and not whole and known.read_to is not None and known.read_to <= read_at:
        since = ids.shifted(known.read_to, seconds=-overlap)  # else the forge's clock was put back: read it all
    memo = known.reviews if known else {}
    hidden = sum(review.comments_count for review in memo.values())
    timeline = questions.timeline(row.repo, row.number, since=since, hidden=hidden)
    if _is_ahead(timeline.steps, row, known):
        row = questions.issue(row.repo, row.repo_id, row.number) or row
        timeline = questions.timeline(row.repo, row.number, since=since, hidden=hidden)
    steps = timeline.steps
    fresh = [step for step in steps if known is None or step.id not in known.seen]
    settling = read_at >= ids.shifted(row.updated_at, seconds=overlap)
    reviews: tuple[Review, ...] | None = None
    # A server that cuts every page may hide a review's row behind its inline comments.
    if memo or paged is not False or any(step.kind == "review" for step in steps) or not explained(row, known, fresh):
        reviews = questions.reviews(row.repo, row.number)
        timeline.read_on(sum(review.comments_count for review in reviews))
        steps = timeline.steps
        fresh = [step for step in steps if known is None or step.id not in known.seen]
    inline: dict[int, tuple[Inline, ...]] = {
        review.id: questions.inline(row.repo, row.number, review.id)
        for review in reviews or ()
        if review.comments_count and has_moved(review, known)
    }
    needs_heads = (
        whole
        or known is None
        or known.heads is None
        or known.stray_head is not None
        or row.state != known.row.state
        or any(step.kind in MOVING for step in fresh)
        or (row.updated_at != known.row.updated_at and not inline and not explained(row, known, fresh))
    )
    heads = questions.heads(row.repo, row.number) if needs_heads else None
    return Sighting(
        row=row, steps=steps, reviews=reviews, inline=inline, heads=heads, read_at=read_at, settling=settling
    )


def _is_ahead(steps: Sequence[Step], row: Row, known: Known | None) -> bool:
    """Was somebody quicker than we?

    Then the row's labels and state are older than the steps: both are to be asked for again, the row first, so that
    whatever it shows has its step.
    """
    return any(step.at > row.updated_at for step in steps if known is None or step.id not in known.seen)


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
