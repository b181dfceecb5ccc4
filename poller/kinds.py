"""The kinds of events by name, as a person asks for them.

Knows the contract's names.  Must not know how events are found or kept.
"""

from __future__ import annotations

import difflib

from poller.deltas.events import EventName

#: Everything that the log can hold.
ACTIONS: dict[EventName, tuple[str, ...]] = {
    "pull_request": ("opened", "closed", "reopened", "edited", "deleted"),
    "pull_request_sync": ("synchronized",),
    "pull_request_label": ("label_updated", "label_cleared"),
    "pull_request_assign": ("assigned", "unassigned"),
    "pull_request_milestone": ("milestoned", "demilestoned"),
    "pull_request_review_request": ("review_requested", "review_request_removed"),
    "pull_request_review_approved": ("reviewed",),
    "pull_request_review_rejected": ("reviewed",),
    "pull_request_review_comment": ("reviewed",),
    "pull_request_comment": ("created", "edited", "deleted"),
    "pull_request_review_dismissal": ("dismissed", "undismissed", "deleted"),
    "pull_request_thread": ("resolved", "unresolved"),
    "repository": ("renamed", "archived", "unarchived", "gone"),
}
#: How many names a message offers.
OFFERED = 3


def kinds_named(text: str) -> list[tuple[str, str]]:
    """(event, action) of `event/action` or `event action`, of each action of `event`.  Raises `ValueError`."""
    event, _, action = "/".join(text.lower().replace("/", " ").split()).partition("/")
    for name, actions in ACTIONS.items():
        if event == name and (not action or action in actions):
            return [(name, known) for known in actions if action in ("", known)]
    raise ValueError(f"expected {' or '.join(_closest(event, action))}")


def _closest(event: str, action: str) -> list[str]:
    if event in ACTIONS:
        return [f"{name}/{known}" for name, actions in ACTIONS.items() if name == event for known in actions]
    whole = {f"{name}/{known}": known for name, actions in ACTIONS.items() for known in actions}
    asked = f"{event}/{action}" if action else event
    names = [*(whole if action else ()), *ACTIONS]
    # A word that is an action, or nearly one, was meant as such.
    said = difflib.get_close_matches(asked, set(whole.values()), n=1, cutoff=0.7) if not action else []
    near = [name for name, known in whole.items() if known in said][:OFFERED]
    return near or difflib.get_close_matches(asked, names, n=OFFERED, cutoff=0.5) or list(ACTIONS)
