"""One cycle after the other, over HTTP and SQLite."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from poller import eventlog, store, tables
from poller.cycle import Busy
from poller.forge import errors
from poller.inventory import NothingToWatch
from sessions import leases, processes, registry
from sessions.database import begin, reading
from tests.poller.desk import Desk

OPENED = "pull_request opened"
COMMENTED = "pull_request_comment created"


def test_a_first_run_tells_nothing_of_what_is_there_already(desk: Desk) -> None:
    desk.repo.open_pull(by="ana").comment("@bot hello", by="ana")
    assert desk.told() == []
    desk.repo.open_pull(by="ana")
    assert desk.told() == [OPENED]


def test_a_first_run_looks_back_as_far_as_start_says(desk: Desk) -> None:
    old = desk.repo.open_pull(by="ana")
    old.comment("long ago", by="ana")
    desk.world.clock.advance(seconds=3 * 86_400)
    old.comment("yesterday", by="ana")
    desk.world.clock.advance(seconds=3600)
    desk.set_up(start="24h")
    assert desk.told() == [COMMENTED]
    assert desk.told() == []


def test_a_pull_older_than_the_baseline_tells_only_what_is_newer(desk: Desk) -> None:
    old = desk.repo.open_pull(by="ana", title="Old")
    old.comment("before", by="ana")
    desk.world.clock.advance(seconds=86_400)
    desk.told()
    old.comment("after", by="ben")
    report = desk.cycle()
    assert [one.event.subject.body for one in report.told] == ["after"]


def test_the_text_before_an_edit_of_an_old_description_is_known_from_the_baseline(desk: Desk) -> None:
    old = desk.repo.open_pull(by="ana", body="first words")
    desk.world.clock.advance(seconds=86_400)
    desk.told()
    old.edit(body="other words", by="ana")
    (one,) = desk.cycle().told
    assert one.event.changes["body"].from_ == "first words"


def test_a_pattern_that_comes_later_begins_with_its_own_baseline(desk: Desk) -> None:
    desk.told()
    other = desk.world.repo("acme/other", private=True, collaborators={"ana": "write", "bot": "write"})
    pull = other.open_pull(by="ana")
    desk.world.clock.advance(seconds=86_400)
    desk.set_up(repos="[acme/api, acme/other]")
    assert desk.told() == []
    pull.comment("now", by="ana")
    assert desk.told() == [COMMENTED]


def test_an_idle_cycle_is_one_request_however_many_repositories_there_are(desk: Desk) -> None:
    for number in range(40):
        desk.world.repo(f"acme/r{number}", collaborators={"bot": "write"}).open_pull(by="ana")
    desk.set_up(repos="[acme/*]")
    desk.world.clock.advance(seconds=3600)
    desk.cycle()
    desk.cycle()
    desk.world.reset_requests()
    assert desk.cycle().requests == 1
    assert len(desk.world.requests) == 1


def test_strangers_and_excluded_repositories_are_not_ours(desk: Desk) -> None:
    desk.set_up(repos='[acme/*, "!acme/attic"]')
    desk.told()
    desk.world.repo("stranger/public").open_pull(by="ana")
    desk.world.repo("acme/attic", collaborators={"bot": "write"}).open_pull(by="ana")
    assert desk.told() == []


def test_a_second_change_within_the_second_of_the_look_is_found_by_the_next_cycle(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    assert [one.event.action for one in desk.new_cycle().run().told] == ["opened"]
    pull.comment("@bot in the same second", by="ana")
    assert desk.told() == [COMMENTED]


def test_what_becomes_visible_late_is_found_when_the_row_settles(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    review = pull.review(by="ben", event="COMMENT", body="", inline=[("app.txt", 5, "why?")])
    assert len(desk.told()) == 2
    stamp, counter = pull.updated, pull.counter
    reply = pull.reply(review.comments[0], "late", by="ana")
    pull.updated, pull.counter = stamp, counter  # two transactions overlapped: the older stamp won
    assert desk.told() == []
    desk.world.clock.advance(seconds=301)
    (one,) = desk.cycle().told
    assert one.event.subject.comment_id == reply.id


def test_one_pull_that_cannot_be_read_does_not_stop_the_others(desk: Desk) -> None:
    desk.told()
    bad, good = desk.repo.open_pull(by="ana"), desk.repo.open_pull(by="ana")
    fault = desk.world.fault(rf"GET /repos/acme/api/issues/{bad.number}/timeline", status=500, times=None)
    report = desk.cycle()
    assert [one.event.number for one in report.told] == [good.number]
    assert any(error.startswith(f"acme/api#{bad.number}: ") for error in report.errors)
    fault.times = 0
    assert desk.told() == []  # patience: it is not asked again at once
    desk.world.clock.advance(seconds=61)
    assert [one.event.number for one in desk.cycle().told] == [bad.number]


def test_a_forge_in_trouble_commits_nothing(desk: Desk) -> None:
    desk.told()
    with reading(desk.engine) as conn:
        before = store.forge(conn, desk.config.forge)
    desk.repo.open_pull(by="ana")
    fault = desk.world.fault("GET /repos", status=502, times=None)
    with pytest.raises(errors.ServerTrouble):
        desk.cycle()
    fault.times = 0
    with reading(desk.engine) as conn:
        after = store.forge(conn, desk.config.forge)
    assert (after.cursor, after.success_at) == (before.cursor, before.success_at)
    assert "502" in after.error
    assert desk.told() == [OPENED]


def test_requests_are_counted_once_when_only_the_second_half_fails(desk: Desk) -> None:
    desk.repo.open_pull(by="ana")
    desk.set_up(sweep="0s")
    desk.told()
    desk.world.fault("GET /repos/acme/api/pulls", status=401, times=None)
    with pytest.raises(errors.Refused):
        desk.cycle()
    with reading(desk.engine) as conn:
        assert store.forge(conn, desk.config.forge).requests == len(desk.world.requests)


def test_a_commit_that_breaks_off_leaves_the_old_state_and_loses_nothing(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana")
    statements = limit = 0

    def break_off(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements == limit:
            raise RuntimeError("killed here")

    for nth in range(3, 60, 5):
        statements, limit = 0, nth
        sa.event.listen(desk.engine, "before_cursor_execute", break_off)
        try:
            desk.cycle()
        except RuntimeError:
            pass
        else:
            break
        finally:
            sa.event.remove(desk.engine, "before_cursor_execute", break_off)
        desk.world.clock.advance(seconds=600)  # the lease of the one that broke off
    with reading(desk.engine) as conn:
        assert [event.action for event in eventlog.event_log(conn)] == ["opened"]
        assert registry.counts(conn).waiting == 1


def test_a_second_poller_is_busy_and_changes_nothing(desk: Desk) -> None:
    desk.told()
    with begin(desk.engine) as conn:
        other = str(processes.me()).replace(str(processes.me().host), "elsewhere")
        assert leases.take(conn, desk.new_cycle().lease_name, now=desk.now(), ttl=60, owner=other)
    with pytest.raises(Busy):
        desk.cycle()
    desk.world.clock.advance(seconds=61)
    assert desk.told() == []


def test_a_renamed_repository_stays_the_same(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    (opened,) = desk.cycle().told
    desk.repo.rename("service")
    pull.comment("@bot still there?", by="ana")
    renamed, asked = desk.cycle().told
    assert (renamed.event.subject.from_, renamed.event.subject.to) == ("acme/api", "acme/service")
    assert (renamed.event.action, renamed.event.number, renamed.event.key) == (
        "renamed",
        None,
        f"{desk.config.forge}/acme/service",
    )
    assert asked.event.ref == opened.event.ref
    assert asked.event.key.endswith("/acme/service#1")
    with reading(desk.engine) as conn:
        (turn,) = registry.turns(conn)
    assert turn.key.endswith("/acme/service#1")
    assert turn.events == (opened.event.id, asked.event.id)


def test_nothing_that_can_be_read_is_a_mistake_in_the_config(desk: Desk) -> None:
    desk.set_up(repos="[acme/nope]")
    with pytest.raises(NothingToWatch, match="acme/nope"):
        desk.cycle()


def test_one_unknown_repository_is_shown_and_the_others_go_on(desk: Desk) -> None:
    desk.set_up(repos="[acme/api, acme/nope]")
    assert [error.partition(":")[0] for error in desk.cycle().errors] == ["acme/nope"]
    desk.repo.open_pull(by="ana")
    report = desk.cycle()
    assert [one.event.action for one in report.told] == ["opened"]
    assert [error.partition(":")[0] for error in report.errors] == ["acme/nope"]


def test_closing_drops_what_waits_and_reopening_brings_the_session_back(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    pull.close(by="ana")
    desk.told()
    with reading(desk.engine) as conn:
        assert [turn.state for turn in registry.turns(conn)] == ["dropped"]
    pull.reopen(by="ana")
    pull.comment("@bot again", by="ana")
    desk.told()
    with reading(desk.engine) as conn:
        assert [turn.state for turn in registry.turns(conn)] == ["dropped", "waiting"]


def test_a_rehearsal_writes_nothing(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana")
    desk.world.clock.advance(seconds=2)
    assert [one.event.action for one in desk.new_cycle().rehearse().told] == ["opened"]
    with reading(desk.engine) as conn:
        assert eventlog.event_log(conn) == []
    assert desk.told() == [OPENED]


def test_people_are_asked_about_once_in_some_minutes_and_only_if_it_matters(desk: Desk) -> None:
    desk.set_up(who="collaborators")
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    desk.world.reset_requests()
    pull.comment("nothing for the bot", by="ben")
    pull.comment("@bot once", by="ana")
    desk.told()
    asked = [request.path for request in desk.world.requests if "/collaborators/" in request.path]
    assert asked == []  # ana is known from the opening, ben's comment wakes nobody
    desk.world.clock.advance(seconds=400)
    desk.repo.collaborator("ana", None)
    pull.comment("@bot twice", by="ana")
    report = desk.cycle()
    verdicts = [
        decision.verdict for one in report.told for decision in one.decisions if one.event.event.endswith("comment")
    ]
    assert verdicts == ["refuse"]


def test_every_decision_is_kept_with_its_reason(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana").comment("hello", by="mallory")
    report = desk.cycle()
    with reading(desk.engine) as conn:
        kept = {one.event.id: [made for made, _ in eventlog.decisions(conn, one.event.id)] for one in report.told}
        rows = conn.scalar(sa.select(sa.func.count()).select_from(tables.decision))
    assert kept == {one.event.id: one.decisions for one in report.told}
    assert rows == 2


def test_a_transferred_repository_is_followed_to_its_new_owner(desk: Desk) -> None:
    desk.world.clock.advance(seconds=3600)
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    desk.world.org("beta")
    desk.repo.transfer("beta")
    desk.world.clock.advance(seconds=3600)
    pull.comment("@bot still there?", by="ana")
    renamed, asked = desk.cycle().told
    assert (renamed.event.action, renamed.event.subject.to) == ("renamed", "beta/api")
    assert (asked.event.repo, asked.decisions[0].verdict) == ("beta/api", "wake")


def test_an_owner_with_another_name_keeps_his_repositories_watched(desk: Desk) -> None:
    repo = desk.world.repo("cleo/tools", private=True, collaborators={"bot": "write", "ana": "write"})
    pull = repo.open_pull(by="ana")
    desk.set_up(repos="[cleo/*, acme/api]")
    desk.told()
    desk.world.rename_user("cleo", "clea")
    desk.world.clock.advance(seconds=90_000)  # the next inventory is due, too
    pull.comment("still ours", by="ana")
    assert desk.told() == ["repository renamed", COMMENTED]


def test_a_deleted_pull_is_told_when_its_repository_is_there_and_it_is_not(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    pull.delete(by="root1")
    desk.world.clock.advance(seconds=400)
    assert desk.told() == ["pull_request deleted"]
    with reading(desk.engine) as conn:
        assert [(turn.state, turn.reason) for turn in registry.turns(conn)] == [("dropped", "deleted")]
    desk.world.clock.advance(seconds=90_000)
    report = desk.cycle()
    assert (report.told, report.errors) == ([], [])


def test_a_repository_that_cannot_be_seen_deletes_nothing(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana")
    desk.told()
    desk.repo.collaborator("bot", None)
    desk.world.clock.advance(seconds=400)
    assert desk.told() == ["repository gone"]
    with reading(desk.engine) as conn:
        assert [turn.state for turn in registry.turns(conn)] == ["waiting"]


def test_a_pull_that_is_reopened_after_the_grace_time_begins_afresh(desk: Desk) -> None:
    desk.told()
    pull = desk.repo.open_pull(by="ana")
    desk.told()
    with begin(desk.engine) as conn:
        (turn,) = registry.turns(conn)
        registry.add_session(
            conn, ref=turn.ref, key=turn.key, agent="reviewer", identity="reviewer-aaaaa", backend="process",
            cwd="work", now=desk.now(),
        )  # fmt: skip
    for days, expected in ((6, ["reviewer-aaaaa"]), (8, [])):
        pull.close(by="ana")
        desk.told()
        desk.world.clock.advance(seconds=days * 86_400)
        pull.reopen(by="ana")
        desk.told()
        with reading(desk.engine) as conn:
            assert [session.identity for session in registry.sessions(conn)] == expected


def test_an_owner_who_may_not_be_listed_does_not_stop_the_others(desk: Desk) -> None:
    desk.world.fault("GET /users/closed/repos", status=403, times=None)
    desk.set_up(repos="[closed/*, acme/api]")
    assert [error.partition(":")[0] for error in desk.cycle().errors] == ["closed/*"]
    desk.repo.open_pull(by="ana")
    assert [one.event.action for one in desk.cycle().told] == ["opened"]


def test_one_answer_of_another_shape_is_one_pulls_trouble_and_stops_nobody_else(desk: Desk) -> None:
    desk.told()
    desk.repo.open_pull(by="ana")
    desk.repo.open_pull(by="ben")
    fault = desk.world.fault(r"GET …/pulls/1$", lie="empty", times=None)
    report = desk.cycle()
    assert [(one.event.action, one.event.number) for one in report.told] == [("opened", 2)]
    assert "acme/api#1" in report.errors[0] and "another shape" in report.errors[0]
    fault.times = 0
    desk.world.clock.advance(seconds=120)
    assert [(one.event.action, one.event.number) for one in desk.cycle().told] == [("opened", 1)]
