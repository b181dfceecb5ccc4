"""What is watched, from when, and what becomes of pulls that cannot be read: over HTTP and SQLite."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import datetime

import pytest
import sqlalchemy as sa

from poller import store, tables
from poller.cycle import Busy
from poller.demo.clock import stamp
from poller.demo.pulls import Pull
from poller.forge import errors
from poller.inventory import NothingToWatch
from sessions import leases, processes
from sessions.database import begin, reading
from tests.poller.desk import Desk

OPENED = "pull_request opened"
COMMENTED = "pull_request_comment created"
WRITERS = {"ana": "write", "ben": "write", "bot": "write"}


def due(desk: Desk, pull: Pull) -> store.Place:
    with reading(desk.engine) as conn:
        return store.places(conn, desk.config.forge, [(pull.repo.id, pull.number)])[pull.repo.id, pull.number]


def cursor(desk: Desk) -> str | None:
    with reading(desk.engine) as conn:
        return store.forge(conn, desk.config.forge).cursor


# -- from when ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["now", "24h", "2026-11-20T07:00:00Z"])
def test_start_holds_for_a_repository_that_comes_later_too(desk: Desk, start: str) -> None:
    other = desk.world.repo("acme/other", private=True, collaborators=WRITERS)
    desk.told()
    other.open_pull(by="ana")
    desk.world.clock.advance(seconds=3600)
    desk.repo.open_pull(by="ana")
    assert desk.told() == [OPENED]  # by now the cursor is an hour further
    desk.set_up(repos="[acme/api, acme/other]", start=start)
    assert desk.told() == ([] if start == "now" else [OPENED])
    assert desk.told() == []


def test_a_start_that_is_still_to_come_is_refused_before_anything_is_asked(desk: Desk) -> None:
    desk.set_up(start="2099-01-01T00:00:00Z")
    with pytest.raises(NothingToWatch, match=r"poll.start: found 2099-01-01T00:00:00Z, which is still to come, expec"):
        desk.cycle()
    assert desk.world.requests == [] and cursor(desk) is None
    desk.set_up()
    desk.told()
    desk.set_up(start="2099-01-01T00:00:00Z")
    assert desk.told() == [], "where the watching has begun it does not matter, whatever a clock says"


def test_a_repository_that_left_the_config_is_not_read_any_more(desk: Desk) -> None:
    other = desk.world.repo("acme/other", private=True, collaborators=WRITERS)
    desk.set_up(repos="[acme/api, acme/other]")
    desk.told()
    other.open_pull(by="ana")
    desk.world.fault("GET /repos/acme/other/issues/1/timeline", status=403, times=None)
    assert [error.partition(":")[0] for error in desk.cycle().errors] == ["acme/other#1"]
    desk.set_up(repos="[acme/api]")
    other.open_pull(by="ana")
    desk.world.clock.advance(seconds=3 * 86_400)
    for _ in range(2):
        desk.world.reset_requests()
        report = desk.cycle()
        assert (report.told, report.errors) == ([], [])
        assert not [request for request in desk.world.requests if request.path.startswith("/repos/acme/other")]


def test_a_pull_from_before_that_was_closed_then_tells_what_comes_after(desk: Desk) -> None:
    old = desk.repo.open_pull(by="ana")
    old.comment("@bot long ago", by="ana")
    old.close(by="ana")
    desk.world.clock.advance(seconds=86_400)
    desk.told()
    old.reopen(by="ana")
    old.comment("now", by="ana")
    assert desk.told() == ["pull_request reopened", COMMENTED]


# -- names ----------------------------------------------------------------------------------------------------------


def test_a_new_repository_under_the_old_name_is_not_mistaken_for_the_renamed_one(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana", title="Ours")
    desk.told()
    desk.world.clock.advance(seconds=200)
    pull.close(by="ana")
    desk.told()
    desk.world.clock.advance(seconds=290)
    desk.repo.rename("service")
    # The new one moves the cursor on, so that the renamed one's row is not seen; only its time to settle comes.
    double = desk.world.repo("acme/api", private=True, collaborators=WRITERS).open_pull(by="ana", title="Theirs")
    desk.world.clock.advance(seconds=320)
    double.comment("hello", by="ana")
    told = [one.event for _ in range(3) for one in desk.cycle().told]
    assert [event.action for event in told if event.repo_id == pull.repo.id] == ["renamed"]
    assert {event.repo_id for event in told if event.number is not None} == {double.repo.id}
    place = due(desk, pull)
    assert place.known is not None
    assert (place.known.row.title, place.known.row.repo_id) == ("Ours", pull.repo.id)


def test_a_pull_whose_name_went_to_another_repository_is_not_taken_for_deleted(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    desk.repo.rename("service")
    desk.world.repo("acme/api", private=True, collaborators=WRITERS)
    with reading(desk.engine) as conn:
        known = store.places(conn, desk.config.forge, [(pull.repo.id, 1)])[pull.repo.id, 1].known
    assert known is not None
    assert desk.questions.what_is_gone("acme/api", pull.repo.id, pull.number) is None
    pull.delete(by="ana")
    assert desk.questions.what_is_gone("acme/api", pull.repo.id, pull.number) == "pull"


# -- clocks ---------------------------------------------------------------------------------------------------------


def test_a_forge_whose_clock_is_put_back_is_read_on(desk: Desk) -> None:
    desk.told()
    ahead = desk.repo.open_pull(by="ana")
    desk.world.clock.advance(seconds=3600)
    ahead.comment("from the future", by="ana")
    assert desk.told() == [OPENED, COMMENTED]
    desk.world.clock.advance(seconds=-3600)
    later = desk.repo.open_pull(by="ana")
    assert desk.told() == [OPENED]
    later.comment("hello", by="ana")
    ahead.comment("again", by="ana")
    assert desk.told() == [COMMENTED, COMMENTED]
    assert str(cursor(desk)) <= desk.world.clock.text()
    for _ in range(3):
        desk.world.clock.advance(seconds=400)
        assert desk.told() == []


def test_our_own_clock_may_be_wrong(desk: Desk) -> None:
    desk.now = lambda: float(desk.world.clock.now()) - 86_400
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    assert desk.told() == [OPENED]
    desk.now = lambda: float(desk.world.clock.now()) + 86_400
    pull.comment("hello", by="ana")
    assert desk.told() == [COMMENTED]
    desk.world.clock.advance(seconds=400)
    assert desk.told() == []


# -- trouble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 500, 423])
@pytest.mark.parametrize("where", ["issues/{}/timeline", "pulls/{}"])
def test_a_pull_in_trouble_waits_longer_each_time_and_loses_nothing(desk: Desk, status: int, where: str) -> None:
    desk.told()
    bad, good = desk.repo.open_pull(by="ana"), desk.repo.open_pull(by="ana")
    path = f"GET /repos/acme/api/{where.format(bad.number)}"
    fault = desk.world.fault(f"{path}($|[?])", status=status, times=None)
    report = desk.cycle()
    assert [one.event.number for one in report.told] == [good.number]
    assert len(report.errors) == 1
    waits = []
    for nth in range(1, 5):
        place = due(desk, bad)
        assert (place.errors, place.known) == (nth, None)
        good.comment(f"{nth}", by="ana")  # the cursor goes on
        assert place.due_at is not None
        wait = datetime.fromisoformat(place.due_at).timestamp() - desk.world.clock.now()
        waits.append(round(wait / 60))
        desk.world.clock.advance(seconds=int(wait))
        bad.comment(f"{nth}", by="ana")  # its row moves, and is not asked for before its time
        desk.cycle()
    assert waits == [1, 2, 4, 8]
    fault.times = 0
    desk.world.clock.advance(seconds=3600)
    told = [one.event for one in desk.cycle().told]
    assert [event.action for event in told if event.number == bad.number] == ["opened", *["created"] * 4]
    assert due(desk, bad).errors == 0


def test_a_token_that_lost_a_scope_stops_the_cycle_before_anything_is_written(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana")
    before = cursor(desk)
    held = desk.world.tokens[desk.token]
    desk.world.tokens[desk.token] = dataclasses.replace(held, scopes=frozenset({"read:user", "read:issue"}))
    with pytest.raises(errors.MissingScope):  # the search works, the pull itself may not be read
        desk.cycle()
    assert cursor(desk) == before
    desk.world.tokens[desk.token] = held
    assert desk.told() == [OPENED]


def test_a_pull_that_the_cursor_has_passed_is_remembered_until_it_is_read(desk: Desk) -> None:
    desk.told()
    bad = desk.repo.open_pull(by="ana")
    desk.world.fault(f"GET /repos/acme/api/issues/{bad.number}/timeline", status=403)
    desk.cycle()
    assert cursor(desk) == stamp(bad.updated)
    desk.world.clock.advance(seconds=86_400)  # far outside the overlap: only the memory knows of it
    desk.repo.open_pull(by="ana")
    assert desk.told() == [OPENED, OPENED]


# -- the lease ------------------------------------------------------------------------------------------------------


def test_the_lease_of_a_dead_poller_is_taken_over_at_once(desk: Desk) -> None:
    desk.told()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        me = processes.me()
        owner = processes.Process(me.host, me.boot, me.space, child.pid, processes.start_of(child.pid) or "")
        with begin(desk.engine) as conn:
            assert leases.take(conn, desk.new_cycle().lease_name, now=desk.now(), ttl=3600, owner=str(owner))
        with pytest.raises(Busy, match="another poller"):
            desk.cycle()
        child.kill()
    assert desk.told() == []


# -- owners ---------------------------------------------------------------------------------------------------------


def asked(desk: Desk) -> list[str]:
    """The searches of the next cycle."""
    desk.world.reset_requests()
    desk.cycle()
    return [request.query for request in desk.world.requests if request.path == "/repos/issues/search"]


def test_one_owner_is_asked_for_his_pulls_only_and_several_are_not_asked_one_by_one(desk: Desk) -> None:
    desk.told()
    (search,) = asked(desk)
    assert "owner=acme" in search
    desk.world.repo("beta/web", private=True, collaborators=WRITERS)
    desk.set_up(repos="[acme/api, beta/web]")
    desk.told()
    (search,) = asked(desk)
    assert "owner=" not in search


def test_a_transferred_repository_is_found_again_by_a_sweep_and_then_asked_for(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    desk.world.org("beta")
    desk.repo.transfer("beta")
    pull.comment("@bot still there?", by="ana")
    desk.world.clock.advance(seconds=1200)
    told = [one for _ in range(3) for one in desk.cycle().told]
    assert sorted(one.event.action for one in told) == ["created", "renamed"]
    (search,) = asked(desk)
    assert "owner=" not in search


def test_an_owner_who_has_another_name_now_stops_nothing(desk: Desk) -> None:
    repo = desk.world.repo("cleo/tools", private=True, collaborators=WRITERS)
    pull = repo.open_pull(by="ana")
    desk.set_up(repos="[cleo/tools]")
    desk.told()
    desk.told()
    desk.world.rename_user("cleo", "clea")
    pull.comment("@bot still there?", by="ana")
    assert desk.told() == ["repository renamed", "pull_request_comment created"]


def who_am_i(desk: Desk) -> int:
    return sum(request.path == "/user" for request in desk.world.requests)


@pytest.fixture
def pull(desk: Desk) -> Pull:
    """One that is known from before the bot got another name."""
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    desk.world.rename_user("bot", "robo")
    desk.world.reset_requests()
    return pull


def test_a_bot_that_has_another_name_now_is_heard_under_it_at_once(desk: Desk, pull: Pull) -> None:
    pull.comment("@robo please", by="ana")
    (asked,) = desk.cycle().told
    assert (asked.decisions[0].verdict, who_am_i(desk)) == ("wake", 1)
    for words in ("@robo again", "nobody is spoken to, not even by robo@example.com"):
        pull.comment(words, by="ana")
        assert desk.told() == [COMMENTED]
    pull.comment("@bot please", by="ana")
    (missed,) = desk.cycle().told
    assert (missed.decisions[0].reason, who_am_i(desk)) == ("no agent wakes on this: it does not mention @robo", 2)


def test_a_bot_that_has_another_name_now_shows_it_by_what_it_does(desk: Desk, pull: Pull) -> None:
    pull.comment("done", by="robo")
    pull.comment("@robo please", by="ana")
    _, asked = desk.cycle().told
    assert (asked.decisions[0].verdict, who_am_i(desk)) == ("wake", 0)


def test_what_an_owner_makes_renames_and_deletes_is_followed_by_the_next_inventory(desk: Desk) -> None:
    desk.world.repo("acme/old", private=True, collaborators=WRITERS)
    doomed = desk.world.repo("acme/doomed", private=True, collaborators=WRITERS)
    desk.set_up(repos="['acme/*']")
    desk.told()
    made = desk.world.repo("acme/new", private=True, collaborators=WRITERS)
    made.open_pull(by="ana")
    assert desk.told() == ["pull_request opened"]
    desk.world.repo("acme/old").rename("older")
    doomed.delete()
    desk.world.clock.advance(seconds=90_000)
    told = [one.event for one in desk.cycle().told if one.event.event == "repository"]
    assert sorted((event.action, event.subject.from_) for event in told) == [
        ("gone", "acme/doomed"),
        ("renamed", "acme/old"),
    ]
    assert desk.told() == []


@pytest.mark.parametrize("repos", ["[acme/api]", "['acme/*']"])
def test_an_archived_repository_is_told_once_by_the_next_inventory_and_so_is_its_return(desk: Desk, repos: str) -> None:
    desk.set_up(repos=repos)
    desk.repo.open_pull(by="ana")
    desk.told()
    for back, told in ((False, "archived"), (True, "unarchived")):
        desk.repo.archive(back=back)
        desk.world.clock.advance(seconds=90_000)
        [event] = [one.event for one in desk.cycle().told]
        assert (event.event, event.action, event.repo, event.number) == ("repository", told, "acme/api", None)
        assert event.actor is None and event.pull is None
        assert desk.told() == []


def sweeps(desk: Desk) -> dict[str, float]:
    """In how many seconds the repository and its pull are swept."""
    swept = tables.sweep
    with reading(desk.engine) as conn:
        rows = conn.execute(sa.select(swept.c.what, swept.c.due_at).where(swept.c.repo_id == desk.repo.id)).all()
    return {row.what: row.due_at - desk.now() for row in rows}


def test_an_archived_repository_is_read_on_and_closely_when_it_is_back(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    comment = pull.comment("hello", by="ana")
    desk.told()
    desk.world.clock.advance(seconds=90_000)
    pull.bump()
    desk.repo.archive()
    assert desk.told() == ["repository archived"]
    assert sweeps(desk).keys() == {"repo", "pull"} and due(desk, pull).due_at is not None
    for _ in range(5):
        desk.world.clock.advance(seconds=15_000)
        desk.told()
    assert sweeps(desk)["pull"] > 1200
    desk.repo.archive(back=True)
    desk.world.clock.advance(seconds=15_000)
    assert desk.told() == ["repository unarchived"]
    assert max(sweeps(desk).values()) <= 1200
    comment.edit("hello @bot")
    desk.world.clock.advance(seconds=1200)
    assert desk.told() == ["pull_request_comment edited"]


def test_a_repository_that_was_archived_before_it_was_watched_is_no_news(desk: Desk) -> None:
    desk.repo.open_pull(by="ana")
    desk.repo.archive()
    desk.set_up(sweep="0s")
    assert desk.told() == []
    desk.world.clock.advance(seconds=90_000)
    assert desk.told() == []
