"""What becomes of bottles after their key is closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions import housekeeping, registry, state
from sessions import tables as t
from sessions.database import reading
from sessions.founding import new_session
from sessions.turns import Session
from tests.sessions.stage import KEY, REF, Stage, eventually

DAY = 86400.0


@pytest.fixture
def where(database: Path | str) -> str | None:
    return database if isinstance(database, str) else None


def closed(stage: Stage, *, why: str = "merged") -> Session:
    stage.want("opened")
    stage.run()
    session = stage.session()
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason=why, now=stage.clock()))
    return session


def known(stage: Stage, identity: str) -> Session:
    with reading(stage.engine) as conn:
        found = registry.session_of(conn, identity)
    assert found is not None
    return found


def test_closed_bottle_is_kept_for_the_grace_time_and_then_removed(stage: Stage) -> None:
    """A13, E3: and its entry says so."""
    stage.now = 1_000_000.0
    session = closed(stage)
    place = state.bottle(stage.state, session.identity)
    assert housekeeping.run(stage.engine, stage.state, now=stage.now + 7 * DAY - 1) == []
    assert place.exists() and state.is_preserved(place)
    later = stage.now + 7 * DAY
    assert housekeeping.run(stage.engine, stage.state, now=later) == [session.identity]
    assert not place.exists()
    assert known(stage, session.identity).removed_at == later
    assert stage.write(lambda conn: registry.bring_back(conn, ref=REF, now=later)) == []
    assert housekeeping.run(stage.engine, stage.state, now=later) == [], "once"


def test_open_bottle_is_never_removed(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 1000 * DAY) == []
    assert stage.bottle().exists()


def test_bottle_that_still_runs_is_not_removed(stage: Stage) -> None:
    stage.want("opened", "[agent: stubborn, sleep 60]")
    with stage.running(grace=0.3):
        eventually(lambda: any(one.what == "running" for one in stage.progress))
        place = stage.bottle()
        stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=0.0))
        assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 1000 * DAY) == []
        assert place.exists()
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 1000 * DAY) == [place.name]


def test_bottle_that_was_reset_goes_without_grace_and_does_not_come_back(stage: Stage) -> None:
    """B17."""
    stage.want("opened")
    stage.run()
    old = stage.session().identity
    stage.write(lambda conn: registry.forget(conn, ref=REF, bottle=True, now=stage.clock()))
    assert stage.write(lambda conn: registry.bring_back(conn, ref=REF, now=stage.clock())) == []
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock()) == [old]
    stage.want("pushed")
    stage.run()
    assert stage.session().identity != old and stage.turn(2).mode == "fresh"


def test_containers_are_looked_for_as_long_as_a_bottle_was_one(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Agents that run elsewhere by now may have left some."""
    environ = {"DOCKER_HOST": f"unix://{tmp_path / 'nobody.sock'}"}
    began = {"state": stage.state, "ref": REF, "key": KEY, "now": stage.clock()}
    stage.write(lambda conn: new_session(conn, agent="tester", backend="process", **began))
    housekeeping.run(stage.engine, stage.state, now=stage.clock(), environ=environ, agents=stage.agents)
    assert "stray containers" not in caplog.text
    stage.write(lambda conn: new_session(conn, agent="reviewer", backend="docker", **began))
    housekeeping.run(stage.engine, stage.state, now=stage.clock() + DAY, environ=environ, agents=stage.agents)
    assert "stray containers are not looked for" in caplog.text


def test_removal_that_was_killed_half_way_is_finished(stage: Stage) -> None:
    session = closed(stage)
    place = state.bottle(stage.state, session.identity)
    place.rename(place.with_name(f".removing-{place.name}"))
    assert state.identities(stage.state) == []
    housekeeping.run(stage.engine, stage.state, now=stage.clock())
    assert list(state.bottles(stage.state).iterdir()) == []


def test_removal_that_was_killed_behind_the_row_is_finished(stage: Stage) -> None:
    session = closed(stage)
    place = state.bottle(stage.state, session.identity)
    stage.write(lambda conn: conn.execute(t.session.update().values(removed_at=stage.clock())))
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock()) == []
    assert place.exists(), "it may be under way"
    removed_at = known(stage, session.identity).removed_at
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock() + 8 * DAY) == [session.identity]
    assert not place.exists() and known(stage, session.identity).removed_at == removed_at


def test_bottle_whose_removal_another_state_directory_was_first_to_note_goes_from_its_own(
    stage: Stage, tmp_path: Path
) -> None:
    """They share a database; each removes what lies in its own."""
    session = closed(stage)
    other, later = tmp_path / "other", stage.clock() + 8 * DAY
    strange = other / "state" / "reviewer-00000" / "work"
    strange.mkdir(parents=True)
    assert housekeeping.run(stage.engine, other, now=later) == []
    assert known(stage, session.identity).removed_at == later
    assert housekeeping.run(stage.engine, stage.state, now=later) == [session.identity]
    assert not state.bottle(stage.state, session.identity).exists() and strange.exists()
