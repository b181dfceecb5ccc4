"""What webhooks say of pulls, labels and reviews, and what a polling client must know to say it too."""

from __future__ import annotations

from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    every_version,
    happened,
    meanwhile,
    nothing_more,
    only,
    settled,
    short,
    told,
    watched,
)

REMARK = ("app.txt", 5, "why?")
LABELLED, CLEARED = "label label_updated", "label label_cleared"


@every_version
def test_point_01_a_review_with_fifty_remarks_makes_an_empty_page_and_that_is_not_the_end(desk: Desk) -> None:
    pull = watched(desk)
    for number in range(49):
        pull.comment(f"c{number}", by="ana")
    pull.review(by="ben", body="long", inline=[("app.txt", 1 + n % 20, f"i{n}") for n in range(50)])
    pull.comment("behind it", by="ana")
    found = happened(desk)
    assert [event.subject.body for event in found] == [*(f"c{n}" for n in range(49)), "long", "behind it"]
    pull.comment("and later", by="ana")
    assert only(desk).subject.body == "and later"
    nothing_more(desk)


@every_version
def test_point_06_what_a_pull_is_opened_with_are_events_of_their_own(desk: Desk) -> None:
    desk.cycle()
    desk.repo.open_pull(by="ana", labels=["bug", "ui"], milestone="v1", assignees=["ben", "cyd"], reviewers=["bot"])
    found = happened(desk)
    assert short(found[0]) == "opened"
    assert sorted(map(short, found[1:])) == [
        "assign assigned", "assign assigned", LABELLED, "milestone milestoned", "review_request review_requested",
    ]  # fmt: skip
    told_by_webhooks = [f"{one['event_type']} {one['action']}" for one in desk.world.webhooks]
    assert sorted(f"{event.event} {event.action}" for event in found) == sorted(told_by_webhooks)
    (labelled,) = (event for event in found if short(event) == LABELLED)
    assert labelled.subject.added == ["bug", "ui"]
    nothing_more(desk)


@every_version
def test_point_07_clearing_and_taking_the_last_label_away_leave_the_same_rows(desk: Desk) -> None:
    pull = watched(desk, labels=["bug"])
    pull.label(by="ana", remove=["bug"])
    assert told(desk) == [CLEARED]
    pull.label(by="ana", add=["bug", "ui"])
    assert told(desk) == [LABELLED]
    pull.clear_labels(by="ana")
    event = only(desk)
    assert (short(event), event.subject.removed, event.subject.labels) == (CLEARED, ["bug", "ui"], [])
    nothing_more(desk)


@every_version
def test_point_07_the_rows_of_one_call_may_straddle_two_seconds(desk: Desk) -> None:
    pull = watched(desk)
    pull.label(by="ana", add=["bug", "ui"])
    desk.world.clock.advance(seconds=1)
    pull.label(by="ana", add=["api"])
    assert only(desk).subject.added == ["bug", "ui", "api"]
    pull.label(by="ana", remove=["bug"])
    desk.world.clock.advance(seconds=2)
    pull.label(by="ana", remove=["ui"])
    assert [event.subject.removed for event in happened(desk)] == [["bug"], ["ui"]]
    pull.label(by="ana", add=["bug"])
    pull.label(by="ben", add=["ui"])
    assert [event.actor and event.actor.login for event in happened(desk)] == ["ana", "ben"]
    nothing_more(desk)


@every_version
def test_point_08_labels_that_were_changed_without_a_webhook_have_rows_all_the_same(desk: Desk) -> None:
    pull = watched(desk)
    label = desk.repo.label("bug")
    pull.labels.append(label)
    pull.noted("label", by=desk.world.user("ana"), body="1", label=label)
    event = only(desk)
    assert (short(event), event.subject.added, event.subject.labels) == (LABELLED, ["bug"], ["bug"])
    nothing_more(desk)


