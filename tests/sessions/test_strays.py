"""What is left of bottles that nobody has: found by our own mark, and nothing else is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from sessions import processes, state, strays
from sessions.bottles.home import former_of, home_of
from sessions.bottles.keeper import HOME, MARKER, Keeper
from sessions.turns import Launch
from tests.sessions.stage import Stage, eventually

DAY = 86_400.0


@contextlib.contextmanager
def sleeping(**environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with this in its environment, in a session of its own as the tools of an agent are."""
    with subprocess.Popen(["sleep", "120"], env={"PATH": os.defpath} | environ, start_new_session=True) as process:
        eventually(
            lambda: (
                HOME not in environ
                or environ.items() <= dict(processes.environments(HOME)).get(process.pid, {}).items()
            )
        )
        try:
            yield process
        finally:
            process.kill()


def test_process_of_no_turn_is_ended_and_its_look_alikes_are_not(stage: Stage, tmp_path: Path) -> None:
    stage.want("opened")
    stage.run()
    identity, home = stage.session().identity, home_of(stage.state)
    mark = f"{identity}/1"
    with (
        sleeping(**{HOME: home, MARKER: mark}) as ours,
        sleeping(**{HOME: "another-home", MARKER: mark}) as of_a_copy,
        sleeping(**{MARKER: mark}) as without_a_home,
        sleeping(**{HOME: home}) as without_a_turn,
        sleeping(ELSE=f"{HOME}={home}") as says_so_only,
    ):
        assert strays.end_processes(stage.engine, stage.state) == [], "too young"
        (found,) = strays.end_processes(stage.engine, stage.state, young=0.0)
        assert (found.pid, found.identity, found.launch) == (ours.pid, identity, "1")
        assert ours.wait(10) < 0
        for other in (of_a_copy, without_a_home, without_a_turn, says_so_only):
            assert other.poll() is None


def test_process_of_a_running_turn_is_left_alone(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 30]")
    with stage.running() as stop:
        eventually(lambda: stage.turns(state="running") and list(stage.bottle().glob("turns/1/out.jsonl")))
        assert strays.end_processes(stage.engine, stage.state, young=0.0) == []
        stop.set()
    assert strays.end_processes(stage.engine, stage.state, young=0.0) == [], "left to whoever adopts it"
    for pid in processes.marked(MARKER, f"{stage.session().identity}/1"):
        os.kill(pid, 9)


