"""A command as a detached child of nobody, its output and exit code in the launch's directory.

The child claims the directory itself (`pid`, made by a hard link: whole or not at all, and by one only), so that a
poller that comes later can decide without a race.  Knows processes; must not know claude, SQL or prompts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sessions import files, processes, runs, state
from sessions.bottles import leavings
from sessions.bottles.home import home_of
from sessions.bottles.protocol import EngineError, Sight
from sessions.turns import Launch

#: In the environment of everything a turn starts.  Claude's tools run in process groups of their own: this finds them.
MARKER = "BOTTLEPOST_TURN"
#: Beside it: of which state directory the turn is.  A copy of that has bottles and turns of the same names.
HOME = "BOTTLEPOST_HOME"

#: $1 the turn's directory, $2 the cwd, $3 limits, then the command.  This process claims the directory, or leaves.
CLAIM = """
umask 077
twentieth() { shift 19; echo "$1"; }
cd -- "$1" || exit 126
directory=$PWD; cwd=$2; limits=$3; shift 3
start=; boot=
if [ -r /proc/$$/stat ]; then
    read -r stat < /proc/$$/stat
    after_name=${stat##*)}
    start=$(twentieth $after_name)
    read -r boot < /proc/sys/kernel/random/boot_id
fi
# On a full disk nothing is claimed: what nobody can read would still be in everybody's way.
{ echo "$$ $start $boot" > pid.$$ && ln pid.$$ pid; } 2> /dev/null || { rm -f pid.$$; exit 125; }
rm -f pid.$$
for limit in $limits; do ulimit -${limit%%=*} ${limit#*=} 2> /dev/null; done
"""

#: It outlives the poller, and knows the exit code.  The output is appended to: what a tool writes into the same file is
#: not what stands there last.
_KEEPER = f"""{CLAIM}
trap : HUP INT TERM
{{ cd -- "$cwd" && "$@"; }} < "$directory/prompt.md" >> "$directory/out.jsonl" 2>> "$directory/err.log"
echo $? > "$directory/exit.part" && mv -f "$directory/exit.part" "$directory/exit"
"""

_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_BETWEEN = 0.5
_KILL_PATIENCE = 10.0
_CLAIM_PATIENCE = 5.0

#: Who started what and has not taken its exit status yet: our pid (a fork of us has our memory, not our children), and
#: the child's.  One who looks at a launch need not be the `Keeper` that started it.
_children: set[tuple[int, int]] = set()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A command of this machine, with all that it is started with."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path
    #: Words such as `c=0 f=16777216`, as the shell's `ulimit` takes them.
    limits: str = ""


class Keeper:
    """Starts commands, and knows them again: also those that another process of ours started."""

    def start(self, launch: Launch, call: Call) -> None:
        _reap()
        argv = under(_KEEPER, launch, call)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            child = os.posix_spawn(
                argv[0],
                argv,
                {**call.environ, **marks_of(launch)},
                file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)],
                setsid=True,  # a session of its own: a signal to our group, or our end, does not reach it
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
            )
        except OSError as error:
            raise EngineError(f"/bin/sh could not be started: {error.strerror}") from None
        finally:
            os.close(null)
        _children.add((os.getpid(), child))
        self._until_claimed(launch, child)

    def look(self, launch: Launch) -> Sight:
        is_claimed = _is_claimed(launch)  # first: one that begins while we look was not cut off
        keeper = _keeper(launch)
        running = keeper is not None and _runs(keeper, launch)
        _reap()
        # The exit code after the process: it writes the one and then ends the other.
        code = runs.exit_code(launch)
        if code is not None:
            return Sight(state="ended", exit=code)
        # An agent could have taken the claim away, or closed the directory: then what was started says that it runs.
        if running or (keeper is None and _left(launch)):
            return Sight(state="running")
        return Sight(state="cut off" if is_claimed else "not started")

    def wait(self, launch: Launch, seconds: float) -> None:
        keeper = _keeper(launch)
        if keeper is None:
            time.sleep(min(seconds, 0.05))
        elif runs.exit_code(launch) is None:
            processes.wait_for(keeper.pid, seconds)

    def forbid(self, launch: Launch) -> bool:
        launch.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return state.write_first(launch.directory / "pid", "0 0 forbidden\n")

    def stop(self, launch: Launch, *, grace: float) -> None:
        for number in _STEPS:
            if not self.is_left(launch):
                return
            self._signal(launch, number)
            self.wait_for_end(launch, grace if number != signal.SIGKILL else _KILL_PATIENCE)

    def is_left(self, launch: Launch) -> bool:
        """Whether anything of it runs."""
        return self._running(launch) is not None or bool(_left(launch))

    def wait_for_end(self, launch: Launch, seconds: float) -> None:
        """Until nothing of it runs, or for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.is_left(launch):
            self.wait(launch, _BETWEEN) if self._running(launch) else time.sleep(0.02)

    def sweep(self, launch: Launch) -> None:
        deadline = time.monotonic() + _KILL_PATIENCE
        while time.monotonic() < deadline and (left := _left(launch)):
            processes.send(left, signal.SIGKILL)
            time.sleep(0.02)
        leavings.open_again(launch)

    def _until_claimed(self, launch: Launch, child: int) -> None:
        """Else whoever looks right now would find it not started, and forbid it."""
        deadline = time.monotonic() + _CLAIM_PATIENCE
        while not _is_claimed(launch) and processes.start_of(child) and time.monotonic() < deadline:
            time.sleep(0.001)

    def _signal(self, launch: Launch, number: signal.Signals) -> None:
        keeper = self._running(launch)
        if keeper is not None and number != signal.SIGKILL:
            # The group: the keeper only notes it, and lives to write down how the command took it.
            with contextlib.suppress(OSError):
                os.killpg(keeper.pid, number)
            return
        # Its children by name first: without their parent nobody could tell whose they are.
        below = processes.descendants(keeper.pid) if keeper is not None else []
        processes.send({*_left(launch), *below}, number)
        if keeper is not None:
            with contextlib.suppress(OSError):
                os.killpg(keeper.pid, number)

    def _running(self, launch: Launch) -> processes.Process | None:
        keeper = _keeper(launch)
        return keeper if keeper is not None and self.look(launch).state == "running" else None


def under(script: str, launch: Launch, call: Call) -> list[str]:
    """The words that run a call under one of the scripts above."""
    return ["/bin/sh", "-c", script, "bottle", str(launch.directory.absolute()), str(call.cwd.absolute()), call.limits,
            *call.argv]  # fmt: skip


def mark_of(launch: Launch) -> str:
    return f"{launch.identity}/{launch.directory.name}"


def marks_of(launch: Launch) -> dict[str, str]:
    """What everything that a launch starts has in its environment.

    Raises `OSError` when it cannot be told: by another name its own run would be a stranger's."""
    home = ""
    with files.unless_of_the_world():  # but it was removed under us
        home = home_of(launch.bottle.parent.parent)
    return {MARKER: mark_of(launch), HOME: home}


def _reap() -> None:
    """Take the exit status of children of ours that have ended: else each stays a zombie for as long as we run.

    One is taken out of the set while it is asked for: a second thread would ask for a number that is free again."""
    for child in tuple(_children):
        try:
            _children.remove(child)
        except KeyError:  # another thread has it
            continue
        if child[0] == os.getpid() and not processes.reap(child[1]):
            _children.add(child)


def _left(launch: Launch) -> list[int]:
    marks = marks_of(launch)
    return [
        pid
        for pid, environ in processes.environments(MARKER)
        if environ[MARKER] == marks[MARKER] and environ.get(HOME, marks[HOME]) == marks[HOME]
    ]


def _runs(keeper: processes.Process, launch: Launch) -> bool:
    """In a copy of the state directory it is another one's: there, this launch was cut off."""
    if keeper.boot != processes.boot_id() or not processes.runs(keeper.pid, keeper.start):
        return False
    home = marks_of(launch)[HOME]
    return processes.environment(keeper.pid, HOME).get(HOME, home) == home


def _is_claimed(launch: Launch) -> bool:
    """Whether anything is there for a claim; of a directory that was closed to us nobody can say that it is not."""
    try:
        (launch.directory / "pid").lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _keeper(launch: Launch) -> processes.Process | None:
    """Who claimed the directory."""
    try:
        pid, start, boot = files.tail(launch.directory / "pid", 200).decode().rstrip("\n").split(" ")
        return processes.Process("", boot, "", int(pid), start)
    except ValueError:
        return None
