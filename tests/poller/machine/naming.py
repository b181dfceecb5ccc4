"""Happenings and events: what they are called, and what tells one from others of its kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from poller.deltas.events import Event
from poller.deltas.ids import seconds_between

Hook = dict[str, Any]
#: Kinds of which each happening writes a row that stays.
ROWS = frozenset({
    "pull_request", "pull_request_assign", "pull_request_milestone", "pull_request_review_request",
    "pull_request_review_approved", "pull_request_review_rejected", "pull_request_review_comment",
})  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """An event and the poll that told it."""

    event: Event
    poll: int


def said(one: Told) -> str:
    return f"{one.event.event} {one.event.action} ({one.event.id.partition('/')[2]}, told by poll {one.poll})"


def happening(hook: Hook) -> str:
    about = {**hook["about"], **({"comment": hook["comment"]["id"]} if "comment" in hook else {})}
    return f"[{hook['nth']}] {hook['event_type']} {hook['action']} at {hook['at']} {about}"


def kind_of(hook: Hook) -> tuple[str, str]:
    return hook["event_type"], hook["action"]


def of(name: str) -> Callable[[Told], bool]:
    return lambda one: one.event.event == name


def hook_of(name: str) -> Callable[[Hook], bool]:
    return lambda hook: hook["event_type"] == name


def taken(some: list[Any], wanted: Callable[[Any], bool]) -> list[Any]:
    """Those that are wanted, taken out of the list."""
    mine = [one for one in some if wanted(one)]
    some[:] = [one for one in some if not wanted(one)]
    return mine


def is_label(one: Told) -> bool:
    return one.event.event == "pull_request_label"


def is_label_hook(hook: Hook) -> bool:
    return bool(hook["event_type"] == "pull_request_label")


def is_body(one: Told) -> bool:
    return one.event.event == "pull_request" and "body" in one.event.changes


def is_body_hook(hook: Hook) -> bool:
    return "body" in hook.get("changes", {}) and hook["event_type"] == "pull_request"


def is_row_hook(hook: Hook) -> bool:
    if hook["event_type"] == "pull_request_assign":
        return "row" in hook["about"]
    if hook["event_type"] == "pull_request":
        return hook["action"] != "deleted" and not is_body_hook(hook)
    return hook["event_type"] in ROWS or kind_of(hook) in (
        ("pull_request_comment", "created"), ("pull_request_review_dismissal", "dismissed"),
    )  # fmt: skip


def key_of_hook(hook: Hook) -> Hashable:
    """What tells it from others of its kind."""
    about, names = hook["about"], kind_of(hook)
    if names == ("pull_request", "edited"):
        return (
            (*names, "ref", about["from"])
            if "ref" in hook["changes"]
            else (*names, "title", hook["changes"]["title"]["from"])
        )
    for field in ("assignee", "reviewer", "review"):
        if field in about and hook["event_type"] != "pull_request_comment":
            return (*names, about[field])
    return (*names, about["row"]) if names == ("pull_request_comment", "created") else names


def key_of_event(event: Event) -> Hashable:
    subject, names = event.subject, (event.event, event.action)
    if names == ("pull_request", "edited"):
        field = "ref" if "ref" in event.changes else "title"
        return (*names, field, event.changes[field].from_)
    for one in (subject.assignee, subject.reviewer):
        if not isinstance(one, msgspec.UnsetType):
            return (*names, one.id if one is not None else None)
    if event.event == "pull_request_comment":
        return (*names, subject.comment_id)
    return names if isinstance(subject.review_id, msgspec.UnsetType) else (*names, subject.review_id)


def labels_of(event: Event) -> Iterator[tuple[str, str]]:
    yield from (("+", name) for name in event.subject.added or ())
    yield from (("-", name) for name in event.subject.removed or ())


def covers(event: Event, who: int, sign: str, name: str, hook: Hook, rows: list[Any]) -> bool:
    """Does the event speak of this label, by this person, from the beginning of the same run of rows?"""
    if event.actor is None or event.actor.id != who or (sign, name) not in set(labels_of(event)):
        return False
    stamps = sorted({one[4]["at"] for one in rows if one[1] == who and event.at <= one[4]["at"] <= hook["at"]})
    return bool(stamps) and stamps[0] == event.at and all(
        seconds_between(earlier, later) <= 1 for earlier, later in itertools.pairwise(stamps)
    )  # fmt: skip


def epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
