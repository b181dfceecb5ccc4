"""Traps of the API that lie in names, rights and in what is gone or switched off."""

from __future__ import annotations

import httpx
import pytest

from poller.triage import Decision
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
    troubles,
    watched,
)


@every_version
def test_trap_21_an_old_name_redirects_until_another_repository_takes_it(desk: Desk) -> None:
    pull = watched(desk)
    opened = log_of(desk)[-1]
    desk.repo.rename("service")
    pull.comment("after the rename", by="ana")
    renamed, event = happened(desk)
    assert (short(renamed), renamed.subject.from_, renamed.subject.to) == (
        "repository renamed", "acme/api", "acme/service",
    )  # fmt: skip
    assert (event.repo, event.ref) == ("acme/service", opened.ref)
    taker = desk.world.repo("acme/api", private=True, collaborators={"ana": "write", "bot": "write"})
    stranger = taker.open_pull(by="ana", title="Another first one")
    pull.comment("still here", by="ana")
    assert (stranger.number, pull.number) == (1, 1)
    assert ("acme/service", "comment created") in {(event.repo, short(event)) for event in happened(desk)}
    stranger.close(by="ana")
    pull.push(by="ana")
    desk.cycle()
    mine = [event for event in log_of(desk) if event.ref == opened.ref]
    assert [short(event) for event in mine] == ["opened", "comment created", "comment created", "sync synchronized"]
    assert {event.repo_id for event in mine} == {desk.repo.id}
    desk.repo.transfer("olga")
    pull.comment("with another owner", by="ana")
    desk.world.clock.advance(seconds=1300)  # who asks for one owner's pulls finds it by a sweep
    said = [one for _ in range(3) for one in told(desk)]
    assert sorted(said) == ["comment created", "repository renamed"]
    (last,) = [event for event in log_of(desk)[-2:] if event.number]
    assert (last.repo, last.ref) == ("olga/service", opened.ref)
    nothing_more(desk)


@every_version
def test_trap_24_a_timeline_that_fails_is_no_deletion_while_the_pull_is_there(desk: Desk) -> None:
    pull = watched(desk)
    pull.comment("unheard", by="ana")
    trouble = desk.world.fault(f"GET …issues/{pull.number}/timeline", status=500, times=None)
    assert troubles(desk.cycle()) == ["acme/api#1"]
    trouble.times = 0
    desk.world.clock.advance(seconds=60)
    assert told(desk) == ["comment created"]
    nothing_more(desk)


@every_version
def test_trap_24_a_timeline_that_fails_because_the_pull_was_deleted_is_a_deletion(desk: Desk) -> None:
    pull = watched(desk)
    pull.comment("last words", by="ana")
    meanwhile(desk, f"GET …issues/{pull.number}/timeline", lambda: pull.delete(by="root1"))
    event = only(desk)
    assert (short(event), event.actor) == ("deleted", None)
    nothing_more(desk)


@every_version
def test_trap_25_with_its_pulls_switched_off_a_repository_shows_rows_and_hides_pulls(desk: Desk) -> None:
    pull = watched(desk)
    desk.repo.pulls_enabled = False
    pull.comment("still said", by="ana")
    pull.push(by="ana")
    seen = [short(one.event) for one in desk.cycle().told]
    desk.world.clock.advance(seconds=400)
    report = desk.cycle()
    seen += [short(one.event) for one in report.told]
    assert "deleted" not in seen and "closed" not in seen
    assert troubles(report) == ["acme/api#1"]
    desk.repo.pulls_enabled = True
    desk.world.clock.advance(seconds=400)
    seen += told(desk)
    assert seen == ["comment created", "sync synchronized"]
    nothing_more(desk)


@every_version
def test_trap_25_with_its_pulls_switched_off_a_repository_has_lost_none_of_them(desk: Desk) -> None:
    pull = watched(desk)
    assert settled(desk) == []
    pull.comment("still said", by="ana")
    desk.told()
    desk.repo.pulls_enabled = False
    assert desk.questions.what_is_gone("acme/api", desk.repo.id, pull.number) == "all pulls"
    # Another pull moves the cursor on, so that this one's row is not seen; only its time to settle comes.
    web = desk.world.repo("acme/web", private=True, collaborators={"ana": "write", "bot": "write"})
    other = web.open_pull(by="ana")
    for _ in range(3):
        desk.world.clock.advance(seconds=400)
        other.comment("hello", by="ana")
        report = desk.cycle()
        assert (report.told, troubles(report)) == ([], ["acme/api#1"])
    desk.repo.pulls_enabled = True
    desk.world.clock.advance(seconds=400)
    assert told(desk) == []
    nothing_more(desk)
    pull.delete(by="ana")
    assert desk.questions.what_is_gone("acme/api", desk.repo.id, pull.number) == "pull"


