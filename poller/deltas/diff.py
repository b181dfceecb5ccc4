"""What happened on a pull request between two looks at it.

Knows pulls and events.  Must not know HTTP, SQL, the clock or agents.
"""

from __future__ import annotations

import msgspec

from poller.deltas import ids
from poller.deltas.events import Change, Event
from poller.deltas.lists import is_dismissed, read_lists, remarks_of, words_of
from poller.deltas.marks import read_marks
from poller.deltas.pulls import Known, Marks, ReviewMemo, Row, Sighting
from poller.deltas.pushes import Stray, read_pushes
from poller.deltas.reviews import read_reviews, waits
from poller.deltas.walk import LAST, Walk

#: A boundary after everything: a first reading that tells nothing (the baseline).
NEVER = "9999-12-31T23:59:59Z"


def events_between(
    known: Known | None, seen: Sighting, *, forge: str, seen_at: str, boundary: str = NEVER
) -> tuple[list[Event], Known]:
    """Events that lead from `known` to `seen`, oldest first, and the memory after telling them.

    `boundary` counts only for a pull that is not known at all: what is older is history (use `NEVER` at the baseline).
    Order is that of the forge's ids (one sequence over rows, comments and inline comments); what only the state
    shows comes last, because nobody can say when it happened.
    """
    walk = Walk(known, seen, forge=forge, seen_at=seen_at, boundary=boundary)
    walk.read()
    read_reviews(walk)
    stray = read_pushes(walk)
    _body(walk)
    _state_without_row(walk)
    read_lists(walk)
    marks = read_marks(walk)
    told = [event for _, event in sorted(walk.told, key=lambda pair: pair[0])]
    return told, _memory(walk, stray, marks)


def shallow(row: Row) -> Known:
    """The memory of a pull of which only its search row was read: what its rows said up to then is history."""
    return Known(row=row, boundary=ids.shifted(row.updated_at, seconds=1), shallow=True)


def deleted(known: Known, *, forge: str, at: str, seen_at: str) -> tuple[Event | None, Known]:
    """The pull is gone for good; its number is not used again.  Nobody says who did it, or when: `at` is our look."""
    seen = Sighting(row=msgspec.structs.replace(known.row, state="closed"), steps=(), read_at=at)
    memory = msgspec.structs.replace(known, row=seen.row, gone=True)
    if known.gone:
        return None, memory
    walk = Walk(known, seen, forge=forge, seen_at=seen_at, boundary=NEVER)
    walk.tell(LAST, "pull_request", "deleted", at=at, actor=None, key=("deleted",))
    return walk.told[0][1], memory


def _body(walk: Walk) -> None:
    """The description has no row: the edit shows in the state only, and nobody says whose it was."""
    known, row = walk.known, walk.seen.row
    if known is not None and known.row.body != row.body:
        key = ("edited", "body", known.body_edits + 1, ids.fingerprint(row.body))
        changes = {"body": Change(known.row.body)}
        walk.tell(LAST, "pull_request", "edited", at=row.updated_at, actor=None, key=key, changes=changes)


def _state_without_row(walk: Walk) -> None:
    """Closed or reopened, and no row says so: believe it when a second, different question agrees."""
    known, row, heads = walk.known, walk.seen.row, walk.seen.heads
    if known is None or walk.state_steps or row.state == known.row.state:
        return
    if not (walk.seen.settling or (heads is not None and heads.state == row.state)):
        return
    action = "reopened" if row.state == "open" else "closed"
    at = row.closed_at if row.state == "closed" and row.closed_at else row.updated_at
    walk.state = row.state
    walk.tell(LAST, "pull_request", action, at=at, actor=None, key=(action, f"at-{at}"))


def _memory(walk: Walk, stray: Stray | None, marks: Marks) -> Known:
    known, seen = walk.known, walk.seen
    first_time = walk.is_first
    comments, plain = words_of(known, walk)
    reviews, waiting = _reviews_after(walk)
    inline, remarks = remarks_of(known, walk, waiting)
    body_moved = known is not None and known.row.body != seen.row.body
    # The timeline may be ahead of the row, and a change that nobody has told of yet must not be forgotten.
    state = walk.state or seen.row.state
    return Known(
        row=seen.row if state == seen.row.state else msgspec.structs.replace(seen.row, state=state),
        boundary=walk.boundary,
        heads=seen.heads or (known.heads if known else None),
        head=walk.head,
        head_is_guess=walk.head_is_guess and not seen.settling,
        seen=(known.seen if known and not first_time else frozenset())
        | {step.id for step in seen.steps if step.id not in walk.unclear},
        comments=comments,
        plain=plain,
        reviews=reviews,
        inline=inline,
        remarks=remarks,
        marks=marks,
        body_edits=(known.body_edits if known else 0) + body_moved,
        stray_head=stray.head if stray else None,
        stray_is_old=stray.is_old if stray else False,
        stray_at=stray.at if stray else None,
        strays=walk.strays,
        # A push takes the ref along: where it was before, it may come to again.
        ref_head=seen.ref_head or (known.ref_head if known and walk.head == known.head else None),
        read_to=seen.read_at if seen.settling or first_time else known.read_to if known else seen.read_at,
    )


def _reviews_after(walk: Walk) -> tuple[dict[int, ReviewMemo], set[int]]:
    """Memos of the reviews after a look, and which reviews wait for their rows."""
    known, seen = walk.known, walk.seen
    reviews = dict(known.reviews) if known else {}
    waiting = {review.id for review in seen.reviews or () if waits(walk, review.id)}
    for review in seen.reviews or ():
        asked = review.id in seen.inline or not review.comments_count
        if asked and review.id not in waiting and review.state not in ("PENDING", "REQUEST_REVIEW"):
            reviews[review.id] = ReviewMemo(
                state=review.state,
                dismissed=is_dismissed(walk, review),
                comments_count=review.comments_count,
                updated_at=review.updated_at,
            )
    return {key: memo for key, memo in reviews.items() if key not in seen.gone_reviews}, waiting
