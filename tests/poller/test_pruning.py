"""What the event log forgets: what is over for half a year, and never in such a way that it would be told again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from poller import eventlog, letters, pruning, store, tables
from poller.app import COMPONENTS
from poller.config import load
from poller.deltas.events import Actor, Event, Subject
from poller.demo.pulls import Pull
from poller.search import newest
from poller.verbs.why import why
from sessions import registry
from sessions import tables as session_tables
from sessions.database import begin, open_database, reading
from sessions.shell import UsageError
from tests.poller.desk import Desk

DAY = 86_400


@pytest.fixture
def pull(desk: Desk) -> Pull:
    """Opened, talked about and closed while we watch."""
    desk.cycle()
    pull = desk.repo.open_pull(by="ana")
    desk.cycle()
    pull.comment("A word.", by="ana")
    desk.cycle()
    pull.close(by="ana")
    desk.cycle()
    assert kinds(desk) == ["opened", "created", "closed"]
    return pull


def kinds(desk: Desk) -> list[str]:
    with reading(desk.engine) as conn:
        return [event.action for event in eventlog.event_log(conn)]


def ref_of(desk: Desk, pull: Pull) -> str:
    return f"{desk.config.forge}|{pull.repo.id}|{pull.number}"


def pruned(desk: Desk, *, after: float = 0.0) -> int:
    desk.world.clock.advance(seconds=int(after * DAY))
    return pruning.run(desk.engine, forge=desk.config.forge, now=desk.now())


def settle(desk: Desk) -> None:
    """Until nothing is due: the pull is read a last time when it has been quiet."""
    desk.world.clock.advance(seconds=600)
    desk.cycle()


def test_half_a_year_after_it_was_closed_a_pulls_events_go(desk: Desk, pull: Pull) -> None:
    settle(desk)
    assert pruned(desk, after=179) == 0
    assert kinds(desk) == ["opened", "created", "closed"]
    assert pruned(desk, after=2) == 3
    assert kinds(desk) == []
    with reading(desk.engine) as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(tables.decision)) == 0


def test_what_went_is_never_told_again(desk: Desk, pull: Pull) -> None:
    settle(desk)
    assert pruned(desk, after=200) == 3
    assert desk.told() == []
    pull.comment("Another word.", by="ben")
    assert desk.told() == ["pull_request_comment created"]
    desk.set_up(repos="[acme/*]")  # the watching begins anew
    assert desk.told() == []
    pull.reopen(by="ana")
    assert desk.told() == ["pull_request reopened"]
    settle(desk)
    assert kinds(desk) == ["created", "reopened"]


def test_an_open_pull_keeps_its_events_for_ever(desk: Desk) -> None:
    desk.cycle()
    desk.repo.open_pull(by="ana")
    desk.cycle()
    assert pruned(desk, after=3000) == 0
    assert kinds(desk) == ["opened"]


def test_a_pull_that_was_opened_again_keeps_its_events(desk: Desk, pull: Pull) -> None:
    desk.world.clock.advance(seconds=179 * DAY)
    pull.reopen(by="ana")
    desk.cycle()
    assert pruned(desk, after=200) == 0


def test_a_closed_pull_that_is_talked_about_keeps_its_events(desk: Desk, pull: Pull) -> None:
    desk.world.clock.advance(seconds=179 * DAY)
    pull.comment("By the way.", by="ana")
    desk.cycle()
    assert pruned(desk, after=100) == 0
    assert pruned(desk, after=100) == 4


def test_a_deleted_pull_is_kept_as_long_as_a_closed_one(desk: Desk) -> None:
    """Nobody says when it was deleted: its row is as old as its last change."""
    desk.cycle()
    pull = desk.repo.open_pull(by="ana")
    desk.cycle()
    settle(desk)
    desk.world.clock.advance(seconds=300 * DAY)
    with begin(desk.engine) as conn:  # as a sweep would find it
        place = store.places(conn, desk.config.forge, [(pull.repo.id, pull.number)])[pull.repo.id, pull.number]
        assert place.known is not None
        row = msgspec.structs.replace(place.known.row, state="closed")
        gone = msgspec.structs.replace(place.known, gone=True, row=row)
        store.save_known(conn, desk.config.forge, gone, due_at=None)
        [opened] = eventlog.event_log(conn)
        now = desk.world.clock.text()
        told = msgspec.structs.replace(opened, id="deleted", action="deleted", at=now, seen_at=now)
        eventlog.add_events(conn, [told])
        registry.put_away(conn, ref=ref_of(desk, pull), reason="deleted", now=desk.now())
    assert pruned(desk) == 0
    assert pruned(desk, after=181) == 2


@pytest.mark.parametrize("state", ["waiting", "running", "failed"])
def test_a_turn_that_may_still_be_told_of_them_keeps_them(desk: Desk, pull: Pull, state: str) -> None:
    settle(desk)
    with begin(desk.engine) as conn:
        turn = registry.add_turn(
            conn, ref=ref_of(desk, pull), key="acme/api#1", agent="reviewer", why="opened", now=desk.now()
        )
        conn.execute(session_tables.turn.update().where(session_tables.turn.c.id == turn).values(state=state))
    assert pruned(desk, after=200) == 0
    with begin(desk.engine) as conn:
        conn.execute(session_tables.turn.update().where(session_tables.turn.c.id == turn).values(state="done"))
    assert pruned(desk, after=1) == 3


def test_words_that_were_not_sent_keep_them(desk: Desk, pull: Pull) -> None:
    settle(desk)
    with begin(desk.engine) as conn:
        letters.put(
            conn, forge=desk.config.forge, ref=ref_of(desk, pull), repo="acme/api", number=1, turn_id=1,
            bodies=["A word. <!-- bottlepost turn=1 part=1 -->"], now=desk.now(),
        )  # fmt: skip
    assert pruned(desk, after=200) == 0
    with begin(desk.engine) as conn:
        conn.execute(tables.outbox.update().values(state="sent"))
    assert pruned(desk, after=1) == 3


def test_of_a_repository_old_events_go_too(desk: Desk) -> None:
    desk.cycle()
    with begin(desk.engine) as conn:
        eventlog.add_events(conn, [renamed(desk, "2026-11-21T07:00:00Z"), renamed(desk, "2027-05-01T07:00:00Z")])
        eventlog.add_events(conn, [renamed(desk, "2026-11-21T07:00:00Z", forge="elsewhere.test")])
    desk.world.clock.set("2027-06-01T00:00:00Z")
    assert pruned(desk) == 1
    with reading(desk.engine) as conn:
        left = [(event.forge, event.seen_at[:4]) for event in eventlog.event_log(conn)]
    assert left == [(desk.config.forge, "2027"), ("elsewhere.test", "2026")]


def renamed(desk: Desk, at: str, *, forge: str = "") -> Event:
    return Event(
        id=f"{forge}{at}", event="repository", action="renamed", forge=forge or desk.config.forge, repo="acme/api",
        repo_id=desk.repo.id, number=None, at=at, seen_at=at, actor=Actor(1, "ana"),
        subject=Subject(from_="acme/old", to="acme/api"), pull=None,
    )  # fmt: skip


def test_it_is_done_once_a_day(desk: Desk, pull: Pull) -> None:
    settle(desk)
    assert pruned(desk, after=180.5) == 3
    with begin(desk.engine) as conn:
        eventlog.add_events(conn, [renamed(desk, "2026-11-21T07:00:00Z")])
    assert pruned(desk, after=0.5) == 0
    assert pruned(desk, after=0.6) == 1


@pytest.fixture
def narrow() -> Iterator[None]:
    """So little at a time that a few events are much."""
    before = pruning.STEP, pruning.STEPS, pruning.PULLS, pruning.SOME
    pruning.STEP, pruning.STEPS, pruning.PULLS, pruning.SOME = 2, 3, 3, 2
    yield
    pruning.STEP, pruning.STEPS, pruning.PULLS, pruning.SOME = before


def test_much_goes_in_steps_and_the_next_call_goes_on(desk: Desk, narrow: None) -> None:
    desk.cycle()
    pulls = [desk.repo.open_pull(by="ana") for _ in range(7)]
    desk.cycle()
    for pull in pulls:
        pull.close(by="ana")
    desk.cycle()
    kept = desk.repo.open_pull(by="ana")
    desk.cycle()
    settle(desk)
    assert len(kinds(desk)) == 15
    desk.world.clock.advance(seconds=200 * DAY)
    gone = [pruned(desk) for _ in range(4)]
    assert gone == [6, 6, 2, 0]
    with reading(desk.engine) as conn:
        assert [event.number for event in eventlog.event_log(conn)] == [kept.number]
        assert newest(conn) == 15


def test_no_place_in_the_log_is_used_again(desk: Desk, pull: Pull) -> None:
    """Whoever listens goes on behind the last one."""
    settle(desk)
    assert pruned(desk, after=200) == 3
    pull.comment("Another word.", by="ben")
    desk.cycle()
    with reading(desk.engine) as conn:
        assert newest(conn) == 4


def test_before_the_first_cycle_there_is_nothing_to_forget(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "new.db", COMPONENTS)
    assert pruning.run(engine, forge="gitea.example.com", now=4e9) == 0
    with reading(engine) as conn:
        assert store.forge(conn, "gitea.example.com").pruned_at == 0
    engine.dispose()


def test_why_says_that_an_event_may_have_been_removed(desk: Desk, pull: Pull) -> None:
    settle(desk)
    with reading(desk.engine) as conn:
        event_id = eventlog.event_log(conn)[0].id
    config = load(desk.place / "config.yaml", environ={})
    assert why(config, event_id, as_json=True) == 0
    assert pruned(desk, after=200) == 3
    for subject in (event_id, f"acme/api#{pull.number}"):
        with pytest.raises(UsageError, match="closed for 180 days"):
            why(config, subject, as_json=True)
