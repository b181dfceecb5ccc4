"""The door to the engine, seen without one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessions import state
from sessions.bottles import EngineError, bottle_for, engine
from sessions.turns import Launch
from tests.standing_engine import standing_engine


def test_engine_is_asked_once_by_all_who_want_to_know_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_WHILE", 60.0)  # the first one may have a library to import
    with standing_engine(tmp_path, thinks=0.1) as asked, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: engine.about({"DOCKER_HOST": asked.host}), range(4)))
    assert {one.api for one in found} == {"1.41"}
    assert len(asked) == 2, "who it is, and how its users are ours"


NOBODY = {"DOCKER_HOST": "unix:///nobody/listens.sock"}


def launch_with_secrets(place: Path) -> Launch:
    launch = Launch(identity="pr-x", bottle=place, directory=place / "turns" / "1", cwd="work")
    launch.directory.mkdir(parents=True)
    state.write(launch.directory / "env", "export SECRET=s3cr3t\n")
    return launch


@pytest.mark.parametrize("began", [False, True])
def test_secrets_of_what_never_began_go_without_the_engine(tmp_path: Path, *, began: bool) -> None:
    """Those of what began are its own until its end is seen."""
    launch = launch_with_secrets(tmp_path)
    if began:
        state.write(launch.directory / "container", "")
    with pytest.raises(EngineError, match="does not answer"):
        bottle_for("docker", environ=NOBODY).forbid(launch)
    assert (launch.directory / "env").exists() == began


def test_full_disk_is_not_laid_at_the_engines_door(tmp_path: Path) -> None:
    with standing_engine(tmp_path) as asked:
        with pytest.raises(EngineError) as said, engine.connected({"DOCKER_HOST": asked.host}):
            Path("/dev/full").write_text("words")
    assert str(said.value) == "No space left on device; make room on the disk, or make it writable"
