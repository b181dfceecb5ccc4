"""A container at a person's terminal: what is typed goes in, what it shows comes out, and it has the window's size.

Knows the engine's stream.  Must not know what is said in it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sessions import state, terminal
from sessions.bottles import engine
from sessions.bottles.box import name_of
from sessions.bottles.docker import DockerBottle
from sessions.bottles.protocol import EngineError
from sessions.turns import Launch

if TYPE_CHECKING:
    import docker

_GRACE = 5.0
#: Keys that the engine would take for "leave me": some that nobody has.
_NO_DETACHING = "ctrl-@,ctrl-_,ctrl-@,ctrl-_"
#: Seconds that an engine may take to say that a container has ended whose stream has.
_SAY_SO = 20.0


def attend_container(launch: Launch, *, environ: Mapping[str, str]) -> int:
    """Start it, attached, and wait for its end; its exit code.  Main thread only.  Raises `EngineError`."""
    bottle = DockerBottle(environ=environ)
    bottle.start(launch)
    try:
        with engine.connected(environ) as client, _stream(client, launch) as stream, _woken() as wake:
            _fit(client, launch)
            # It has waited for this: nothing that it shows is lost, and it never saw another size.
            state.write(launch.directory / "go", "")
            with terminal.kept(raw=True):
                _carry(client, launch, bottle, stream, wake)
    except BaseException:
        _end(bottle, launch)
        raise
    if _is_left(bottle, launch):
        raise EngineError(f"the engine lost sight of the terminal of {launch.identity}; the agent was ended")
    return bottle.look(launch).exit or 0


def _carry(
    client: docker.DockerClient, launch: Launch, bottle: DockerBottle, stream: socket.socket, wake: socket.socket
) -> None:
    """Both ways, until the container closes its end."""
    ends: list[socket.socket | int] = [stream, wake, 0]
    ending = False
    while True:
        ready, _, _ = select.select(ends, [], [])
        if wake in ready:
            told = set(wake.recv(4096))
            if signal.SIGWINCH in told:
                _fit(client, launch)
            if told & set(terminal.ENDING) and not ending:
                ending = True
                threading.Thread(target=_end, args=(bottle, launch), daemon=True).start()
        if stream in ready:
            shown = stream.recv(65536)
            if not shown:
                return
            _show(shown)
        if 0 in ready:
            typed = _typed()
            if typed:
                stream.sendall(typed)
            else:  # the terminal has gone
                ends.remove(0)
                os.kill(os.getpid(), signal.SIGHUP)


def _show(shown: bytes) -> None:
    with contextlib.suppress(OSError):  # a terminal that has gone is noticed where its keys are read
        while shown:
            shown = shown[os.write(1, shown) :]


def _typed() -> bytes:
    try:
        return os.read(0, 65536)
    except OSError:
        return b""


def _fit(client: docker.DockerClient, launch: Launch) -> None:
    import docker.errors

    lines, columns = terminal.size()
    with contextlib.suppress(docker.errors.APIError, OSError):  # it has just ended
        client.api.resize(name_of(launch), height=lines, width=columns)


def _end(bottle: DockerBottle, launch: Launch) -> None:
    with contextlib.suppress(EngineError):  # whoever looks next meets it again
        bottle.stop(launch, grace=_GRACE)


def _is_left(bottle: DockerBottle, launch: Launch) -> bool:
    """Whether it ran on without a terminal; it does not any more."""
    deadline = time.monotonic() + _SAY_SO
    while bottle.look(launch).state == "running":
        if time.monotonic() > deadline:
            bottle.stop(launch, grace=_GRACE)
            return True
        bottle.wait(launch, 0.2)
    return False


@contextlib.contextmanager
def _stream(client: docker.DockerClient, launch: Launch) -> Iterator[socket.socket]:
    wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "detachKeys": _NO_DETACHING}
    opened: Any = client.api.attach_socket(name_of(launch), params=wanted)
    stream: socket.socket = getattr(opened, "_sock", opened)
    stream.settimeout(None)
    try:
        yield stream
    finally:
        # In this order: the answer's own buffer would be flushed into a socket that is closed.
        if response := getattr(opened, "_response", None):
            response.close()
        opened.close()


@contextlib.contextmanager
def _woken() -> Iterator[socket.socket]:
    """A socket from which the numbers of signals can be read that would end us otherwise, or tell of a new size."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    numbers = (signal.SIGWINCH, *terminal.ENDING)
    try:
        with terminal.signals({number: lambda: None for number in numbers}):
            yield ours
    finally:
        signal.set_wakeup_fd(before)
        ours.close()
        theirs.close()
