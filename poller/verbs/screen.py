"""What a person sees: an event as a line, and progress where it takes long (only at a terminal)."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from poller.deltas.events import Event
from sessions.logs import escaped
from sessions.turns import Progress

#: Seconds of silence that nobody minds.
PATIENCE = 0.5
WORDS = 72


def event_line(event: Event) -> str:
    """`2026-11-21T07:08:11Z acme/api#7 pull_request_comment created by ana: @bot why?`"""
    who = f" by {event.actor.login}" if event.actor is not None else ""
    number = f"#{event.number}" if event.number is not None else ""
    what = _gist(event)
    return escaped(f"{event.at} {event.repo}{number} {event.event} {event.action}{who}{f': {what}' if what else ''}")


def _gist(event: Event) -> str:
    subject = event.subject
    if isinstance(subject.after, str):
        before = (subject.before or "")[:8] if isinstance(subject.before, str) else ""
        return f"{before}..{subject.after[:8]}{' forced' if subject.forced is True else ''}"
    if isinstance(subject.body, str) and subject.body:
        return _cut(subject.body)
    if isinstance(subject.added, list) and isinstance(subject.removed, list):
        return " ".join([*(f"+{name}" for name in subject.added), *(f"-{name}" for name in subject.removed)])
    if event.changes:
        return ", ".join(f"{name} was {_cut(str(change.from_))!r}" for name, change in event.changes.items())
    if event.event == "pull_request" and event.pull is not None:
        return f"{'merged, ' if event.action == 'closed' and event.pull.merged else ''}{_cut(event.pull.title)}"
    return ""


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WORDS else line[: WORDS - 1] + "…"


class Screen:
    """One changing line on stderr while something takes long; nothing at all where stderr is no terminal."""

    def __init__(self) -> None:
        self._status: Any = None
        self._live = sys.stderr.isatty()
        self._since = time.monotonic()
        self._turns: dict[int, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def reading(self, done: int, total: int) -> None:
        """The forge is being read: `done` of `total` rows or pulls."""
        if done >= total:
            self._clear()
        elif time.monotonic() - self._since > PATIENCE:
            self._show(f"reading pulls: {done} of {total}")

    def turn(self, progress: Progress) -> None:
        """A turn started, goes on, or ended."""
        with self._lock:
            number = progress.turn.id
            if progress.what == "ended":
                self._turns.pop(number, None)
            else:
                seconds = int(progress.elapsed)
                self._turns[number] = f"{progress.turn.agent} on {progress.turn.key} {seconds // 60}:{seconds % 60:02d}"
            if self._turns:
                self._show("; ".join(self._turns.values()))
            else:
                self._clear()

    def _clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _show(self, text: str) -> None:
        if not self._live:
            return
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(escaped(text).replace("[", r"\["))
