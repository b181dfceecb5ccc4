"""Which rows are news, and what each kind of them tells."""

from __future__ import annotations

import msgspec
import pytest

from poller.deltas.events import Actor
from tests.poller.deltas.shown import ANA, BEN, GHOST, Shown, at, baseline

COMMENTED = "comment created"
EDITED = "comment edited"
TITLED = "pull_request edited"


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


# -- words ----------------------------------------------------------------------------------------------------------


def test_an_edited_comment_carries_the_text_before() -> None:
    shown = baseline()
    row = shown.step("comment", body="one")
    shown.look()
    shown.rewrite(row, body="two", updated_at=at(20))
    (edit,) = shown.look()
    assert (edit.action, edit.changes["body"].from_, edit.subject.body) == ("edited", "one", "two")
    assert edit.subject.comment_id == row.id


def test_a_comment_stamped_anew_with_the_same_text_was_not_edited() -> None:
    shown = baseline()
    row = shown.step("comment", body="one")
    shown.look()
    shown.rewrite(row, updated_at=at(20))
    assert shown.look() == []


def test_an_edit_back_to_the_first_text_is_another_edit() -> None:
    shown = baseline()
    row = shown.step("comment", body="one")
    told = shown.look()
    for seconds, text in ((20, "two"), (30, "one"), (40, "two")):
        shown.rewrite(shown.steps[-1], body=text, updated_at=at(seconds))
        told += shown.look()
    assert [one.subject.body for one in told] == ["one", "two", "one", "two"]
    assert len({one.id for one in told}) == 4
    assert {one.subject.comment_id for one in told} == {row.id}


def test_the_edited_text_of_a_review_is_in_its_row_only() -> None:
    shown = baseline()
    shown.reviewed(body="look")
    shown.look()
    shown.rewrite(shown.steps[-1], body="look, edited", updated_at=at(20))
    (edit,) = shown.look()
    assert (edit.event, edit.action, edit.subject.comment_id) == (
        "pull_request_comment", "edited", shown.steps[-1].id,
    )  # fmt: skip


def test_an_edited_remark_says_where_it_stands() -> None:
    shown = baseline()
    review = shown.reviewed(remarks=1)
    shown.look()
    (remark,) = shown.inline[review.id]
    shown.inline[review.id] = [msgspec.structs.replace(remark, body="edited", updated_at=at(20))]
    (edit,) = shown.look()
    assert (edit.action, edit.subject.review_id, edit.subject.path, edit.subject.line) == (
        "edited", review.id, "app.txt", 5,
    )  # fmt: skip


# -- reviews --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("APPROVED", "review_approved reviewed"),
        ("REQUEST_CHANGES", "review_rejected reviewed"),
        ("COMMENT", "review_comment reviewed"),
    ],
)
def test_a_review_is_one_event_with_its_remarks(state: str, name: str) -> None:
    shown = baseline()
    review = shown.reviewed(state, body="look", remarks=2)
    assert shown.names() == [name]
    assert shown.names(settling=True) == []
    assert shown.known is not None and review.id in shown.known.reviews


def test_a_review_of_lines_only_has_no_body() -> None:
    shown = baseline()
    shown.reviewed(remarks=1)
    (one,) = shown.look()
    assert one.subject.body == ""
    assert [remark.body for remark in one.subject.comments or []] == ["remark 0"]


def test_a_pending_review_submitted_late_is_told_although_its_ids_and_dates_are_old() -> None:
    shown = baseline()
    review = shown.reviewed("PENDING", seconds=10, remarks=1, row=False)
    pending = shown.reviews.pop(review.id)
    remarks = shown.inline.pop(review.id)
    shown.step("comment", seconds=20, body="in between")
    assert shown.names() == [COMMENTED]
    assert shown.names(settling=True) == []
    shown.reviews[review.id] = msgspec.structs.replace(pending, state="COMMENT", updated_at=at(900))
    shown.inline[review.id] = remarks
    shown.step("review", seconds=900, by=BEN, review_id=review.id)
    (one,) = shown.look()
    assert (one.action, one.at) == ("reviewed", at(900))
    assert [remark.comment_id for remark in one.subject.comments or []] == [remarks[0].id]


