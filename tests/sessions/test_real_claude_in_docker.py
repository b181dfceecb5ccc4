"""The whole life of a pull with the real `claude` in containers, talking to a stand-in model on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions import housekeeping, registry, state
from sessions.bottles import engine, holdings
from sessions.config import Agent, AgentLimits
from sessions.sources import Access, Source
from tests.gitside.origin import Origin
from tests.gitside.server import GitServer
from tests.model.server import Model
from tests.sessions.stage import REF, Stage, eventually

pytestmark = [pytest.mark.claude, pytest.mark.docker]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stage(
    tmp_path: Path, docker_environ: dict[str, str], real_image: str, bridge_model: Model
) -> Iterator[Stage]:  # fmt: skip
    """Its agents run in containers; the model is this machine under another name."""
    port = bridge_model.url.rpartition(":")[2]
    environ = {
        "PATH": os.environ["PATH"],
        **docker_environ,
        **bridge_model.environ,
        "ANTHROPIC_BASE_URL": f"http://model.internal:{port}",
        "TEST_IMAGE": real_image,
    }
    made = Stage(tmp_path, environ)
    in_containers(made)
    yield made
    for one in holdings.held(environ, made.state):
        holdings.drop(environ, one)
    made.close()


def in_containers(stage: Stage) -> None:
    agent = Agent(
        backend="docker",
        image=stage.environ["TEST_IMAGE"],
        network="bridge",
        extra_hosts=("model.internal:host-gateway",),
        env=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
        limits=AgentLimits(minutes=2, turns=10, usd=1.0, memory="2g"),
    )
    stage.agents = dict.fromkeys(stage.agents, agent)


def names(stage: Stage) -> list[str]:
    return sorted(one.turn for one in holdings.held(stage.environ, stage.state) if one.running)


def test_life_of_a_pull(stage: Stage, bridge_model: Model) -> None:
    """Opened, pushed to, closed, over: one conversation, no container between the turns, and nothing is left."""
    stage.want("opened", "the colour is teal")
    assert stage.run().done == 1, stage.turn(1).reason
    session = stage.session()
    assert (session.backend, session.cwd) == ("docker", "/home/node/work")
    assert holdings.held(stage.environ, stage.state) == [], "the container is gone"
    assert stage.transcript().is_file()
    stage.want("pushed", "which colour?")
    assert stage.run().done == 1, stage.turn(2).reason
    turn = stage.turn(2)
    assert turn.mode == "resume" and "teal" in turn.answer
    assert {request.session_id for request in bridge_model.requests} == {session.claude_session}
    assert stage.session().identity == session.identity
    place = stage.bottle()
    stage.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=stage.clock()))
    later = stage.clock() + 8 * 86400
    agents = stage.agents
    assert housekeeping.run(stage.engine, stage.state, now=later, environ=stage.environ, agents=agents)
    assert not place.exists()


def test_two_pulls_run_side_by_side(stage: Stage, bridge_model: Model) -> None:
    for number in (1, 2):
        stage.want(f"opened {number}", f"pull {number}", ref=f"pull {number}")
    with bridge_model.hold() as one, bridge_model.hold() as other, stage.running():
        try:
            bridge_model.wait_for_requests(2, seconds=60)
            assert len(names(stage)) == 2
        finally:
            one.set()
            other.set()
    assert [turn.state for turn in stage.turns()] == ["done", "done"]
    answers = [turn.answer for turn in stage.turns()]
    assert all(f"pull {number}" in answer for number, answer in zip((1, 2), answers, strict=True))
    assert len({turn.identity for turn in stage.turns()}) == 2


def test_poller_killed_in_the_middle_is_replaced_and_the_run_goes_on(stage: Stage, bridge_model: Model) -> None:
    stage.want("opened|the colour is teal")
    with bridge_model.hold() as go:
        words = [sys.executable, "-m", "tests.sessions.test_real_claude_in_docker", str(stage.state.parent)]
        runner = subprocess.Popen(words, cwd=ROOT, env={**stage.environ, "PYTHONPATH": str(ROOT)})
        try:
            bridge_model.wait_for_requests(1, seconds=60)
        finally:
            runner.send_signal(signal.SIGKILL)
            runner.wait()
        assert names(stage) == ["1"], "it outlives its poller"
        with stage.running():
            eventually(lambda: [one.what for one in stage.progress].count("adopted") == 1)
            go.set()
            eventually(lambda: stage.turn(1).state == "done", seconds=60)
    turn = stage.turn(1)
    assert (turn.attempts, turn.launches) == (1, 1), turn.reason
    assert "the colour is teal" in turn.answer


def test_container_killed_in_the_middle_is_resumed_and_told_so(stage: Stage, bridge_model: Model) -> None:
    stage.want("opened", "the colour is teal")
    with bridge_model.hold(), stage.running():
        bridge_model.wait_for_requests(1, seconds=60)
        eventually(lambda: stage.transcript().exists() and '"user"' in stage.transcript().read_text())
        with engine.connected(stage.environ) as client:
            client.containers.get(f"bottlepost-{stage.session().identity}-1").remove(force=True)
    # Whoever looks between its death and its removal sees a code: then the next try waits a while.
    stage.now = stage.clock() + 60
    stage.run()
    turn = stage.turn(1)
    assert (turn.state, turn.attempts, turn.mode) == ("done", 2, "resume"), turn.reason
    assert "This was interrupted before." in bridge_model.requests[-1].heard[-1]


def test_turn_over_its_minutes_is_asked_to_end_and_is_resumed_later(stage: Stage, bridge_model: Model) -> None:
    """The signal goes from the engine through the init process and a shell to claude."""
    stage.limit(minutes=0.4)
    stage.want("opened", "the colour is teal")
    with bridge_model.hold(), stage.running(grace=20.0):
        bridge_model.wait_for_requests(1, seconds=60)
        eventually(lambda: stage.transcript().exists() and '"user"' in stage.transcript().read_text())
        eventually(lambda: stage.turn(1).state != "running", seconds=60)
    ended, deadline = stage.turn(1).ended_at, stage.turn(1).deadline
    assert ended is not None and deadline is not None and ended - deadline < 15, "at the first signal, not by force"
    stage.limit(minutes=2)
    assert stage.turn(1).kind == "limited", stage.turn(1).reason
    stage.want("pushed", "which colour?")
    assert stage.run().done == 1, stage.turn(2).reason
    assert "teal" in stage.turn(2).answer


def test_tools_work_in_the_checkout_and_as_nobody_special(stage: Stage, bridge_model: Model) -> None:
    bridge_model.use("Bash", command="id -u > who; git init -q . ; rg --version | head -1 >> who", description="x")
    stage.want("opened", "hello")
    assert stage.run().done == 1, stage.turn(1).reason
    written = (state.work(stage.bottle()) / "who").read_text().splitlines()
    assert written[0] != "0" and written[1].startswith("ripgrep")
    assert json.loads((stage.bottle() / "metadata.json").read_text())["cwd"] == "/home/node/work"


def test_code_is_the_guests_to_work_on_and_ours_to_move_forward(
    stage: Stage, bridge_model: Model, tmp_path: Path
) -> None:
    """What the agent left is kept, although on this machine it is another user's."""
    origin = Origin(tmp_path / "forge")
    origin.pull(7, "main")
    with GitServer(tmp_path / "forge") as server:
        stage.errand.source = Source(
            mirror="12-x", access=Access(url=f"{server.url}/acme/api.git"), head_ref="refs/pull/7/head", base="main",
            branch="pull-7",
        )  # fmt: skip
        who = "-c user.name=agent -c user.email=agent@example.com"
        words = (
            f"echo mine >> app.txt && git {who} commit -qam Mine && echo more >> app.txt && git log --oneline | wc -l"
        )
        bridge_model.use("Bash", command=words, description="work")
        stage.want("opened", "hello")
        assert stage.run().done == 1, stage.turn(1).reason
        work = state.work(stage.bottle())
        assert (work / "app.txt").read_text() == "one\ntwo\nmine\nmore\n"
        origin.commit("main", {"pushed.txt": "theirs\n"})
        origin.pull(7, "main")
        bridge_model.use("Bash", command="git status --porcelain | wc -l && git branch > branches", description="look")
        stage.want("pushed", "look again")
        assert stage.run().done == 1, stage.turn(2).reason
    assert (work / "app.txt").read_text() == "one\ntwo\n" and (work / "pushed.txt").exists()
    assert "kept" in (work / "branches").read_text()


if __name__ == "__main__":
    import threading

    started = Stage(Path(sys.argv[1]), dict(os.environ))
    in_containers(started)
    for one in started.turns():
        started.errand.texts |= {event: event.partition("|")[2] for event in one.events}
    started.dispatcher().run_due(wait=True, stop=threading.Event())
