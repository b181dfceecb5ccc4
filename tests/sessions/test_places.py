"""Machines that share a database: each goes on with its own bottles, and takes over from one that is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
import sqlalchemy as sa

from sessions import byhand, claims, housekeeping, places, processes, registry, state
from sessions import tables as t
from sessions.bottles.keeper import MARKER
from sessions.boxing import Runner
from sessions.byhand import Terminal
from sessions.config import Limits, Settings
from sessions.database import DatabaseError, begin
from tests.sessions.stage import REF, Stage, eventually

pytestmark = pytest.mark.postgres


@pytest.fixture
def where(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def other(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """Another machine: a state directory of its own, the same database."""
    made = Stage(tmp_path / "other", stage.environ, database=stage.database)
    yield made
    made.close()


def forget_about(stage: Stage, gone: Stage) -> None:
    """Nobody has heard of that machine for long."""
    name = f"place {places.name_of(gone.state)}"
    with begin(stage.engine) as conn:
        conn.execute(t.lease.update().where(t.lease.c.name == name).values(until=1.0))


def test_a_bottles_turns_wait_for_the_machine_that_has_it(stage: Stage, other: Stage) -> None:
    stage.want("opened")
    assert stage.run().done == 1
    stage.want("pushed")
    waits = other.run()
    assert (waits.started, waits.waiting) == (0, 1)
    assert stage.run().done == 1
    assert stage.turn(2).mode == "resume" and stage.session().place == places.name_of(stage.state)


def test_any_machine_runs_what_nobody_has_a_bottle_of(stage: Stage, other: Stage) -> None:
    stage.run()  # it has been heard of
    stage.want("opened")
    assert other.run().done == 1
    assert stage.session().place == places.name_of(other.state)


def test_turns_of_a_machine_that_is_gone_are_run_afresh_by_another(stage: Stage, other: Stage) -> None:
    stage.want("opened")
    stage.run()
    forget_about(other, stage)
    stage.want("pushed")
    assert other.run().done == 1
    assert other.turn(2).mode == "fresh" and "transcript is gone" in other.turn(2).surprise
    assert other.session().place == places.name_of(other.state)
    assert [turn.state for turn in other.turns()] == ["done", "done"]


def test_what_ran_on_a_machine_that_is_gone_counts_as_an_attempt(stage: Stage, other: Stage) -> None:
    """Or a turn that fells machines would fell one after the other, for ever."""
    stage.want("opened", "[agent: sleep 60]")
    stage.run(wait=False)
    away = str(msgspec.structs.replace(processes.me(), host="gone"))
    with begin(other.engine) as conn:
        conn.execute(t.turn.update().values(owner=away, lease_until=other.clock() - 1))
    assert (other.run().adopted, other.turn(1).state) == (0, "running"), "it may come back for it"
    forget_about(other, stage)
    assert "opened" not in other.errand.texts, "there it is done at once"
    tally = other.run()
    assert (tally.adopted, tally.done) == (1, 1)
    assert (other.turn(1).attempts, other.turn(1).state) == (2, "done")


@pytest.mark.parametrize("backend", ["process", "command"])
def test_conversation_of_a_turn_that_was_lost_with_its_machine_is_begun_anew_and_says_so(
    stage: Stage, other: Stage, tmp_path: Path, backend: Literal["process", "command"]
) -> None:
    """Whoever runs it for us may keep it where we never saw it, and may still be at it."""
    where = f"IS_SANDBOX=1 CLAUDE_CONFIG_DIR={tmp_path}/theirs CLAUDE_CODE_PROJECT_DIR_NAME=one"
    runner = Runner(start=("sh", "-c", f'{where} exec claude "$@"', "runner", "{args}"))
    for one in (stage, other):
        reviewer = msgspec.structs.replace(one.agents["reviewer"], backend=backend, command=runner)
        one.agents["reviewer"] = reviewer
    stage.want("opened")
    assert stage.run().done == 1, stage.turn(1).reason
    began = stage.session().claude_session
    stage.want("pushed")
    away = str(msgspec.structs.replace(processes.me(), host="gone"))
    with begin(stage.engine) as conn:  # as far as it came there
        turn = claims.claim(conn, owner=away, now=stage.clock(), lease=0.0, limit_parallel=1, agents=["reviewer"])
        assert turn is not None
        turn = claims.belongs_to(conn, turn, stage.session())
        claims.launching(conn, turn, stage.session(), mode="resume", told=(), now=stage.clock(), minutes=2)
    forget_about(other, stage)
    tally = other.run()
    assert (tally.adopted, tally.done) == (1, 1)
    assert (other.turn(2).mode, other.turn(2).attempts) == ("fresh", 2)
    assert other.turn(2).surprise == "the machine that had it has not been heard of"
    assert other.session().claude_session != began
    prompt = (other.bottle() / "turns" / "2-2" / "prompt.md").read_text()
    assert "Full prompt" in prompt and "interrupted before" in prompt
    other.want("asked")
    assert other.run().done == 1
    assert (other.turn(3).mode, other.turn(3).surprise) == ("resume", "")


def test_a_bottle_of_another_machine_is_left_to_its_housekeeping(stage: Stage, other: Stage) -> None:
    stage.want("opened")
    stage.run()
    identity = stage.session().identity
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=stage.clock() - 9 * 86400))
    assert housekeeping.run(other.engine, other.state, now=other.clock(), environ=other.environ) == []
    assert housekeeping.run(stage.engine, stage.state, now=stage.clock(), environ=stage.environ) == [identity]


def test_who_cannot_tell_that_he_is_there_ends_his_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time another machine takes over, nothing of it runs here."""
    stage.want("opened", "[agent: sleep 60]")
    monkeypatch.setattr(places, "SILENT", 0.0)
    ended = list[str]()

    def run() -> None:
        try:
            stage.run(lease=0.5, grace=0.2)
        except DatabaseError as error:
            ended.append(str(error))

    is_away = threading.Event()

    def away(*_: object) -> None:
        if is_away.is_set():
            raise sa.exc.OperationalError("", {}, Exception("the server is away"))

    sa.event.listen(stage.engine, "begin", away)  # before there are two who begin: a list of listeners has no lock
    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: stage.turns(state="running") and (stage.bottle() / "turns" / "1" / "pid").exists())
    there = stage.bottle() / "turns" / "1"
    is_away.set()
    try:
        eventually(lambda: (there / "exit").exists())
        thread.join(60)
    finally:
        is_away.clear()
    assert len(ended) == 1 and "the server is away" in ended[0]
    assert stage.turn(1).state == "running", "its end is recorded by whoever comes next"


