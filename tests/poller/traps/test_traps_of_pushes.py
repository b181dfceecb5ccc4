"""Traps of the API that lie in pushes, bases, merges and heads."""

from __future__ import annotations

from poller.deltas.events import Event
from poller.demo.pulls import Pull
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

PUSHED = "sync synchronized"


def heads(event: Event) -> tuple[object, object, object]:
    return event.subject.before, event.subject.after, event.subject.forced


@every_version
def test_trap_11_a_base_change_deletes_rows_and_writes_one_that_looks_like_a_push(desk: Desk) -> None:
    desk.repo.branch("develop")
    pull = watched(desk, commits=2)
    pull.push(by="ana")
    assert told(desk) == [PUSHED]
    pull.edit(by="ben", base="develop")
    event = only(desk)
    assert (short(event), event.changes["ref"].from_) == ("edited", "main")
    before = pull.head_sha
    pull.push(by="ana")
    assert heads(only(desk)) == (before, pull.head_sha, False)
    nothing_more(desk)


@every_version
def test_trap_11_a_forced_push_deletes_rows_and_may_write_two_yet_it_is_one(desk: Desk) -> None:
    pull = watched(desk, commits=2)
    pull.push(by="ana")
    assert told(desk) == [PUSHED]
    for _ in range(2):
        before = pull.head_sha
        pull.force_push(by="ana")
        assert heads(only(desk)) == (before, pull.head_sha, True)
    nothing_more(desk)


@on(STABLE, NEXT)
def test_trap_11_a_push_whose_row_a_base_change_took_before_anybody_looked_is_told(desk: Desk) -> None:
    desk.repo.branch("develop")
    pull = watched(desk)
    before = pull.head_sha
    pull.push(by="ana")
    desk.world.clock.advance(seconds=1)
    pull.edit(by="ben", base="develop")
    found = happened(desk)
    assert sorted(map(short, found)) == ["edited", PUSHED]
    push = next(event for event in found if short(event) == PUSHED)
    assert heads(push)[:2] == (before, pull.head_sha)
    assert push.actor is None, "the row names who changed the base"
    nothing_more(desk)


@every_version
def test_trap_12_the_first_row_of_a_push_is_the_opening(desk: Desk) -> None:
    watched(desk, commits=3)
    nothing_more(desk)
    assert [short(event) for event in log_of(desk)] == ["opened"]


@every_version
def test_trap_12_nor_is_it_a_push_on_a_pull_that_was_there_before_us(desk: Desk) -> None:
    pull = desk.repo.open_pull(by="ana", commits=3)
    desk.world.clock.advance(seconds=86_400)
    desk.cycle()
    pull.comment("hello", by="ana")
    assert told(desk) == ["comment created"]
    before = pull.head_sha
    pull.push(by="ana")
    assert heads(only(desk)) == (before, pull.head_sha, False)
    nothing_more(desk)


def merged_long_ago(desk: Desk) -> Pull:
    pull = watched(desk)
    pull.merge(by="ben")
    assert told(desk) == ["closed"]
    return pull


@every_version
def test_trap_14_the_reference_that_follows_a_merge_is_no_second_closing(desk: Desk) -> None:
    pull = watched(desk)
    pull.merge(by="ben")
    event = only(desk)
    assert (short(event), event.pull and event.pull.merged, event.actor and event.actor.login) == (
        "closed",
        True,
        "ben",
    )
    desk.world.clock.advance(seconds=3)
    pull.noted("commit_ref", by=desk.world.user("ben"), commit_sha=pull.merge_sha or "")  # seconds later, as seen
    nothing_more(desk)


@every_version
def test_trap_20_a_head_that_moves_after_the_end_is_no_push(desk: Desk) -> None:
    closed, merged = watched(desk), merged_long_ago(desk)
    closed.close(by="ana")
    assert told(desk) == ["closed"]
    secret = desk.world.repo("mallory/secret", private=True)
    for pull in (closed, merged):
        pull.push(by="ana")
        pull.reference(by="mallory", source=secret)  # nothing explains the stamp, so the head is read
    nothing_more(desk)


@every_version
def test_trap_20_reopening_moves_the_kept_head_and_writes_no_row(desk: Desk) -> None:
    for on_the_web in (True, False):
        pull = watched(desk)
        pull.close(by="ana")
        assert told(desk) == ["closed"]
        pull.push(by="ana")
        unseen = pull.head_sha
        pull.reopen(by="ana", on_the_web=on_the_web)
        assert told(desk) == ["reopened"]
        assert settled(desk) == []
        pull.push(by="ana")
        assert heads(only(desk)) == (unseen, pull.head_sha, False)
        nothing_more(desk)


@on(OLD)
def test_trap_13_the_oldest_server_shows_a_push_without_own_commits_by_a_row_without_any(desk: Desk) -> None:
    pull = watched(desk)
    before = pull.head_sha
    pull.push_without_own_commits(by="ana")
    assert heads(only(desk)) == (before, pull.head_sha, False)
    nothing_more(desk)
