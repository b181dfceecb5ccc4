"""What the machine has found, as small as it could be made."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

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


def pushes(*reports: Report) -> list[tuple[str, str]]:
    """Row and head of each push that was told."""
    told = [one.event for report in reports for one in report.told if one.event.action == "synchronized"]
    return [(event.id.rpartition("/")[2], str(event.subject.after)) for event in told]


@pytest.mark.parametrize("version", ["1.22.6", "forgejo-11"])
def test_a_push_after_one_without_commits_is_told_though_its_head_was_seen_before_its_row(
    tmp_path: Path, version: str
) -> None:
    with closing(Desk(tmp_path, version=version)) as desk:
        desk.set_up(sweep="0s")
        desk.cycle()
        pull = desk.repo.open_pull(by="ana")
        desk.cycle()
        desk.world.push_lag = 9
        pull.push_without_own_commits(by="ana")
        desk.world.clock.advance(seconds=9)
        desk.world.catch_up()
        after = pull.push(by="ana")
        first = desk.cycle()  # the row of the first push, and the head of the second
        desk.world.clock.advance(seconds=9)
        second = desk.cycle()
        rows = [str(hook["about"]["row"]) for hook in desk.world.webhooks if hook["action"] == "synchronized"]
        assert len(rows) == 2
        assert pushes(first, second) == [(rows[0], after), (rows[1], after)]


@pytest.mark.parametrize("version", ["1.22.6", "forgejo-11"])
def test_two_pushes_that_lead_back_to_the_head_are_told_though_one_names_no_commits(
    tmp_path: Path, version: str
) -> None:
    with closing(Desk(tmp_path, version=version)) as desk:
        desk.set_up(sweep="0s")
        desk.cycle()
        pull = desk.repo.open_pull(by="ana")
        pull.force_push(by="ana", to_base=True)
        desk.cycle()
        desk.world.push_lag = 9
        before = pull.head_sha
        pull.push_without_own_commits(by="ana")
        desk.world.clock.advance(seconds=9)
        desk.world.catch_up()
        desk.repo.move_branch(pull.head_ref, before, by=desk.world.person("ana"), forced=True)
        first = desk.cycle()
        desk.world.clock.advance(seconds=9)
        second = desk.cycle()
        assert [head for _, head in pushes(first, second)] == ["", before]
