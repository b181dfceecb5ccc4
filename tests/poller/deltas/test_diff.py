"""What the state says beside the rows, and what is history."""

from __future__ import annotations

import msgspec
import pytest

from poller.deltas.diff import NEVER
from tests.poller.deltas.shown import ALWAYS, Shown, at, baseline

OPENED = "pull_request opened"
CLOSED = "pull_request closed"
REOPENED = "pull_request reopened"
COMMENTED = "comment created"


# -- history --------------------------------------------------------------------------------------------------------


def test_a_pull_nobody_knew_is_opened_if_it_is_younger_than_the_boundary() -> None:
    assert Shown(boundary=ALWAYS).names() == [OPENED]
    assert Shown(boundary=at(0)).names() == [OPENED]
    assert Shown(boundary=at(1)).names() == []
    assert Shown(boundary=NEVER).names() == []


def test_of_a_pull_older_than_the_boundary_only_what_is_younger_is_told() -> None:
    shown = Shown(boundary=at(100))
    shown.step("comment", seconds=99, body="before")
    shown.step("comment", seconds=100, body="after")
    assert [one.subject.body for one in shown.look()] == ["after"]


def test_of_a_quiet_pull_a_comment_before_the_baseline_is_history_and_one_after_it_is_told() -> None:
    shown = Shown()
    old = shown.step("comment", seconds=50, body="before")
    review = shown.reviewed("APPROVED", seconds=60, remarks=1)
    shown.label("bug", seconds=70)
    shown.remember_shallowly()
    shown.step("comment", seconds=900, body="after")
    assert [one.subject.body for one in shown.look()] == ["after"]
    shown.replied(review, "because", seconds=910)
    shown.rewrite(old, body="before, edited", updated_at=at(910))
    assert [(one.action, one.subject.body) for one in shown.look()] == [
        ("created", "because"),
        ("edited", "before, edited"),
    ]


def test_a_quiet_pull_closed_after_the_baseline_is_told_once() -> None:
    shown = Shown()
    shown.remember_shallowly()
    shown.closed(seconds=900)
    assert shown.names() == [CLOSED]
    assert shown.names(settling=True) == []


def test_the_description_of_a_quiet_pull_is_known_from_its_row() -> None:
    shown = Shown()
    shown.remember_shallowly()
    shown.set(body="other words", updated_at=at(900))
    (one,) = shown.look()
    assert one.changes["body"].from_ == "please"


def test_a_pull_that_was_closed_when_we_came_can_be_reopened() -> None:
    shown = Shown(boundary=at(900))
    shown.closed(seconds=100)
    shown.reopened(seconds=1000)
    assert shown.names() == [REOPENED]


# -- the description ------------------------------------------------------------------------------------------------


def test_each_edit_of_the_description_has_an_id_of_its_own_even_back_to_the_same_words() -> None:
    shown = baseline()
    told = []
    for seconds, text in ((10, "two"), (20, "please"), (30, "two")):
        shown.set(body=text, updated_at=at(seconds))
        told += shown.look()
    assert [one.changes["body"].from_ for one in told] == ["please", "two", "please"]
    assert len({one.id for one in told}) == 3
    assert {one.actor for one in told} == {None}  # nobody says whose edit it was


def test_what_only_the_state_shows_comes_after_what_has_a_row() -> None:
    shown = baseline()
    shown.set(body="two")
    shown.step("comment", body="hello")
    assert shown.names() == [COMMENTED, "pull_request edited"]


# -- state without a row --------------------------------------------------------------------------------------------


def test_a_state_that_changed_without_a_row_is_believed_when_the_pull_itself_agrees() -> None:
    shown = baseline()
    shown.closed(row=False)
    open_still = msgspec.structs.replace(shown.heads, state="open")
    assert shown.names(heads=open_still) == []
    assert shown.names(heads=None) == []
    assert shown.names() == [CLOSED]
    assert shown.names(settling=True) == []


def test_a_state_that_changed_without_a_row_is_believed_when_it_lasts() -> None:
    shown = baseline()
    shown.closed(row=False)
    assert shown.names(heads=None) == []
    assert shown.names(heads=None, settling=True) == [CLOSED]
    shown.reopened(seconds=900, row=False)
    assert shown.names(heads=None, settling=True) == [REOPENED]


def test_a_row_that_comes_after_its_state_was_told_tells_it_no_second_time() -> None:
    shown = baseline()
    shown.closed(row=False)
    assert shown.names() == [CLOSED]
    shown.step("close", seconds=10)
    assert shown.names() == []
    shown.reopened(seconds=20)
    assert shown.names() == [REOPENED]


def test_a_timeline_ahead_of_its_row_is_believed_and_not_told_twice() -> None:
    shown = baseline()
    before = shown.row
    shown.closed()
    assert shown.names(row=before, heads=None) == [CLOSED]
    assert shown.names() == []
    assert shown.names(settling=True) == []


# -- stamps ---------------------------------------------------------------------------------------------------------


def test_a_second_change_in_the_same_second_is_told_although_the_row_is_the_same() -> None:
    shown = baseline()
    shown.step("assignees", seconds=10)
    shown.look()
    row = shown.row
    shown.step("comment", seconds=10, body="quick")
    assert shown.row == row
    assert shown.names() == [COMMENTED]


@pytest.mark.parametrize("settling", [False, True])
def test_a_bump_that_nothing_explains_is_normal(settling: bool) -> None:
    shown = baseline()
    shown.set(updated_at=at(50))
    assert shown.look(settling=settling) == []


def test_a_comment_counter_that_moves_by_itself_is_no_event() -> None:
    shown = baseline()
    shown.set(comments=4, updated_at=at(50))
    assert shown.look() == []


def test_rows_that_the_forge_deletes_take_nothing_back() -> None:
    shown = baseline()
    shown.label("bug", seconds=10)
    shown.reviewed("APPROVED", remarks=1, seconds=20)
    shown.step("comment", seconds=30, body="hello")
    shown.look()
    shown.steps, shown.reviews, shown.inline = [], {}, {}
    assert shown.look() == []
    assert shown.look(settling=True) == []
