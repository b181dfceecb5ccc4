"""Databases of earlier versions of sessions and turns: `samples/schema/` holds what those wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions import claims, ledger, pauses, registry, tables
from sessions.database import begin, open_database, reading
from tests.former import restore, shape_of

SAMPLES = sorted((Path(__file__).parents[1] / "samples" / "schema").glob("sessions-*.sql"))
#: The moment at which the sample of version 1 ends.
NOW = 1_763_686_420.0


def test_every_former_version_has_a_sample() -> None:
    assert [path.stem for path in SAMPLES] == [f"sessions-{version}" for version in range(1, tables.COMPONENT.version)]


@pytest.fixture(params=SAMPLES, ids=[path.stem for path in SAMPLES])
def former(request: pytest.FixtureRequest, empty: Path | str) -> Path | str:
    restore(request.param, empty)
    return empty


def test_sessions_and_turns_are_read_as_if_they_had_been_written_today(former: Path | str) -> None:
    engine = open_database(former, [tables.COMPONENT])
    with reading(engine) as conn:
        live = registry.sessions(conn)
        states = [(turn.state, turn.kind, turn.events) for turn in registry.turns(conn)]
    engine.dispose()
    assert [(one.ref, one.turns, one.conversation_turns) for one in live] == [
        ("forge|12|7", 2, 2), ("forge|12|8", 1, 1), ("forge|12|9", 0, 0),
    ]  # fmt: skip
    assert all(one.conversation_at == one.created_at and not one.begun_why for one in live)
    assert states == [
        ("done", "done", ("opened",)),
        ("done", "done", ("pushed",)),
        ("done", "done", ("opened",)),
        ("waiting", "refused", ("mentioned",)),
        ("waiting", "failed", ("pushed-2",)),
        ("failed", "limited", ("opened-10",)),
        ("running", "", ("commented",)),
    ]


def test_pause_of_a_session_is_its_agents_pause_now(former: Path | str) -> None:
    engine = open_database(former, [tables.COMPONENT])
    with reading(engine) as conn:
        (pause,) = pauses.pauses(conn)
        assert (pause.agent, pause.until) == ("reviewer", 1_763_687_300.0) and "login" in pause.why
        assert {one.agent: one.state(NOW) for one in registry.sessions(conn)} == {
            "reviewer": "paused",
            "tester": "idle",
        }
    engine.dispose()


def test_what_was_spent_before_is_in_the_ledger(former: Path | str) -> None:
    engine = open_database(former, [tables.COMPONENT])
    with reading(engine) as conn:
        ever = ledger.spent_since(conn, 0.0)
        assert ever.runs == 6 and ever.usd == pytest.approx(sum(one.cost_usd for one in registry.turns(conn)))
        assert ledger.spent_since(conn, 0.0, ref="forge|12|7").usd == pytest.approx(0.00037)
        assert ledger.spent_since(conn, NOW - 60).usd == 0
    engine.dispose()


def test_turn_that_ran_meanwhile_can_be_finished(former: Path | str) -> None:
    engine = open_database(former, [tables.COMPONENT])
    with begin(engine) as conn:
        (orphan,) = claims.orphans(conn, now=NOW + 3600)
        held = claims.hold(conn, orphan.id, owner="me", now=NOW + 3600, lease=60, anew=False)
        assert held.directory == "7" and claims.heartbeat(conn, held, now=NOW + 3600, lease=60) == ""
    engine.dispose()


def test_it_gets_the_shape_of_a_new_one(former: Path | str, database: Path | str) -> None:
    for place in (former, database):
        open_database(place, [tables.COMPONENT]).dispose()
    moved, made = shape_of(former), shape_of(database)
    assert moved == {name: made[name] for name in moved}


def test_pulls_of_a_former_version_are_renamed_by_index(former: Path | str) -> None:
    engine = open_database(former, [tables.COMPONENT])
    with begin(engine) as conn:
        registry.rename(conn, ref="forge|12|7", key="forge.example.com/acme/rest#7")
        assert len(registry.turns(conn, key="forge.example.com/acme/rest#7")) == 3
        assert all(one.place == "" for one in registry.sessions(conn, all=True))
    engine.dispose()


def test_what_was_handed_over_is_kept(empty: Path | str) -> None:
    restore(SAMPLES[1], empty)
    engine = open_database(empty, [tables.COMPONENT])
    with begin(engine) as conn:
        told = {one.ref: (one.summary, one.summary_turn) for one in registry.sessions(conn) if one.summary}
    engine.dispose()
    assert told == {"forge|12|8": ("Asked for: a cache of one size.", 3)}
