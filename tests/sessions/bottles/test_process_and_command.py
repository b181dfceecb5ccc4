"""What is true of processes on this machine only, ours and those of somebody else's runner."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sessions import claude, processes, state
from sessions.bottles import EngineError, bottle_for
from sessions.bottles.home import home_of
from sessions.bottles.keeper import HOME, marks_of
from sessions.bottles.process import MARKER
from sessions.boxing import Runner
from sessions.config import Agent, AgentLimits
from tests.sessions.bottles.bench import SESSION, Bench
from tests.sessions.stage import Stage, eventually
from tests.sessions.unprivileged import opening_no_more


def agent_that(bench: Bench, script: str) -> None:
    """Instead of the scripted agent, a shell script is `claude` here."""
    program = Path(bench.plan.environ["PATH"].split(os.pathsep)[0], "claude")
    program.write_text(f"#!/bin/sh\n{script}\n")


def test_process_has_a_session_and_a_group_of_its_own(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench("process")
    launch = bench.launch(prompt="[agent: sleep 30]")
    bench.bottle.start(launch)
    bench.until_it_works(launch)
    keeper = int((launch.directory / "pid").read_text().split()[0])
    assert os.getsid(keeper) == keeper == os.getpgid(keeper)
    assert os.getsid(keeper) != os.getsid(0)


def test_nothing_is_started_under_a_name_by_which_it_would_not_be_known_again(new_bench: Callable[..., Bench]) -> None:
    """Its state directory's own name could not be read: its run would be a stranger's, and its turn begun again."""
    bench = new_bench("process")
    launch = bench.launch(prompt="[agent: sleep 30]")
    home_of(bench.root)
    with opening_no_more(), pytest.raises(OSError, match="Too many open files"):
        marks_of(launch)
    assert marks_of(launch)[HOME] == home_of(bench.root)
    shutil.rmtree(bench.root)
    assert marks_of(launch)[HOME] == "", "it was removed under us"


def test_no_turn_leaves_a_zombie(stage: Stage) -> None:
    """Each look at a launch is with a bottle of its own, and none of them is the one that started it."""
    before = set(processes.descendants(os.getpid()))
    for number in range(3):
        stage.want(f"event {number}")
        assert stage.run().done == 1, stage.turn(number + 1).reason
    assert set(processes.descendants(os.getpid())) - before == set()


def test_start_that_came_too_late_leaves_no_zombie(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench("process")
    before = set(processes.descendants(os.getpid()))
    launch = bench.launch()
    assert bench.bottle.forbid(launch)
    bench.bottle.start(launch)

    def is_gone() -> bool:
        bench.bottle.look(launch)
        return set(processes.descendants(os.getpid())) <= before  # a zombie of another test may be among them

    eventually(is_gone)


def test_process_leaves_no_core_and_fills_no_disk(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench("process")
    agent_that(bench, "cat > /dev/null; cat /proc/self/limits >&2; exit 3")
    bench.agent = Agent(backend="process", limits=AgentLimits(memory="700m"))
    launch = bench.launch()
    bench.bottle.start(launch)
    bench.until_ended(launch)
    said = (launch.directory / "err.log").read_text()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in said.splitlines()}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == [str(16 * 2**30)] * 2
    assert limits["Max data size"] == [str(700 * 2**20)] * 2


def test_tool_that_has_lost_its_environment_is_ended_with_its_parents(new_bench: Callable[..., Bench]) -> None:
    """A marker in the environment finds what was left; its ancestors find what has no marker."""
    bench = new_bench("process")
    agent_that(
        bench, "trap '' INT TERM; env -i sh -c 'trap \"\" INT TERM; setsid sleep 300 & echo $! ; wait' & wait; wait"
    )
    launch = bench.launch()
    bench.bottle.start(launch)
    out = launch.directory / "out.jsonl"
    eventually(lambda: out.exists() and out.read_text().strip())
    tool = int(out.read_text())
    assert tool in processes.descendants(int((launch.directory / "pid").read_text().split()[0]))
    bench.bottle.stop(launch, grace=0.1)
    eventually(lambda: processes.start_of(tool) is None)


def test_pid_that_was_used_again_is_not_adopted(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench("process")
    launch = bench.launch()
    with subprocess.Popen(["sleep", "60"]) as other:
        (launch.directory / "pid").write_text(f"{other.pid} 1 {processes.boot_id()}\n")
        assert bench.bottle.look(launch).state == "cut off"
        bench.bottle.stop(launch, grace=0.1)
        assert other.poll() is None, "it is somebody else"
        other.send_signal(signal.SIGKILL)


def test_claim_that_cannot_be_written_down_is_none(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench("process")
    launch = bench.launch()
    assert bench.bottle.look(launch).state == "not started"
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))  # as on a full disk
    try:
        bench.bottle.start(launch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    eventually(lambda: bench.alive() == [])
    assert bench.bottle.look(launch).state == "not started" and bench.heard() == 0
    assert bench.bottle.forbid(launch)


def test_claim_that_a_power_cut_has_emptied_is_a_run_that_was_cut_off(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 60 1]")
    assert stage.run(wait=False).started == 1
    turns = stage.bottle() / "turns"
    eventually(lambda: stage.transcript().exists() and '"user"' in stage.transcript().read_text())
    for pid in processes.marked(MARKER, f"{stage.session().identity}/1"):
        os.kill(pid, signal.SIGKILL)
    (turns / "1" / "pid").write_text("")
    assert stage.run().done == 1
    turn = stage.turn(1)
    assert (turn.state, turn.mode, turn.attempts) == ("done", "resume", 2), turn.reason


def test_runner_is_told_all_it_needs_and_no_secret_of_ours(new_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = new_bench("command")
    bench.plan.environ.update(GITEA_TOKEN="f0rge", HOME="/home/somebody")
    told = tmp_path / "told"
    script = f'(printf "%s|" "$@"; cat; echo; env) > {told}'
    words = ("--{identity}", "{session}", "{turn}", "{key}", "{agent}", "{model}.", "{args}")
    bench.agent = Agent(backend="command", command=Runner(start=("sh", "-c", script, "runner", *words)))
    launch = bench.launch(prompt="the prompt", SECRET="s3cr3t")
    bench.bottle.start(launch)
    bench.until_ended(launch)
    first, *environ = told.read_text().splitlines()
    argv = "|".join(claude.arguments(mode="fresh", claude_session=SESSION))
    identity = bench.plan.identity
    assert first == f"--{identity}|{SESSION}|1|forge.example.com/acme/api#7|reviewer|.|{argv}|the prompt"
    assert {"SECRET=s3cr3t", "HOME=/home/somebody", f"BOTTLEPOST_TURN={identity}/1"} <= set(environ)
    assert not any("f0rge" in line for line in environ)


def test_stop_of_the_runner_comes_before_signals_and_a_failing_one_is_no_excuse(
    new_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = new_bench("command")
    stop = ("sh", "-c", f"echo {{turn}} >> {tmp_path}/stops; exit 1")
    runner = msgspec.structs.replace(bench.agent.command, stop=stop)
    bench.agent = msgspec.structs.replace(bench.agent, command=runner)
    launch = bench.launch(prompt="[agent: sleep 60]")
    bench.bottle.start(launch)
    bench.until_it_works(launch)
    bench.bottle.stop(launch, grace=0.5)
    assert (tmp_path / "stops").read_text() == "1\n" and bench.alive() == []


def test_cleanup_that_fails_is_told_so_that_it_is_tried_again(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench("command")
    bench.launch()
    failing = Agent(
        backend="command", command=Runner(start=("true",), cleanup=("sh", "-c", "echo no room >&2; exit 4"))
    )
    with pytest.raises(EngineError, match=r"sh: exit code 4: no room"):
        bench.bottle.destroy(bench.place, failing)


def test_runner_that_is_not_there_is_not_the_sessions_fault(stage: Stage) -> None:
    runner = Runner(start=("no-such-runner", "{args}"))
    stage.agents["reviewer"] = Agent(backend="command", command=runner)
    stage.want("opened")
    assert stage.run().failed == 1
    turn = stage.turn(1)
    assert (turn.state, turn.kind) == ("waiting", "engine")
    assert turn.reason == "the runner 'no-such-runner' was not found; put it on PATH, or write its whole path"
    with pytest.raises(EngineError, match="no-such-runner"):
        bottle_for("command", environ=stage.environ).check(stage.agents["reviewer"])


def test_conversation_that_the_runner_keeps_elsewhere_goes_on(stage: Stage, tmp_path: Path) -> None:
    elsewhere = ("env", f"CLAUDE_CONFIG_DIR={tmp_path}/elsewhere", "CLAUDE_CODE_PROJECT_DIR_NAME=x", "IS_SANDBOX=1")
    runner = Runner(start=(*elsewhere, "claude", "{args}"))
    stage.agents["reviewer"] = Agent(backend="command", command=runner)
    for number, event in enumerate(("opened", "pushed"), 1):
        stage.want(event)
        assert stage.run().done == 1, stage.turn(number).reason
    assert [turn.mode for turn in stage.turns()] == ["fresh", "resume"]
    assert stage.turn(2).answer.endswith("I remember 1 earlier message.")
    assert stage.session().note == "" and not list(state.config_dir(stage.bottle()).glob("projects/*/*.jsonl"))
