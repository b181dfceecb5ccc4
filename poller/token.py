"""The forge's token, which somebody may replace while we run.

Knows the file it came from, and that the log must hide whatever is read there.  Must not know who sends it where.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from poller.scalars import Secret
from sessions.logs import hide

log = logging.getLogger(__name__)


class Token(Secret):
    """The token as it is now.  With a `file` it can change; one from a variable, or in the config, stays as it is."""

    __slots__ = ("_file", "_lock")

    def __init__(self, text: str, *, file: Path | None = None) -> None:
        super().__init__(text)
        self._file, self._lock = file, threading.Lock()

    def renewed(self, refused: str) -> str | None:
        """Another token than the one that was refused, if there is one by now: the file is read again.

        Several threads may have been refused at once: the first one reads, the others get what it found.
        """
        with self._lock:
            if self._text != refused:
                return self._text
            if self._file is None:
                return None
            try:
                found = token_in(self._file).reveal()
            except ValueError as trouble:
                log.warning("token file cannot be read again: it %s", trouble)
                return None
            if found == refused:
                return None
            hide(found)
            self._text = found
        log.info("the token file holds another token: going on with that")
        return found


def token_in(file: Path) -> Secret:
    """The token that is all a file holds.  Raises `ValueError` with what is wrong with it, in a few words."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read ({getattr(error, 'strerror', None) or 'not text'})") from None
    try:
        return Secret.parse(text)
    except ValueError:
        raise ValueError("is empty" if not text else "holds more than one word") from None
