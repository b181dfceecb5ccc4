"""What webhooks say of pushes, and what a polling client must know to say it too."""

from __future__ import annotations

from itertools import pairwise

from tests.poller.desk import Desk
from tests.poller.traps.stage import (
    NEXT,
    STABLE,
    every_version,
    happened,
    nothing_more,
    on,
    only,
    settled,
    short,
    told,
    watched,
)

PUSHED = "sync synchronized"
LAG = 2


@every_version
def test_point_02_of_two_quick_pushes_one_may_lose_its_row_for_ever(desk: Desk) -> None:
    pull = watched(desk)
    first = pull.head_sha
    middle = pull.push(by="ana")
    last = pull.push(by="ben")
    lost = [row for row in pull.rows if row.type == "pull_push"][-1]
    pull.rows.remove(lost)
    pushes = happened(desk)
    desk.world.clock.advance(seconds=301)
    pushes += happened(desk)
    desk.world.clock.advance(seconds=301)
    pushes += happened(desk)
    assert [(push.subject.before, push.subject.after) for push in pushes] == [(first, middle), (middle, last)]
    assert pushes[1].actor is None, "only the head tells, and it does not say whose"
    nothing_more(desk)


@every_version
def test_point_02_the_row_that_is_left_may_start_from_a_head_never_seen(desk: Desk) -> None:
    pull = watched(desk)
    first = pull.head_sha
    pull.push(by="ana")
    pull.rows.remove([row for row in pull.rows if row.type == "pull_push"][-1])
    last = pull.push(by="ben")
    push = only(desk)
    assert (push.subject.before, push.subject.after) == (first, last)
    nothing_more(desk)


@every_version
def test_point_03_a_push_has_its_exact_heads_which_no_webhook_carries(desk: Desk) -> None:
    pull = watched(desk)
    heads = [pull.head_sha, *(pull.push(by="ana", commits=2) for _ in range(3))]
    pushes = happened(desk)
    assert [(push.subject.before, push.subject.after) for push in pushes] == list(pairwise(heads))
    assert [len(push.subject.commits or ()) for push in pushes] == [2, 2, 2]
    assert all((push.subject.commits or [""])[-1] == push.subject.after for push in pushes)
    nothing_more(desk)


@every_version
def test_point_04_a_head_and_the_row_that_follows_it_are_one_push(desk: Desk) -> None:
    pull = watched(desk)
    assert settled(desk) == []
    desk.world.push_lag = 4
    first, last = pull.head_sha, pull.push(by="ben")
    pull.reference(by="mallory", source=desk.world.repo("mallory/secret", private=True))  # the pull itself is read
    assert told(desk) == [], "the head is new, its row is still to come"
    desk.world.clock.advance(seconds=LAG)
    push = only(desk)
    assert (push.subject.before, push.subject.after, push.actor and push.actor.login) == (first, last, "ben")
    nothing_more(desk)


@on(STABLE, NEXT)
def test_point_04_the_row_of_a_base_change_looks_like_a_push_of_somebody_else(desk: Desk) -> None:
    desk.repo.branch("develop")
    pull = watched(desk)
    pull.push(by="ana")
    assert told(desk) == [PUSHED]
    pull.edit(by="ben", base="develop")
    event = only(desk)
    assert (short(event), event.actor and event.actor.login) == ("edited", "ben")
    nothing_more(desk)


@every_version
def test_point_05_a_push_that_is_overtaken_by_the_closing_is_none(desk: Desk) -> None:
    pull = watched(desk)
    desk.world.push_lag = LAG
    pull.push(by="ana")
    pull.close(by="ana")
    assert told(desk) == ["closed"]
    nothing_more(desk)


@every_version
def test_point_05_so_is_one_that_is_overtaken_by_the_end_of_its_branch(desk: Desk) -> None:
    pull = watched(desk)
    desk.world.push_lag = LAG
    pull.push(by="ana")
    pull.delete_head_branch(by="ana")
    assert told(desk) == ["closed"]
    nothing_more(desk)


@every_version
def test_point_05_a_push_while_closed_counts_when_it_is_reopened_soon_enough(desk: Desk) -> None:
    pull = watched(desk)
    pull.close(by="ana")
    assert told(desk) == ["closed"]
    desk.world.push_lag = 4
    first, last = pull.head_sha, pull.push(by="ana")
    pull.reopen(by="ana")
    assert told(desk) == ["reopened"]
    desk.world.clock.advance(seconds=LAG)
    push = only(desk)
    assert (push.subject.before, push.subject.after) == (first, last)
    nothing_more(desk)


@every_version
def test_point_16_what_waits_in_the_forges_queues_is_told_when_it_comes_and_once(desk: Desk) -> None:
    pull = watched(desk)
    desk.world.push_lag = 5
    pull.push(by="ana")
    delivered = len(desk.world.webhooks)
    assert told(desk) == told(desk) == []
    assert len(desk.world.webhooks) == delivered
    assert told(desk) == [PUSHED]
    assert len(desk.world.webhooks) == delivered + 1
    pull.comment("known before its delivery", by="ana")
    assert told(desk) == ["comment created"]
    nothing_more(desk)
