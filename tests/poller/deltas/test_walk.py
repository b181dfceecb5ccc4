"""Which rows are news, and what each kind of them tells."""

from __future__ import annotations

import pytest

from poller.deltas.events import Actor
from tests.poller.deltas.shown import ANA, BEN, GHOST, Shown, at, baseline

# -- opening, closing -----------------------------------------------------------------------------------------------


def test_what_a_pull_is_opened_with_is_told_one_by_one() -> None:
    shown = Shown(head=None)
    shown.step("milestone", seconds=0, milestone="v1")
    shown.label("bug", seconds=0)
    shown.label("ui", seconds=0)
    shown.step("assignees", seconds=0, assignee=BEN)
    shown.step("assignees", seconds=0, assignee=ANA)
    shown.pushed(["h0"], seconds=0)
    shown.step("review_request", seconds=0, assignee=BEN)
    assert shown.names() == [
        "pull_request opened",
        "milestone milestoned",
        "label label_updated",
        "assign assigned",
        "assign assigned",
        "review_request review_requested",
    ]


def test_closed_and_reopened_within_a_second_are_both_told() -> None:
    shown = baseline()
    shown.closed(seconds=10)
    shown.reopened(seconds=10)
    assert shown.names() == ["pull_request closed", "pull_request reopened"]


def test_a_merge_is_a_closing_and_the_commit_that_names_the_pull_is_noise() -> None:
    shown = baseline()
    shown.set(state="closed", merged=True, closed_at=at(10))
    shown.step("merge_pull")
    assert shown.names() == ["pull_request closed"]
    shown.step("commit_ref", seconds=14)
    shown.step("delete_branch", seconds=14)
    assert shown.names() == []


def test_rows_of_kinds_that_nobody_knows_yet_tell_nothing() -> None:
    shown = baseline()
    for kind in ("lock", "pin", "pull_ref", "added_deadline", "invented_in_1_30"):
        shown.step(kind)
    assert shown.names() == []


# -- labels ---------------------------------------------------------------------------------------------------------


def labels_told(shown: Shown) -> list[tuple[str, list[str], list[str], list[str]]]:
    """action, added, removed, all afterwards"""
    found = []
    for one in shown.look():
        subject = one.subject
        assert (
            isinstance(subject.added, list) and isinstance(subject.removed, list) and isinstance(subject.labels, list)
        )
        found.append((one.action, subject.added, subject.removed, subject.labels))
    return found


def test_neighbouring_rows_of_one_person_a_second_apart_are_one_call() -> None:
    shown = baseline()
    shown.label("bug", seconds=10)
    shown.label("ui", seconds=11)
    shown.label("api", seconds=12)
    assert labels_told(shown) == [("label_updated", ["bug", "ui", "api"], [], ["api", "bug", "ui"])]


@pytest.mark.parametrize("what", ["another person", "two seconds", "another row"])
def test_what_parts_two_calls(what: str) -> None:
    shown = baseline()
    shown.label("bug", seconds=10)
    if what == "another row":
        shown.step("assignees", seconds=10, assignee=BEN)
    shown.label("ui", seconds=12 if what == "two seconds" else 10, by=BEN if what == "another person" else ANA)
    told = [one for one in shown.look() if one.event == "pull_request_label"]
    assert [one.subject.added for one in told] == [["bug"], ["ui"]]
    assert [one.subject.labels for one in told] == [["bug"], ["bug", "ui"]]


def test_taking_the_last_label_away_is_clearing() -> None:
    shown = baseline()
    shown.label("bug", seconds=10)
    shown.label("ui", seconds=10)
    shown.look()
    shown.label("bug", seconds=20, off=True)
    assert labels_told(shown) == [("label_updated", [], ["bug"], ["ui"])]
    shown.label("ui", seconds=30, off=True)
    assert labels_told(shown) == [("label_cleared", [], ["ui"], [])]


def test_replacing_all_labels_is_no_clearing() -> None:
    shown = baseline()
    shown.label("bug", seconds=10)
    shown.look()
    shown.label("ui", seconds=20)
    shown.label("bug", seconds=20, off=True)
    assert labels_told(shown) == [("label_updated", ["ui"], ["bug"], ["ui"])]


