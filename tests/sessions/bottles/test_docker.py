"""What is true of containers only: how they are locked, what they hold, and whose they are."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessions import housekeeping, registry, state
from sessions.bottles import EngineError, engine, holdings, images
from sessions.bottles.box import User, shape_of, user_of
from sessions.config import Agent
from sessions.turns import Launch
from tests.sessions.bottles.bench import Bench
from tests.sessions.stage import Stage, eventually

pytestmark = pytest.mark.docker


def running(bench: Bench, number: int = 1, words: str = "sleep 120", **env: str) -> Launch:
    launch = bench.launch(number, f"[agent: {words}]", mode="fresh" if bench.heard() == 0 else "resume", **env)
    before = bench.heard()
    bench.bottle.start(launch)
    bench.until_it_works(launch, before + 1)
    return launch


def inspected(bench: Bench, launch: Launch) -> dict[str, Any]:
    with engine.connected(bench.environ) as client:
        return dict(client.containers.get(f"bottlepost-{launch.identity}-{launch.directory.name}").attrs)


def inside(bench: Bench, launch: Launch, script: str) -> str:
    """What a shell beside the agent says."""
    with engine.connected(bench.environ) as client:
        container = client.containers.get(f"bottlepost-{launch.identity}-{launch.directory.name}")
        return str(container.exec_run(["sh", "-c", script]).output.decode())


def with_agent(bench: Bench, **more: Any) -> Bench:
    bench.agent = msgspec.structs.replace(bench.agent, **more)
    return bench


def test_guest_is_locked_in(docker_bench: Bench) -> None:
    launch = running(docker_bench)
    status = dict(
        line.split(":\t")
        for line in inside(docker_bench, launch, "cat /proc/self/status").splitlines()
        if ":\t" in line
    )
    assert {name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {
        "CapEff": 0, "CapPrm": 0, "CapBnd": 0,
    }  # fmt: skip
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert status["Uid"].split()[0] != "0"
    assert inside(docker_bench, launch, "ls -A /sys/class/net").split() == ["lo"], "network: none"
    for place in ("/etc/x", "/usr/bin/x", "/opt/x", "/x"):
        assert "ead-only file system" in inside(docker_bench, launch, f"touch {place}")
    writable = "cd && touch x .claude/x work/x /tmp/x /turn/x && echo yes"
    assert inside(docker_bench, launch, f"export HOME=/home/node; {writable}") == "yes\n"
    assert "docker.sock" not in inside(docker_bench, launch, "ls -A /run /var/run")
    assert "init" in inside(docker_bench, launch, "cat /proc/1/cmdline")


def test_limits_are_the_configs(docker_bench: Bench) -> None:
    found = inspected(docker_bench, running(docker_bench))["HostConfig"]
    assert (found["Memory"], found["MemorySwap"], found["PidsLimit"]) == (512 * 2**20, 512 * 2**20, 64)
    assert (found["CpuQuota"], found["CpuPeriod"]) == (200_000, 100_000)
    assert found["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}}
    assert found["RestartPolicy"]["Name"] in ("", "no") and not found["Privileged"] and not found["AutoRemove"]


def test_three_mounts_and_no_more(docker_bench: Bench) -> None:
    launch = running(docker_bench)
    place = docker_bench.place
    assert {(mount["Source"], mount["Destination"]) for mount in inspected(docker_bench, launch)["Mounts"]} == {
        (str(place / "transcript" / ".claude"), "/home/node/.claude"),
        (str(place / "work"), "/home/node/work"),
        (str(place / "turns" / "1"), "/turn"),
    }
    assert state.config_dir(place).stat().st_mode & 0o777 == 0o700


def test_labels_say_whose_it_is(docker_bench: Bench) -> None:
    labels = inspected(docker_bench, running(docker_bench))["Config"]["Labels"]
    assert {name: labels[f"bottlepost.{name}"] for name in ("identity", "turn", "key", "agent")} == {
        "identity": docker_bench.plan.identity,
        "turn": "1",
        "key": "forge.example.com/acme/api#7",
        "agent": "reviewer",
    }


def test_no_secret_is_kept_by_the_engine_or_seen_among_processes(docker_bench: Bench, tmp_path: Path) -> None:
    """What an engine knows of a container it shows, keeps, and copies into images."""
    docker_bench.plan.environ["GITEA_TOKEN"] = "f0rge"
    launch = running(docker_bench, SECRET="s3cr3t")
    described = json.dumps(inspected(docker_bench, launch))
    assert "s3cr3t" not in described and "SECRET" not in described and "f0rge" not in described
    assert not (launch.directory / "env").exists(), "the guest has read it"
    commands = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert b"s3cr3t" not in commands
    agents = "for p in /proc/[0-9]*; do if grep -q agent.py $p/cmdline; then tr '\\0' '\\n' < $p/environ; fi; done"
    environ = dict(line.split("=", 1) for line in inside(docker_bench, launch, agents).splitlines() if "=" in line)
    assert environ["SECRET"] == "s3cr3t"
    assert set(environ) - {"PATH", "PWD", "OLDPWD", "HOSTNAME", "_", "SHLVL"} == {
        *("HOME", "LANG", "TMPDIR", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_PROJECT_DIR_NAME", "DISABLE_AUTOUPDATER"),
        *("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_MAX_RETRIES", "SECRET"),
    }


@pytest.mark.parametrize("is_created", [False, True])
def test_secrets_of_a_start_that_was_killed_half_way_are_gone_when_it_is_forbidden(
    docker_bench: Bench, is_created: bool
) -> None:
    launch = docker_bench.launch()
    (launch.directory / "env").write_text("export SECRET=s3cr3t\n")
    if is_created:
        shape = shape_of(launch, agent=docker_bench.agent, user=User(name="1000:1000"))
        with engine.connected(docker_bench.environ) as client:
            client.containers.create(docker_bench.plan.image, **shape)
    assert docker_bench.bottle.look(launch).state == "not started"
    assert docker_bench.bottle.forbid(launch)
    assert not (launch.directory / "env").exists() and docker_bench.held() == []


def test_guest_is_this_user_where_that_is_nobody_special() -> None:
    told = {"name": "docker", "version": "1", "api": "1.41", "machine": "x86_64"}
    plain, mapped, rootless = (
        engine.Engine(users=users, **told)
        for users in ("same", "mapped", "rootless")  # type: ignore[arg-type]
    )
    podman = msgspec.structs.replace(rootless, name="podman")
    assert user_of(plain, uid=501, gid=20) == User(name="501:20")
    assert user_of(plain, uid=0, gid=0) == User(name="1000:1000", owns=(1000, 1000))
    assert user_of(mapped, uid=501, gid=20) == User(name="501:20", namespace="host")
    assert user_of(podman, uid=501, gid=20) == User(name="501:20", namespace="keep-id")
    assert user_of(rootless, uid=501, gid=20) == User(name="0:0"), "number 0 is that user there"


def test_what_the_guest_writes_is_the_guests_on_this_machine_too(docker_bench: Bench) -> None:
    launch = running(docker_bench)
    inside(docker_bench, launch, "echo x > /home/node/work/written")
    owner = (docker_bench.place / "work" / "written").stat()
    mine = (os.geteuid(), os.getegid())
    assert (owner.st_uid, owner.st_gid) == ((1000, 1000) if mine[0] == 0 else mine)


def test_links_and_pipes_of_a_hostile_guest_lead_nowhere(docker_bench: Bench, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text('{"type":"result","subtype":"success","result":"the host\'s secret"}\n')
    launch = running(docker_bench)
    inside(docker_bench, launch, f"ln -sf {private} /turn/out.jsonl; rm /turn/err.log; mkfifo /turn/err.log /turn/exit")
    inside(docker_bench, launch, "rm -rf /turn/container")
    docker_bench.bottle.stop(launch, grace=5)
    assert docker_bench.until_ended(launch).state == "ended"
    outcome = docker_bench.collect(launch)
    assert outcome.kind == "interrupted" and "secret" not in str(outcome)


def test_directories_of_a_hostile_guest_in_place_of_our_files_hold_no_turn(docker_bench: Bench) -> None:
    launch = running(docker_bench)
    names = ("exit", "env", "container", "forbidden")
    for name in names:
        inside(docker_bench, launch, f"rm -f /turn/{name}; mkdir -p /turn/{name}/deep; chmod 000 /turn/{name}")
    assert all((launch.directory / name).is_dir() for name in names)
    docker_bench.bottle.stop(launch, grace=5)
    code = docker_bench.until_ended(launch).exit
    assert code is not None and docker_bench.collect(launch).kind == "interrupted"
    assert docker_bench.bottle.look(launch).exit == code, "still, and for good"
    assert docker_bench.held() == [] and not any((launch.directory / name).is_dir() for name in names[:-1])
    (launch.directory / "exit").unlink()
    assert docker_bench.bottle.forbid(launch), "also if nobody remembers it"


def test_earlier_container_of_the_bottle_is_ended_before_the_next_one_begins(docker_bench: Bench) -> None:
    """A start that timed out may have come to pass all the same."""
    running(docker_bench, 1)
    second = running(docker_bench, 2)
    assert [one.turn for one in docker_bench.held()] == ["2"]
    assert docker_bench.bottle.look(second).state == "running"


def test_container_of_this_name_that_is_not_ours_is_left_alone(docker_bench: Bench) -> None:
    launch = docker_bench.launch()
    with engine.connected(docker_bench.environ) as client:
        name = f"bottlepost-{launch.identity}-1"
        theirs = client.containers.create(docker_bench.plan.image, ["sleep", "60"], name=name)
        try:
            with pytest.raises(EngineError, match="not of this state directory"):
                docker_bench.bottle.start(launch)
            docker_bench.bottle.destroy(docker_bench.place)
            theirs.reload()
            assert theirs.status == "created"
        finally:
            theirs.remove(force=True)


def behind_a_door(bench: Bench, place: Path) -> tuple[Path, str]:
    """The bench's engine at a name that can be taken away; and where that leads."""
    real = engine.where(bench.environ).removeprefix("unix://")
    door = place / "door.sock"
    door.symlink_to(real)
    bench.plan.environ["DOCKER_HOST"] = f"unix://{door}"
    return door, real


