"""Log lines on stderr: `key=value` for people, JSON for programs.

Knows how a line looks, whom it is about (pull, turn, bottle), and which secrets must not be in it.
Must not know what is logged.  Use: `log.info("turn started", extra=fields(mode="fresh"))` inside `with bound(pull=…):`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal, TextIO

__all__ = ["bound", "escaped", "fields", "hide", "redacted", "set_up"]

LogFormat = Literal["text", "json"]

_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default=MappingProxyType({}))
_secrets: set[str] = set()

#: C0, DEL, C1, line and paragraph separators, and the marks that turn the direction of text: with any of them
#: a comment could forge a line, move a terminal's cursor, or show something else than what is there.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_PLAIN = re.compile(r"[^\s\"=\\]+")
#: Shorter texts are no secrets, and hiding them would make lines unreadable.
_SHORTEST_SECRET = 4


@contextlib.contextmanager
def bound(**about: object) -> Iterator[None]:
    """Put `pull=…`, `turn=…`, `bottle=…` on every line logged inside, in this thread (or task) only."""
    token = _bound.set({**_bound.get(), **{name: value for name, value in about.items() if value is not None}})
    try:
        yield
    finally:
        _bound.reset(token)


def fields(**pairs: object) -> dict[str, object]:
    """The `extra=` of a log call: values that are shown as `name=value` behind the event."""
    return {"fields": pairs}


_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def hide(secret: str) -> None:
    """From now on `secret` appears in no line, whoever logs it."""
    if len(secret.strip()) >= _SHORTEST_SECRET:
        # In a URL or a form it looks different.
        _secrets.update({secret.strip(), urllib.parse.quote(secret.strip(), safe="")})


def is_secret(name: str) -> bool:
    """Whether the value of a variable of this name is never to be logged, posted or given away."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """The text without registered secrets."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    return text


def escaped(text: str) -> str:
    """The text on one line: control characters become visible escapes such as `\\n` and `\\x1b`."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def set_up(*, verbose: int = 0, log_format: LogFormat = "text", stream: TextIO | None = None) -> None:
    """Send all logging to stderr (or `stream`), once per process; a second call replaces the first.

    `verbose` 0 shows INFO and up, 1 DEBUG of ours, 2 also DEBUG of the libraries.
    """
    handler = _Lines(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if log_format == "json" else _PeopleLines())
    handler.addFilter(_add_bound)
    root = logging.getLogger()
    for old in [old for old in root.handlers if getattr(old, "is_bottlepost", False)]:
        root.removeHandler(old)
    handler.is_bottlepost = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose >= 2 else logging.WARNING)
    for ours in ("poller", "sessions"):
        logging.getLogger(ours).setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)


class _Lines(logging.StreamHandler[TextIO]):
    """At a terminal a progress line may stand where the log line is to go: it gives way."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return f"\r\x1b[K{line}" if self.stream.isatty() else line


def _add_bound(record: logging.LogRecord) -> bool:
    record.bound = _bound.get()
    return True


class _PeopleLines(logging.Formatter):
    """`2026-11-21T07:08:24Z INFO turn started pull=… turn=3 mode=fresh`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        event = escaped(record.getMessage())
        pairs = " ".join(f"{name}={_quoted(value)}" for name, value in _pairs(record).items())
        line = f"{_moment(record)} {record.levelname} {event}" + (f" {pairs}" if pairs else "")
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n  | {escaped(part)}" for part in trace.splitlines())
        return redacted(line)


class _JsonLines(logging.Formatter):
    """One JSON object per line: `time`, `level`, `event`, `logger`, then the pairs; `trace` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        built: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        built |= {f"{name}_" if name in built else name: value for name, value in _pairs(record).items()}
        if record.exc_info:
            built["trace"] = self.formatException(record.exc_info)
        line = json.dumps(_redacted_values(built), ensure_ascii=False)
        return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def _redacted_values(value: Any) -> Any:
    # Before encoding: an encoded secret would no longer look like itself.
    match value:
        case str():
            return redacted(value)
        case Mapping():
            return {redacted(str(name)): _redacted_values(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted_values(item) for item in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return redacted(str(value))


def _pairs(record: logging.LogRecord) -> dict[str, object]:
    return {**getattr(record, "bound", {}), **getattr(record, "fields", {})}


def _quoted(value: object) -> str:
    text = redacted("-" if value is None else str(value).lower() if isinstance(value, bool) else str(value))
    if _PLAIN.fullmatch(text) and not _CONTROL.search(text):
        return text
    return '"' + escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _moment(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
