"""Traps of the API that lie in the row of a pull: its stamp, its counter, the forge's clock."""

from __future__ import annotations

from poller.demo.pulls import Pull
from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    every_version,
    happened,
    nothing_more,
    only,
    settled,
    short,
    told,
    watched,
)


def look_at_once(desk: Desk) -> list[str]:
    """A cycle in the very second of what happened last."""
    return [short(one.event) for one in desk.new_cycle().run().told]


@every_version
def test_trap_06_a_second_change_in_the_same_second_leaves_the_row_as_it_was(desk: Desk) -> None:
    pull = watched(desk, assignees=["ben"])
    desk.world.clock.advance(seconds=5)
    pull.unassign("ben", by="ana")
    pull.assign("ben", by="ana")
    assert look_at_once(desk) == ["assign unassigned", "assign assigned"]
    pull.unassign("ben", by="ana")
    pull.assign("ben", by="ana")
    assert told(desk) == ["assign unassigned", "assign assigned"]
    nothing_more(desk)


def bump_that_nobody_can_explain(desk: Desk, pull: Pull) -> None:
    """Somebody named the pull in a repository that the bot may not read."""
    secret = desk.world.repo("mallory/secret", private=True)
    pull.reference(by="mallory", source=secret)


@every_version
def test_trap_10_a_bump_with_nothing_to_see_is_normal_and_ends(desk: Desk) -> None:
    pull = watched(desk)
    assert settled(desk) == []
    bump_that_nobody_can_explain(desk, pull)
    nothing_more(desk)
    desk.world.reset_requests()
    assert desk.cycle().requests == 1
    pull.comment("still heard", by="ana")
    assert told(desk) == ["comment created"]


@every_version
def test_trap_32_the_comment_counter_lags_and_proves_nothing(desk: Desk) -> None:
    pull = watched(desk)
    for number in range(3):
        pull.review(by="ben", body=f"r{number}")
    assert pull.counter == 0
    assert told(desk) == ["review_comment reviewed"] * 3
    pull.comment("one", by="ana")
    assert pull.counter == (1 if desk.world.version.old_json else 4)
    assert told(desk) == ["comment created"]
    pull.counter = 99  # counted anew by whatever
    nothing_more(desk)


@every_version
def test_trap_34_the_forges_clock_steps_back_and_its_changes_are_found_all_the_same(desk: Desk) -> None:
    pull = watched(desk)
    desk.world.clock.advance(seconds=86_400)
    pull.comment("today", by="ana")
    assert told(desk) == ["comment created"]
    desk.world.clock.advance(seconds=-7200)
    pull.comment("in the past", by="ana")
    assert only(desk).subject.body == "in the past"
    other = desk.repo.open_pull(by="ana")
    assert [(short(event), event.number) for event in happened(desk)] == [("opened", other.number)]
    nothing_more(desk)
    desk.world.clock.advance(seconds=7200)
    pull.comment("in the present", by="ana")
    assert only(desk).subject.body == "in the present"
    nothing_more(desk)
