"""Something that may take long, done by a thread while its holder shows that he lives.

Knows threads.  Must not know what is done, or what a beat is.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable


def while_beating(work: Callable[[], None], *, every: float, beat: Callable[[], object]) -> None:
    """Do it; `beat` every so many seconds until it is done.  What either of them raises is raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # raised again by the one who waits
            raised.append(error)

    # In our context: its log lines name the same turn.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(every)
        if thread.is_alive():
            beat()
    if raised:
        raise raised[0]
