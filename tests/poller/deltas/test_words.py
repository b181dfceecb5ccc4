"""Comments, reviews and replies: what is said, and what is only said otherwise."""

from __future__ import annotations

import msgspec
import pytest

from tests.poller.deltas.shown import ANA, BEN, Shown, at, baseline

COMMENTED = "comment created"


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
