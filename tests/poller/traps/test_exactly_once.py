"""Each happening once and in its order, whatever stamps, clocks, queues and broken cycles do."""

from __future__ import annotations

from typing import Any

import pytest

from poller import store
from poller.deltas.events import Event
from poller.forge import errors
from sessions.database import reading
from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    NEXT,
    OLD,
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


def bodies(events: list[Event]) -> list[object]:
    return [event.subject.body for event in events]


@every_version
def test_what_comes_in_the_very_second_of_the_look_is_found_by_the_next(desk: Desk) -> None:
    pull = watched(desk)
    desk.world.clock.advance(seconds=10)
    pull.comment("one", by="ana")
    seen = [one.event for one in desk.new_cycle().run().told]
    review = pull.review(by="ben", body="two", inline=[("app.txt", 5, "why?")])
    seen += [one.event for one in desk.new_cycle().run().told]
    pull.reply(review.comments[0], "three", by="ana")
    seen += [one.event for one in desk.new_cycle().run().told]
    pull.edit(by="ana", body="four")
    seen += happened(desk)
    assert bodies(seen[:3]) == ["one", "two", "three"]
    assert [short(event) for event in seen[3:]] == ["edited"]
    nothing_more(desk)


@every_version
def test_a_stamp_that_goes_backwards_hides_nothing(desk: Desk) -> None:
    pull = watched(desk)
    desk.world.clock.advance(seconds=60)
    pull.comment("stamped last", by="ana")
    assert told(desk) == ["comment created"]
    pull.comment("of two writers the older stamp won", by="ben")
    pull.backdate("2026-11-21T07:00:30Z")
    assert only(desk).subject.body == "of two writers the older stamp won"
    nothing_more(desk)


@every_version
def test_a_row_that_becomes_visible_late_is_told_when_the_pull_settles(desk: Desk) -> None:
    pull = watched(desk)
    pull.comment("under way", by="ben")
    late = pull.rows.pop()
    desk.world.clock.advance(seconds=3)
    pull.comment("overtakes it", by="ana")
    assert only(desk).subject.body == "overtakes it"
    pull.rows.insert(-1, late)  # its transaction ends now: an older id, an older date, and no stamp
    assert told(desk) == []
    desk.world.clock.advance(seconds=301)
    assert only(desk).subject.body == "under way"
    nothing_more(desk)


@on(OLD, NEXT)
def test_of_one_look_the_order_is_that_of_happening(desk: Desk) -> None:
    pull = watched(desk)
    pull.comment("a question", by="ana")
    pull.push(by="ben")
    review = pull.review(by="ben", event="REQUEST_CHANGES", body="no", inline=[("app.txt", 5, "why?")])
    pull.label(by="ana", add=["bug"])
    pull.reply(review.comments[0], "because", by="ana")
    pull.close(by="ana")
    pull.reopen(by="ana")
    pull.request_review("bot", by="ana")
    assert told(desk) == [
        "comment created", "sync synchronized", "review_rejected reviewed", "label label_updated", "comment created",
        "closed", "reopened", "review_request review_requested",
    ]  # fmt: skip
    nothing_more(desk)


@every_version
def test_a_history_is_the_same_read_at_once_or_act_by_act(desk: Desk) -> None:
    """Two pulls live through the same; one is looked at after each act, the other at the end."""
    one = watched(desk)
    other = watched(desk)
    for act in range(9):
        for pull in (one, other):
            _act(pull, act)
        stamp, counter = other.updated, other.counter
        world_index(desk, other, hide=True)
        assert desk.cycle().errors == []
        world_index(desk, other, hide=False)
        assert (other.updated, other.counter) == (stamp, counter)
    desk.cycle()
    assert settled(desk) == []
    lines = {pull: [_line(event) for event in log_of(desk) if event.number == pull.number] for pull in (one, other)}
    assert lines[one] == lines[other]
    assert len(lines[one]) == 10


def _act(pull: Any, act: int) -> None:
    pull.world.clock.advance(seconds=3)
    match act:
        case 0:
            pull.comment("hello", by="ana")
        case 1:
            pull.push(by="ana", commits=2)
        case 2:
            pull.review(by="ben", event="REQUEST_CHANGES", body="no", inline=[("app.txt", 5, "why?")])
        case 3:
            pull.reply(pull.reviews[0].comments[0], "because", by="ana")
        case 4:
            pull.review(by="ben", event="APPROVED", body="yes")
        case 5:
            pull.reviews[-1].dismiss(by="root1", message="stale")
        case 6:
            pull.close(by="ana", comment=None)
        case 7:
            pull.reopen(by="ana")
        case 8:
            pull.edit(by="ana", title="Another title")


def _line(event: Event) -> tuple[Any, ...]:
    actor = event.actor.login if event.actor else None
    heads = (bool(event.subject.before), bool(event.subject.after), event.subject.forced)
    return short(event), actor, event.subject.body, heads, sorted(event.changes)


def world_index(desk: Desk, pull: Any, *, hide: bool) -> None:
    """Keep a pull out of every listing for a while, as if nobody polled."""
    if hide:
        desk.world.index.remove(pull)
    else:
        desk.world.index.add(pull)


def state_of(desk: Desk) -> tuple[object, ...]:
    with reading(desk.engine) as conn:
        forge = store.forge(conn, desk.config.forge)
    return forge.cursor, forge.success_at, len(log_of(desk))


@every_version
@pytest.mark.parametrize("trouble", [{"html": True}, {"status": 401}, {"status": 429, "retry_after": 60}])
def test_a_cycle_that_fails_half_way_commits_nothing_of_that_half(desk: Desk, trouble: dict[str, Any]) -> None:
    good, bad = watched(desk), watched(desk)
    before = state_of(desk)
    good.comment("read before the failure", by="ana")
    desk.world.clock.advance(seconds=1)
    bad.comment("never reached", by="ana")
    fault = desk.world.fault(f"GET …issues/{bad.number}/timeline", times=None, **trouble)
    for _ in range(2):
        with pytest.raises(errors.ForgeError):
            desk.cycle()
        assert state_of(desk) == before
    fault.times = 0
    desk.world.clock.advance(seconds=60)  # the patience that it asked for
    assert bodies(happened(desk)) == ["read before the failure", "never reached"]
    nothing_more(desk)
