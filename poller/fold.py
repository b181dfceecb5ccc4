"""What pending events come to: what was superseded before anyone was told is told once, as it ended.

Knows events.  Must not know turns, prompts, the clock or who may ask: it is given what was accepted, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from poller.deltas.events import Change, Event

T = TypeVar("T")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell an agent, and every event that it stands for."""

    #: The last of those events, with the first one's "before".
    event: Event
    #: Ids of the events, oldest first.  All `ids` of one folding together are the ids that went in, each once.
    ids: tuple[str, ...]
    #: In the end nothing had changed (a comment came and went): account for it, but tell nobody.
    void: bool = False


def folded(events: Sequence[Event]) -> list[Told]:
    """The events, in order, with superseded ones folded into the place of the first of their kind.

    Pushes become one from the first `before` to the last `after`; a comment says its last text; what was done and
    undone (labels, people, a comment, closing after opening) comes to nothing.  An event that is in twice counts once.
    """
    groups: dict[tuple[object, ...], list[Event]] = {}
    for event in {event.id: event for event in events}.values():
        groups.setdefault((event.ref, *_topic(event)), []).append(event)
    return [_told(group) for group in groups.values()]


def tellable(told: Iterable[Told]) -> list[Told]:
    """Those that are worth words."""
    return [each for each in told if not each.void]


def _topic(event: Event) -> tuple[object, ...]:
    """Events with the same topic supersede each other."""
    subject = event.subject
    match event.event:
        case "pull_request" if event.action in ("opened", "closed", "reopened"):
            return ("state",)
        case "pull_request" if event.action == "edited":
            # One event per field; a draft toggle comes with its title.
            return ("edited", "title" if "draft" in event.changes else "+".join(sorted(event.changes)))
        case "pull_request_sync" | "pull_request_label" | "pull_request_milestone":
            return (event.event,)
        case "pull_request_assign":
            return (event.event, subject.assignee.id if subject.assignee else None)
        case "pull_request_review_request":
            return (event.event, subject.reviewer.id if subject.reviewer else None, _or(subject.team, None))
        case "pull_request_comment":
            return (event.event, _or(subject.comment_id, event.id))
        case "pull_request_thread":
            return (event.event, _or(subject.comment_id, event.id))
        case "pull_request_review_dismissal" if event.action != "deleted":
            return ("dismissal", _or(subject.review_id, event.id))
        case "pull_request_review_dismissal":
            return ("review", _or(subject.review_id, event.id))
        case "pull_request_review_approved" | "pull_request_review_rejected" | "pull_request_review_comment":
            return ("review", _or(subject.review_id, event.id))
        case "repository" if event.action == "renamed":
            return ("renamed",)
        case _:
            return (event.event, event.id)


def _told(group: list[Event]) -> Told:
    first, last = group[0], group[-1]
    ids = tuple(event.id for event in group)
    fold = _FOLDS.get(_topic(first)[0], _last_one)
    event = fold(group) if len(group) > 1 else first
    return Told(event=event or last, ids=ids, void=event is None)


def _last_one(group: list[Event]) -> Event | None:
    return group[-1]


def _state(group: list[Event]) -> Event | None:
    """Opening and closing.  Closed and reopened is told: work on it may have been put away meanwhile."""
    first, last = group[0], group[-1]
    if last.action == "closed":
        return last if first.action == "closed" else None
    return _over(last, action="opened", event=first) if first.action == "opened" else last


def _pushes(group: list[Event]) -> Event | None:
    first, last = group[0].subject, group[-1].subject
    if first.before and first.before == last.after:
        return None  # pushed and taken back
    commits = [commit for event in group for commit in _or(event.subject.commits, [])]
    subject = msgspec.structs.replace(
        last,
        before=first.before,
        forced=any(_or(event.subject.forced, False) for event in group),
        commits=list(dict.fromkeys(commits)),
    )
    return msgspec.structs.replace(group[-1], subject=subject)


def _comment(group: list[Event]) -> Event | None:
    """The author of a comment stays its author, whoever had the last word in it."""
    first, last = group[0], group[-1]
    if last.action == "deleted":
        return None if first.action == "created" else last
    if first.action == "created":
        return _over(last, action="created", event=first)
    changes = first.changes or last.changes
    was = changes.get("body")
    return None if was and was.from_ == last.subject.body else msgspec.structs.replace(last, changes=changes)


def _edits(group: list[Event]) -> Event | None:
    """The first "from" of each field.  A field that is back at it has not changed."""
    last = group[-1]
    changes: dict[str, Change] = {}
    for event in group:
        changes = {**event.changes, **changes}
    now: dict[str, Any] = {"body": _or(last.subject.body, None)}
    if last.pull:
        now |= {"title": last.pull.title, "draft": last.pull.draft, "ref": last.pull.base_ref}
    left = {field: was for field, was in changes.items() if now.get(field) != was.from_}
    return msgspec.structs.replace(last, changes=left) if left else None


def _labels(group: list[Event]) -> Event | None:
    balance: dict[str, int] = {}
    for event in group:
        for name in _or(event.subject.added, []):
            balance[name] = balance.get(name, 0) + 1
        for name in _or(event.subject.removed, []):
            balance[name] = balance.get(name, 0) - 1
    added = [name for name, sum_ in balance.items() if sum_ > 0]
    removed = [name for name, sum_ in balance.items() if sum_ < 0]
    if not added and not removed:
        return None
    subject = msgspec.structs.replace(group[-1].subject, added=added, removed=removed)
    return msgspec.structs.replace(group[-1], subject=subject)


def _done_and_undone(group: list[Event]) -> Event | None:
    """Two-way acts: as it was before the first if the last one undoes it."""
    return group[-1] if group[0].action == group[-1].action else None


def _review_request(group: list[Event]) -> Event | None:
    """Asking again is asking, even if nobody had answered yet."""
    return None if group[-1].action == "review_request_removed" and group[0].action != group[-1].action else group[-1]


def _review(group: list[Event]) -> Event | None:
    return None if group[0].action == "reviewed" and group[-1].action == "deleted" else group[-1]


def _renames(group: list[Event]) -> Event | None:
    first, last = group[0].subject, group[-1].subject
    if first.from_ == last.to:
        return None
    return msgspec.structs.replace(group[-1], subject=msgspec.structs.replace(last, from_=first.from_))


_FOLDS: dict[object, Callable[[list[Event]], Event | None]] = {
    "state": _state,
    "edited": _edits,
    "review": _review,
    "dismissal": _done_and_undone,
    "renamed": _renames,
    "pull_request_sync": _pushes,
    "pull_request_label": _labels,
    "pull_request_assign": _done_and_undone,
    "pull_request_review_request": _review_request,
    "pull_request_comment": _comment,
    "pull_request_thread": _done_and_undone,
}


def _over(last: Event, *, action: str, event: Event) -> Event:
    """`event` as it looks at `last`: the same happening, with what is known now."""
    return msgspec.structs.replace(last, action=action, id=event.id, at=event.at, actor=event.actor, changes={})


def _or(value: T | msgspec.UnsetType, default: T) -> T:
    return default if isinstance(value, msgspec.UnsetType) else value
