"""Turns from the queue to their outcome, with the scripted agent in real processes."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from sessions import claims, housekeeping, processes, registry, state, steering
from sessions import tables as t
from sessions.database import begin, reading
from sessions.founding import new_session
from sessions.turns import Dropped, NotNow, Outcome, Progress, Session, Turn
from tests.sessions.stage import REF, Stage, eventually, follow_up


@pytest.fixture
def where(database: Path | str) -> str | None:
    return database if isinstance(database, str) else None


def test_first_turn_is_fresh_and_the_second_resumes_the_same_session(stage: Stage) -> None:
    """A6, A8, A10, A11, B8."""
    stage.want("opened")
    assert stage.run().done == 1
    first = stage.session()
    stage.want("pushed")
    assert stage.run().done == 1
    second = stage.session()
    assert [turn.mode for turn in stage.turns()] == ["fresh", "resume"]
    assert (first.identity, first.claude_session) == (second.identity, second.claude_session)
    assert stage.turns()[1].answer.endswith("I remember 1 earlier message.")
    assert second.turns == 2


def test_resume_names_the_session_and_never_the_latest(stage: Stage) -> None:
    """A5, A7, A15: by id, in the same cwd, with all flags again."""
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    argv = json.loads((stage.bottle() / "turns" / "2" / "argv.json").read_text())
    session = stage.session().claude_session
    assert argv[argv.index("--resume") + 1] == session
    assert "--continue" not in argv and "--session-id" not in argv
    first = json.loads((stage.bottle() / "turns" / "1" / "argv.json").read_text())
    assert [word for word in first if word != "--session-id"] == [word for word in argv if word != "--resume"]


def test_registry_entry_is_written_before_the_launch(stage: Stage) -> None:
    """B9: the id is chosen by us, so it is durable from its first appearance."""
    seen = []

    def look(turn: Turn) -> None:
        session = stage.session()
        seen.append((session.claude_session, session.running))

    stage.errand.answer_instead = look
    stage.want("opened")
    stage.run()
    assert seen == [(stage.session().claude_session, True)]


def test_run_begins_while_those_who_wait_for_it_are_told(stage: Stage) -> None:
    """They may have to tell others, over a slow network."""
    told: list[str] = []

    def tell(progress: Progress) -> None:
        if progress.what == "started":
            eventually((stage.bottle() / "turns" / "1" / "exit").exists)
        told.append(progress.what)

    stage.want("opened")
    assert stage.dispatcher().run_due(wait=True, stop=threading.Event(), on_progress=tell).done == 1
    assert (told[0], told[-1]) == ("started", "ended")


def test_turn_that_is_to_stop_before_its_launch_is_never_launched(stage: Stage) -> None:
    def stop(turn: Turn) -> None:
        stage.write(lambda conn: conn.execute(t.turn.update().values(stop_asked="the pull is closed")))

    stage.errand.answer_instead = stop
    stage.want("opened")
    stage.run()
    [turn] = stage.turns()
    assert (turn.state, turn.reason, turn.launches) == ("dropped", "the pull is closed", 0)
    assert not (state.bottle(stage.state, turn.identity) / "turns" / "1").exists()


def test_turn_that_is_stopped_while_its_preparation_comes_to_nothing_is_dropped(stage: Stage) -> None:
    """Whoever asked was told that it stops."""
    stage.now = 1_000_000.0

    def stop(turn: Turn) -> NotNow:
        if turn.id == 1:
            stage.write(lambda conn: steering.stop(conn, ref=REF, reason="stopped by ana", now=stage.clock()))
            stage.want("pushed")
        return NotNow(reason="forge is down", at=1_000_060.0)

    stage.errand.answer_instead = stop
    stage.want("opened")
    stage.run()
    assert [(turn.state, turn.reason, turn.events) for turn in stage.turns()] == [
        ("dropped", "stopped by ana", ("opened",)),
        ("waiting", "forge is down", ("pushed",)),  # what comes after the stop is not stopped
    ]


def test_turn_that_is_stopped_while_its_worker_dies_before_the_launch_is_dropped(stage: Stage) -> None:
    stage.want("opened")
    dead = f"{processes.me().host}:boot:0:1:1"
    with begin(stage.engine) as conn:
        turn = claims.claim(conn, owner=dead, now=stage.clock(), lease=60, limit_parallel=2, agents=["reviewer"])
        assert turn is not None
        new = new_session(conn, state=stage.state, agent="reviewer", backend="process", now=1.0, ref=REF, key=turn.key)
        claims.belongs_to(conn, turn, new)
        steering.stop(conn, ref=REF, reason="stopped by ana", now=stage.clock())
    assert stage.run().started == 0
    assert (stage.turn(1).state, stage.turn(1).reason) == ("dropped", "stopped by ana")
    assert not stage.errand.prepared


@pytest.mark.parametrize("always", [True, False])
def test_turn_whose_end_always_meets_a_bug_is_given_up_and_who_asked_is_told_if_possible(
    stage: Stage, always: bool
) -> None:
    sound = stage.errand.settled

    def settled(conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        conn.execute(follow_up.insert().values(turn_id=turn.id))
        if always or outcome.kind == "done":
            raise ZeroDivisionError("a bug")
        sound(conn, turn, session, outcome)

    stage.now = time.time()
    stage.errand.settled = settled  # type: ignore[method-assign]
    stage.want("opened")
    pauses: list[float] = []
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            stage.run()
        if stage.turn(1).state == "running":
            pauses.append(round(stage.turn(1).lease_until - stage.now))
            stage.now = stage.turn(1).lease_until
    assert pauses == [0, 0, 0, 30, 120, 480, 480, 480, 480]
    turn, why = stage.turn(1), "recording its end failed: ZeroDivisionError, 10 times"
    assert (turn.state, turn.reason, turn.attempts, turn.launches) == ("failed", why, 1, 1)
    with reading(stage.engine) as conn:
        followed = [row.turn_id for row in conn.execute(sa.select(follow_up))]
    told = [(1, "failed", "interrupted", why)]
    assert (stage.errand.settled_as, followed) == (([], []) if always else (told, [1]))
    stage.errand.settled = sound  # type: ignore[method-assign]
    stage.want("pushed")
    assert stage.run().done == 1, "the pull is free again"
    assert stage.turn(2).mode == "resume"


def test_launch_of_somebody_who_took_the_turn_over_is_left_where_it_is(stage: Stage) -> None:
    theirs = []

    def take_over(turn: Turn) -> None:
        now, me = stage.clock(), str(processes.me())
        stage.write(lambda conn: claims.hold(conn, turn.id, owner=me, now=now, lease=60, anew=False))
        theirs.append(stage.bottle() / "turns" / "1")
        theirs[0].mkdir(parents=True)

    stage.errand.answer_instead = take_over
    stage.want("opened")
    with stage.running() as stopped:
        eventually(lambda: theirs)
        stopped.set()
    assert theirs[0].is_dir() and len(list(theirs[0].parent.iterdir())) == 1


def test_all_waiting_events_of_a_key_become_one_turn_in_order(stage: Stage) -> None:
    """A2, A17: and the same event twice changes nothing."""
    numbers = [stage.want(event) for event in ("opened", "pushed", "pushed", "commented")]
    assert numbers == [1, 1, None, 1]
    assert stage.run().started == 1
    assert stage.turns()[0].events == ("opened", "pushed", "commented")
    assert stage.want("pushed") is None


def test_event_that_comes_while_a_turn_runs_waits_for_the_next(stage: Stage) -> None:
    """A16."""
    stage.want("opened", "[agent: sleep 2]")
    with stage.running():
        eventually(lambda: stage.turns(state="running"))
        assert stage.want("pushed") == 2
        eventually(lambda: len(stage.turns(state="done")) == 2)
    first, second = stage.turns()
    assert second.started_at is not None and first.ended_at is not None and second.started_at >= first.ended_at


def test_turns_of_different_keys_run_at_the_same_time_up_to_the_limit(stage: Stage) -> None:
    """A16: three pulls, two places."""
    for number in range(3):
        stage.want(f"opened {number}", "[agent: sleep 2]", ref=f"pull {number}")
    with stage.running():
        eventually(lambda: len(stage.turns(state="running")) == 2)
        assert len(stage.turns(state="waiting")) == 1
    spans = sorted((turn.started_at or 0, turn.ended_at or 0) for turn in stage.turns())
    assert spans[1][0] < spans[0][1], "the second began before the first ended"
    assert spans[2][0] >= min(spans[0][1], spans[1][1]), "the third waited for a place"


def test_two_agents_on_one_key_take_turns_in_their_own_bottles(stage: Stage) -> None:
    """A16, B2, C2: turns of one pull never overlap, whatever agent."""
    stage.want("opened", "[agent: sleep 0.3]", agent="reviewer")
    stage.want("opened", "[agent: sleep 0.3]", agent="tester")
    stage.run()
    first, second = sorted(stage.turns(), key=lambda turn: turn.started_at or 0)
    assert (second.started_at or 0) >= (first.ended_at or 0)
    assert stage.session("reviewer").identity != stage.session("tester").identity


def test_errand_that_is_gone_drops_the_turn(stage: Stage) -> None:
    """A18."""
    stage.errand.answer_instead = lambda turn: Dropped(reason="the pull is closed")
    stage.want("opened")
    assert stage.run() == stage.run().__class__()
    assert (stage.turn(1).state, stage.turn(1).reason, stage.turn(1).attempts) == ("dropped", "the pull is closed", 0)
    assert not state.bottle(stage.state, stage.turn(1).identity).exists(), "nothing was run, nothing was made"


def test_session_of_a_turn_that_is_dropped_before_its_launch_hides_no_other(stage: Stage) -> None:
    """A turn of a closed pull is tried again by hand: its errand has gone, and what was put away is still there."""
    stage.want("opened")
    stage.run()
    before = stage.session()
    stage.want("pushed")
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=stage.clock()))
    stage.write(lambda conn: registry.retry(conn, 2, now=stage.clock()))
    stage.errand.answer_instead = lambda turn: Dropped(reason="the pull is closed")
    stage.run()
    assert (stage.turn(2).state, stage.turn(2).reason) == ("dropped", "the pull is closed")
    assert stage.turn(2).identity != before.identity
    assert stage.write(lambda conn: registry.sessions(conn)) == []
    back = stage.write(lambda conn: registry.bring_back(conn, ref=REF, now=stage.clock()))
    assert [one.identity for one in back] == [before.identity]
    stage.errand.answer_instead = lambda turn: None
    stage.want("reopened")
    assert stage.run().done == 1
    assert (stage.turn(3).mode, stage.turn(3).identity) == ("resume", before.identity)


def test_bottle_in_which_nothing_was_run_goes_without_grace(stage: Stage) -> None:
    def gone(turn: Turn) -> Dropped:
        stage.bottle().mkdir(parents=True)  # its code was fetched
        return Dropped(reason="the pull is closed")

    stage.errand.answer_instead = gone
    stage.want("opened")
    stage.run()
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock()) == [stage.turn(1).identity]
    assert not state.bottle(stage.state, stage.turn(1).identity).exists()


def test_session_of_a_turn_that_is_dropped_stays_when_it_was_ever_launched(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.want("opened", "[agent: fail]")
    stage.run()
    before = stage.session()
    stage.now = stage.turn(1).not_before
    stage.errand.answer_instead = lambda turn: Dropped(reason="nobody wants it any more")
    stage.run()
    assert stage.turn(1).state == "dropped" and stage.session().identity == before.identity


def test_errand_that_is_not_ready_puts_the_turn_back_without_an_attempt(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.errand.answer_instead = lambda turn: NotNow(reason="forge is down", at=1_000_060.0)
    stage.want("opened")
    tally = stage.run()
    assert (tally.started, tally.failed, tally.waiting) == (0, 0, 1)
    assert (stage.turn(1).not_before, stage.turn(1).attempts) == (1_000_060.0, 0)


def test_closing_drops_what_waits_and_stops_what_runs(stage: Stage) -> None:
    """A13, B16."""
    stage.want("opened", "[agent: sleep 60]")
    stage.want("opened too", agent="tester")
    with stage.running():
        eventually(lambda: stage.turns(state="running"))
        stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=stage.clock()))
        eventually(lambda: not stage.turns(state="running"))
    assert [(turn.state, turn.reason) for turn in stage.turns()] == [("dropped", "merged"), ("dropped", "merged")]


def test_reopening_brings_the_same_bottle_and_session_back(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    before = stage.session()
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=stage.clock()))
    assert stage.write(lambda conn: registry.sessions(conn)) == []
    assert len(stage.write(lambda conn: registry.bring_back(conn, ref=REF, now=stage.clock()))) == 1
    stage.want("reopened")
    stage.run()
    assert stage.session().identity == before.identity
    assert stage.turn(2).mode == "resume"


def test_resume_is_visible_in_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """B18."""
    caplog.set_level(logging.INFO, "sessions")
    for event in ("opened", "pushed"):
        stage.want(event)
        stage.run()
    assert f"resuming session {stage.session().claude_session}" in caplog.messages


def test_turn_that_goes_back_to_waiting_takes_over_what_came_meanwhile(stage: Stage) -> None:
    stage.now = 1_000_000.0
    stage.want("opened", "[agent: sleep 2, fail 1]")
    with stage.running():
        eventually(lambda: stage.turns(state="running"))
        assert stage.want("pushed") == 2
        eventually(lambda: stage.turn(1).state == "waiting")
    first, second = stage.turns()
    assert first.events == ("opened", "pushed")
    assert (second.state, second.reason) == ("dropped", "joined turn 1")
    stage.now = first.not_before
    assert stage.run().done == 1
    assert stage.turn(1).told == ("opened", "pushed")


def test_no_wait_leaves_the_run_to_the_next_call(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 0.3]")
    assert stage.run(wait=False).started == 1
    turn = stage.turn(1)
    assert (turn.state, turn.owner) == ("running", "")
    tally = stage.run()
    assert (tally.started, tally.adopted, tally.done) == (0, 1, 1)


def test_no_wait_does_not_wait_for_an_adopted_run_either(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 3]")
    stage.run(wait=False)
    tally = stage.run(wait=False)
    assert (tally.adopted, tally.done) == (1, 0) and stage.turn(1).state == "running"
    assert stage.run().done == 1


def test_stopped_dispatcher_leaves_runs_going_for_the_next_one(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 2]")
    with stage.running() as stop:
        eventually(lambda: stage.turns(state="running") and (stage.bottle() / "turns" / "1" / "pid").exists())
        stop.set()
    assert stage.turn(1).state == "running"
    assert stage.run().adopted == 1
    assert stage.turn(1).state == "done" and stage.turn(1).attempts == 1


def test_turn_of_an_agent_that_left_the_config_waits(stage: Stage) -> None:
    stage.want("opened", agent="retired")
    tally = stage.run()
    assert (tally.started, tally.waiting) == (0, 1)


def test_turn_whose_thread_cannot_be_started_ends_the_call_loudly_and_is_taken_up_by_the_next(stage: Stage) -> None:
    """Nobody waits for ever for what has never begun."""
    stage.want("opened")
    may_begin, raised = threading.Event(), list[RuntimeError]()

    def run() -> None:
        may_begin.wait()
        with pytest.raises(RuntimeError, match="can't start new thread") as caught:
            stage.run()
        raised.append(caught.value)

    caller = threading.Thread(target=run, daemon=True)
    caller.start()
    before = threading.stack_size(2**48)  # more than there are addresses
    try:
        may_begin.set()
        caller.join(20)
    finally:
        threading.stack_size(before)
    assert raised and stage.turn(1).state == "running"
    stage.now = stage.turn(1).lease_until
    assert stage.run().done == 1


def test_cost_is_the_difference_to_the_conversations_last_total(stage: Stage) -> None:
    for event in ("opened", "pushed", "commented"):
        stage.want(event)
        stage.run()
    session = stage.session()
    assert session.cost_usd == pytest.approx(sum(turn.cost_usd for turn in stage.turns()))
    assert session.cost_usd == pytest.approx(session.claude_total)


def test_reset_while_a_turn_runs_is_not_undone_by_its_end(stage: Stage) -> None:
    """B17."""
    stage.want("opened", "[agent: sleep 0.4]")
    with stage.running():
        eventually(lambda: stage.turns(state="running"))
        old = stage.session().claude_session
        assert len(stage.write(lambda conn: registry.forget(conn, ref=REF, now=stage.clock()))) == 1
        eventually(lambda: stage.turns(state="done"))
    assert stage.session().claude_session != old
    stage.want("pushed")
    stage.run()
    assert stage.turn(2).mode == "fresh"
