"""A sweep that is lied to deletes, closes and takes back nothing, and finds afterwards what there was to find."""

from __future__ import annotations

from contextlib import suppress

import pytest

from poller.demo.pulls import Pull
from poller.forge import errors
from tests.poller.desk import Desk
from tests.poller.traps.stage import LIES, NEXT, OLD, log_of, settled, short, told, watched

#: Each kind of question that a sweep asks, as a pattern of its requests.
QUESTIONS = {
    "open pulls": "GET /repos/issues/search…state=open",
    "heads": "GET …/git/refs/pull",
    "comments of a repository": "GET …/api/issues/comments\\?",
    "comments of a pull": "GET …/issues/\\d+/comments",
    "timeline": "GET …/issues/\\d+/timeline",
    "reviews": "GET …/pulls/\\d+/reviews(\\?|$)",
    "inline comments": "GET …/reviews/\\d+/comments",
    "issue": "GET …/issues/\\d+$",
}


def lived_in(desk: Desk) -> Pull:
    """A pull with something of everything, all of it told, quiet since long; and a second one that stays quiet."""
    other = watched(desk, labels=["bug"], assignees=["ben"])
    other.comment("quiet", by="ana")
    pull = desk.repo.open_pull(by="ana", labels=["bug", "ui"], milestone="v1", assignees=["ben"])
    for number in range(4):
        pull.comment(f"c{number}", by="ana")
    remarks = [("app.txt", 5, "why?"), ("app.txt", 6, "and why this?")]
    review = pull.review(by="ben", event="REQUEST_CHANGES", body="no", inline=remarks)
    pull.reply(review.comments[0], "because", by="ana")
    review.dismiss(by="root1", message="stale")
    assert len(told(desk)) == 12
    for _ in range(2):
        assert settled(desk) == []
    review.comments[0].resolve(by="ana")
    assert told(desk) == ["thread resolved"]
    assert settled(desk) == []
    return pull


def lied_to(desk: Desk, lie: str, *questions: str) -> None:
    """A cycle in which every such question is answered so; each was asked."""
    faults = [desk.world.fault(QUESTIONS[question], times=None, **LIES[lie]) for question in questions]
    desk.world.clock.advance(seconds=301)
    with suppress(errors.ForgeError):  # then it says so, and commits nothing
        desk.cycle()
    assert faults[0].struck
    for fault in faults:
        fault.times = 0


def recovered(desk: Desk) -> None:
    """As often as it takes for everything to be looked at again, patience after failures included."""
    for _ in range(3):
        desk.world.clock.advance(seconds=301)
        desk.cycle()


@pytest.mark.parametrize("question", sorted(QUESTIONS.keys() - {"issue"}))
def test_a_lie_ends_nothing(sweeping: Desk, question: str) -> None:
    lived_in(sweeping)
    before = len(log_of(sweeping))
    for lie in LIES:
        lied_to(sweeping, lie, question)
    recovered(sweeping)
    assert [short(event) for event in log_of(sweeping)[before:]] == []


@pytest.mark.parametrize(("version", "lie"), [(OLD, "404"), (NEXT, "empty")])
@pytest.mark.parametrize("question", ["comments of a pull", "heads", "inline comments", "open pulls", "reviews"])
def test_a_lie_hides_nothing_for_longer_than_it_lasts(sweeping: Desk, question: str, lie: str) -> None:
    pull = lived_in(sweeping)
    before = len(log_of(sweeping))
    review = pull.reviews[0]
    pull.comments[0].edit("c0, edited")
    pull.comments[1].delete()
    review.comments[-1].edit("because of that")
    review.comments[0].unresolve(by="ana")
    review.undismiss(by="root1")
    sweeping.repo.delete_label("ui")
    head = pull.head_sha
    pull.push_without_own_commits(by="ana")
    lied_to(sweeping, lie, question)
    recovered(sweeping)
    found = log_of(sweeping)[before:]
    assert sorted(map(short, found)) == [
        "comment deleted", "comment edited", "comment edited", "label label_updated", "review_dismissal undismissed",
        "sync synchronized", "thread unresolved",
    ]  # fmt: skip
    (push,) = (event for event in found if short(event).startswith("sync"))
    assert (push.subject.before, push.subject.after) == (head, pull.head_sha)


@pytest.mark.parametrize("question", ["open pulls", "comments of a pull", "reviews"])
def test_two_lies_at_once_end_nothing_while_the_third_answer_is_true(sweeping: Desk, question: str) -> None:
    lived_in(sweeping)
    before = len(log_of(sweeping))
    for lie in ("empty", "null", "404"):
        lied_to(sweeping, lie, question, "issue")
    recovered(sweeping)
    assert [short(event) for event in log_of(sweeping)[before:]] == []
