"""Which rows and heads are pushes: one each, whatever the forge writes, rewrites or leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from poller.deltas.events import Event
from tests.poller.deltas.shown import ANA, BEN, Shown, baseline

PUSHED = "sync synchronized"


def facts(one: Event) -> tuple[Any, ...]:
    who = one.actor.login if one.actor else None
    return who, one.subject.before, one.subject.after, one.subject.forced, one.subject.commits


def test_the_first_row_of_a_pull_is_its_opening_and_no_push() -> None:
    assert Shown().names() == ["pull_request opened"]


def test_a_push_before_the_first_look_is_told_beside_the_opening() -> None:
    shown = Shown()
    shown.pushed(["h1"], seconds=1)
    _, push = shown.look()
    assert facts(push) == ("ana", "h0", "h1", False, ["h1"])


def test_the_first_push_to_a_pull_that_was_opened_empty_is_a_push() -> None:
    shown = Shown(head=None)
    shown.look()
    shown.pushed(["h1"])
    assert [facts(one) for one in shown.look()] == [("ana", "base", "h1", False, ["h1"])]


def test_several_commits_are_one_push() -> None:
    shown = baseline()
    shown.pushed(["h1", "h2", "h3"], by=BEN)
    assert [facts(one) for one in shown.look()] == [("ben", "h0", "h3", False, ["h1", "h2", "h3"])]
    assert shown.look(settling=True) == []


def test_two_pushes_between_two_looks_are_two_that_follow_each_other() -> None:
    shown = baseline()
    shown.pushed(["h1"])
    shown.pushed(["h2"], seconds=11)
    assert [facts(one)[1:3] for one in shown.look()] == [("h0", "h1"), ("h1", "h2")]


# -- base changes ---------------------------------------------------------------------------------------------------


def rebase(shown: Shown, commits: list[str], *, seconds: int = 20) -> None:
    """A base change from 1.25 on: the rows of all pushes go, one new row comes."""
    shown.steps = [step for step in shown.steps if step.kind != "pull_push"]
    shown.step("change_target_branch", seconds=seconds, by=BEN, old_ref="main", new_ref="next")
    shown.step("pull_push", seconds=seconds, by=BEN, commits=tuple(commits))


def test_the_row_that_a_base_change_writes_is_no_push() -> None:
    shown = baseline()
    rebase(shown, ["h0"])
    (edited,) = shown.look()
    assert (edited.action, edited.changes["ref"].from_) == ("edited", "main")


def test_a_push_whose_row_a_base_change_took_is_told_and_is_nobodys() -> None:
    shown = baseline()
    shown.pushed(["h1"])
    rebase(shown, ["h0", "h1"])
    _, push = shown.look()
    assert facts(push)[:3] == (None, "h0", "h1")  # the row names who changed the base


def test_a_pull_first_seen_after_a_base_change_was_only_opened_and_edited() -> None:
    shown = Shown()
    rebase(shown, ["h0"])
    assert shown.names() == ["pull_request opened", "pull_request edited"]


# -- forced pushes --------------------------------------------------------------------------------------------------


def test_a_forced_push_says_so_and_names_both_heads() -> None:
    shown = baseline()
    shown.pushed(["h0", "x1"], forced=True)
    assert [facts(one) for one in shown.look()] == [("ana", "h0", "x1", True, ["x1"])]


def test_the_two_rows_of_a_forced_push_are_one_push() -> None:
    shown = baseline()
    shown.steps.clear()  # 1.26 deletes those of all earlier pushes
    shown.pushed(["x0", "x1"])
    shown.pushed(["h0", "x1"], seconds=11, forced=True)
    assert [facts(one) for one in shown.look()] == [("ana", "h0", "x1", True, ["x1"])]


def test_a_forced_push_to_the_tip_of_the_base_has_one_row_only() -> None:
    shown = baseline()
    shown.steps.clear()
    shown.pushed(["h0", "base"], forced=True)
    assert [facts(one)[1:4] for one in shown.look()] == [("h0", "base", True)]


def test_a_forced_push_that_says_it_was_none_is_known_by_its_two_heads() -> None:
    shown = baseline()
    shown.pushed(["h0", "x1"], forced=False)  # 1.24.6 and .7
    assert [facts(one)[1:4] for one in shown.look()] == [("h0", "x1", True)]


def test_a_push_and_a_forced_one_to_another_head_are_two() -> None:
    shown = baseline()
    shown.pushed(["h1"])
    shown.pushed(["h1", "x1"], forced=True)
    assert [facts(one)[1:4] for one in shown.look()] == [("h0", "h1", False), ("h1", "x1", True)]


# -- heads without rows ---------------------------------------------------------------------------------------------


def test_a_head_that_leads_its_row_waits_for_it() -> None:
    shown = baseline()
    shown.moved("h1")
    assert shown.look() == []
    row = shown.pushed(["h1"])
    (push,) = shown.look()
    assert facts(push)[:3] == ("ana", "h0", "h1")
    assert push.id.endswith(f"/push/{row.id}")


def test_a_head_that_leads_its_row_waits_for_it_also_when_the_pull_was_quiet_for_long() -> None:
    shown = baseline()
    shown.moved("h1")
    assert shown.look(settling=True) == []
    shown.pushed(["h1"])
    assert [facts(one)[0] for one in shown.look()] == ["ana"]


def test_a_head_that_stays_without_a_row_is_a_push_by_nobody_knows_whom() -> None:
    shown = baseline()
    shown.moved("h1")
    assert shown.look() == []
    (push,) = shown.look(settling=True)
    assert facts(push) == (None, "h0", "h1", False, [])
    assert shown.look(settling=True) == []
    shown.pushed(["h1"], seconds=900)
    assert shown.look() == []  # its row after all: it was told


def test_a_push_on_top_of_a_silent_one_is_told_with_its_row() -> None:
    shown = baseline()
    shown.moved("h1")
    shown.look()
    shown.pushed(["h2"])
    assert [facts(one)[2] for one in shown.look()] == ["h2"]
    assert shown.look(settling=True) == []


def test_a_row_without_commits_is_a_push_to_the_live_head() -> None:
    shown = baseline()
    shown.moved("h1")
    shown.step("pull_push", commits=())  # 1.22, of commits that the base has already
    assert [facts(one) for one in shown.look()] == [("ana", "h0", "h1", False, [])]


@pytest.mark.parametrize("is_shallow", [True, False])
def test_a_head_that_moved_without_a_row_before_we_watched_is_history(is_shallow: bool) -> None:
    shown = Shown(boundary="2026-11-21T08:00:00Z")
    shown.moved("h1")
    if is_shallow:
        shown.remember_shallowly()
    assert shown.look() == []
    assert shown.look(settling=True) == []
    shown.pushed(["h2"], seconds=7200)
    assert [facts(one)[1:3] for one in shown.look()] == [("h1", "h2")]


def test_a_push_whose_row_is_late_at_the_very_first_look_is_not_lost() -> None:
    shown = Shown(boundary="2026-11-21T07:10:00Z")
    shown.remember_shallowly()
    shown.moved("h1")
    shown.step("comment", seconds=900)
    assert shown.names() == ["comment created"]
    shown.pushed(["h1"], seconds=901)
    assert shown.names() == [PUSHED]


# -- closed pulls ---------------------------------------------------------------------------------------------------


def test_a_push_while_the_pull_is_closed_tells_nothing() -> None:
    shown = baseline()
    shown.closed()
    shown.look()
    shown.moved("h1")
    assert shown.look() == []
    assert shown.look(settling=True) == []


def test_reopened_with_another_head_is_no_push_and_the_next_one_starts_there() -> None:
    shown = baseline()
    shown.closed()
    shown.look()
    shown.moved("h1")
    shown.reopened()
    assert shown.names() == ["pull_request reopened"]
    shown.pushed(["h2"], seconds=30)
    assert [facts(one)[1:3] for one in shown.look()] == [("h1", "h2")]
    assert shown.look(settling=True) == []


def test_a_base_change_after_reopening_does_not_make_a_push_of_what_was_pushed_while_closed() -> None:
    shown = baseline()
    shown.closed()
    shown.look()
    shown.moved("h1")
    shown.reopened()
    shown.look()
    rebase(shown, ["h0", "h1"], seconds=30)
    assert shown.names() == ["pull_request edited"]
    assert shown.look(settling=True) == []


def test_closed_and_reopened_while_its_row_was_under_way_a_push_is_still_told() -> None:
    shown = baseline()
    shown.moved("h1")
    shown.closed()
    shown.look()
    shown.reopened(seconds=11)
    shown.look()
    shown.pushed(["h1"], seconds=12)
    assert [facts(one)[:3] for one in shown.look()] == [(ANA.login, "h0", "h1")]
