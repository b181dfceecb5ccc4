"""Turns whose code has to be fetched first: it fails them alone, and takes as long as it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions import housekeeping, registry
from sessions.sources import Access, Fetch, Source
from sessions.turns import Dropped, Mode, NotNow, Ready, Session, Turn
from tests.gitside.origin import Origin, git
from tests.gitside.server import GitServer
from tests.sessions.stage import REF, Stage, eventually


@pytest.fixture
def server(stage: Stage, tmp_path: Path) -> Iterator[GitServer]:
    """A repository with a pull, and turns that want its head."""
    origin = Origin(tmp_path / "forge")
    origin.pull(7, "main")
    with GitServer(tmp_path / "forge") as made:
        stage.errand.source = Source(
            mirror="12-x", access=Access(url=f"{made.url}/acme/api.git"), head_ref="refs/pull/7/head", base="main",
            branch="pull-7",
        )  # fmt: skip
        yield made


def test_code_is_in_the_agents_directory(stage: Stage, server: GitServer) -> None:
    stage.want("opened")
    assert stage.run().done == 1
    assert (stage.bottle() / "work" / "app.txt").read_text() == "one\ntwo\n"


def test_repository_that_cannot_be_fetched_fails_that_turn_only(
    stage: Stage, server: GitServer, tmp_path: Path
) -> None:
    stage.now = 1_000_000.0
    (tmp_path / "forge" / "acme" / "api.git").rename(tmp_path / "away")
    stage.want("opened")
    assert stage.run().failed == 1
    turn = stage.turn(1)
    assert (turn.state, turn.kind, turn.attempts) == ("waiting", "engine", 1)
    assert turn.not_before > stage.now and server.url in turn.reason and "not found" in turn.reason.lower()
    assert not (stage.bottle() / "turns").exists()
    session = stage.session()
    (tmp_path / "away").rename(tmp_path / "forge" / "acme" / "api.git")
    stage.now = turn.not_before
    assert stage.run().done == 1
    assert stage.session().identity == session.identity and stage.session().note == ""


def test_repository_that_is_never_there_is_given_up_with_the_reason(stage: Stage, server: GitServer) -> None:
    server.token = "nobody knows it"
    stage.now = 1_000_000.0
    stage.want("opened")
    for _ in range(8):
        stage.run()
        stage.now += 3600
    turn = stage.turn(1)
    assert (turn.state, turn.kind) == ("failed", "engine")
    assert "could not read Username" in turn.reason or "uthentication" in turn.reason
    assert stage.errand.settled_as[-1][1] == "failed"


def test_worker_that_stood_still_moves_nothing_beneath_the_one_that_took_over(
    stage: Stage, server: GitServer, tmp_path: Path
) -> None:
    """Suspended while it prepared: the other's agent works in the directory by now, and the pull has moved on."""
    asked, awake = threading.Event(), threading.Event()
    prepare = stage.errand.prepare

    def slowly(turn: Turn, session: Session, mode: Mode, fetch: Fetch) -> Ready | Dropped | NotNow:
        if not asked.is_set():
            asked.set()
            awake.wait(60)
        return prepare(turn, session, mode, fetch)

    stage.errand.prepare = slowly  # type: ignore[method-assign]
    stage.want("opened", "[agent: sleep 3, commit mine.txt mine]")
    with stage.running(lease=0.2):
        assert asked.wait(20)
        time.sleep(0.5)  # its lease is over
        with stage.running():
            begun = stage.state / "state"
            eventually(lambda: list(begun.glob("*/turns/1*/pid")))
            [work] = begun.glob("*/work")
            before = work.stat().st_ino
            origin = tmp_path / "forge" / "acme" / "api.git"
            git("update-ref", "refs/pull/7/head", _commit_on(origin), at=origin)
            awake.set()
    assert work.stat().st_ino == before
    assert stage.turn(1).state == "done" and (work / "mine.txt").read_text() == "mine\n"


def _commit_on(origin: Path) -> str:
    tree = git("rev-parse", "main^{tree}", at=origin)
    return git("commit-tree", tree, "-p", git("rev-parse", "main", at=origin), "-m", "pushed", at=origin)


def test_turn_is_held_for_as_long_as_its_code_is_fetched(stage: Stage, server: GitServer) -> None:
    server.stalled.set()
    stage.want("opened")
    with stage.running():
        eventually(lambda: server.asked)
        for _ in range(2):
            before = stage.turn(1).lease_until
            eventually(lambda before=before: stage.turn(1).lease_until > before)
        server.stalled.clear()
    assert stage.turn(1).state == "done" and stage.turn(1).attempts == 1


def test_turn_whose_pull_is_closed_meanwhile_is_dropped(stage: Stage, server: GitServer) -> None:
    server.stalled.set()
    stage.want("opened")
    with stage.running():
        eventually(lambda: server.asked)
        stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=stage.clock()))
        eventually(lambda: stage.turns(state="dropped"))
    assert stage.turn(1).reason == "merged"


def test_poller_that_stops_leaves_the_turn_to_the_next(stage: Stage, server: GitServer) -> None:
    server.stalled.set()
    stage.want("opened")
    with stage.running() as stop:
        eventually(lambda: server.asked)
        stop.set()
    assert (stage.turn(1).state, stage.turn(1).attempts) == ("waiting", 0)
    server.stalled.clear()
    assert stage.run().done == 1


def test_mirror_is_removed_with_the_last_bottle_that_needs_it(stage: Stage, server: GitServer) -> None:
    stage.want("opened")
    stage.run()
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=0.0))
    assert (stage.state / "mirrors" / "12-x.git").is_dir()
    assert len(housekeeping.run(stage.engine, stage.state, now=stage.clock() + 1000 * 86400)) == 1
    assert not list((stage.state / "mirrors").iterdir())


def test_agents_work_survives_a_push(stage: Stage, server: GitServer, tmp_path: Path) -> None:
    stage.want("opened")
    stage.run()
    work = stage.bottle() / "work"
    (work / "notes.txt").write_text("mine")
    origin = tmp_path / "forge" / "acme" / "api.git"
    tree = git("rev-parse", "main^{tree}", at=origin)
    head = git("commit-tree", tree, "-p", "main", "-m", "pushed", at=origin)
    git("update-ref", "refs/pull/7/head", head, at=origin)
    stage.want("pushed")
    stage.run()
    assert git("rev-parse", "HEAD", at=work) == head
    assert git("show", "bottlepost/kept-2:notes.txt", at=work) == "mine"
