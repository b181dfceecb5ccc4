"""Traps of the API that only a sweep gets out of: what moves no stamp, or is shown nowhere but in what is there."""

from __future__ import annotations

from poller.deltas.events import Event
from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    NEXT,
    OLD,
    STABLE,
    every_version,
    happened,
    log_of,
    meanwhile,
    nothing_more,
    on,
    only,
    settled,
    short,
    told,
    watched,
)

REMARK = ("app.txt", 5, "why?")
DISMISSAL = "review_dismissal"


def found(desk: Desk, *, within: int = 3) -> list[Event]:
    """What the next cycles find, of which some wait for the pull to be quiet."""
    events = happened(desk)
    for _ in range(within):
        desk.world.clock.advance(seconds=301)
        events += happened(desk)
    return events


@every_version
def test_trap_03_the_sweep_asks_for_the_comments_of_a_pull_once_however_many(sweeping: Desk) -> None:
    pull = watched(sweeping)
    comments = [pull.comment(f"c{number}", by="ana") for number in range(60)]
    assert len(told(sweeping)) == 60
    sweeping.world.clock.advance(seconds=400)
    assert told(sweeping) == []
    comments[55].edit("c55, edited")
    sweeping.world.reset_requests()
    event = only(sweeping)
    assert (short(event), event.subject.body, event.changes["body"].from_) == ("comment edited", "c55, edited", "c55")
    path = f"/repos/acme/api/issues/{pull.number}/comments"
    assert sum(request.path == path for request in sweeping.world.requests) == 1
    nothing_more(sweeping)


@on(STABLE, NEXT)
def test_trap_13_a_push_without_own_commits_shows_in_the_head_only(sweeping: Desk) -> None:
    pull = watched(sweeping)
    assert settled(sweeping) == []
    before = pull.head_sha
    pull.push_without_own_commits(by="ana")
    (push,) = found(sweeping)
    assert (push.subject.before, push.subject.after, push.actor) == (before, pull.head_sha, None)
    nothing_more(sweeping)


@on(STABLE, NEXT)
def test_trap_13_a_push_without_own_commits_to_where_the_head_was_before_is_another_one(sweeping: Desk) -> None:
    pull, ana = watched(sweeping), sweeping.world.person("ana")
    assert settled(sweeping) == []
    before = pull.head_sha
    pull.push_without_own_commits(by="ana")
    after = pull.head_sha
    pushes = found(sweeping)
    for tip in (before, after, before, after):
        assert pull.head_repo is not None
        pull.head_repo.move_branch(pull.head_ref, tip, by=ana, forced=tip == before)
        pushes += found(sweeping)
    heads = [(push.subject.before, push.subject.after) for push in pushes]
    assert heads == [(before, after), (after, before), (before, after), (after, before), (before, after)]
    assert len({push.id for push in pushes}) == 5
    nothing_more(sweeping)


@every_version
def test_trap_15_a_sweep_does_not_take_a_superseded_verdict_for_a_dismissed_one_either(sweeping: Desk) -> None:
    pull = watched(sweeping)
    pull.review(by="ben", event="REQUEST_CHANGES", body="no")
    assert told(sweeping) == ["review_rejected reviewed"]
    assert settled(sweeping) == []
    pull.review(by="ben", event="APPROVED", body="yes")
    assert [review.dismissed for review in pull.reviews] == [True, False]
    assert [short(event) for event in found(sweeping)] == ["review_approved reviewed"]


@every_version
def test_trap_16_a_deleted_review_takes_the_replies_of_others_along_and_no_other_review(sweeping: Desk) -> None:
    pull = watched(sweeping)
    review = pull.review(by="ben", body="look", inline=[REMARK])
    other = pull.review(by="cyd", body="me too", inline=[("app.txt", 6, "and this?")])
    pull.reply(review.comments[0], "because", by="ana")
    pull.comment("stays", by="ana")
    assert len(told(sweeping)) == 4
    assert settled(sweeping) == []
    review.delete()
    (event,) = found(sweeping)
    assert (short(event), event.subject.review_id) == (f"{DISMISSAL} deleted", review.id)
    pull.reply(other.comments[0], "and because", by="ana")
    assert only(sweeping).subject.body == "and because"
    nothing_more(sweeping)


