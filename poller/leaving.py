"""Told to go: once in order and within seconds, twice at once.

Knows signals.  They are noted by a thread of its own, because Python calls its handlers only between two steps of the
main thread, and that may be waiting for a database or a name server.  Must not know what there is to be put in order:
whatever a process leaves half done when it is ended like this, the next one finds in the database.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

log = logging.getLogger(__name__)

#: Seconds from the first signal to the end, whatever hangs.
WITHIN = 4.2
#: Seconds for the last words, if nobody takes them.
_WORDS = 0.7
_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Leaving:
    """A context manager, in the main thread.  `stop` is set by the first signal; the second ends the process (130).

    `codes`: the exit code for each signal.  `patient`: after the first signal there is no hurry until `hurry` is
    called.  `interrupt`: while it is set, the first signal raises KeyboardInterrupt in the main thread."""

    def __init__(
        self, codes: dict[signal.Signals, int], *, patient: bool = False, interrupt: bool = False, last_words: str = ""
    ) -> None:
        self.stop = threading.Event()
        self.code = 0
        self.interrupt = interrupt
        self._codes, self._patient, self._last_words = codes, patient, last_words
        self._over = threading.Event()
        self._deadline: float | None = None
        self._ours, self._theirs = socket.socketpair()
        self._before: dict[signal.Signals, object] = {}
        self._listener = threading.Thread(target=self._listen, name="signals", daemon=True)

    def __enter__(self) -> Leaving:
        self._theirs.setblocking(False)
        self._ours.settimeout(0.1)
        self._listener.start()
        self._former = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        for number in _NUMBERS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._former)
        self._over.set()
        self._listener.join()
        for end in (self._ours, self._theirs):
            end.close()

    def hurry(self) -> None:
        """What was waited for is over: now the end is to come within seconds."""
        self._deadline = self._deadline or time.monotonic() + WITHIN

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._told(signal.Signals(number))
        if self.interrupt:
            self.interrupt = False
            self.hurry()
            raise KeyboardInterrupt

    def _told(self, number: signal.Signals) -> None:
        """By either thread, whichever comes first."""
        if not self.stop.is_set():
            self.code = self._codes[number]
            if not self._patient:
                self.hurry()
            self.stop.set()

    def _listen(self) -> None:
        heard = 0
        while not self._over.is_set():
            try:
                numbers = self._ours.recv(64)
            except TimeoutError:
                numbers = b""
            for number in numbers:
                if number in _NUMBERS:
                    heard += 1
                    self._told(signal.Signals(number))
            if heard > 1:
                os._exit(130)  # asked twice: bottles are detached, and the database is never half written
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._end()

    def _end(self) -> None:
        """Something hangs.  Nothing is half written, and the leases of a dead process are free at once."""
        words = threading.Thread(target=self._say, daemon=True)
        words.start()
        words.join(_WORDS)
        os._exit(self.code)

    def _say(self) -> None:
        log.warning("stopped in the middle of something that hangs; the next start goes on where it ended")
        if self._last_words:
            sys.stderr.write(f"{self._last_words}\n")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
