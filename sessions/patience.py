"""What may take long, done by threads while its holder shows that he lives.

Knows threads.  Must not know what is done, or what a beat is.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable


def while_beating(*works: Callable[[], None], every: float, beat: Callable[[], object]) -> None:
    """Do them, side by side; `beat` every so many seconds until all are done.

    What any of them raises is raised, of several the first one's."""
    raised: list[BaseException | None] = [None for _ in works]

    def run(nth: int, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised again by the one who waits
            raised[nth] = error

    # In our context: their log lines name the same turn.
    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(run, nth, work), daemon=True)
        for nth, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    due = time.monotonic() + every
    for thread in threads:
        while thread.is_alive():
            thread.join(max(0.0, due - time.monotonic()))
            if thread.is_alive():
                beat()
                due = time.monotonic() + every
    for error in raised:
        if error is not None:
            raise error