def test_engine_that_is_away_for_a_while_ends_no_turn(docker_bench: Bench, tmp_path: Path) -> None:
    door, real = behind_a_door(docker_bench, tmp_path)
    launch = running(docker_bench, words="sleep 1 9")
    door.unlink()
    assert docker_bench.bottle.look(launch).state == "running"
    with pytest.raises(EngineError, match="does not answer"):
        docker_bench.bottle.stop(launch, grace=0.1)
    door.symlink_to(real)
    assert docker_bench.until_ended(launch).exit == 0
    assert docker_bench.collect(launch).kind == "done"


def test_end_that_is_seen_on_this_machine_does_not_wait_for_the_engine(docker_bench: Bench, tmp_path: Path) -> None:
    door, real = behind_a_door(docker_bench, tmp_path)
    launch = running(docker_bench, words="sleep 1 9")
    door.unlink()
    assert docker_bench.until_ended(launch).exit == 0
    docker_bench.bottle.sweep(launch)
    assert docker_bench.bottle.look(launch).exit == 0, "still, and for good"
    assert Bench(docker_bench.plan).bottle.look(launch).exit == 0
    door.symlink_to(real)
    docker_bench.bottle.clear(launch)
    assert docker_bench.held() == []


def test_container_is_removed_when_the_engine_is_done_with_it(docker_bench: Bench) -> None:
    launch = running(docker_bench, words="sleep 1 9")
    docker_bench.bottle.clear(launch)
    assert docker_bench.held() == []
    assert docker_bench.bottle.look(launch).exit == 0, "it was not ended for that"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"image": "nobody/has-this:1"},
            r"image nobody/has-this:1 is not on this engine; docker pull nobody/has-this:1",
        ),
        ({"network": "no-such-network"}, "refused: .*no-such-network"),
    ],
)
def test_what_the_engine_lacks_is_said_and_leaves_nothing_behind(
    docker_bench: Bench, change: dict[str, str], said: str
) -> None:
    launch = with_agent(docker_bench, **change).launch(SECRET="s3cr3t")
    with pytest.raises(EngineError, match=said):
        docker_bench.bottle.start(launch)
    assert docker_bench.held() == [] and not (launch.directory / "env").exists()
    assert docker_bench.bottle.look(launch).state == "not started"


