"""What a service manager is told: ready, how it goes, stopping, still alive.

Speaks the protocol of NOTIFY_SOCKET (systemd's, and others') itself: lines in a datagram.  Without such a socket
nothing is said, and a manager that does not listen stops nobody.  Must not know what the words are about.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from sessions.logs import escaped, redacted


class Notify:
    """`every`: seconds between two signs of life that the manager asks for, `None` when it does not."""

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        self._place = environ.get("NOTIFY_SOCKET", "")
        self.every = _asked(environ, os.getpid() if pid is None else pid) if self._place else None

    def ready(self) -> None:
        self._say("READY=1")

    def reloaded(self) -> None:
        """Another config counts from now on.  By the moment a manager that has asked for it knows the answer."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self.ready()

    def alive(self) -> None:
        if self.every is not None:
            self._say("WATCHDOG=1")

    def status(self, words: str) -> None:
        """One line of how it goes."""
        self._say(f"STATUS={escaped(redacted(words))[:400]}")

    def stopping(self, words: str) -> None:
        self._say("STOPPING=1")
        self.status(words)

    def patience(self, seconds: float) -> None:
        """Starting or stopping takes longer: not to be ended for so long from now on."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _say(self, line: str) -> None:
        if not self._place.startswith(("/", "@")):
            return
        # A name in the abstract space is written with an @ where the kernel wants a zero byte.
        address = "\0" + self._place[1:] if self._place.startswith("@") else self._place
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto(line.encode(), address)


def _asked(environ: Mapping[str, str], pid: int) -> float | None:
    """Twice as often as it must be, as is the custom; only if it is this process that is watched."""
    usec, watched = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or watched not in ("", str(pid)):
        return None
    return int(usec) / 2_000_000
