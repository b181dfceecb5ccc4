"""The container engine ends in mid-turn and comes back: an engine of the test's own, which others do not notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sessions import housekeeping, registry, state
from sessions.bottles import engine, holdings
from tests.sessions.stage import REF, Stage, eventually

pytestmark = pytest.mark.docker


class Engine:
    """A `dockerd` with a place of its own.  It has no network, and in a namespace of its own: elsewhere it would take
    away the bridge of the engine that this machine has already."""

    def __init__(self, place: Path, *, driver: str) -> None:
        self.environ = {"DOCKER_HOST": f"unix://{place}/engine.sock"}
        words = ["unshare", "--net", "dockerd", "--host", self.environ["DOCKER_HOST"], "--data-root", f"{place}/data"]
        words += ["--exec-root", f"{place}/exec", "--pidfile", f"{place}/engine.pid", "--shutdown-timeout", "5"]
        self._words = [*words, "--storage-driver", driver, "--iptables=false", "--bridge=none"]
        self._log = place / "engine.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._serve()
        eventually(self._answers, seconds=90)

    def _serve(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:  # on a busy machine what it is made of may come up too slowly for it
            self._serve()
        try:
            with engine.connected(self.environ) as client:
                return bool(client.ping())
        except engine.EngineError:
            return False

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


@pytest.fixture
def own_engine(docker_environ: dict[str, str], scripted_image: str) -> Iterator[Engine]:
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("no dockerd here that may be restarted")
    place = Path(tempfile.mkdtemp(prefix="engine-"))  # a socket's path has to be short
    with engine.connected(docker_environ) as client:
        made = Engine(place, driver=client.info()["Driver"])
        image = client.images.get(scripted_image).save(named=True)
        made.start()
        with engine.connected(made.environ) as own:
            own.api.load_image(image)
    yield made
    made.end()
    for left in place.glob("exec/netns/*"):
        subprocess.run(["umount", left], check=True)
    shutil.rmtree(place)


@pytest.fixture
def boxed(stage: Stage, own_engine: Engine, scripted_image: str) -> Stage:
    agent = stage.agents["reviewer"]
    stage.agents["reviewer"] = msgspec.structs.replace(agent, backend="docker", image=scripted_image)
    stage.environ |= own_engine.environ
    return stage


def test_a_turn_whose_engine_restarts_is_begun_again_and_answered_once(boxed: Stage, own_engine: Engine) -> None:
    boxed.want("e1", "hello")
    boxed.run()
    boxed.want("e2", "[agent: sleep 600]")
    with boxed.running():
        transcripts = state.config_dir(boxed.bottle())
        eventually(lambda: any("sleep 600" in path.read_text() for path in transcripts.glob("projects/*/*.jsonl")))
        own_engine.end()
        own_engine.start()
    cut = boxed.turns()[-1]
    assert (cut.state, cut.kind) == ("waiting", "interrupted"), cut
    boxed.errand.texts["e2"] = "and what now?"
    boxed.now = cut.not_before
    boxed.run()
    turn = boxed.turns()[-1]
    assert turn.state == "done" and turn.launches == 2, turn
    assert boxed.errand.prepared[-1] == (2, "resume", 1), "it is told that it was cut off"
    assert [end[:2] for end in boxed.errand.settled_as if end[1] == "done"] == [(1, "done"), (2, "done")]
    assert holdings.held(boxed.environ, boxed.state) == []


def test_what_a_turn_that_was_given_up_still_runs_is_removed_when_its_engine_is_back(
    stage: Stage, docker_environ: dict[str, str], scripted_image: str, tmp_path: Path
) -> None:
    agent = stage.agents["reviewer"]
    stage.agents["reviewer"] = msgspec.structs.replace(agent, backend="docker", image=scripted_image)
    stage.environ |= docker_environ
    stage.want("e1", "[agent: sleep 600]")
    with stage.running() as stop:
        eventually(lambda: stage.turns(state="running") and list(stage.bottle().glob("turns/1/container")), seconds=60)
        eventually(lambda: [one.running for one in holdings.held(stage.environ, stage.state)] == [True])
        stop.set()
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="closed", now=stage.clock()))
    back, stage.environ["DOCKER_HOST"] = stage.environ.get("DOCKER_HOST"), f"unix://{tmp_path / 'nobody.sock'}"
    for stage.now in (time.time() + 70, time.time() + 400):
        stage.run(wait=False, parallel=0)
    assert (stage.turn(1).state, stage.turn(1).reason) == ("dropped", "closed")
    stage.environ = {name: value for name, value in stage.environ.items() if name != "DOCKER_HOST"}
    stage.environ |= {} if back is None else {"DOCKER_HOST": back}
    assert [one.running for one in holdings.held(stage.environ, stage.state)] == [True], "it did not notice"
    now = time.time() + 3600
    assert len(housekeeping.remove_strays(stage.engine, stage.state, now=now, environ=stage.environ)) == 1
    assert holdings.held(stage.environ, stage.state) == []
