"""What goes wrong on our side of a turn: bugs of an errand, a database that fails, workers that die."""

from __future__ import annotations

import errno
import os
import threading
import time

import pytest
import sqlalchemy as sa

from sessions import claims, registry
from sessions.bottles.process import ProcessBottle
from sessions.database import DatabaseError
from sessions.founding import new_session
from sessions.turns import Launch, Outcome, Session, Turn
from tests.sessions.stage import Stage, eventually


def test_end_that_cannot_be_read_is_given_up_in_time(stage: Stage) -> None:
    """The agent has put something in the way of what we write there: neither its pull nor a slot is held for ever."""
    stage.now = 1_000_000.0

    class Stuck(ProcessBottle):
        def sweep(self, launch: Launch) -> None:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(launch.directory / "exit"))

    def run() -> None:
        stage.run(bottles=lambda _, environ: Stuck(environ=environ))

    stage.want("opened")
    run()
    assert stage.turn(1).state == "running"
    for seconds in (3600, 60, 3600, 60):
        stage.now += seconds
        run()
    assert (stage.turn(1).state, stage.errand.settled_as[-1][2]) == ("done", "done")


@pytest.mark.parametrize(("number", "ends"), [(errno.EACCES, True), (errno.ENOSPC, False)])
def test_end_that_fails_over_a_file_counts_unless_the_disk_says_it(stage: Stage, number: int, ends: bool) -> None:
    stage.now = 1_000_000.0
    settled = stage.errand.settled

    def trouble(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        if outcome.kind == "done":
            raise OSError(number, os.strerror(number), "a file")
        settled(conn, turn, session, outcome)

    stage.errand.settled = trouble  # type: ignore[method-assign]
    stage.want("opened")
    for _ in range(12):
        stage.run()
        stage.now += 3600
    assert stage.turn(1).state == ("failed" if ends else "running")
    if not ends:
        stage.errand.settled = settled  # type: ignore[method-assign]
        stage.run()
        assert stage.turn(1).state == "done"


def test_bug_in_an_errand_stops_loudly_but_not_every_later_cycle(stage: Stage) -> None:
    def broken(turn: Turn) -> None:
        raise ZeroDivisionError("a bug")

    stage.errand.answer_instead = broken
    stage.want("opened")
    with pytest.raises(ZeroDivisionError):
        stage.run()
    assert (stage.turn(1).state, stage.turn(1).attempts) == ("waiting", 0), "nobody was told anything"
    assert stage.run().started == 0


def test_turn_whose_preparation_always_meets_a_bug_is_given_up(stage: Stage) -> None:
    def broken(turn: Turn) -> None:
        raise ZeroDivisionError("a bug")

    stage.now = 1_000_000.0
    stage.errand.answer_instead = broken
    stage.want("opened")
    waits: list[float] = []
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            stage.run()
        if stage.turn(1).state == "waiting":
            waits.append(stage.turn(1).not_before - stage.now)
            stage.now = stage.turn(1).not_before
    assert waits == [60, 60, 60, 60, 120, 480, 480, 480, 480]
    why = "preparing it failed: ZeroDivisionError, 10 times"
    assert (stage.turn(1).state, stage.turn(1).reason, stage.turn(1).launches) == ("failed", why, 0)
    assert stage.errand.settled_as == [(1, "failed", "interrupted", why)]


def test_database_that_fails_while_a_turn_is_prepared_is_no_attempt_of_it(stage: Stage) -> None:
    failures = iter([DatabaseError("disk full; make room")])

    def away(turn: Turn) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure

    stage.now = 1_000_000.0
    stage.errand.answer_instead = away
    stage.want("opened")
    assert stage.run().failed == 1
    stage.now = stage.turn(1).lease_until
    assert stage.run().done == 1
    assert (stage.turn(1).attempts, stage.turn(1).deaths) == (1, 1)


def test_failing_write_at_the_end_is_repeated_and_the_result_is_not_lost(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """B10."""
    failures = iter([DatabaseError("disk full; make room"), None])
    remember = stage.errand.settled

    def settled(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        if (failure := next(failures)) is not None:
            raise failure
        remember(conn, turn, session, outcome)

    stage.errand.settled = settled  # type: ignore[method-assign]
    stage.want("opened")
    assert stage.run().done == 1
    assert "trying again: disk full" in caplog.text
    assert len(stage.errand.settled_as) == 1 and stage.session().turns == 1


def test_result_that_could_not_be_recorded_is_collected_by_a_later_run(stage: Stage) -> None:
    """B10: the exit file stays."""
    remember, broken = stage.errand.settled, True

    def settled(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        if broken:
            raise DatabaseError("disk full; make room")
        remember(conn, turn, session, outcome)

    stage.errand.settled = settled  # type: ignore[method-assign]
    stop = threading.Event()
    stop.set()  # do not wait between the repetitions
    stage.want("opened")
    dispatcher = stage.dispatcher(lease=0.3)
    with stage.running(lease=0.3) as leave:
        eventually(lambda: (stage.bottle() / "turns" / "1" / "exit").exists() if stage.turns(state="running") else 0)
        leave.set()
    broken = False
    eventually(lambda: stage.clock() > stage.turn(1).lease_until)
    tally = dispatcher.run_due(wait=True, stop=threading.Event())
    assert (tally.adopted, tally.started, tally.done) == (1, 0, 1)
    assert len(list((stage.bottle() / "turns").iterdir())) == 1, "it ran once"


def test_turn_that_kills_every_worker_before_its_launch_is_given_up(stage: Stage) -> None:
    """Restarts and reboots kill a few; what always does is not taken up for ever, and not at once."""
    stage.now = time.time()
    stage.want("opened")

    def taken(conn: sa.Connection) -> tuple[Turn, Session]:
        now = stage.clock()
        turn = claims.claim(conn, owner="a dead one", now=now, lease=1.0, limit_parallel=1, agents=stage.agents)
        assert turn is not None
        session = registry.session(conn, ref=turn.ref, agent=turn.agent) or new_session(
            conn, state=stage.state, agent=turn.agent, backend="process", now=now, ref=turn.ref, key=turn.key
        )
        return claims.belongs_to(conn, turn, session), session

    waits: list[float] = []
    while (turn := stage.turn(1)).state == "waiting":
        waits.append(max(turn.not_before - stage.now, 0.0))
        stage.now += waits[-1]
        stage.dispatcher().adopt_one(*stage.write(taken))
    assert [round(wait) for wait in waits] == [0, 0, 0, 0, 30, 120, 480, 480, 480, 480]
    assert (turn.state, turn.attempts) == ("failed", 0)
    assert turn.reason == "its worker died before the launch, 10 times"
