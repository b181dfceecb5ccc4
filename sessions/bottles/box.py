"""What a container is like for the agent inside: its places, its user, its environment, its limits.

Mounted are the agent's config directory, its work and the launch's own directory, and nothing else.  Decides on values;
asks no engine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sessions import state
from sessions.bottles import engine
from sessions.bottles.home import home_of
from sessions.bottles.protocol import MOST_FILE
from sessions.boxing import bytes_of
from sessions.transcript import PROJECT
from sessions.turns import Launch

if TYPE_CHECKING:
    from sessions.config import Agent

#: Where things are in the guest.  `WORK` is the cwd of every run of a bottle.
HOME = "/home/node"
WORK = f"{HOME}/work"
TURN = "/turn"

#: Who the guest is where we are root: the image has a name for it.
_SOMEBODY = 1000
_MEMORY, _CPUS, _PIDS = "4g", 2.0, 1024

#: $1 the cwd, then the command.  Its output is appended to: what a tool writes into the same file is not what stands
#: there last.  Signals come from the engine through its init process to this shell, and on to the
#: command; the exit code is written down for a host that has lost sight of the container.
KEEPER = f"""
umask 077
if [ -f {TURN}/env ]; then . {TURN}/env; rm -f {TURN}/env; fi
cd -- "$1" || exit 126
shift
child=
# A shell's background child ignores SIGINT, and what it starts may inherit that; where `env` can mend it, it does.
env --default-signal=INT true 2> /dev/null && set -- env --default-signal=INT "$@"
trap 'kill -INT $child' INT
trap 'kill -TERM $child' TERM
"$@" < {TURN}/prompt.md >> {TURN}/out.jsonl 2>> {TURN}/err.log &
child=$!
while wait $child; code=$?; kill -0 $child 2> /dev/null; do :; done
echo $code > {TURN}/exit.part && mv -f {TURN}/exit.part {TURN}/exit
exit $code
"""

#: The same for a person at a terminal, who is attached to it, with the right size, before anything is said.
ATTENDED = f"""
umask 077
if [ -f {TURN}/env ]; then . {TURN}/env; rm -f {TURN}/env; fi
cd -- "$1" || exit 126
shift
until [ -e {TURN}/go ]; do sleep 0.1; done
exec "$@"
"""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs in the guest.  `owns`: to whom the mounted files are to be given first, if they are not his."""

    name: str
    namespace: str | None = None
    owns: tuple[int, int] | None = None


def user_of(there: engine.Engine, *, uid: int | None = None, gid: int | None = None) -> User:
    """A guest whose files are this user's, and who is nobody special; where we are root, somebody fixed."""
    uid, gid = os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid
    if there.users == "rootless" and there.name == "podman":
        return User(name=f"{uid}:{gid}", namespace="keep-id")
    if there.users == "rootless":
        # There, number 0 is this user, and every other one is a stranger to this user's files.
        return User(name="0:0")
    namespace = "host" if there.users == "mapped" else None
    if uid == 0:
        return User(name=f"{_SOMEBODY}:{_SOMEBODY}", namespace=namespace, owns=(_SOMEBODY, _SOMEBODY))
    return User(name=f"{uid}:{gid}", namespace=namespace)


def name_of(launch: Launch) -> str:
    """The engine gives a name once: of two starts of one launch, one is too late."""
    return f"bottlepost-{launch.identity}-{launch.directory.name}"


def marks_of(bottle: Path) -> dict[str, str]:
    """The labels of everything that is a bottle's."""
    return {engine.HOME: home_of(bottle.parents[1]), engine.IDENTITY: bottle.name}


def labels_of(bottle: Path) -> list[str]:
    """The same, to search by."""
    return [f"{name}={value}" for name, value in marks_of(bottle).items()]


def shape_of(launch: Launch, *, agent: Agent, user: User) -> dict[str, Any]:
    """How the container is made: what the guest may not do stands here."""
    from docker.types import LogConfig, Mount

    places = {
        f"{HOME}/.claude": state.config_dir(launch.bottle),
        WORK: state.work(launch.bottle, launch.cwd),
        TURN: launch.directory,
    }
    is_none = agent.network == "none"
    return {
        "name": name_of(launch),
        "entrypoint": ["/bin/sh", "-c", ATTENDED if launch.terminal else KEEPER, "bottle", WORK, "claude"],
        "command": list(launch.argv),
        "labels": marks_of(launch.bottle)
        | {engine.TURN: launch.directory.name, engine.KEY: launch.key, engine.AGENT: launch.agent}
        | {engine.FORGE: launch.key.rsplit("/", 2)[0]},
        "user": user.name,
        "userns_mode": user.namespace,
        "tty": bool(launch.terminal),
        "stdin_open": bool(launch.terminal),
        "environment": _environment(launch.terminal, is_root=user.name.startswith("0:")),
        "use_config_proxy": False,  # the user's own may hold a password
        "working_dir": HOME,
        "hostname": "bottle",
        "init": True,
        "healthcheck": {"test": ["NONE"]},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": agent.read_only,
        "mounts": [
            Mount(target=target, source=str(source.absolute()), type="bind") for target, source in places.items()
        ],
        "network_mode": agent.network,
        # An engine refuses names for a container that can reach nobody.
        "extra_hosts": {} if is_none else dict(line.split(":", 1) for line in agent.extra_hosts),
        "log_config": LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
        "restart_policy": {"Name": "no"},
        **_limits(agent),
    }


def _environment(terminal: str, *, is_root: bool) -> dict[str, str]:
    """What the runner itself sets; nothing of it is secret.  PATH is the image's."""
    found = {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108  the guest's own
        "CLAUDE_CONFIG_DIR": f"{HOME}/.claude",
        "CLAUDE_CODE_PROJECT_DIR_NAME": PROJECT,
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Left alone it tries eleven times, for three minutes; waiting is the scheduler's business.
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }
    found |= {"TERM": terminal} if terminal else {}
    return found | ({"IS_SANDBOX": "1"} if is_root else {})


def _limits(agent: Agent) -> dict[str, Any]:
    """Memory, processors, processes, and where else than in the mounts can be written."""
    from docker.types import Ulimit

    memory = bytes_of(agent.limits.memory or _MEMORY)
    # Everybody's: there is one user in there, and podman knows no way to name him here.
    shared = "rw,exec,nosuid,nodev,mode=1777,size=2g"
    places = ("/tmp", "/var/tmp", *([HOME] if agent.read_only else []))  # noqa: S108
    return {
        "tmpfs": dict.fromkeys(places, shared),
        "mem_limit": memory,
        "memswap_limit": memory,
        # A quota, unlike a number of processors, may be more than the machine has.
        "cpu_period": 100_000,
        "cpu_quota": int((agent.limits.cpus or _CPUS) * 100_000),
        "pids_limit": agent.limits.pids or _PIDS,
        # No core dumps (they hold the environment), and no file that fills a disk by itself.
        "ulimits": [Ulimit(name="core", soft=0, hard=0), Ulimit(name="fsize", soft=MOST_FILE, hard=MOST_FILE)],
    }
