"""Traps of the API that lie in its lists: their pages, filters, orders and ends."""

from __future__ import annotations

import pytest

from poller import letters, outbox, replies
from poller.demo.pulls import Pull
from poller.forge import errors
from sessions import registry
from sessions.database import begin
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
    told,
    troubles,
    watched,
)


@every_version
def test_trap_01_newer_servers_page_a_list_that_nobody_asked_them_to_page(desk: Desk) -> None:
    pull = watched(desk)
    for number in range(70):
        pull.comment(f"c{number}", by="ana")
    for number in range(60):
        pull.review(by="ben", body=f"r{number}")
    found = happened(desk)
    assert [event.subject.body for event in found] == [f"c{n}" for n in range(70)] + [f"r{n}" for n in range(60)]
    assert {event.action for event in found[:70]} == {"created"}
    assert {event.event for event in found[70:]} == {"pull_request_review_comment"}
    nothing_more(desk)


@every_version
def test_trap_02_a_page_that_is_null_or_short_is_not_the_end_and_the_total_lies(desk: Desk) -> None:
    pull = watched(desk)
    for number in range(9):
        pull.comment(f"c{number}", by="ana")
    pull.review(by="ben", body="big", inline=[("app.txt", 1 + n % 20, f"i{n}") for n in range(110)])
    pull.comment("the last one", by="ana")
    found = happened(desk)
    assert [event.subject.body for event in found] == [*(f"c{n}" for n in range(9)), "big", "the last one"]
    assert [remark.body for remark in found[9].subject.comments or ()] == [f"i{n}" for n in range(110)]
    pull.comment("one more", by="ana")
    assert only(desk).subject.body == "one more"
    nothing_more(desk)


def named_elsewhere(desk: Desk, pull: Pull, times: int) -> None:
    """By eve, where the bot may not read: each moves the stamp, and is cut out of its page of the timeline."""
    secret = desk.world.repo("eve/private", private=True)
    for _ in range(times):
        pull.reference(by="eve", source=secret)


@on(STABLE, NEXT)
def test_trap_02_as_many_hidden_rows_as_a_stranger_likes_hide_none_behind_them(desk: Desk) -> None:
    pull = watched(desk)
    assert settled(desk) == []
    named_elsewhere(desk, pull, 170)
    desk.world.clock.advance(seconds=5)
    pull.comment("please help", by="ana")
    pull.edit(title="Other", by="ana")
    pull.review(by="ben", event="APPROVED", body="fine")
    pull.close(by="ana")
    assert told(desk) == ["comment created", "edited", "review_approved reviewed", "closed"]
    nothing_more(desk)


@on(NEXT)
@pytest.mark.parametrize(("before", "words", "after"), [(11, 45, 0), (300, 1, 1)], ids=["a few", "a flood"])
def test_trap_02_a_sweep_finds_the_rows_that_hidden_ones_hide_from_a_look(
    sweeping: Desk, before: int, words: int, after: int
) -> None:
    pull = watched(sweeping)
    assert settled(sweeping) == []
    named_elsewhere(sweeping, pull, before)
    for number in range(words):
        pull.comment(f"c{number}", by="ben")
    sweeping.world.clock.advance(seconds=1)
    named_elsewhere(sweeping, pull, after)
    found = happened(sweeping) + happened(sweeping)
    assert sorted(event.subject.body or "" for event in found) == sorted(f"c{number}" for number in range(words))
    nothing_more(sweeping)


def asked_for(desk: Desk, path: str) -> int:
    return sum(request.method == "GET" and request.path == path for request in desk.world.requests)


def answered(desk: Desk, pull: Pull, words: str) -> outbox.Outbox:
    """The bot was asked, and its answer lies in the outbox."""
    pull.comment("@bot hello", by="ana")
    desk.cycle()
    with begin(desk.engine) as conn:
        turn = registry.turns(conn)[-1]
        body = f"{words}\n\n{replies.marker(turn.id, 1)}"
        letters.put(
            conn, forge=desk.config.forge, ref=turn.ref, repo="acme/api", number=pull.number, turn_id=turn.id,
            bodies=[body], now=desk.now(),
        )  # fmt: skip
    return outbox.Outbox(desk.engine, desk.questions, forge=desk.config.forge, now=lambda: desk.now())


@every_version
def test_trap_03_the_comments_of_a_pull_ignore_the_page_so_they_are_asked_for_once(desk: Desk) -> None:
    pull = watched(desk)
    for number in range(60):
        pull.comment(f"c{number}", by="ana")
    words = answered(desk, pull, "at your service")
    desk.world.fault("POST …comments", drop_after_accept=True)
    assert words.flush() == 0
    desk.world.reset_requests()
    desk.world.clock.advance(seconds=60)
    assert words.flush() == 1
    assert [row.user.login for row in pull.comments].count("bot") == 1
    assert asked_for(desk, f"/repos/acme/api/issues/{pull.number}/comments") == 1


@every_version
def test_trap_04_by_default_a_search_shows_twenty_and_only_open_ones(desk: Desk) -> None:
    desk.cycle()
    pulls = [desk.repo.open_pull(by="ana") for _ in range(60)]
    assert len(happened(desk)) == 60
    for pull in pulls:
        pull.close(by="ana")
    assert {(event.action, event.number) for event in happened(desk)} == {("closed", pull.number) for pull in pulls}
    nothing_more(desk)