def test_turn_by_hand_is_left_to_the_machine_where_a_person_began_it(stage: Stage, other: Stage) -> None:
    here, there = (
        Settings(state=one.state, database=str(one.database), limits=Limits(), agents=one.agents)
        for one in (stage, other)
    )
    terminal = Terminal(here, environ=stage.environ, stop=threading.Event())
    began = terminal.run("reviewer", "hello").session
    assert stage.session(ref=began.ref).place == places.name_of(stage.state)
    away = str(msgspec.structs.replace(processes.me(), host="gone"))
    with begin(stage.engine) as conn:
        byhand.enter(conn, began, why="bottle run-resume", now=stage.clock())
        conn.execute(t.turn.update().where(t.turn.c.id == 2).values(owner=away, lease_until=stage.clock() - 1))
    byhand.collect_left(other.engine, there, environ=other.environ)
    assert (other.run().adopted, other.turn(2).state) == (0, "running")
    assert began.identity not in state.identities(other.state)
    byhand.collect_left(stage.engine, here, environ=stage.environ)
    assert stage.turn(2).state != "running"


def test_machine_that_slept_ends_its_run_when_another_has_the_turn(stage: Stage, other: Stage) -> None:
    stage.want("opened", "[agent: sleep 60]")
    away = str(msgspec.structs.replace(processes.me(), host="other"))
    with stage.running():
        eventually(lambda: stage.turns(state="running") and (stage.bottle() / "turns" / "1" / "pid").exists())
        there, mark = stage.bottle() / "turns" / "1", f"{stage.session().identity}/1"
        with begin(other.engine) as conn:
            claims.hold(conn, 1, owner=away, now=other.clock(), lease=60.0, anew=True)
            places.settle(conn, stage.session(), places.name_of(other.state))
        eventually(lambda: (there / "exit").exists())
        eventually(lambda: not list(processes.marked(MARKER, mark)))
    assert stage.turn(1).state == "running", "there"


def test_a_state_directory_has_one_name_whoever_asks(tmp_path: Path) -> None:
    names: list[str] = []
    at_once = threading.Barrier(8)

    def ask(root: Path) -> None:
        at_once.wait(10)
        names.append(places.name_of(root))

    for nth in range(10):
        asked = [threading.Thread(target=ask, args=(tmp_path / str(nth),)) for _ in range(8)]
        for one in asked:
            one.start()
        for one in asked:
            one.join()
        assert len(names) == 8 and len(set(names)) == 1 and names[0]
        assert [one.name for one in (tmp_path / str(nth)).iterdir()] == ["place"]
        names.clear()


def test_machines_of_one_image_can_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    processes.host.cache_clear()
    monkeypatch.setenv("BOTTLEPOST_HOST", "left")
    try:
        assert processes.me().host == "left"
    finally:
        processes.host.cache_clear()


def test_nothing_is_told_where_one_machine_is_alone(tmp_path: Path, scripted_environ: dict[str, str]) -> None:
    alone = Stage(tmp_path / "alone", scripted_environ)
    alone.want("opened")
    assert alone.run().done == 1
    assert alone.session().place == "" and not (alone.state / "place").exists()
    alone.close()
    assert DatabaseError("x").exit_code == 2
