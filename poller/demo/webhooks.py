"""What a real server would have sent to a webhook, and what no webhook tells, kept in two lists to compare with.

Knows names and the fields that tell happenings apart.  Must not know HTTP: nothing is sent.  Under `about` stands what
only the forge knows (ids of rows, SHAs): no delivery carries it.  `nth` counts both lists in the order of happening.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poller.demo.clock import stamp

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.repos import Repo
    from poller.demo.state import User

#: `X-Gitea-Event` where it differs from `X-Gitea-Event-Type`.
_EVENTS = {
    "pull_request_comment": "issue_comment",
    "pull_request_review_approved": "pull_request_approved",
    "pull_request_review_rejected": "pull_request_rejected",
    "pull_request_review_comment": "pull_request_comment",
}


def tell(
    pull: Pull, event_type: str, action: str, *, by: User, about: dict[str, Any] | None = None, **fields: Any
) -> None:
    """Note one delivery: its names, who did it, the pull afterwards, and the act's own fields."""
    pull.world.webhooks.append(
        {
            "event": _EVENTS.get(event_type, "pull_request"),
            **_happening(pull.repo, event_type, action, number=pull.number, by=by, about=about),
            "pull_request": _facts(pull),
            **fields,
        }
    )


def silent(
    repo: Repo, event_type: str, action: str, about: dict[str, Any], *, pull: Pull | None = None, by: User | None = None
) -> None:
    """Note what happened without a delivery, under the names that the event log has for it."""
    number = pull.number if pull is not None else None
    repo.world.silent.append(_happening(repo, event_type, action, number=number, by=by, about=about))


def _happening(
    repo: Repo, event_type: str, action: str, *, number: int | None, by: User | None, about: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "event_type": event_type,
        "action": action,
        "number": number,
        "repo": repo.full_name,
        "repo_id": repo.id,
        "sender": by.login if by is not None else None,
        "sender_id": by.id if by is not None else None,
        "at": stamp(repo.world.now()),
        "nth": repo.world.ids.happening(),
        "about": {} if about is None else about,
    }


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
