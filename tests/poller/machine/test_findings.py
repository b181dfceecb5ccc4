"""What the machine has found, as small as it could be made."""

from __future__ import annotations

from poller.cycle import Report
from tests.poller.desk import Desk


def said(report: Report) -> list[tuple[str, str | None, str | None]]:
    """Action, milestone and who did it."""
    return [
        (one.event.action, one.event.subject.milestone or None, one.event.actor and one.event.actor.login)
        for one in report.told
    ]


def test_a_milestone_put_on_and_deleted_between_two_looks_was_not_taken_off_by_anybody(desk: Desk) -> None:
    desk.set_up(sweep="0s")
    desk.cycle()
    pull = desk.repo.open_pull(by="ana")
    desk.cycle()
    pull.milestone("v1", by="ana")
    desk.repo.delete_milestone("v1")
    assert said(desk.cycle()) == []
    desk.world.clock.advance(seconds=400)
    assert said(desk.cycle()) == []


def test_a_milestone_whose_row_names_nothing_any_more_is_missed_when_the_pull_is_quiet(desk: Desk) -> None:
    desk.set_up(sweep="0s")
    desk.cycle()
    pull = desk.repo.open_pull(by="ana", milestone="v1")
    desk.cycle()
    pull.milestone(None, by="ben")
    desk.repo.delete_milestone("v1")
    assert said(desk.cycle()) == []
    desk.world.clock.advance(seconds=400)
    assert said(desk.cycle()) == [("demilestoned", None, None)]


def test_a_review_whose_row_was_deleted_is_told_as_a_review_and_not_by_its_remarks(desk: Desk) -> None:
    desk.set_up(sweep="0s")
    desk.cycle()
    pull = desk.repo.open_pull(by="ana")
    desk.cycle()
    review = pull.review(by="ben", body="look", inline=[("app.txt", 5, "a"), ("app.txt", 6, "b")])
    review.reply(review.comments[0], "because", by="ana")
    assert review.row is not None
    review.row.delete(by="ben")
    desk.world.clock.advance(seconds=400)
    told = [one.event for _ in range(2) for one in desk.cycle().told]
    assert [(event.event, event.action) for event in told] == [
        ("pull_request_review_comment", "reviewed"),
        ("pull_request_comment", "created"),
    ]
    assert [remark.body for remark in told[0].subject.comments or []] == ["a", "b"]
