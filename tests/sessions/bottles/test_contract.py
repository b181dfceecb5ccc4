"""What every kind of bottle has to do: the same tests for all, each also after the one who called was killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sessions import claude, state
from sessions.turns import Launch
from tests.sessions.bottles.bench import SESSION, Bench
from tests.sessions.stage import eventually

Started = Callable[..., Launch]


@pytest.fixture(params=["by us", "by one who was killed"])
def started(bench: Bench, request: pytest.FixtureRequest) -> Started:
    """Start a launch; the launch as we know it then."""

    def start(number: int = 1, prompt: str = "hello", *, mode: str = "fresh", **env: str) -> Launch:
        if request.param == "by us":
            launch = bench.launch(number, prompt, mode=mode, **env)
            bench.bottle.start(launch)
            return launch
        bench.call_and_kill("start", number, prompt=prompt, mode=mode, env=env)
        return bench.known(number)

    return start


def test_launch_runs_to_its_end_and_is_collected(bench: Bench, started: Started) -> None:
    launch = started(prompt="What is new?")
    assert bench.until_ended(launch).exit == 0
    outcome = bench.collect(launch)
    assert (outcome.kind, outcome.exit, outcome.text) == (
        "done",
        0,
        "I have read 3 words. This is our first message.",
    ), outcome.reason
    assert bench.bottle.look(launch).exit == 0, "still, and for good"
    assert bench.alive() == []


def test_failure_keeps_its_exit_code_and_its_words(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: fail]")
    assert bench.until_ended(launch).exit == 1
    outcome = bench.collect(launch)
    assert (outcome.kind, outcome.exit) == ("failed", 1) and "told to fail" in outcome.reason


def test_named_variables_reach_the_agent_and_stay_in_no_file(bench: Bench, started: Started) -> None:
    """Quotes, dollars and line ends in them are just characters."""
    secret = "s3cr3t'\"$HOME`id`\nsecond line"
    launch = started(prompt="hello", DEMO_AGENT="sleep 0.1, say from the environment", SECRET=secret)
    bench.until_ended(launch)
    assert bench.collect(launch).text.startswith("from the environment")
    kept = [path for path in bench.root.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert kept == []


def test_running_launch_is_adopted_and_never_doubled(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: sleep 1.5]")
    bench.until_it_works(launch)
    other = Bench(bench.plan)
    assert other.bottle.look(other.known()).state == "running"
    assert not other.bottle.forbid(other.known()), "it is too late for that"
    other.bottle.start(launch)
    assert other.until_ended(other.known()).exit == 0
    assert other.collect(other.known()).kind == "done"
    assert bench.heard() == 1


def test_one_that_was_adopted_by_somebody_who_was_killed_is_adopted_again(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: sleep 1.5]")
    bench.until_it_works(launch)
    with bench.caller("adopt") as caller:
        assert caller.stdout is not None and caller.stdout.readline() == "calling\n"
        caller.kill()
    assert bench.until_ended(launch).exit == 0
    assert bench.collect(launch).kind == "done" and bench.heard() == 1


def test_start_of_what_has_ended_begins_nothing(bench: Bench, started: Started) -> None:
    """Before anybody has collected it, and after."""
    launch = started(prompt="hello")
    again = msgspec.structs.replace(bench.known(), argv=claude.arguments(mode="fresh", claude_session=SESSION))
    for _ in ("ended", "collected"):
        bench.until_ended(launch)
        bench.bottle.start(again)
        assert bench.until_ended(launch).exit == 0
        assert bench.collect(launch).kind == "done" and bench.heard() == 1
    assert bench.alive() == []


def test_launch_that_ended_unseen_is_collected(bench: Bench, started: Started) -> None:
    started(prompt="hello")
    other = Bench(bench.plan)
    eventually(lambda: other.bottle.look(other.known()).state == "ended", seconds=60)
    assert other.collect(other.known()).kind == "done"


def test_waiting_ends_with_the_run_and_not_long_after(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: sleep 3]")
    bench.until_it_works(launch)
    ended = threading.Event()

    def wait() -> None:
        while bench.bottle.look(launch).state == "running":
            bench.bottle.wait(launch, 30.0)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(20)
    assert ended.is_set(), "although it was ready to wait for longer"


def test_stop_is_polite_first(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: sleep 60]")
    bench.until_it_works(launch)
    bench.bottle.stop(launch, grace=20)
    sight = bench.until_ended(launch)
    assert sight.exit not in (0, 128 + signal.SIGKILL), "it was asked, not killed"
    assert bench.collect(launch).kind != "done"
    assert bench.alive() == []


def test_stop_is_firm_at_last(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: stubborn, sleep 60]")
    bench.until_it_works(launch)
    bench.bottle.stop(launch, grace=0.3)
    assert bench.until_ended(launch).state in ("ended", "cut off")
    assert bench.collect(launch).kind == "interrupted"
    assert bench.alive() == []


def test_stop_goes_one_step_after_the_other_and_no_further_than_it_must(bench: Bench, started: Started) -> None:
    heard = '"$CLAUDE_CONFIG_DIR/heard"'
    bench.becomes(
        f"trap 'echo INT >> {heard}' INT; trap 'echo TERM >> {heard}; exit 5' TERM\n"
        f"echo begun >> {heard}; while :; do sleep 0.05; done"
    )
    launch = started()
    told = state.config_dir(bench.place) / "heard"
    eventually(lambda: told.exists() and told.read_text() == "begun\n", seconds=60)
    bench.bottle.stop(launch, grace=1.0)
    assert bench.until_ended(launch).exit == 5
    # (A runner's own word for it may come before ours, and be the same.)
    assert list(dict.fromkeys(told.read_text().split())) == ["begun", "INT", "TERM"]


def test_stop_by_one_who_was_killed_is_finished_by_the_next(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: stubborn, sleep 60]")
    bench.until_it_works(launch)
    with bench.caller("stop", grace=60) as caller:
        assert caller.stdout is not None and caller.stdout.readline() == "calling\n"
        with pytest.raises(subprocess.TimeoutExpired):
            caller.wait(0.5)
        caller.kill()
    assert bench.bottle.look(launch).state == "running"
    bench.bottle.stop(launch, grace=0.2)
    assert bench.alive() == []


def test_nothing_that_a_tool_started_outlives_the_run(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: child 300]")
    bench.until_ended(launch)
    bench.bottle.sweep(launch)
    assert bench.alive() == []


def test_sweep_by_one_who_was_killed_takes_no_result_away(bench: Bench, started: Started) -> None:
    launch = started(prompt="hello")
    bench.until_ended(launch)
    bench.call_and_kill("sweep")
    assert bench.collect(launch).kind == "done"


def test_launch_that_was_cut_off_is_told_from_one_that_ended(bench: Bench, started: Started) -> None:
    launch = started(prompt="[agent: sleep 60 1]")
    bench.until_it_works(launch)
    bench.cut_off(launch)
    eventually(lambda: bench.bottle.look(launch).state == "cut off", seconds=30)
    assert bench.collect(launch).kind == "interrupted"
    again = started(2, "[agent: sleep 60 1]", mode="resume")
    bench.until_ended(again)
    assert bench.collect(again).text.endswith("I remember 1 earlier message.")


def test_forbidden_launch_is_never_started(bench: Bench) -> None:
    launch = bench.launch()
    assert bench.bottle.look(launch).state == "not started"
    other = Bench(bench.plan)
    assert other.bottle.forbid(other.known())
    assert other.bottle.forbid(other.known()) or bench.plan.kind != "docker", "again"
    bench.bottle.start(launch)
    assert eventually(lambda: bench.alive() == []) and bench.heard() == 0
    assert bench.bottle.look(launch).state == "cut off"


def test_snapshot_is_the_state_directory_and_goes_on_elsewhere(
    bench: Bench, started: Started, new_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    """A14: all that the conversation needs is out of the bottle before anybody takes it down."""
    bench.until_ended(started(prompt="the colour is teal"))
    bench.bottle.sweep(bench.known())
    settings = state.config_dir(bench.place) / "settings.json"
    assert '"cleanupPeriodDays": 3650' in settings.read_text()
    copy = new_bench(bench.plan.kind, root=tmp_path / "elsewhere", identity=bench.plan.identity)
    shutil.copytree(bench.root, copy.root)
    bench.bottle.destroy(bench.place, bench.agent)
    launch = copy.launch(2, "which colour?", mode="resume")
    copy.bottle.start(launch)
    assert copy.until_ended(launch).exit == 0
    assert copy.collect(launch).text.endswith("I remember 1 earlier message.")


def test_destroyed_bottle_leaves_nothing_and_its_neighbour_is_untouched(
    bench: Bench, started: Started, new_bench: Callable[..., Bench]
) -> None:
    bench.until_ended(started(prompt="hello"))
    neighbour = new_bench(bench.plan.kind, root=bench.root)
    theirs = neighbour.launch(prompt="[agent: sleep 60]")
    neighbour.bottle.start(theirs)
    neighbour.until_it_works(theirs)
    bench.bottle.sweep(bench.known())
    bench.call_and_kill("destroy")
    bench.bottle.destroy(bench.place, bench.agent)  # a second time does no harm
    assert bench.alive() == []
    assert neighbour.bottle.look(theirs).state == "running"
    if bench.plan.kind == "docker":
        assert bench.held() == [] and len(neighbour.held()) == 1
    if bench.plan.kind == "command":
        assert [path.name for path in bench.root.glob("cleaned-*")] == [f"cleaned-{bench.plan.identity}"]
    neighbour.bottle.stop(theirs, grace=0.2)
