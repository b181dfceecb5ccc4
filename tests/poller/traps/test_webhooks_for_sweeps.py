"""What webhooks never say, or say of what leaves no row: only a sweep tells it."""

from __future__ import annotations

from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    NEXT,
    STABLE,
    every_version,
    happened,
    nothing_more,
    on,
    only,
    settled,
    short,
    told,
    watched,
)

DISMISSED, UNDISMISSED = "review_dismissal dismissed", "review_dismissal undismissed"


def told_in_the_end(desk: Desk) -> list[str]:
    """What the next cycles find, of which some wait for the pull to be quiet."""
    found = told(desk)
    for _ in range(2):
        found += settled(desk)
    return found


@every_version
def test_point_02_a_push_whose_row_is_lost_is_found_by_its_head(sweeping: Desk) -> None:
    pull = watched(sweeping)
    assert settled(sweeping) == []
    first, stamp = pull.head_sha, pull.updated
    last = pull.push(by="ana")
    pull.rows.pop()
    sweeping.world.index.touch(pull, stamp)
    found = happened(sweeping)
    for _ in range(2):
        sweeping.world.clock.advance(seconds=301)
        found += happened(sweeping)
    assert [(event.subject.before, event.subject.after, event.actor) for event in found] == [(first, last, None)]
    nothing_more(sweeping)


@every_version
def test_point_04_a_head_that_a_sweep_sees_before_its_row_is_one_push(sweeping: Desk) -> None:
    pull = watched(sweeping)
    assert settled(sweeping) == []
    sweeping.world.push_lag = 6
    first, last = pull.head_sha, pull.push(by="ben")
    pull.ref_sha = last  # every head is new at once, its row comes later
    assert told(sweeping) == told(sweeping) == []
    push = only(sweeping)
    assert (push.subject.before, push.subject.after, push.actor and push.actor.login) == (first, last, "ben")
    nothing_more(sweeping)


@every_version
def test_point_08_marks_that_go_without_a_row_go_without_a_name(sweeping: Desk) -> None:
    watched(sweeping, labels=["bug"], milestone="v1", assignees=["ben"])
    assert settled(sweeping) == []
    delivered = len(sweeping.world.webhooks)
    sweeping.repo.delete_label("bug")
    sweeping.repo.delete_milestone("v1")
    sweeping.repo.collaborator("ben", None)
    events = happened(sweeping)
    for _ in range(2):
        sweeping.world.clock.advance(seconds=301)
        events += happened(sweeping)
    assert sorted(map(short, events)) == ["assign unassigned", "label label_updated", "milestone demilestoned"]
    assert {event.actor for event in events} == {None}
    assert len(sweeping.world.webhooks) == delivered
    nothing_more(sweeping)


@every_version
def test_point_09_calls_that_change_nothing_leave_a_sweep_nothing_to_find(sweeping: Desk) -> None:
    pull = watched(sweeping, labels=["bug"], body="as it is")
    assert settled(sweeping) == []
    pull.label(by="ana", add=["bug"])
    pull.replace_labels(["bug"], by="ana")
    pull.edit(by="ana", body="as it is")
    nothing_more(sweeping)


@every_version
def test_point_10_the_request_that_a_verdict_answers_is_not_taken_back(sweeping: Desk) -> None:
    pull = watched(sweeping)
    pull.request_review("ben", by="ana")
    assert told(sweeping) == ["review_request review_requested"]
    assert settled(sweeping) == []
    pull.review(by="ben", event="APPROVED", body="yes")
    assert [review.state for review in pull.reviews] == ["APPROVED"], "the request is gone from the list"
    assert told_in_the_end(sweeping) == ["review_approved reviewed"]


@every_version
def test_point_12_a_dismissal_that_was_undone_has_its_row_and_not_its_flag(sweeping: Desk) -> None:
    pull = watched(sweeping)
    review = pull.review(by="ben", event="REQUEST_CHANGES", body="no")
    assert told(sweeping) == ["review_rejected reviewed"]
    assert settled(sweeping) == []
    review.dismiss(by="root1", message="stale")
    assert told(sweeping) == [DISMISSED]
    review.undismiss(by="root1")
    assert told(sweeping) == [UNDISMISSED]
    nothing_more(sweeping)
    review.dismiss(by="root1", message="stale again")
    sweeping.world.clock.advance(seconds=2)
    review.undismiss(by="root1")
    assert told_in_the_end(sweeping) == [DISMISSED, UNDISMISSED]
    nothing_more(sweeping)


@on(STABLE, NEXT)
def test_point_12_dismissed_undone_and_dismissed_again_between_two_looks_ends_dismissed(sweeping: Desk) -> None:
    pull = watched(sweeping)
    review = pull.review(by="ben", event="REQUEST_CHANGES", body="no")
    assert told(sweeping) == ["review_rejected reviewed"]
    review.dismiss(by="root1", message="stale")
    review.undismiss(by="root1")
    sweeping.world.clock.advance(seconds=2)
    review.dismiss(by="root1", message="stale again")
    assert told_in_the_end(sweeping)[-1:] == [DISMISSED]
    review.undismiss(by="root1")
    assert told_in_the_end(sweeping) == [UNDISMISSED]
    nothing_more(sweeping)