@every_version
def test_trap_17_a_deleted_label_takes_its_past_along_and_is_told_from_what_is_left(sweeping: Desk) -> None:
    pull = watched(sweeping, labels=["bug", "ui"])
    pull.label(by="ana", remove=["ui"])
    assert told(sweeping) == ["label label_updated"]
    assert settled(sweeping) == []
    sweeping.repo.delete_label("bug")
    assert not [row for row in pull.rows if row.label and row.label.name == "bug"]
    (event,) = found(sweeping)
    assert (short(event), event.subject.removed, event.actor) == ("label label_updated", ["bug"], None)
    pull.label(by="ana", add=["ui"])
    assert only(sweeping).subject.added == ["ui"]
    nothing_more(sweeping)


@every_version
def test_trap_18_a_sweep_takes_no_new_stamp_for_an_edit(sweeping: Desk) -> None:
    pull = watched(sweeping)
    comment = pull.comment("as it is", by="ana")
    review = pull.review(by="ben", body="look", inline=[REMARK])
    assert len(told(sweeping)) == 2
    assert settled(sweeping) == []
    comment.edit("as it is")
    pull.attach("log.txt", to=comment)
    review.comments[0].updated = sweeping.world.now()  # as a line does that is outdated
    nothing_more(sweeping)


@every_version
def test_trap_19_an_edited_review_is_found_in_the_timeline_that_reviews_do_not_tell(sweeping: Desk) -> None:
    pull = watched(sweeping)
    review = pull.review(by="ben", body="look", inline=[REMARK])
    assert told(sweeping) == ["review_comment reviewed"]
    assert settled(sweeping) == []
    review.edit_body("look again")
    assert review.row is not None and review.body == "look"
    (event,) = found(sweeping)
    assert (short(event), event.subject.comment_id) == ("comment edited", review.row.id)
    assert (event.subject.body, event.changes["body"].from_) == ("look again", "look")
    nothing_more(sweeping)


@every_version
def test_trap_20_a_sweep_makes_no_push_of_a_head_that_moved_after_the_end(sweeping: Desk) -> None:
    """Nor of two answers that disagree: after reopening by the API the kept head is not the live one."""
    closed, merged = watched(sweeping), watched(sweeping)
    closed.close(by="ana")
    merged.merge(by="ana")
    assert told(sweeping) == ["closed", "closed"]
    for pull in (closed, merged):
        pull.push(by="ana")
    nothing_more(sweeping)
    unseen = closed.head_sha
    closed.reopen(by="ana", on_the_web=False)
    assert closed.ref_sha != closed.head_sha
    assert [short(event) for event in found(sweeping)] == ["reopened"]
    closed.push(by="ana")
    event = only(sweeping)
    assert (event.subject.before, event.subject.after) == (unseen, closed.head_sha)
    nothing_more(sweeping)


@every_version
def test_trap_24_a_deleted_pull_is_found_by_the_sweep_and_an_outage_is_no_deletion(sweeping: Desk) -> None:
    gone, kept = watched(sweeping), watched(sweeping)
    assert settled(sweeping) == []
    outage = sweeping.world.fault("…/timeline", status=500, times=None)
    kept_quiet = [sweeping.cycle().told for _ in range(2)]
    outage.times = 0
    assert kept_quiet == [[], []]
    sweeping.world.clock.advance(seconds=200)
    assert told(sweeping) == []
    gone.delete(by="root1")
    event = only(sweeping)
    assert (short(event), event.number) == ("deleted", gone.number)
    nothing_more(sweeping)
    kept.comment("still here", by="ana")
    assert told(sweeping) == ["comment created"]


@every_version
def test_trap_26_without_pulls_the_list_of_their_heads_is_404_and_no_trouble(sweeping: Desk) -> None:
    sweeping.world.repo("acme/empty", private=True, collaborators={"bot": "write", "ana": "write"})
    sweeping.set_up(repos="[acme/api, acme/empty]", sweep="0s")
    only_one = watched(sweeping)
    assert settled(sweeping) == []
    only_one.delete(by="root1")
    assert told(sweeping) == ["deleted"]
    nothing_more(sweeping)  # the repository is swept on, and its list of heads is 404 now
    sweeping.repo.open_pull(by="ana")
    assert told(sweeping) == ["opened"]
    assert "repository gone" not in [short(event) for event in log_of(sweeping)]


