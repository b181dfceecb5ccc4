"""Which rows and heads are pushes, and which only look like one.

Knows the forge's habits: the opening writes a push row, a base change rewrites all of them, a forced push writes one
or two, a push of commits that the base already has writes none, and the head leads the rows by seconds.
"""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from poller.deltas import ids
from poller.deltas.events import Actor, Subject
from poller.deltas.pulls import Step
from poller.deltas.walk import LAST, OPENING, Walk


class Stray(msgspec.Struct, frozen=True):
    """A head that no row explains yet.

    `is_old`: found when the pull was first read, or reopened.  It may have moved before, of which no webhook tells:
    unless its row comes after all, it is taken without a word.
    """

    head: str
    is_old: bool
    #: when it was first seen, by the forge's clock
    at: str


def read_pushes(walk: Walk) -> Stray | None:
    """Tell the pushes of a walk, move its head.  Returns a head that no row explains yet, if there is one."""
    rows = _paired([step for step in walk.steps if step.kind == "pull_push"])
    fresh = [row for row in rows if row.commits and walk.is_news(row)]
    pushed = {row.commits[-1] for row in fresh if not _is_of_a_base_change(walk, row)}
    known = walk.known
    if known is not None and known.stray_is_old and fresh and known.stray_head not in pushed:
        walk.head = known.stray_head  # what comes now comes on top of it
    for row in rows:
        _push_row(walk, row, is_last=row is rows[-1])
    return _from_head(walk)


def _paired(rows: list[Step]) -> list[Step]:
    """From 1.26 a forced push is two rows, the plain one first: keep the one that says forced."""
    return [
        row
        for row, follower in zip_longest(rows, rows[1:])
        if follower is None
        or row.forced
        or not follower.forced
        or follower.commits[-1:] != row.commits[-1:]
        or abs(ids.seconds_between(row.at, follower.at)) > 1
    ]


def _push_row(walk: Walk, row: Step, *, is_last: bool) -> None:
    live = walk.seen.heads.head_sha if walk.seen.heads else None
    # 1.22 writes a row without commits for a push that brings none of its own: only the head knows, if it has not
    # been pushed again since.  Then the row of that is still to come, and is not to be taken for a repetition.
    after = row.commits[-1] if row.commits else (live if is_last else None)
    if not walk.is_news(row):
        if walk.known is None or walk.known.shallow:
            walk.head = after or walk.head  # history, read for the first time
        return
    before, rebased, was_guess = walk.head, _is_of_a_base_change(walk, row), walk.head_is_guess
    if after == walk.head:
        if row.commits and (rebased or not was_guess):
            return  # a base change repeats the head; or the head was told before its row came
        before, after = (None, after) if was_guess else (before, None)
    is_first = walk.head is None
    forced = row.forced or (len(row.commits) == 2 and row.commits[0] == before)
    if forced and len(row.commits) == 2:
        before = row.commits[0]
    walk.head, walk.head_is_guess = after or walk.head, not row.commits
    if is_first and before is None and (rebased or _is_of_the_opening(walk, row)):
        return
    _tell(walk, before or "", after or "", at=row.at, actor=None if rebased else row.actor, row=row, forced=forced)


def _is_of_the_opening(walk: Walk, row: Step) -> bool:
    return ids.seconds_between(walk.seen.row.created_at, row.at) <= OPENING


def _is_of_a_base_change(walk: Walk, row: Step) -> bool:
    """Its person is whoever changed the base, not whoever pushed."""
    return any(
        step.kind == "change_target_branch" and step.id < row.id and step.at == row.at and step.actor == row.actor
        for step in walk.steps
    )


def _from_head(walk: Walk) -> Stray | None:
    """What the live head says beyond the rows.

    It leads them by a second or two, so it is believed only when a look that is later by the overlap, with the row
    of the pull quiet for as long, finds it still unexplained.
    """
    live = walk.seen.heads.head_sha if walk.seen.heads else None
    known = walk.known
    if not live or live == walk.head or walk.state == "closed" or walk.seen.row.state == "closed":
        return None
    if walk.head is None:
        walk.head = live  # opened without commits
        return None
    noted = known is not None and known.stray_head == live
    was_closed = walk.reopened or (known is not None and known.row.state == "closed")
    is_old = known.stray_is_old if known is not None and noted else was_closed or (walk.is_first and not walk.is_new)
    at = walk.seen.read_at
    if known is not None and noted and known.stray_at:
        at = min(at, known.stray_at)  # the forge's clock may have been put back
    waited = walk.seen.read_at >= ids.shifted(at, seconds=walk.seen.overlap)
    if not (noted and waited and walk.seen.settling):
        return Stray(live, is_old, at)
    if not is_old:
        walk.strays = {**walk.strays, live: walk.strays.get(live, 0) + 1}
        _tell(walk, walk.head, live, at=at, actor=None)
    walk.head = live
    return None


def _tell(
    walk: Walk, before: str, after: str, *, at: str, actor: Actor | None, row: Step | None = None, forced: bool = False
) -> None:
    commits = [after] if row is not None and forced else list(row.commits) if row is not None else []
    # A head without a row is named by itself, and where it comes back, by how often it did.
    key: tuple[object, ...] = ("push", row.id if row is not None else after)
    if row is None and (times := walk.strays[after]) > 1:
        key = (*key, times)
    walk.tell(
        row.id if row is not None else LAST,
        "pull_request_sync",
        "synchronized",
        at=at,
        actor=actor,
        key=key,
        subject=Subject(before=before, after=after, forced=forced, commits=commits),
    )