def test_named_hosts_are_known_on_a_network(docker_bench: Bench, bridge: str) -> None:
    hosts = ("model.internal:host-gateway", "other.internal:10.1.2.3")
    launch = running(with_agent(docker_bench, network="bridge", extra_hosts=hosts))
    known = inside(docker_bench, launch, "cat /etc/hosts")
    assert re.search(rf"^{re.escape(bridge)}\s+model\.internal$", known, re.MULTILINE)
    assert re.search(r"^10\.1\.2\.3\s+other\.internal$", known, re.MULTILINE)


def test_own_dockerfile_is_built_tagged_for_the_bottle_and_built_again_when_it_changes(docker_bench: Bench) -> None:
    """C7."""
    docker_bench.launch(9)
    override = docker_bench.place / "Dockerfile"
    for number, word in ((1, "first"), (2, "second")):
        override.write_text(f"FROM {docker_bench.plan.image}\nUSER 0\nRUN echo {word} > /own\n")
        launch = running(docker_bench, number)
        assert inside(docker_bench, launch, "cat /own") == f"{word}\n"
        assert inspected(docker_bench, launch)["Config"]["Image"] == images.own_tag(docker_bench.plan.identity)
    override.unlink()
    launch = running(docker_bench, 3)
    assert inspected(docker_bench, launch)["Config"]["Image"] == docker_bench.plan.image
    docker_bench.bottle.stop(launch, grace=5)
    docker_bench.bottle.sweep(launch)
    docker_bench.bottle.destroy(docker_bench.place)
    with engine.connected(docker_bench.environ) as client:
        mine = {"label": [f"{engine.IDENTITY}={docker_bench.plan.identity}"]}
        assert not client.images.list(filters=mine), "also what the second build took the name from"


