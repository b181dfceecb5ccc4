"""Sessions and turns as rows: what is asked for once, what is dropped, what the schema refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from sessions import claims, pauses, processes, registry, tables
from sessions.database import begin, open_database
from sessions.turns import Outcome, Session, Turn

DAY = 86_400.0


@pytest.fixture
def conn(database: Path | str) -> Iterator[sa.Connection]:
    engine = open_database(database, [tables.COMPONENT])
    with begin(engine) as open_one:
        yield open_one
    engine.dispose()


def want(conn: sa.Connection, event: str, *, ref: str = "r1", agent: str = "reviewer", now: float = 1.0) -> int | None:
    return registry.enqueue(conn, ref=ref, key=f"key of {ref}", agent=agent, event_id=event, why="it", now=now)


def claim(conn: sa.Connection, *, now: float = 10.0, parallel: int = 9, agents: Any = ("reviewer", "tester")) -> Any:
    return claims.claim(conn, owner="me", now=now, lease=60, limit_parallel=parallel, agents=agents)


def opened(conn: sa.Connection, identity: str, *, ref: str = "r1", agent: str = "reviewer") -> Session:
    return registry.add_session(
        conn, ref=ref, key=f"key of {ref}", agent=agent, identity=identity, backend="process", cwd="work", now=1.0
    )


def test_events_join_the_waiting_turn_of_their_ref_and_agent(conn: sa.Connection) -> None:
    """A2, B2."""
    numbers = [want(conn, "e1"), want(conn, "e2"), want(conn, "e1", agent="tester"), want(conn, "e3", ref="r2")]
    assert numbers == [1, 1, 2, 3]
    assert registry.turn(conn, 1).events == ("e1", "e2")  # type: ignore[union-attr]


def test_event_is_accepted_by_an_agent_once_for_ever(conn: sa.Connection) -> None:
    """A17."""
    assert want(conn, "e1") == 1
    turn = claim(conn)
    claims.drop(conn, turn, reason="gone", now=2.0)
    assert want(conn, "e1") is None
    assert want(conn, "e1", agent="tester") == 2


def test_schema_refuses_two_running_turns_of_one_ref(conn: sa.Connection) -> None:
    """A16."""
    want(conn, "e1")
    want(conn, "e1", agent="tester")
    claim(conn)
    assert claim(conn) is None
    with pytest.raises(sa.exc.IntegrityError), conn.begin_nested():
        claims.hold(conn, 2, owner="other", now=1.0, lease=60, anew=True)


def test_schema_refuses_two_live_sessions_of_one_ref_and_agent(conn: sa.Connection) -> None:
    opened(conn, "reviewer-00000")
    with pytest.raises(sa.exc.IntegrityError), conn.begin_nested():
        opened(conn, "reviewer-00001")
    opened(conn, "tester-00000", agent="tester")


def test_claim_takes_the_oldest_that_is_due_and_respects_the_limit(conn: sa.Connection) -> None:
    for number, due in enumerate((50.0, 5.0, 6.0), start=1):
        want(conn, "e", ref=f"r{number}", agent=f"a{number}")
        conn.execute(tables.turn.update().where(tables.turn.c.id == number).values(not_before=due))
    assert claim(conn, agents=["a1", "a2", "a3"]).id == 2
    assert claim(conn, agents=["a1", "a2", "a3"], parallel=1) is None
    assert claim(conn, agents=["a1"]) is None
    assert claim(conn, agents=["a1", "a2", "a3"]).id == 3


@pytest.mark.parametrize("ahead", [3600.0, 30 * DAY])
def test_turn_that_came_while_the_clock_was_ahead_is_due_when_it_is_right_again(
    conn: sa.Connection, ahead: float
) -> None:
    want(conn, "e1", now=1.0 + ahead)
    assert claim(conn, now=2.0).id == 1


def test_date_further_off_than_any_that_is_written_keeps_no_turn_waiting(conn: sa.Connection) -> None:
    """The clock was ahead when the turn was put off, and when its agent was refused."""
    longest = 8 * DAY
    want(conn, "e1")
    later = claims.put_back(conn, claim(conn), reason="x", now=1.0, not_before=10.0 + longest)
    assert claim(conn) is None
    conn.execute(tables.turn.update().values(not_before=10.0 + 30 * DAY))
    pauses.pause(conn, "reviewer", until=10.0 + longest, why="quota", now=10.0)
    assert claim(conn) is None
    pauses.pause(conn, "reviewer", until=10.0 + 30 * DAY, why="quota", now=10.0 + 22 * DAY)
    assert claim(conn).id == later.id
    pauses.pause(conn, "reviewer", until=910.0, why="login", now=10.0)
    assert [one.until for one in pauses.pauses(conn)] == [910.0], "a date that is believed takes its place"


def test_pause_that_began_while_the_clock_was_ahead_is_lifted_by_being_served(conn: sa.Connection) -> None:
    pauses.pause(conn, "reviewer", until=31 * DAY, why="login", now=30 * DAY)
    pauses.lift(conn, "reviewer", served_at=10.0)
    assert pauses.pauses(conn) == []


def test_turn_that_somebody_holds_since_the_clock_was_ahead_is_an_orphan(conn: sa.Connection) -> None:
    elsewhere, here = (str(msgspec.structs.replace(processes.me(), host=host)) for host in ("old", processes.host()))
    for ref, owner in (("r1", elsewhere), ("r2", here)):
        want(conn, f"e{ref}", ref=ref)
        claims.claim(conn, owner=owner, now=30 * DAY, lease=60, limit_parallel=9, agents=["reviewer"])
    assert [turn.ref for turn in claims.orphans(conn, now=30 * DAY)] == []
    assert [turn.ref for turn in claims.orphans(conn, now=10.0)] == ["r1", "r2"], "a worker that lives beats soon"


def test_worker_whose_turn_was_taken_over_changes_nothing(conn: sa.Connection) -> None:
    want(conn, "e1")
    old = claim(conn)
    new = claims.hold(conn, old.id, owner="other", now=99.0, lease=60, anew=False)
    for act in (
        lambda: claims.heartbeat(conn, old, now=1.0, lease=60),
        lambda: claims.asked_to_stop(conn, old),
        lambda: claims.release(conn, old),
        lambda: claims.drop(conn, old, reason="x", now=1.0),
        lambda: claims.put_back(conn, old, reason="x", now=1.0, not_before=1.0),
    ):
        with pytest.raises(claims.LeaseLost):
            act()
    assert registry.turn(conn, old.id) == new


def test_session_entry_can_be_set_got_and_dropped_and_says_so(conn: sa.Connection) -> None:
    """B1, B17: a second drop finds nothing."""
    assert registry.session(conn, ref="r1", agent="reviewer") is None
    made = opened(conn, "reviewer-00000")
    assert registry.session(conn, ref="r1", agent="reviewer") == made
    assert registry.session_of(conn, "reviewer-00000") == made
    dropped = [one.identity for one in registry.forget(conn, ref="r1", agent="reviewer", bottle=True, now=2.0)]
    assert dropped == ["reviewer-00000"]
    assert registry.forget(conn, ref="r1", agent="reviewer", bottle=True, now=2.0) == []
    assert registry.session(conn, ref="r1", agent="reviewer") is None


def test_drop_touches_no_other_key(conn: sa.Connection) -> None:
    """B2."""
    for identity, ref, agent in (
        ("a-00000", "r1", "reviewer"),
        ("b-00000", "r1", "tester"),
        ("c-00000", "r2", "reviewer"),
    ):
        opened(conn, identity, ref=ref, agent=agent)
    registry.forget(conn, ref="r1", agent="reviewer", bottle=True, now=2.0)
    assert {one.identity for one in registry.sessions(conn)} == {"b-00000", "c-00000"}


def test_forgetting_the_conversation_keeps_the_bottle(conn: sa.Connection) -> None:
    """B17."""
    made = opened(conn, "reviewer-00000")
    assert registry.forget(conn, ref="r1", now=2.0) == [], "nothing was said in it yet"
    conn.execute(tables.session.update().values(turns=1, transcript_bytes=10, claude_total=2.0))
    assert len(registry.forget(conn, ref="r1", now=2.0)) == 1
    after = registry.session_of(conn, "reviewer-00000")
    assert after is not None
    assert after.claude_session != made.claude_session
    assert (after.transcript_bytes, after.claude_total, after.turns) == (0, 0.0, 1)


def test_putting_away_drops_every_agents_session_of_that_ref(conn: sa.Connection) -> None:
    """A13, B16."""
    opened(conn, "a-00000")
    opened(conn, "b-00000", agent="tester")
    opened(conn, "c-00000", ref="r2")
    want(conn, "e1")
    want(conn, "e2", ref="r2")
    assert len(registry.put_away(conn, ref="r1", reason="merged", now=5.0)) == 2
    assert registry.put_away(conn, ref="r1", reason="merged", now=6.0) == []
    assert [one.identity for one in registry.sessions(conn)] == ["c-00000"]
    assert len(registry.sessions(conn, all=True)) == 3
    assert [turn.state for turn in registry.turns(conn)] == ["dropped", "waiting"]


def test_reopening_brings_back_the_latest_and_nothing_that_was_reset_or_removed(conn: sa.Connection) -> None:
    for number, (why, removed) in enumerate(
        (("closed", None), ("closed", None), ("closed", 9.0), (registry.RESET, None))
    ):
        made = opened(conn, f"a-0000{number}")
        values = {"closed_at": 1.0 + number, "closed_why": why, "removed_at": removed}
        conn.execute(tables.session.update().where(tables.session.c.id == made.id).values(**values))
    assert [one.identity for one in registry.bring_back(conn, ref="r1", now=20.0)] == ["a-00001"]
    assert [one.identity for one in registry.sessions(conn)] == ["a-00001"]
    assert registry.bring_back(conn, ref="r1", now=20.0) == []


def test_renaming_changes_the_label_and_nothing_else(conn: sa.Connection) -> None:
    opened(conn, "a-00000")
    want(conn, "e1")
    registry.rename(conn, ref="r1", key="forge/new/name#1")
    assert registry.session(conn, ref="r1", agent="reviewer").key == "forge/new/name#1"  # type: ignore[union-attr]
    assert [turn.id for turn in registry.turns(conn, key="forge/new/name#1")] == [1]


def test_posted_words_are_remembered_in_order(conn: sa.Connection) -> None:
    """A20."""
    want(conn, "e1")
    registry.note_posted(conn, 1, "comment 91")
    registry.note_posted(conn, 1, "comment 92")
    assert registry.turn(conn, 1).posted == ("comment 91", "comment 92")  # type: ignore[union-attr]


def test_retry_runs_a_finished_turn_again_or_joins_the_one_that_waits(conn: sa.Connection) -> None:
    want(conn, "e1")
    assert registry.retry(conn, 1, now=9.0) is None, "it waits already"
    claims.drop(conn, claim(conn), reason="x", now=2.0)
    assert registry.retry(conn, 1, now=9.0) == 1
    claims.drop(conn, claim(conn), reason="x", now=2.0)
    assert want(conn, "e2") == 2
    assert registry.retry(conn, 1, now=9.0) == 2
    assert registry.turn(conn, 2).events == ("e2", "e1")  # type: ignore[union-attr]


def test_what_has_run_before_is_a_repeat_also_when_it_is_asked_for_again(conn: sa.Connection) -> None:
    want(conn, "e1")
    cut = launched(conn, opened(conn, "reviewer-00000"))
    claims.drop(conn, cut, reason="given up", now=3.0)
    assert registry.retry(conn, 1, now=4.0) == 1
    again = registry.turn(conn, 1)
    assert again is not None and again.attempts == 0 and again.is_repeat
    claims.drop(conn, claim(conn), reason="again", now=5.0)
    want(conn, "e2")
    assert registry.retry(conn, 1, now=6.0) == 2
    joined = registry.turn(conn, 2)
    assert joined is not None and joined.is_repeat


def test_a_conversation_that_was_not_there_has_heard_nothing(conn: sa.Connection) -> None:
    want(conn, "e1")
    turn = launched(conn, opened(conn, "reviewer-00000"))
    assert turn.is_repeat
    turn, _ = claims.renew(conn, turn, Outcome(kind="not_found"), why="it was not there", now=3.0)
    assert not turn.is_repeat


def launched(conn: sa.Connection, session: Session) -> Turn:
    turn = claims.belongs_to(conn, claim(conn), session)
    return claims.launching(conn, turn, session, mode="fresh", told=("e1",), now=2.0, minutes=1.0)


def test_counts_and_limits(conn: sa.Connection) -> None:
    for number in range(3):
        want(conn, f"e{number}", ref=f"r{number}", now=5.0 + number)
    claim(conn)
    assert registry.counts(conn) == registry.Counts(waiting=2, running=1, oldest=6.0)
    assert [turn.id for turn in registry.turns(conn, limit=2)] == [2, 3], "the last ones, oldest first"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # PostgreSQL reads a small table whatever there is
@pytest.mark.parametrize("call", [registry.put_away, registry.bring_back, registry.forget])
def test_one_session_is_found_without_reading_all(conn: sa.Connection, call: Any) -> None:
    asked = list[tuple[str, Any]]()
    sa.event.listen(conn, "before_cursor_execute", lambda _c, _cur, sql, values, *_: asked.append((sql, values)))
    call(conn, ref="r1", now=1.0, **({"reason": "closed"} if call is registry.put_away else {}))
    sql, values = next((sql, values) for sql, values in asked if "FROM session" in sql)
    plan = [row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plan[0].startswith("SEARCH session USING INDEX"), plan


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_a_rename_changes_and_what_waits_is_found_without_reading_all(conn: sa.Connection) -> None:
    asked = list[tuple[str, Any]]()
    sa.event.listen(conn, "before_cursor_execute", lambda _c, _cur, sql, values, *_: asked.append((sql, values)))
    registry.rename(conn, ref="r1", key="k")
    assert registry.waiting(conn) == 0
    plans = [conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).first() for sql, values in list(asked)]
    assert len(plans) == 3 and all(plan is not None and plan.detail.startswith("SEARCH") for plan in plans), plans
