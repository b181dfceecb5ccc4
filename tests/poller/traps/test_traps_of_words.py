"""Traps of the API that lie in comments and reviews."""

from __future__ import annotations

from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    NEXT,
    OLD,
    STABLE,
    every_version,
    happened,
    log_of,
    nothing_more,
    on,
    only,
    settled,
    short,
    told,
    watched,
)

REMARK = ("app.txt", 5, "why?")


@every_version
def test_trap_08_a_pending_review_comes_late_with_an_old_id_and_an_old_date(desk: Desk) -> None:
    pull = watched(desk)
    pending = pull.start_review(by="ben", inline=[REMARK])
    desk.world.clock.advance(seconds=60)
    pull.comment("in between", by="ana")
    pull.review(by="cyd", body="sooner", inline=[("app.txt", 7, "newer")])
    assert told(desk) == ["comment created", "review_comment reviewed"]
    assert settled(desk) == []
    desk.world.clock.advance(seconds=86_400)
    pending.submit(event="APPROVED", body="at last")
    event = only(desk)
    assert (short(event), event.subject.review_id) == ("review_approved reviewed", pending.id)
    assert [remark.body for remark in event.subject.comments or ()] == ["why?"]
    nothing_more(desk)


@every_version
def test_trap_09_an_inline_reply_moves_the_stamp_and_has_no_row(desk: Desk) -> None:
    pull = watched(desk)
    review = pull.review(by="ben", body="look", inline=[REMARK])
    assert told(desk) == ["review_comment reviewed"]
    reply = pull.reply(review.comments[0], "because", by="ana")
    event = only(desk)
    assert (short(event), event.subject.comment_id, event.subject.review_id) == ("comment created", reply.id, review.id)
    assert (event.actor and event.actor.login, event.subject.path, event.subject.line) == ("ana", "app.txt", 5)
    nothing_more(desk)


@every_version
def test_trap_15_a_superseded_verdict_is_not_dismissed(desk: Desk) -> None:
    pull = watched(desk)
    pull.review(by="ben", event="REQUEST_CHANGES", body="no")
    assert told(desk) == ["review_rejected reviewed"]
    pull.review(by="ben", event="APPROVED", body="yes")
    assert [review.dismissed for review in pull.reviews] == [True, False]
    assert told(desk) == ["review_approved reviewed"]
    nothing_more(desk)
    pull.reviews[1].dismiss(by="root1", message="stale")
    event = only(desk)
    assert (short(event), event.subject.review_id) == ("review_dismissal dismissed", pull.reviews[1].id)
    nothing_more(desk)


@every_version
def test_trap_18_a_new_stamp_without_a_new_text_is_no_edit(desk: Desk) -> None:
    pull = watched(desk)
    comment = pull.comment("as it is", by="ana")
    review = pull.review(by="ben", body="look", inline=[REMARK])
    assert len(told(desk)) == 2
    desk.world.clock.advance(seconds=5)
    comment.edit("as it is")  # the oldest server stamps it anew
    comment.updated = desk.world.now()  # as an attachment does on all
    pull.push(by="ana", files={"app.txt": "quite another text\n"})
    assert review.comments[0].updated == desk.world.now(), "the line is outdated"
    assert told(desk) == ["sync synchronized"]
    pull.reply(review.comments[0], "because", by="ana")  # the review is read again
    assert told(desk) == ["comment created"]
    nothing_more(desk)


@every_version
def test_trap_19_the_edited_text_of_a_review_is_in_its_row_only(desk: Desk) -> None:
    pull = watched(desk)
    review = pull.review(by="ben", body="look", inline=[REMARK])
    assert told(desk) == ["review_comment reviewed"]
    desk.world.clock.advance(seconds=5)
    review.edit_body("look again")
    assert review.body == "look" and review.row is not None
    pull.comment("ping", by="ana")
    edited = next(event for event in happened(desk) if event.action == "edited")
    assert (edited.subject.comment_id, edited.subject.body) == (review.row.id, "look again")
    assert edited.changes["body"].from_ == "look"
    nothing_more(desk)


@every_version
def test_trap_28_who_has_reviewed_was_not_asked_and_a_team_is_nobody(desk: Desk) -> None:
    pull = watched(desk)
    team = desk.world.team("acme", "rev", repos=[desk.repo], members=["cyd"])
    pull.review(by="ben", body="unasked")
    assert told(desk) == ["review_comment reviewed"]
    pull.request_review(team, by="ana")
    event = only(desk)
    assert (short(event), event.subject.reviewer) == ("review_request review_requested", None)
    assert event.subject.team == "rev"
    pull.request_review("bot", by="ana")
    event = only(desk)
    assert event.subject.reviewer and event.subject.reviewer.login == "bot"
    pull.review(by="ben", event="APPROVED", body="still unasked")
    pull.push(by="ana")  # the pull itself is read, with its list of reviewers
    assert told(desk) == ["review_approved reviewed", "sync synchronized"]
    nothing_more(desk)
    asked = [event for event in log_of(desk) if event.event == "pull_request_review_request"]
    assert len(asked) == 2


@on(OLD, STABLE, NEXT)
def test_trap_30_a_pending_review_of_our_own_is_no_event_until_it_is_submitted(desk: Desk) -> None:
    """We alone see it: what a failed or misspelt post leaves behind must not come back to us as news."""
    pull = watched(desk)
    pull.start_review(by="bot", inline=[("app.txt", 5, "good")])  # `APPROVE` is no verdict: it stays pending
    for _ in range(2):
        pull.start_review(by="bot", inline=[("app.txt", 5, "good")])  # each retry joins it
    pull.comment("ping", by="ana")
    assert told(desk) == ["comment created"]
    assert settled(desk) == []
    pull.reviews[-1].submit(body="partial")
    event = only(desk)
    assert short(event) == "review_comment reviewed"
    assert [remark.body for remark in event.subject.comments or ()] == ["good"] * 3
    nothing_more(desk)


@every_version
def test_trap_33_a_comment_made_and_deleted_between_two_looks_leaves_nothing(desk: Desk) -> None:
    pull = watched(desk)
    pull.comment("never mind", by="ana").delete()
    assert told(desk) == []
    pull.comment("what I meant", by="ana")
    assert only(desk).subject.body == "what I meant"
    nothing_more(desk)
