"""Names that nobody has, and waiting for what comes by itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: A real server's queues take up to this long (seconds) to write the row of a push, or to deliver a webhook.
PATIENCE = 15.0


def fresh(word: str) -> str:
    """A name that nobody has."""
    return f"{word}-{secrets.token_hex(4)}"


def eventually(look: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """What `look` finds, as soon as it finds anything."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"still nothing after {patience:.0f} s"
        time.sleep(0.05)
    return found
