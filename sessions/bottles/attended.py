"""A launch at a person's terminal: the same bottle, but the agent speaks with whoever sits there.

It is found by whoever looks at the launch as every other one is (its claim, its marker, its container), so that a turn
that asks meets a run, and what a killed caller left is ended and recorded.  Knows terminals, processes and containers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sessions import processes, terminal
from sessions.bottles import leavings
from sessions.bottles.command import CommandBottle
from sessions.bottles.keeper import CLAIM, Call, marks_of, under
from sessions.bottles.process import ProcessBottle
from sessions.bottles.protocol import EngineError
from sessions.turns import Launch

if TYPE_CHECKING:
    from sessions.config import Agent

#: It stays in the terminal's foreground, under the number that claimed the directory.
_ATTENDED = f"""{CLAIM}
cd -- "$cwd" && exec "$@"
exit 126
"""
_JOB = (signal.SIGINT, signal.SIGQUIT)
_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def attend(backend: str, launch: Launch, *, environ: Mapping[str, str]) -> int:
    """Run it in the foreground to its end; its exit code.  Main thread only.  Raises `EngineError`."""
    if backend == "docker":
        from sessions.bottles.attached import attend_container

        return attend_container(launch, environ=environ)
    return _attend_process(_call(backend, launch, environ=environ), launch)


def to_run(
    launch: Launch, backend: str, agent: Agent, *, environ: Mapping[str, str]
) -> tuple[tuple[str, ...], str | None, str]:
    """The words of the call, the image if it is a container's, and why it cannot be started now ("" = it can)."""
    words = ("claude", *launch.argv)
    if backend != "docker":
        try:
            return _call(backend, launch, environ=environ).argv, None, ""
        except EngineError as error:
            return words, None, str(error)
    from sessions.bottles import engine, images

    own = images.own_tag(launch.identity) if images.dockerfile(launch.bottle) is not None else ""
    try:
        with engine.connected(environ) as client:
            try:
                return words, images.to_boot(client, launch.bottle, agent.image), ""
            except EngineError:
                if not own:
                    raise
                return words, own, ""  # the launch builds it
    except EngineError as error:
        return words, own or agent.image, str(error)


def _call(backend: str, launch: Launch, *, environ: Mapping[str, str]) -> Call:
    if backend == "process":
        return ProcessBottle(environ=environ).call(launch)
    if backend == "command":
        return CommandBottle(environ=environ).call(launch)
    raise EngineError(f"backend {backend!r} is not known to this version; it has docker, process, command")


def _attend_process(call: Call, launch: Launch) -> int:
    argv = under(_ATTENDED, launch, call)
    environ = {**call.environ, **marks_of(launch), "TERM": launch.terminal}
    with terminal.kept():
        try:
            # In our group: the keys that send signals, and a new window size, reach it by themselves.
            child = os.posix_spawn(
                argv[0], argv, environ, setsigmask=(), setsigdef=(*_JOB, *_STOPS, *terminal.ENDING, signal.SIGPIPE)
            )
        except OSError as error:
            raise EngineError(f"/bin/sh could not be started: {error.strerror}") from None
        code = _until_ended(child)
    leavings.note_exit(launch, code)
    return code


def _until_ended(child: int) -> int:
    def end() -> None:
        processes.send([child], signal.SIGTERM)
        processes.send([child], signal.SIGCONT)

    # Ctrl-C is the agent's: the terminal sends it to both of us.
    handlers = dict.fromkeys(terminal.ENDING, end) | dict.fromkeys(_JOB, _nothing)
    with terminal.signals(handlers):
        while True:
            _, status = os.waitpid(child, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                break
            _stop_along(child)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _stop_along(child: int) -> None:
    """It was sent to the background (Ctrl-Z): so are we, that the shell sees it; it comes back with us."""
    time.sleep(0.05)  # where the terminal had stopped both, both may be running again by now
    if processes.is_stopped(child):
        os.kill(os.getpid(), signal.SIGSTOP)
        processes.send([child], signal.SIGCONT)


def _nothing() -> None:
    """Heard, and left to the agent."""
