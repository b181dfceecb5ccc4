"""What the guest of a container could do to this machine and to its neighbours, tried for real."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions import housekeeping, registry, runs, state, transcript
from sessions.bottles import engine
from tests.sessions.bottles.bench import SESSION, Bench
from tests.sessions.bottles.test_docker import inside, inspected, running
from tests.sessions.stage import Stage, eventually

pytestmark = pytest.mark.docker


def begin_inside(bench: Bench, script: str, number: int = 1) -> None:
    """A shell beside the agent, which nobody waits for."""
    with engine.connected(bench.environ) as client:
        container = client.containers.get(f"bottlepost-{bench.plan.identity}-{number}")
        container.exec_run(["sh", "-c", script], detach=True)


def processes_of(bench: Bench, number: int = 1) -> int:
    with engine.connected(bench.environ) as client:
        top = client.containers.get(f"bottlepost-{bench.plan.identity}-{number}").top()
        return len(top["Processes"] or ())


def test_labels_tell_where_a_pull_is_from(docker_bench: Bench) -> None:
    labels = inspected(docker_bench, running(docker_bench))["Config"]["Labels"]
    assert labels["bottlepost.forge"] == "forge.example.com"


def test_fork_bomb_stays_in_its_bottle_and_is_ended_with_it(
    docker_bench: Bench, new_bench: Callable[..., Bench]
) -> None:
    neighbour = new_bench("docker", root=docker_bench.root)
    theirs = running(neighbour, words="sleep 2 1, say unharmed")
    launch = running(docker_bench, words="stubborn, sleep 120")
    # Not a shell's: those end when they cannot fork, and may be gone before anybody has counted them.
    bomb = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.1)"
    begin_inside(docker_bench, f"python3 -c '{bomb}'")
    eventually(lambda: processes_of(docker_bench) >= 30, seconds=30)
    assert processes_of(docker_bench) <= 64
    docker_bench.bottle.stop(launch, grace=0.3)
    assert docker_bench.until_ended(launch).state == "ended"
    assert docker_bench.collect(launch).kind == "interrupted" and docker_bench.alive() == []
    assert neighbour.until_ended(theirs).exit == 0
    assert neighbour.collect(theirs).text.startswith("unharmed")


def test_memory_of_the_guest_ends_before_ours(docker_bench: Bench) -> None:
    """In its processes, and in the places that are memory."""
    launch = running(docker_bench)
    eater = "python3 -c 'x = bytearray(900 * 2**20); print(len(x))' 2> /dev/null || echo refused"
    assert inside(docker_bench, launch, eater) == "refused\n"
    filler = "head -c 900000000 /dev/zero > /tmp/x 2> /dev/null; stat -c %s /tmp/x /home/node/x 2> /dev/null"
    written = inside(docker_bench, launch, filler).split()
    assert not written or int(written[0]) < 600 * 2**20


def test_no_single_file_fills_the_disk(docker_bench: Bench) -> None:
    launch = running(docker_bench)
    # What the shell says of the signal comes by another way, and may come first.
    script = "exec 2> /dev/null; ulimit -f; ulimit -c; truncate -s 17G /home/node/work/x && echo made"
    said = inside(docker_bench, launch, script)
    assert said.split()[:2] == [str(16 * 2**30 // 512), "0"] and "made" not in said


def test_flood_of_words_is_kept_by_nobody(docker_bench: Bench) -> None:
    """What goes to the container's own output is the engine's to keep, and it keeps a megabyte."""
    launch = running(docker_bench)
    inside(docker_bench, launch, "head -c 30000000 /dev/zero | tr '\\0' 'x' | fold -w 1000 > /proc/1/fd/1")
    log = Path(inspected(docker_bench, launch)["LogPath"])
    if not log.parent.is_dir():
        pytest.skip("the engine's own files are out of sight")
    assert sum(path.stat().st_size for path in log.parent.glob("*-json.log*")) < 3_000_000
    inside(docker_bench, launch, "head -c 200000000 /dev/zero | tr '\\0' 'x' >> /turn/out.jsonl")
    docker_bench.bottle.stop(launch, grace=5)
    docker_bench.until_ended(launch)
    out, _ = runs.output(launch)
    assert len(out) == 64 * 2**20
    assert docker_bench.collect(launch).kind == "interrupted"


def test_links_of_the_guest_lead_the_host_to_no_other_bottle(
    docker_bench: Bench, new_bench: Callable[..., Bench]
) -> None:
    """What is a dead end in the container may be a way out of it on this machine."""
    neighbour = new_bench("docker", root=docker_bench.root)
    theirs = running(neighbour, words="sleep 2")
    neighbour.until_ended(theirs)
    launch = running(docker_bench)
    way = f"../../../{neighbour.plan.identity}/transcript/.claude/projects"
    script = f"cd /home/node/.claude && rm -rf projects && ln -s {way} projects && ls -l projects && cat projects/pr/*"
    assert "No such file" in inside(docker_bench, launch, script)
    assert (state.config_dir(docker_bench.place) / "projects" / "pr").is_dir(), "on this machine it leads there"
    assert transcript.look(state.config_dir(docker_bench.place), SESSION).condition == "absent"
    docker_bench.bottle.stop(launch, grace=5)
    docker_bench.collect(launch)
    before = {path: path.lstat().st_uid for path in neighbour.place.rglob("*")}
    os.chown(state.config_dir(neighbour.place) / "projects", os.geteuid(), os.getegid())
    before[state.config_dir(neighbour.place) / "projects"] = os.geteuid()
    again = docker_bench.launch(2, "hello")
    docker_bench.bottle.start(again)
    docker_bench.until_ended(again)
    assert {path: path.lstat().st_uid for path in neighbour.place.rglob("*")} == before


def test_container_that_nobody_removed_after_its_end_is_removed_in_time(
    stage: Stage, new_bench: Callable[..., Bench]
) -> None:
    """Its caller was killed after it had recorded the turn."""
    bench = new_bench("docker", root=stage.state)
    bench.until_ended(running(bench, words="sleep 2"))
    bench.bottle.sweep(bench.known())
    add = {"ref": "r", "key": "k", "agent": "reviewer", "backend": "docker", "cwd": "/home/node/work", "now": 1.0}
    stage.write(lambda conn: registry.add_session(conn, identity=bench.plan.identity, **add))
    assert [one.running for one in bench.held()] == [False]
    housekeeping.remove_strays(stage.engine, stage.state, now=time.time() + 3600, environ=bench.environ)
    assert bench.held() == []


@pytest.fixture
def stranger(docker_environ: dict[str, str]) -> Iterator[tuple[int, Path, list[int]]]:
    """Somebody else on this machine who may speak to the engine: his number, a place of his, his groups."""
    place = engine.where(docker_environ)
    if os.geteuid() != 0 or not place.startswith("unix://"):
        pytest.skip("only root can become somebody else")
    socket = Path(place.removeprefix("unix://")).stat()
    if not socket.st_mode & 0o060:
        pytest.skip("the engine's socket is for its owner alone")
    home = Path(tempfile.mkdtemp())
    os.chown(home, 4321, 4321)
    yield 4321, home, [socket.st_gid]
    shutil.rmtree(home)


def test_guest_is_the_user_who_polls_and_its_files_are_his(
    new_bench: Callable[..., Bench], stranger: tuple[int, Path, list[int]]
) -> None:
    uid, home, groups = stranger
    bench = new_bench("docker", root=home / "state-root")
    bench.call_and_kill("start", prompt="hello", env={"SECRET": "s3cr3t"}, uid=uid, groups=groups)
    launch = bench.known()
    assert inspected(bench, launch)["Config"]["User"] == f"{uid}:{uid}"
    assert bench.until_ended(launch).exit == 0
    assert bench.collect(launch).kind == "done"
    owners = {path.lstat().st_uid for path in bench.root.rglob("*") if path.name != "exit"}
    assert owners == {uid}
    assert transcript.look(state.config_dir(bench.place), SESSION).condition == "sound"