def decided(desk: Desk, login: str) -> Decision:
    """What becomes of a mention by that person."""
    desk.repo.pulls[1].comment("@bot please", by=login)
    (one,) = desk.cycle().told
    (decision,) = one.decisions
    return decision


@on(STABLE, NEXT, OLD)
@pytest.mark.parametrize("bot_is", ["write", "admin"])
def test_trap_27_the_permission_of_a_team_writer_is_none_and_yet_he_may(desk: Desk, bot_is: str) -> None:
    desk.repo.collaborator("bot", bot_is)
    desk.world.team("acme", "devs", permission="write", members=["tim"], repos=[desk.repo])
    desk.set_up(who="writers")
    watched(desk)
    assert decided(desk, "tim").verdict == "wake"
    assert decided(desk, "mallory").verdict == "refuse"


@on(STABLE, NEXT)
def test_trap_27_where_some_team_only_reads_nobody_is_taken_for_a_writer_on_its_word(desk: Desk) -> None:
    reading = {"repo.code": "read", "repo.issues": "read", "repo.pulls": "read"}
    desk.world.team("acme", "devs", permission="write", members=["tim"], repos=[desk.repo])
    desk.world.team("acme", "press", permission="read", units=reading, members=["rita"], repos=[desk.repo])
    desk.set_up(who="writers")
    watched(desk)
    assert decided(desk, "rita").verdict == "refuse", "she can be assigned, and cannot push"
    assert "trust.who" in decided(desk, "tim").reason, "the mend"
    assert decided(desk, "ana").verdict in ("wake", "refuse")
    desk.set_up(who="[tim]")
    assert decided(desk, "tim").verdict == "wake"


@every_version
def test_trap_29_a_deleted_user_becomes_the_ghost_everywhere(desk: Desk) -> None:
    desk.set_up(who="everyone")
    pull = watched(desk)
    pull.comment("here I am", by="gus")
    pull.review(by="gus", event="APPROVED", body="fine", inline=[("app.txt", 5, "nice")])
    assert told(desk) == ["comment created", "review_approved reviewed"]
    pull.comment("@bot farewell", by="gus")
    desk.world.delete_user("gus")
    (farewell,) = desk.cycle().told
    assert farewell.event.actor and farewell.event.actor.id == -1
    assert [decision.verdict for decision in farewell.decisions] == ["refuse"]
    nothing_more(desk)


@every_version
def test_trap_29_a_renamed_user_is_the_same_person(desk: Desk) -> None:
    pull = watched(desk, assignees=["ben"])
    pull.comment("hello", by="ben")
    before = only(desk).actor
    desk.world.rename_user("ben", "benno")
    nothing_more(desk)  # nobody was unassigned, nobody assigned
    pull.comment("hello again", by="benno")
    after = only(desk).actor
    assert before and after and (before.id, after.login) == (after.id, "benno")
    nothing_more(desk)


@every_version
def test_trap_31_any_word_can_be_a_status_so_none_is_read_or_set(desk: Desk) -> None:
    """A status moves nothing and says nothing; what we have to say goes into comments."""
    pull = watched(desk)
    assert settled(desk) == []
    stamp = pull.updated
    with httpx.Client(base_url=f"{desk.url}/api/v1", headers={"Authorization": f"token {desk.token}"}) as http:
        sent = http.post(f"/repos/acme/api/statuses/{pull.head_sha}", json={"state": "splendid", "context": "ci"})
        unknown = http.post(f"/repos/acme/api/statuses/{'0' * 40}", json={"state": "success"})
    assert (sent.status_code, unknown.status_code, pull.updated) == (201, 500, stamp)
    desk.world.reset_requests()
    nothing_more(desk)
    pull.push(by="ana")
    assert told(desk) == ["sync synchronized"]
    assert not [request for request in desk.world.requests if "/status" in request.path]
