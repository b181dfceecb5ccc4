"""What a real server would have sent to a webhook, kept in a list to compare with.

Knows names and the fields that tell events apart.  Must not know HTTP: nothing is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poller.demo.clock import stamp

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.state import User

#: `X-Gitea-Event` where it differs from `X-Gitea-Event-Type`.
_EVENTS = {
    "pull_request_comment": "issue_comment",
    "pull_request_review_approved": "pull_request_approved",
    "pull_request_review_rejected": "pull_request_rejected",
    "pull_request_review_comment": "pull_request_comment",
}


def tell(pull: Pull, event_type: str, action: str, *, by: User, **fields: Any) -> None:
    """Note one delivery: its names, who did it, the pull afterwards, and the act's own fields."""
    pull.world.webhooks.append(
        {
            "event": _EVENTS.get(event_type, "pull_request"),
            "event_type": event_type,
            "action": action,
            "number": pull.number,
            "repo": pull.repo.full_name,
            "sender": by.login,
            "at": stamp(pull.world.now()),
            "pull_request": _facts(pull),
            **fields,
        }
    )


def changed(field: str, before: str) -> dict[str, Any]:
    """The `changes` of an edit."""
    return {field: {"from": before}, "added_labels": None, "removed_labels": None}


def _facts(pull: Pull) -> dict[str, Any]:
    return {
        "id": pull.pull_id,
        "number": pull.number,
        "title": pull.title,
        "state": pull.state,
        "merged": pull.merged is not None,
        "draft": pull.draft,
        "head_sha": "" if pull.deleted else pull.head_sha,
        "base_ref": pull.base_ref,
        "labels": [label.name for label in pull.labels],
        "assignees": [user.login for user in pull.assignees],
        "milestone": pull.current_milestone.title if pull.current_milestone else None,
    }