def test_dockerfile_that_cannot_be_built_is_not_the_sessions_fault(docker_bench: Bench) -> None:
    launch = docker_bench.launch()
    (docker_bench.place / "Dockerfile").write_text(f"FROM {docker_bench.plan.image}\nRUN exit 3\n")
    with pytest.raises(EngineError, match=r"the build failed: .*3"):
        docker_bench.bottle.start(launch)


def test_frozen_file_system_is_booted_and_one_that_is_gone_is_not_missed(docker_bench: Bench) -> None:
    with_agent(docker_bench, read_only=False)
    first = running(docker_bench, 1, SECRET="s3cr3t")
    inside(docker_bench, first, "echo installed > /home/node/tool")
    docker_bench.bottle.stop(first, grace=5)
    docker_bench.collect(first)
    tag = holdings.freeze(docker_bench.environ, docker_bench.place, docker_bench.agent)
    with engine.connected(docker_bench.environ) as client:
        assert "s3cr3t" not in json.dumps(client.images.get(tag).attrs)
    second = running(docker_bench, 2)
    assert inside(docker_bench, second, "cat /home/node/tool") == "installed\n"
    assert inspected(docker_bench, second)["Config"]["Image"] == tag
    with engine.connected(docker_bench.environ) as client:
        client.images.remove(tag, force=True)
    third = running(docker_bench, 3)
    assert "No such file" in inside(docker_bench, third, "cat /home/node/tool")
    assert inspected(docker_bench, third)["Config"]["Image"] == docker_bench.plan.image


def test_stray_containers_are_removed_after_a_while_and_those_in_use_are_not(
    stage: Stage, new_bench: Callable[..., Bench]
) -> None:
    known, stranger = (new_bench("docker", root=stage.state) for _ in range(2))
    for bench in (known, stranger):
        running(bench)
    identity = known.plan.identity
    number = stage.want("opened") or 0
    stage.write(
        lambda conn: registry.add_session(
            conn,
            ref="r",
            key="k",
            agent="reviewer",
            identity=identity,
            backend="docker",
            cwd="/home/node/work",
            now=1.0,
        )
    )
    agents = {"reviewer": Agent()}

    def look(after: float) -> list[str]:
        (stage.state / ".looked-for-strays").unlink(missing_ok=True)
        housekeeping.run(stage.engine, stage.state, now=time.time() + after, environ=known.environ, agents=agents)
        return sorted(one.identity for bench in (known, stranger) for one in bench.held())

    with stage.engine.begin() as conn:
        from sessions import tables as t

        session = registry.session_of(conn, identity)
        assert session is not None
        mine = {
            "state": "running",
            "session_id": session.id,
            "launches": 1,
            "started_at": 1.0,
            "owner": "x",
            "fence": 1,
        }
        conn.execute(t.turn.update().where(t.turn.c.id == number).values(**mine))
    assert number == 1, "its launch is the first"
    assert len(look(0)) == 2, "too young"
    assert look(3600) == [identity]
    with stage.engine.begin() as conn:
        conn.execute(t.turn.update().where(t.turn.c.id == number).values(state="done"))
    assert look(3600) == [], "its turn has ended: nothing of it is to run"


def test_bottle_that_the_engine_could_not_remove_is_removed_by_a_later_call(
    stage: Stage, new_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = new_bench("docker", root=stage.state)
    launch = running(with_agent(bench, read_only=False))
    bench.bottle.stop(launch, grace=5)
    bench.collect(launch)
    assert len(bench.held()) == 1, "kept for `bottle commit`"
    identity = bench.plan.identity

    def close(conn: Any) -> None:
        one = registry.add_session(
            conn,
            ref="r",
            key="k",
            agent="reviewer",
            identity=identity,
            backend="docker",
            cwd="/home/node/work",
            now=1.0,
        )
        from sessions import tables as t

        conn.execute(t.session.update().where(t.session.c.id == one.id).values(closed_at=1.0, closed_why="closed"))

    stage.write(close)
    away = {"DOCKER_HOST": f"unix://{tmp_path / 'nobody.sock'}"}
    assert housekeeping.run(stage.engine, stage.state, now=time.time(), environ=away) == []
    assert bench.place.is_dir() and len(bench.held()) == 1
    assert housekeeping.run(stage.engine, stage.state, now=time.time(), environ=bench.environ) == [identity]
    assert not bench.place.exists()
    stage.state.joinpath("state").mkdir(exist_ok=True)
    assert eventually(lambda: bench.held() == [])