def test_database_is_asked_once_for_any_number_of_processes(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    marks = {HOME: home_of(stage.state), MARKER: f"{stage.session().identity}/1"}
    asked = list[object]()
    with contextlib.ExitStack() as several:
        pids = {several.enter_context(sleeping(**marks)).pid for _ in range(3)}
        sa.event.listen(stage.engine, "begin", asked.append)
        ended = strays.end_processes(stage.engine, stage.state, young=0.0)
    assert ({one.pid for one in ended}, len(asked)) == (pids, 1)


def test_number_that_is_another_processes_by_now_is_not_ended() -> None:
    with sleeping() as process:
        assert not processes.kill(process.pid, "1")
        assert processes.kill(process.pid, processes.start_of(process.pid) or "")


def ownerless(stage: Stage, name: str, *, started: float) -> Path:
    place = state.bottle(stage.state, name)
    told = state.metadata(identity=name, agent="reviewer", cwd="work", backend="process", now=started)
    state.prepare(place, told)
    return place


def gone(stage: Stage, *, later: float) -> list[str]:
    return strays.remove_ownerless(stage.engine, stage.state, now=stage.clock() + later, grace=7 * DAY, environ={})


def test_state_that_no_session_knows_goes_after_the_grace_time(stage: Stage) -> None:
    stage.want("opened")
    stage.run()
    mine = stage.bottle()
    place = ownerless(stage, "reviewer-00000", started=stage.clock() + 5)
    unmarked = state.bottle(stage.state, "reviewer-11111")
    unmarked.mkdir()
    (state.bottles(stage.state) / "notes").mkdir()
    assert gone(stage, later=6 * DAY) == []
    assert gone(stage, later=8 * DAY) == ["reviewer-00000"]
    assert not place.exists() and unmarked.is_dir() and mine.is_dir()
    assert (state.bottles(stage.state) / "notes").is_dir()


@pytest.mark.parametrize("is_empty", [True, False])
def test_state_that_is_older_than_the_database_is_kept(
    stage: Stage, is_empty: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The database was lost and begun afresh: it cannot say whose the bottles are."""
    place = ownerless(stage, "reviewer-00000", started=stage.clock() - 3600)
    if not is_empty:
        stage.want("opened")
        stage.run()
    assert gone(stage, later=400 * DAY) == []
    assert place.is_dir() and "bottle cleanup --orphans" in caplog.text


@pytest.fixture
def renamed_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Gives this machine another name when it is called."""

    def rename() -> None:
        monkeypatch.setenv("BOTTLEPOST_HOST", "renamed")
        processes.host.cache_clear()

    yield rename
    monkeypatch.undo()
    processes.host.cache_clear()


def test_state_directory_that_was_renamed_or_whose_host_was_is_the_same_home(
    stage: Stage, renamed_host: Callable[[], None]
) -> None:
    home = home_of(stage.state)
    renamed_host()
    moved = stage.state.rename(stage.state.with_name("elsewhere"))
    assert (home_of(moved), former_of(moved)) == (home, ())


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("is_left", [True, False])
def test_copy_of_a_state_directory_is_another_home_and_stays_it(
    stage: Stage, tmp_path: Path, is_noted: bool, is_left: bool, renamed_host: Callable[[], None]
) -> None:
    """Also when nothing is left of the first: that it was moved to another file system nobody can see."""
    home = home_of(stage.state) if is_noted else ""
    copy = shutil.copytree(stage.state, tmp_path / "copy")
    if not is_left:
        stage.state.rename(tmp_path / "away")
    mine = home_of(copy)
    renamed_host()
    assert mine == home_of(copy) != home
    assert former_of(copy) == ((home,) if is_noted else ())
    again = shutil.copytree(copy, tmp_path / "again")
    assert former_of(again) == (mine, *former_of(copy)), "seen before it has a name"
    assert home_of(again) not in (home, mine) and former_of(again) == (mine, *former_of(copy))


def test_home_that_cannot_be_noted_has_a_name_all_the_same(stage: Stage) -> None:
    (stage.state / "home").mkdir()
    assert home_of(stage.state) == home_of(stage.state) != ""
    assert former_of(stage.state) == () and not list(stage.state.glob(".home-*"))


def test_run_is_not_touched_by_who_has_a_copy_of_its_state_directory(stage: Stage, tmp_path: Path) -> None:
    stage.want("opened", "[agent: sleep 60]")
    with stage.running() as stop:
        eventually(lambda: stage.turns(state="running") and list(stage.bottle().glob("turns/1/out.jsonl")))
        stop.set()
    identity = stage.session().identity
    shutil.copytree(stage.state / "state", tmp_path / "copy" / "state")
    shutil.copy(stage.state / "home", tmp_path / "copy" / "home")
    ours = set(processes.marked(MARKER, f"{identity}/1"))
    copy = state.bottle(tmp_path / "copy", identity)
    launch = Launch(identity=identity, bottle=copy, directory=copy / "turns" / "1", cwd="work")
    keeper = Keeper()
    assert keeper.look(launch).state == "cut off"
    keeper.stop(launch, grace=0.1)
    keeper.sweep(launch)
    assert ours and ours <= set(processes.marked(MARKER, f"{identity}/1"))
    bottle = stage.bottle()
    mine = Launch(identity=identity, bottle=bottle, directory=bottle / "turns" / "1", cwd="work")
    assert keeper.look(mine).state == "running"
    keeper.stop(mine, grace=10)
    assert keeper.look(mine).state == "ended"
