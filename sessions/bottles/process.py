"""The bottle that is a process: `claude` as a detached child of nobody, its output and exit code in files.

The child claims its directory itself (`pid`, made by a hard link: whole or not at all, and by one only), so that a
poller that comes later can decide without a race.  Knows processes and the claude binary's place; must not know SQL,
prompts or what the output means.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from sessions import processes, state
from sessions.bottles.protocol import EngineError, Sight
from sessions.transcript import PROJECT
from sessions.turns import Launch

#: In the environment of everything a turn starts.  Claude's tools run in process groups of their own: this finds them.
MARKER = "BOTTLEPOST_TURN"

#: $1 the turn's directory, $2 the cwd, then the command.  It outlives the poller, and knows the exit code.
_KEEPER = """
umask 077
twentieth() { shift 19; echo "$1"; }
cd -- "$1" || exit 126
directory=$PWD; cwd=$2; shift 2
start=; boot=
if [ -r /proc/$$/stat ]; then
    read -r stat < /proc/$$/stat
    after_name=${stat##*)}
    start=$(twentieth $after_name)
    read -r boot < /proc/sys/kernel/random/boot_id
fi
echo "$$ $start $boot" > pid.$$
ln pid.$$ pid 2> /dev/null || { rm -f pid.$$; exit 125; }
rm -f pid.$$
trap : HUP INT TERM
{ cd -- "$cwd" && "$@"; } < "$directory/prompt.md" > "$directory/out.jsonl" 2> "$directory/err.log"
echo $? > "$directory/exit.part" && mv -f "$directory/exit.part" "$directory/exit"
"""

_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_BETWEEN = 0.5


def find_claude(path: str | None) -> str | None:
    """The `claude` to run: the first on `path`, else the one inside the claude-agent-sdk wheel."""
    found = shutil.which("claude", path=path)
    if found:
        return str(Path(found).absolute())
    # Without importing the package: that takes half a second, and all we want is its place.
    spec = importlib.util.find_spec("claude_agent_sdk")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        bundled = Path(place, "_bundled", "claude")
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return None


class ProcessBottle:
    """Runs on this machine, as this user.  `environ` is the runner's own: PATH, LANG and TMPDIR come from it."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._children: set[int] = set()

    def check(self) -> None:
        self._claude()

    def start(self, launch: Launch) -> None:
        claude = self._claude()
        cwd = state.work(launch.bottle, launch.cwd).absolute()
        keeper = ["/bin/sh", "-c", _KEEPER, "bottle", str(launch.directory.absolute()), str(cwd), claude, *launch.argv]
        null = os.open(os.devnull, os.O_RDWR)
        try:
            child = os.posix_spawn(
                keeper[0],
                keeper,
                self._environment(launch),
                file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)],
                setsid=True,  # a session of its own: a signal to our group, or our end, does not reach it
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
            )
        except OSError as error:
            raise EngineError(f"/bin/sh could not be started: {error.strerror}") from None
        else:
            self._children.add(child)
        finally:
            os.close(null)

    def look(self, launch: Launch) -> Sight:
        keeper = _keeper(launch)
        running = keeper is not None and keeper.boot == processes.boot_id() and processes.runs(keeper.pid, keeper.start)
        if keeper is not None and not running and keeper.pid in self._children:
            self._children.discard(keeper.pid)
            processes.reap(keeper.pid)
        # The exit code after the process: it writes the one and then ends the other.
        code = _exit_code(launch)
        if code is not None:
            return Sight(state="ended", exit=code)
        if keeper is None:
            return Sight(state="not started")
        return Sight(state="running" if running else "cut off")

    def wait(self, launch: Launch, seconds: float) -> None:
        keeper = _keeper(launch)
        if keeper is None:
            time.sleep(min(seconds, 0.01))
        elif _exit_code(launch) is None:
            processes.wait_for(keeper.pid, seconds)

    def forbid(self, launch: Launch) -> bool:
        launch.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = launch.directory / f"pid.{os.getpid()}"
        mine.write_text("0 0 forbidden\n")
        try:
            os.link(mine, launch.directory / "pid")
        except FileExistsError:
            return False
        finally:
            mine.unlink()
        return True

    def stop(self, launch: Launch, *, grace: float) -> None:
        for number in _STEPS:
            if self._running(launch) is None and not list(self._left(launch)):
                return
            self._signal(launch, number)
            deadline = time.monotonic() + (grace if number != signal.SIGKILL else 10.0)
            while time.monotonic() < deadline and (self._running(launch) or any(self._left(launch))):
                self.wait(launch, _BETWEEN) if self._running(launch) else time.sleep(0.02)

    def sweep(self, launch: Launch) -> None:
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline and (left := list(self._left(launch))):
            processes.send(left, signal.SIGKILL)
            time.sleep(0.02)

    def _claude(self) -> str:
        found = find_claude(self._environ.get("PATH"))
        if found is None:
            raise EngineError(
                "claude was not found: put it on PATH, or install the wheel that has it: "
                "pip install '.[claude]' in bottlepost's checkout"
            )
        return found

    def _signal(self, launch: Launch, number: signal.Signals) -> None:
        keeper = self._running(launch)
        if keeper is not None and number != signal.SIGKILL:
            # The group: the keeper only notes it, and lives to write down how claude took it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, number)
            return
        processes.send(list(self._left(launch)), number)
        if keeper is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, number)

    def _running(self, launch: Launch) -> processes.Process | None:
        keeper = _keeper(launch)
        return keeper if keeper is not None and self.look(launch).state == "running" else None

    def _left(self, launch: Launch) -> Iterator[int]:
        return processes.marked(MARKER, _mark(launch))

    def _environment(self, launch: Launch) -> dict[str, str]:
        """Nothing of ours but what is named here: the forge's token, above all, is not."""
        home = launch.bottle.absolute()
        environment = {
            "PATH": self._environ.get("PATH") or os.defpath,
            "HOME": str(home / "transcript"),
            "LANG": self._environ.get("LANG") or "C.UTF-8",
            "TMPDIR": self._environ.get("TMPDIR") or "/tmp",  # noqa: S108
            "CLAUDE_CONFIG_DIR": str(state.config_dir(home)),
            "CLAUDE_CODE_PROJECT_DIR_NAME": PROJECT,
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            # Left alone it tries eleven times, for three minutes; waiting is the scheduler's business.
            "CLAUDE_CODE_MAX_RETRIES": "1",
            MARKER: _mark(launch),
        }
        if os.geteuid() == 0:  # as root it refuses to skip permissions outside of what says it is a sandbox
            environment["IS_SANDBOX"] = "1"
        return environment | dict(launch.env)


def _mark(launch: Launch) -> str:
    return f"{launch.identity}/{launch.directory.name}"


def _keeper(launch: Launch) -> processes.Process | None:
    """Who claimed the directory."""
    try:
        pid, start, boot = (launch.directory / "pid").read_text().rstrip("\n").split(" ")
        return processes.Process("", boot, "", int(pid), start)
    except (OSError, ValueError):
        return None


def _exit_code(launch: Launch) -> int | None:
    try:
        return int((launch.directory / "exit").read_text())
    except (OSError, ValueError):
        return None