@every_version
def test_point_09_calls_that_change_nothing_leave_no_trace(desk: Desk) -> None:
    pull = watched(desk, labels=["bug"], body="as it is")
    delivered = len(desk.world.webhooks)
    pull.label(by="ana", add=["bug"])
    pull.label(by="ana", remove=["ui"])
    pull.replace_labels(["bug"], by="ana")
    pull.edit(by="ana", body="as it is", title=pull.title)
    pull.request_review("bot", by="ana")
    pull.request_review("bot", by="ana")
    assert len(desk.world.webhooks) == delivered + 5
    assert told(desk) == ["review_request review_requested"]
    pull.clear_labels(by="ana")
    pull.clear_labels(by="ana")
    assert told(desk) == [CLEARED]
    nothing_more(desk)


@every_version
def test_point_10_a_newer_verdict_dismisses_the_older_and_answers_the_request_without_a_word(desk: Desk) -> None:
    pull = watched(desk)
    for inline in ((), (REMARK,)):  # with remarks it goes through a pending review, which does neither
        pull.request_review("ben", by="ana")
        pull.review(by="ben", event="REQUEST_CHANGES", body="no", inline=inline)
        assert told(desk) == ["review_request review_requested", "review_rejected reviewed"]
        pull.review(by="ben", event="APPROVED", body="yes", inline=inline)
        assert told(desk) == ["review_approved reviewed"]
        nothing_more(desk)


@every_version
def test_point_11_neither_the_counter_nor_the_list_of_reviewers_says_what_happened(desk: Desk) -> None:
    pull = watched(desk)
    pull.review(by="ben", body="first")
    pull.review(by="cyd", event="APPROVED", body="second", inline=[REMARK])
    assert pull.counter == 0
    assert told(desk) == ["review_comment reviewed", "review_approved reviewed"]
    pull.reply(pull.reviews[-1].comments[0], "because", by="ana")
    assert pull.counter > 0
    pull.push(by="ana")
    assert sorted(told(desk)) == ["comment created", "sync synchronized"]
    nothing_more(desk)


@every_version
def test_point_13_a_reply_in_the_own_thread_before_the_first_look_is_a_reply(desk: Desk) -> None:
    desk.cycle()
    pull = desk.repo.open_pull(by="ana")
    review = pull.review(by="ben", body="look", inline=[REMARK])
    reply = pull.reply(review.comments[0], "I mean it", by="ben")
    opened, reviewed, replied = happened(desk)
    assert [short(opened), short(reviewed), short(replied)] == [
        "opened", "review_comment reviewed", "comment created",
    ]  # fmt: skip
    assert [remark.body for remark in reviewed.subject.comments or ()] == ["why?"]
    assert (replied.subject.comment_id, replied.subject.review_id) == (reply.id, review.id)
    nothing_more(desk)


@every_version
def test_point_14_an_owners_repositories_are_found_with_three_scopes_although_he_is_private(desk: Desk) -> None:
    desk.world.org("hidden", private=True, owners=["olga"])
    repo = desk.world.repo("hidden/tool", private=True, collaborators={"bot": "write", "ana": "write"})
    desk.set_up(repos="[hidden/*]")
    assert told(desk) == []
    repo.open_pull(by="ana")
    assert told(desk) == ["opened"]
    assert not [request for request in desk.world.requests if request.path.startswith("/orgs/")]
    assert {request.status for request in desk.world.requests} == {200}


@every_version
def test_point_15_the_timeline_of_a_deleted_pull_is_a_500_and_no_outage(desk: Desk) -> None:
    gone, other = watched(desk), watched(desk)
    gone.comment("last words", by="ana")
    other.comment("life goes on", by="ana")
    meanwhile(desk, f"GET …issues/{gone.number}/timeline", lambda: gone.delete(by="root1"))
    assert sorted(told(desk)) == ["comment created", "deleted"]
    assert [request.status for request in desk.world.requests].count(500) > 0
    assert settled(desk) == []
    nothing_more(desk)