def test_put_on_and_off_and_on_within_a_second_is_one_label() -> None:
    shown = baseline()
    shown.label("bug")
    shown.label("bug", off=True)
    shown.label("bug")
    assert labels_told(shown) == [("label_updated", ["bug"], ["bug"], ["bug"])]


def test_a_row_told_before_does_not_draw_its_neighbour_in() -> None:
    shown = baseline()
    shown.label("bug", seconds=10)
    shown.look()
    shown.label("ui", seconds=10)
    assert labels_told(shown) == [("label_updated", ["ui"], [], ["bug", "ui"])]


# -- titles and drafts ----------------------------------------------------------------------------------------------


def test_turning_a_draft_on_and_off_is_a_title_edit_that_says_so() -> None:
    shown = baseline()
    shown.titled("WIP: Add five", draft=True)
    shown.titled("Add five", seconds=11, draft=False)
    on, off = shown.look()
    assert (on.changes["title"].from_, on.changes["draft"].from_) == ("Add five", False)
    assert (off.changes["title"].from_, off.changes["draft"].from_) == ("WIP: Add five", True)


def test_the_flag_decides_what_a_draft_is() -> None:
    shown = baseline()
    shown.titled("Draft: Add five", draft=False)
    (one,) = shown.look()
    assert set(one.changes) == {"title"}
    shown.titled("Brouillon: Add five", seconds=20, draft=True)  # the admin made it a prefix
    (one,) = shown.look()
    assert one.changes["draft"].from_ is False


def test_a_draft_renamed_stays_a_draft() -> None:
    shown = baseline()
    shown.titled("[wip] Add five", draft=True)
    shown.look()
    shown.titled("wip: Add six", seconds=20)
    (one,) = shown.look()
    assert set(one.changes) == {"title"}


def test_a_row_older_than_the_title_steps_does_not_turn_the_draft_twice() -> None:
    shown = baseline()
    before = shown.row
    shown.titled("WIP: Add five", draft=True)
    (on,) = shown.look(row=before)  # the search was answered before, the timeline after the act
    shown.titled("Add five", seconds=11, draft=False)
    (off,) = shown.look()
    assert [one.changes["draft"].from_ for one in (on, off)] == [False, True]


# -- people ---------------------------------------------------------------------------------------------------------


def test_each_person_assigned_or_unassigned_is_an_event() -> None:
    shown = baseline()
    shown.step("assignees", assignee=ANA)
    shown.step("assignees", assignee=BEN)
    shown.step("assignees", assignee=ANA, removed=True)
    assert [(one.action, one.subject.assignee) for one in shown.look()] == [
        ("assigned", ANA),
        ("assigned", BEN),
        ("unassigned", ANA),
    ]


def test_a_team_can_be_asked_for_a_review() -> None:
    shown = baseline()
    shown.step("review_request", assignee=BEN)
    shown.step("review_request", team="core")
    shown.step("review_request", assignee=BEN, removed=True)
    asked, team, taken_back = shown.look()
    assert (asked.action, asked.subject.reviewer) == ("review_requested", BEN)
    assert (team.subject.reviewer, team.subject.team) == (None, "core")
    assert taken_back.action == "review_request_removed"


def test_a_milestone_is_set_changed_and_taken_away() -> None:
    shown = baseline()
    for before, after in ((None, "v1"), ("v1", "v2"), ("v2", None)):
        shown.step("milestone", old_milestone=before, milestone=after)
    assert [(one.action, one.subject.milestone) for one in shown.look()] == [
        ("milestoned", "v1"),
        ("milestoned", "v2"),
        ("demilestoned", None),
    ]


def test_who_was_deleted_is_the_ghost_and_who_was_renamed_is_the_same_person() -> None:
    shown = baseline()
    shown.step("comment", by=GHOST, body="boo")
    shown.step("comment", by=None, body="nobody")
    row = shown.step("comment", body="mine")
    assert [one.actor for one in shown.look()] == [GHOST, None, ANA]
    shown.rewrite(row, actor=Actor(1, "anna"))
    assert shown.look() == []
