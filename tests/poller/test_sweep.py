"""What moves no stamp is found by the sweeps, told once, and only when a second question agrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from poller import eventlog, rounds
from poller.deltas.events import Event
from sessions.database import reading
from tests.poller.desk import Desk

VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]


@pytest.fixture(params=VERSIONS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, version=request.param, sweep="0s")
    yield made
    made.close()


@pytest.fixture
def usual(tmp_path: Path) -> Iterator[Desk]:
    """With the usual interval and budget."""
    made = Desk(tmp_path)
    yield made
    made.close()


def events(desk: Desk) -> list[Event]:
    return [one.event for one in desk.cycle().told]


def quiet(desk: Desk) -> None:
    """Long enough for everything to settle."""
    for _ in range(3):
        desk.world.clock.advance(seconds=400)
        desk.cycle()


def one(desk: Desk) -> Event:
    """The one event of the next cycle; the one after it has none."""
    (told,) = events(desk)
    assert desk.told() == []
    return told


# -- words ----------------------------------------------------------------------------------------------------------


def test_an_edited_comment_is_told_with_its_former_words(desk: Desk) -> None:
    desk.told()
    comment = desk.repo.open_pull(by="ana").comment("hello", by="ben")
    quiet(desk)
    comment.edit("@bot hello", by="ben")
    told = one(desk)
    assert (told.event, told.action, told.subject.body) == ("pull_request_comment", "edited", "@bot hello")
    assert told.changes["body"].from_ == "hello"


def test_an_edit_on_a_pull_that_was_closed_long_ago_is_found_too(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    comment = pull.comment("hello", by="ben")
    pull.close(by="ana")
    desk.repo.open_pull(by="ana", title="Another")
    quiet(desk)
    comment.edit("goodbye", by="ben")
    assert (one(desk).subject.body) == "goodbye"


def test_words_on_a_pull_that_was_closed_long_ago_are_compared_once_a_day(usual: Desk) -> None:
    usual.told()
    pull = usual.repo.open_pull(by="ana")
    comment = pull.comment("words", by="ben")
    usual.told()
    pull.close(by="ana")
    for _ in range(100):
        usual.world.clock.advance(seconds=3600)
        usual.cycle()
    comment.edit("other words", by="ben")
    told = list[str]()
    for _ in range(30):
        usual.world.clock.advance(seconds=3600)
        told += usual.told()
    assert told == ["pull_request_comment edited"]


def test_an_edit_comes_before_what_happened_after_it(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    comment = pull.comment("words", by="ben")
    quiet(desk)
    comment.edit("other words", by="ben")
    desk.world.clock.advance(seconds=10)
    pull.close(by="ana")
    assert desk.told() == ["pull_request_comment edited", "pull_request closed"]


def test_a_deleted_comment_is_told_once_and_its_neighbours_stay(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    first, _second = pull.comment("first", by="ben"), pull.comment("second", by="ben")
    quiet(desk)
    first.delete(by="ben")
    told = one(desk)
    assert (told.event, told.action) == ("pull_request_comment", "deleted")
    assert (told.subject.comment_id, told.subject.body, told.actor) == (first.id, "first", None)


def test_a_deletion_and_an_addition_between_two_sweeps_are_both_told(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    first = pull.comment("first", by="ben")
    quiet(desk)
    first.delete(by="ben")
    pull.comment("instead", by="ben")
    told = events(desk) + events(desk)
    assert sorted(event.action for event in told) == ["created", "deleted"]


def test_an_edited_and_a_deleted_remark_are_told_with_their_place(desk: Desk) -> None:
    desk.told()
    review = desk.repo.open_pull(by="ana").review(by="ben", body="see", inline=[("app.txt", 5, "why?")])
    quiet(desk)
    remark = review.comments[0]
    remark.edit("why not?", by="ben")
    told = one(desk)
    assert (told.action, told.subject.path, told.subject.line) == ("edited", "app.txt", 5)
    assert told.changes["body"].from_ == "why?"
    remark.delete(by="ben")
    if remark in review.comments:
        return  # 1.22 says yes and does nothing
    told = one(desk)
    assert (told.action, told.subject.comment_id, told.subject.review_id) == ("deleted", remark.id, review.id)
    assert (told.subject.path, told.subject.line, told.subject.body) == ("app.txt", 5, "why not?")


def test_a_thread_is_resolved_and_unresolved(desk: Desk) -> None:
    desk.told()
    review = desk.repo.open_pull(by="ana").review(by="ben", body="see", inline=[("app.txt", 5, "why?")])
    quiet(desk)
    remark = review.comments[0]
    said = []
    for act in (remark.resolve, remark.unresolve, remark.resolve):
        act(by="ana")
        told = one(desk)
        said.append((told.action, told.actor.login if told.actor else None))
        assert (told.event, told.subject.comment_id) == ("pull_request_thread", remark.id)
    assert said == [("resolved", "ana"), ("unresolved", None), ("resolved", "ana")]


# -- reviews --------------------------------------------------------------------------------------------------------


def test_a_deleted_review_takes_the_replies_of_others_along_and_is_one_event(desk: Desk) -> None:
    desk.told()
    review = desk.repo.open_pull(by="ana").review(by="ben", body="see", inline=[("app.txt", 5, "why?")])
    review.reply(review.comments[0], "because", by="ana")
    quiet(desk)
    review.delete(by="ben")
    told = one(desk)
    assert (told.event, told.action) == ("pull_request_review_dismissal", "deleted")
    assert told.subject.review_id == review.id


def test_a_dismissal_that_is_taken_back_is_told(desk: Desk) -> None:
    desk.told()
    review = desk.repo.open_pull(by="ana").review(by="ben", event="REQUEST_CHANGES", body="no")
    quiet(desk)
    review.dismiss(by="ana", message="old")
    assert desk.told() == ["pull_request_review_dismissal dismissed"]
    quiet(desk)
    review.undismiss(by="ana")
    assert one(desk).action == "undismissed"
    quiet(desk)
    review.dismiss(by="ana", message="older")
    desk.world.clock.advance(seconds=1)
    review.undismiss(by="ana")
    assert [event.action for event in [*events(desk), *events(desk)]] == ["dismissed", "undismissed"]


def test_a_newer_verdict_supersedes_and_dismisses_nothing(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    pull.review(by="ben", event="REQUEST_CHANGES", body="no")
    quiet(desk)
    pull.review(by="ben", event="APPROVED", body="yes")
    assert desk.told() == ["pull_request_review_approved reviewed"]
    quiet(desk)
    with reading(desk.engine) as conn:
        assert "pull_request_review_dismissal" not in {event.event for event in eventlog.event_log(conn)}


# -- marks ----------------------------------------------------------------------------------------------------------


def test_a_label_that_is_deleted_as_such_leaves_every_pull_that_had_it(desk: Desk) -> None:
    desk.told()
    pulls = [desk.repo.open_pull(by="ana", labels=["bug", "ui"]) for _ in range(2)]
    quiet(desk)
    desk.repo.delete_label("bug")
    told = events(desk)
    assert [(event.event, event.action, event.subject.removed, event.subject.labels) for event in told] == [
        ("pull_request_label", "label_updated", ["bug"], ["ui"])
    ] * len(pulls)
    assert desk.told() == []


def test_a_label_with_another_name_is_the_same_label(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana", labels=["bug"])
    quiet(desk)
    desk.repo.rename_label("bug", "defect")
    assert desk.told() == []


# -- heads and pulls ------------------------------------------------------------------------------------------------


def test_a_push_without_a_row_is_found_by_its_head(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    quiet(desk)
    before = pull.head_sha
    pull.push_without_own_commits(by="ana")
    told = [*events(desk)]
    for _ in range(3):
        desk.world.clock.advance(seconds=400)
        told += events(desk)
    (push,) = told
    assert (push.event, push.subject.before, push.subject.after) == ("pull_request_sync", before, pull.head_sha)


def test_a_deleted_pull_is_told_at_the_next_sweep(desk: Desk) -> None:
    desk.told()
    open_one, closed_one = desk.repo.open_pull(by="ana"), desk.repo.open_pull(by="ana")
    closed_one.close(by="ana")
    quiet(desk)
    open_one.delete(by="ana")
    closed_one.delete(by="ana")
    told = events(desk)
    assert [(event.action, event.number) for event in told] == [("deleted", 1), ("deleted", 2)]
    assert desk.told() == []


def test_a_repository_that_is_gone_is_told_once_and_nothing_of_it_is_asked_again(desk: Desk) -> None:
    desk.told()
    desk.world.repo("acme/web", private=True, collaborators={"bot": "write"})
    desk.set_up(repos="[acme/api, acme/web]", sweep="0s")
    desk.told()
    desk.repo.open_pull(by="ana")
    quiet(desk)
    desk.repo.delete()
    told = one(desk)
    assert (told.event, told.action, told.number, told.subject.from_) == ("repository", "gone", None, "acme/api")
    desk.world.reset_requests()
    desk.cycle()
    assert not [asked for asked in desk.world.requests if "/acme/api" in asked.path]


# -- disbelief ------------------------------------------------------------------------------------------------------


def test_an_empty_list_deletes_nothing(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    pull.comment("hello", by="ben")
    pull.review(by="ben", body="see", inline=[("app.txt", 5, "why?")])
    quiet(desk)
    for match in ("/comments", "/reviews", "/timeline", "/git/refs/pull", "state=open"):
        for lie in ("empty", "null", "short"):
            desk.world.fault(match, lie=lie, times=1)
            assert desk.told() == []
    quiet(desk)
    assert desk.told() == []


# -- the budget -----------------------------------------------------------------------------------------------------


def requests_of(desk: Desk, *, minutes: int) -> int:
    desk.world.reset_requests()
    for _ in range(2 * minutes):
        desk.world.clock.advance(seconds=28)
        desk.cycle()
    return len(desk.world.requests)


def test_sweeps_stay_within_their_budget_and_everybodys_turn_comes(usual: Desk) -> None:
    for _ in range(60):
        usual.repo.open_pull(by="ana")
    usual.world.clock.advance(seconds=1000)
    usual.told()
    for _ in range(3):
        assert requests_of(usual, minutes=10) <= 30 * 10 + 30
    with reading(usual.engine) as conn:
        schedule = rounds.schedule(conn, usual.config.forge, usual.config.poll, now=usual.now())
        units = rounds.due(conn, usual.config.forge, usual.config.poll, now=1e12)
    assert (schedule.pulls, schedule.repositories, schedule.failing) == (60, 1, {})
    assert all(unit.read_to is not None for unit in units)


def test_quiet_pulls_are_swept_ever_more_seldom(usual: Desk) -> None:
    usual.repo.open_pull(by="ana")
    usual.world.clock.advance(seconds=1000)
    usual.told()
    busy = requests_of(usual, minutes=60)
    for _ in range(30):
        usual.world.clock.advance(seconds=3600)
        usual.cycle()
    calm = requests_of(usual, minutes=60)
    assert calm < busy
    assert calm <= 120 + 6 + 2 * 3  # cycles, lists of open pulls, the repository once or twice


def test_a_pull_that_moves_in_every_cycle_is_swept_too(usual: Desk) -> None:
    usual.told()
    pull = usual.repo.open_pull(by="ana")
    first = pull.comment("first", by="ben")
    usual.told()
    told = list[str]()
    for minute in range(40):
        if minute == 10:
            first.delete(by="ben")
        pull.comment(f"and {minute}", by="ana")
        usual.world.clock.advance(seconds=58)
        told += usual.told()
    assert told.count("pull_request_comment deleted") == 1
