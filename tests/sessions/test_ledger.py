"""What was used, by turn, session, pull, agent and day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessions import ledger, showing, tables
from sessions.database import reading
from tests.sessions.stage import REF, Stage

DAY = 86_400.0


@pytest.fixture
def where(database: Path | str) -> str | None:
    return database if isinstance(database, str) else None


def test_every_run_is_counted_once_by_session_pull_agent_and_day(stage: Stage) -> None:
    stage.now = 100 * DAY + 5
    stage.want("opened")
    stage.want("opened there", ref="another pull")
    stage.want("opened by the tester", agent="tester")
    stage.run()
    stage.now += DAY
    stage.want("pushed", "[agent: fail 1]")
    stage.run()
    stage.now = stage.turn(4).not_before
    assert stage.run().done == 1
    turns = stage.turns()
    with reading(stage.engine) as conn:
        ever = ledger.spent_since(conn, 0.0)
        assert ever.runs == 5 and ever.usd == pytest.approx(sum(turn.cost_usd for turn in turns)) and ever.usd > 0
        assert ever.usage.input == sum(turn.usage.input for turn in turns)
        today = ledger.spent_since(conn, ledger.day_of(stage.now))
        assert (today.runs, today.usd) == (2, pytest.approx(turns[3].cost_usd))
        pull = ledger.spent_since(conn, 0.0, ref=REF)
        assert pull.usd == pytest.approx(sum(turn.cost_usd for turn in turns if turn.ref == REF))
        assert ledger.spent_since(conn, 0.0, ref=REF, agent="tester").usd == pytest.approx(turns[2].cost_usd)
        session = stage.session()
        mine = ledger.spent_since(conn, 0.0, ref=REF, agent="reviewer")
        assert (mine.usd, mine.usage) == (pytest.approx(session.cost_usd), session.usage)
        assert ledger.spent_since(conn, stage.now + 1) == ledger.Spent()


def test_cost_of_a_turn_is_what_was_added_to_the_conversation(stage: Stage) -> None:
    for event in ("opened", "pushed", "commented"):
        stage.want(event)
        stage.run()
    session = stage.session()
    assert session.cost_usd == pytest.approx(session.claude_total)
    assert session.cost_usd == pytest.approx(sum(turn.cost_usd for turn in stage.turns()))


def test_part_that_came_from_the_cache_is_shown_with_each_turn(stage: Stage) -> None:
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    details = showing.session_details(stage.session(), stage.turns(), root=stage.state, now=stage.clock())
    first, second = details["log"]
    assert first["cache_read_ratio"] == 0 and 0 < second["cache_read_ratio"] < 1
    assert 0 < details["cache_read_ratio"] < second["cache_read_ratio"]
    assert json.dumps(details)


def test_resume_that_was_billed_like_a_cold_start_is_warned_of(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    for event in ("opened", "pushed"):
        stage.want(event)
        assert stage.run().done == 1
    assert "cold start" not in caplog.text
    # As if so much had been in it before; from the cache came what the scripted agent knows of.
    stage.write(lambda conn: conn.execute(tables.session.update().values(context_tokens=50_000)))
    stage.want("commented")
    assert stage.run().done == 1
    assert "the resume was billed like a cold start" in caplog.text


def test_tables_end_with_their_sums(stage: Stage) -> None:
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    usd = f"${stage.session().cost_usd:.4f}"
    assert showing.turns_table(stage.turns()).splitlines()[-1].split() == [usd]
    assert showing.turns_table(stage.turns()[:1]).count("\n") == 1, "one row is its own sum"
