"""Stable names of events: the same happening has the same id in whatever slices it is read.

Knows what identifies each kind (a row's id where the forge gives one, else what changed).  Must not know how
changes are found.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta


def fingerprint(text: str) -> str:
    """Eight hex digits of a text: tells two versions of a body apart, hides nothing."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def in_pull(forge: str, repo_id: int, number: int, *rest: object) -> str:
    """`<forge>/<repository id>/<number>/…`: ids, not names, so that a rename changes no id."""
    return "/".join((forge, str(repo_id), str(number), *(str(part) for part in rest)))


def of_repository(forge: str, repo_id: int, *rest: object) -> str:
    """`<forge>/<repository id>/repository/…`."""
    return "/".join((forge, str(repo_id), "repository", *(str(part) for part in rest)))


def of_comment_edit(comment_id: int, body: str, updated_at: str) -> tuple[object, ...]:
    """An edit back to an earlier text is another edit: the stamp tells them apart."""
    return ("comment", comment_id, "edited", f"{fingerprint(body)}@{updated_at}")


def parse(stamp: str) -> datetime:
    """A stamp of the wire as an aware datetime."""
    return datetime.fromisoformat(stamp)


def shifted(stamp: str, *, seconds: float) -> str:
    """A stamp moved by whole seconds, again as `…Z`."""
    return (parse(stamp) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(earlier: str, later: str) -> float:
    """How long from one stamp to the other; negative when the order is wrong."""
    return (parse(later) - parse(earlier)).total_seconds()