def test_the_verdict_of_a_review_that_is_not_shown_is_not_guessed() -> None:
    shown = baseline()
    shown.reviewed("APPROVED", body="yes", remarks=1)
    assert shown.look(reviews=(), inline={}) == []
    assert shown.names() == ["review_approved reviewed"]


def test_a_review_whose_row_is_still_to_come_keeps_its_remarks_back() -> None:
    shown = baseline()
    shown.reviewed(remarks=2, row=False)  # submitted after the timeline was asked for
    assert shown.look() == []
    shown.step("review", seconds=10, by=BEN, review_id=1)
    (one,) = shown.look()
    assert (one.action, len(one.subject.comments or [])) == ("reviewed", 2)


def test_a_review_that_never_gets_a_row_keeps_its_remarks_back_until_it_settles() -> None:
    shown = baseline()
    review = shown.reviewed(remarks=1, row=False)  # its row was deleted, of which the review knows nothing
    shown.set(updated_at=at(10))
    assert shown.look() == []
    assert [one.subject.body for one in shown.look(settling=True)] == ["remark 0"]
    shown.replied(review, "because", seconds=900)
    assert [one.subject.body for one in shown.look()] == ["because"]


def test_a_newer_verdict_supersedes_the_older_one_without_a_word() -> None:
    shown = baseline()
    older = shown.reviewed("REQUEST_CHANGES", body="no")
    shown.look()
    shown.reviews[older.id] = msgspec.structs.replace(older, dismissed=True, updated_at=at(20))
    shown.reviewed("APPROVED", seconds=20)
    assert shown.names() == ["review_approved reviewed"]


def test_each_dismissal_has_a_row_and_is_told() -> None:
    shown = baseline()
    review = shown.reviewed("APPROVED")
    shown.look()
    shown.step("dismiss_review", body="stale", review_id=review.id)
    shown.step("dismiss_review", body="really", review_id=review.id)
    assert [(one.action, one.subject.review_id, one.subject.body) for one in shown.look()] == [
        ("dismissed", review.id, "stale"),
        ("dismissed", review.id, "really"),
    ]


# -- replies --------------------------------------------------------------------------------------------------------


def test_a_reply_has_no_row_and_is_told_with_its_place() -> None:
    shown = baseline()
    review = shown.reviewed(remarks=1)
    shown.look()
    reply = shown.replied(review, "because")
    (one,) = shown.look()
    assert (one.event, one.action, one.actor) == ("pull_request_comment", "created", ANA)
    assert (one.subject.comment_id, one.subject.review_id, one.subject.path, one.subject.line) == (
        reply.id, review.id, "app.txt", 5,
    )  # fmt: skip
    assert shown.look(settling=True) == []


def test_a_reply_of_the_reviewer_before_the_first_look_is_no_remark_of_the_review() -> None:
    shown = Shown()
    review = shown.reviewed(remarks=1)
    shown.replied(review, "and by the way", by=BEN)
    _, reviewed, reply = shown.look()
    assert len(reviewed.subject.comments or []) == 1
    assert reply.subject.body == "and by the way"


def test_replies_and_rows_come_in_the_order_of_their_making() -> None:
    shown = baseline()
    review = shown.reviewed(remarks=1)
    shown.look()
    shown.replied(review, "first", seconds=20)
    shown.step("comment", seconds=20, body="second")
    shown.replied(review, "third", seconds=20)
    assert [one.subject.body for one in shown.look()] == ["first", "second", "third"]


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
    for milestone in ("v1", "v2", None):
        shown.step("milestone", milestone=milestone)
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