@every_version
def test_trap_32_a_counter_that_is_counted_anew_makes_a_sweep_tell_nothing(sweeping: Desk) -> None:
    pull = watched(sweeping)
    pull.review(by="ben", body="one")
    pull.comment("two", by="ana")
    assert len(told(sweeping)) == 2
    assert settled(sweeping) == []
    for counter in (0, 7, 3):
        pull.counter = counter
        nothing_more(sweeping)


@every_version
def test_trap_33_what_was_made_and_deleted_between_two_sweeps_is_not_told_as_deleted(sweeping: Desk) -> None:
    pull = watched(sweeping)
    pull.comment("never mind", by="ana").delete()
    pull.review(by="ben", body="nor this", inline=[REMARK]).delete()
    assert found(sweeping) == []
    nothing_more(sweeping)


@every_version
def test_trap_34_a_change_that_is_backdated_is_found_by_the_sweep(sweeping: Desk) -> None:
    pull = watched(sweeping)
    sweeping.world.clock.advance(seconds=86_400)
    assert told(sweeping) == []
    with sweeping.world.backdated("2026-11-21T07:00:10Z"):
        pull.edit(by="ana", title="Another title")
        pull.comment("said in the past", by="ana")
    assert sorted(short(event) for event in found(sweeping)) == ["comment created", "edited"]
    nothing_more(sweeping)


@every_version
def test_trap_34_a_pull_that_is_imported_with_its_old_times_is_watched_from_now_on(sweeping: Desk) -> None:
    told(sweeping)
    sweeping.world.clock.advance(seconds=86_400)
    told(sweeping)
    pull = sweeping.repo.import_pull(by="ana", made="2020-01-01T00:00:00Z")
    pull.backdate("2020-01-02T00:00:00Z")
    assert "closed" not in [short(event) for event in found(sweeping)]
    pull.comment("from now on", by="ana")
    assert only(sweeping).subject.body == "from now on"
    nothing_more(sweeping)


@every_version
def test_trap_35_a_pull_that_goes_while_the_open_ones_are_listed_is_the_only_one_gone(sweeping: Desk) -> None:
    told(sweeping)
    pulls = [sweeping.repo.open_pull(by="ana") for _ in range(55)]
    assert len(told(sweeping)) == 55
    assert settled(sweeping) == []
    meanwhile(sweeping, "GET /repos/issues/search…state=open…page=2", lambda: pulls[-1].close(by="ana"))
    events = [*happened(sweeping), *happened(sweeping)]
    assert [(short(event), event.number) for event in events] == [("closed", pulls[-1].number)]


@on(OLD, STABLE, NEXT)
def test_trap_36_a_deletion_and_an_addition_between_two_sweeps_are_not_nothing(sweeping: Desk) -> None:
    pull = watched(sweeping)
    first = pull.comment("first", by="ana")
    review = pull.review(by="ben", body="look", inline=[REMARK, ("app.txt", 6, "and why this?")])
    pull.reply(review.comments[0], "because", by="ana")
    assert len(told(sweeping)) == 3
    assert settled(sweeping) == []
    before, counter = pull.updated, pull.counter
    first.delete()
    second = pull.comment("second", by="ana")
    if sweeping.world.version.inline_deletable:
        review.comments[-1].delete()
        pull.reply(review.comments[0], "because of that", by="ana")
    assert pull.counter == counter and pull.updated > before
    events = found(sweeping)
    deleted = [event.subject.body for event in events if short(event) == "comment deleted"]
    created = [event.subject.body for event in events if short(event) == "comment created"]
    whole = sweeping.world.version.inline_deletable
    assert (sorted(map(str, deleted)), sorted(map(str, created))) == (
        (["because", "first"], ["because of that", "second"]) if whole else (["first"], [second.body])
    )
    nothing_more(sweeping)