@every_version
def test_trap_05_an_empty_since_would_mean_everything(desk: Desk) -> None:
    for _ in range(3):
        desk.repo.open_pull(by="ana").close(by="ana")
    desk.world.clock.advance(seconds=86_400)
    assert told(desk) == []
    assert told(desk) == []
    desk.repo.open_pull(by="ana")
    assert told(desk) == ["opened"]
    searches = [request.query for request in desk.world.requests if request.path == "/repos/issues/search"]
    assert all("since=2026-" in query for query in searches if "state=all" in query)
    assert {event.number for event in log_of(desk)} == {4}
    # Nothing of the old ones was read, not even once.
    assert not [request for request in desk.world.requests if "/issues/1/" in request.path]


@every_version
def test_trap_05_not_even_the_first_run_on_an_empty_forge_asks_for_everything(desk: Desk) -> None:
    for _ in range(3):
        assert told(desk) == []
    searches = [request.query for request in desk.world.requests if request.path == "/repos/issues/search"]
    assert len(searches) >= 3
    assert all("since=2026-" in query for query in searches if "state=all" in query)


@every_version
def test_trap_07_inline_comments_come_in_another_order_from_read_to_read(desk: Desk) -> None:
    pull = watched(desk)
    review = pull.review(by="ben", body="r", inline=[("app.txt", 1 + n, f"i{n}") for n in range(12)])
    remarks = only(desk).subject.comments or []
    assert [remark.body for remark in remarks] == [f"i{n}" for n in range(12)]
    for number in range(5):  # each answer has the review read again, in whatever order
        pull.reply(review.comments[number], f"because {number}", by="ana")
        event = only(desk)
        assert (event.action, event.subject.body, event.subject.line) == ("created", f"because {number}", 1 + number)
    nothing_more(desk)


@every_version
def test_trap_22_the_search_also_shows_strangers_public_repositories(desk: Desk) -> None:
    pull = watched(desk)
    strangers = [desk.world.repo(f"stranger{n}/public").open_pull(by="mallory") for n in range(60)]
    pull.comment("ours", by="ana")
    for stranger in strangers:
        stranger.comment("@bot come and see", by="mallory")
    desk.world.reset_requests()
    assert only(desk).subject.body == "ours"
    assert not [request for request in desk.world.requests if "stranger" in request.path]
    assert {event.repo for event in log_of(desk)} == {"acme/api"}
    nothing_more(desk)


@every_version
def test_trap_23_without_a_token_the_search_is_not_refused_but_blind(desk: Desk) -> None:
    """So every request carries it, behind a redirect too, and one that is no good is an error and never idleness."""
    pull = watched(desk)
    desk.repo.rename("service")
    pull.comment("hello", by="ana")
    assert told(desk) == ["repository renamed", "comment created"]
    desk.world.clock.advance(seconds=90_000)  # who we are and what we watch is asked anew, by the old name
    assert told(desk) == []
    assert {request.user for request in desk.world.requests if request.path != "/version"} == {"bot"}
    desk.world.revoke(desk.token)
    pull.comment("anybody there?", by="ana")
    with pytest.raises(errors.Refused):
        desk.cycle()


@every_version
def test_trap_23_a_token_for_public_repositories_only_is_told_and_not_taken_for_silence(desk: Desk) -> None:
    desk.token = desk.world.token("bot", scopes="read:user,write:issue,write:repository", public_only=True)
    desk.world.repo("acme/open", collaborators={"bot": "write"})
    desk.set_up(repos="[acme/api, acme/open]")
    desk.repo.open_pull(by="ana")
    assert troubles(desk.cycle()) == ["acme/api"]
    assert troubles(desk.cycle()) == ["acme/api"]


@every_version
def test_trap_35_a_pull_that_goes_while_the_list_is_read_shifts_no_other_out_of_it(desk: Desk) -> None:
    desk.cycle()
    pulls = [desk.repo.open_pull(by="ana") for _ in range(120)]
    # The second page begins one row later for who does not notice.
    meanwhile(desk, "GET /repos/issues/search…page=2", lambda: pulls[-1].delete(by="ana"))
    numbers = {event.number for event in happened(desk)}
    assert numbers >= {pull.number for pull in pulls[:-1]}


@every_version
def test_trap_35_a_pull_that_comes_while_the_list_is_read_makes_nothing_twice(desk: Desk) -> None:
    desk.cycle()
    pulls = [desk.repo.open_pull(by="ana") for _ in range(120)]
    meanwhile(desk, "GET /repos/issues/search…page=2", lambda: pulls.append(desk.repo.open_pull(by="ben")))
    desk.cycle()
    desk.cycle()
    assert sorted(event.number or 0 for event in log_of(desk)) == [pull.number for pull in pulls]
    assert told(desk) == []


@on(OLD, NEXT)
def test_trap_35_a_comment_that_goes_while_the_timeline_is_read_hides_its_neighbour_for_a_while_only(
    desk: Desk,
) -> None:
    pull = watched(desk)
    comments = [pull.comment(f"c{number}", by="ana") for number in range(70)]
    path = f"GET /repos/acme/api/issues/{pull.number}/timeline"
    meanwhile(desk, f"{path}…page=2", comments[0].delete)
    found = happened(desk)
    if desk.world.version.paged_by_default:
        assert "c49" not in {event.subject.body for event in found}, "its row slid over to the first page"
    desk.world.clock.advance(seconds=301)
    found += happened(desk)
    made = [str(event.subject.body) for event in found if event.action == "created"]
    assert sorted(made) == sorted(f"c{n}" for n in range(70))
    nothing_more(desk)
