"""Comments, timeline rows, reviews, inline comments as Gitea's JSON.

Knows their keys.  Must not know which of them a reader gets to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.demo.clock import stamp
from poller.demo.shapes.people import Json, View, team_json, user_json
from poller.demo.shapes.pulls import asset_json, label_json, milestone_json, web_url

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.state import Review, Row


def _links(pull: Pull, row_id: int, view: View) -> Json:
    web = web_url(pull, view)
    return {
        "html_url": f"{web}#issuecomment-{row_id}",
        "pull_request_url": web if pull.is_pull else "",
        "issue_url": "" if pull.is_pull else web,
    }


def comment_json(row: Row, view: View) -> Json:
    return {
        "id": row.id,
        **_links(row.pull, row.id, view),
        "user": user_json(row.user, view),
        "original_author": "",
        "original_author_id": 0,
        "body": row.body,
        "assets": [asset_json(name, view) for name in row.assets],
        "created_at": stamp(row.created),
        "updated_at": stamp(row.updated),
    }


def row_of_timeline_json(row: Row, view: View) -> Json:
    """A timeline row with the live objects it embeds."""
    repo = row.pull.repo
    return {
        "id": row.id,
        "type": row.type,
        **_links(row.pull, row.id, view),
        "user": user_json(row.user, view),
        "body": row.body,
        "created_at": stamp(row.created),
        "updated_at": stamp(row.updated),
        "old_project_id": 0,
        "project_id": 0,
        "old_milestone": milestone_json(row.old_milestone, repo),
        "milestone": milestone_json(row.milestone, repo),
        "tracked_time": None,
        "old_title": row.old_title,
        "new_title": row.new_title,
        "old_ref": row.old_ref,
        "new_ref": row.new_ref,
        "ref_issue": None,
        "ref_comment": None,
        "ref_action": "none",
        "ref_commit_sha": row.commit_sha,
        "review_id": row.review.id if row.review else 0,
        "label": label_json(row.label, repo, view) if row.label else None,
        "assignee": user_json(row.assignee, view) if row.assignee else None,
        "assignee_team": team_json(row.team, view) if row.team else None,
        "removed_assignee": row.removed,
        "resolve_doer": None,
        "dependent_issue": None,
    }


def review_json(review: Review, view: View) -> Json:
    """A review; its text is the one it was submitted with, whatever became of its row."""
    web = web_url(review.pull, view)
    return {
        "id": review.id,
        "user": user_json(review.user, view) if review.user else None,
        "team": team_json(review.team, view) if review.team else None,
        "state": review.state,
        "body": review.body,
        "commit_id": review.commit_id,
        "stale": review.stale,
        "official": review.official,
        "dismissed": review.dismissed,
        "comments_count": len(review.comments),
        "submitted_at": stamp(review.submitted),
        "updated_at": stamp(review.updated),
        "html_url": f"{web}#issuecomment-{review.row.id}" if review.row else "",
        "pull_request_url": web,
    }


def inline_json(row: Row, view: View) -> Json:
    web = web_url(row.pull, view)
    return {
        "id": row.id,
        "body": row.body,
        "user": user_json(row.user, view),
        "resolver": user_json(row.resolver, view) if row.resolver else None,
        "pull_request_review_id": row.review.id if row.review else 0,
        "created_at": stamp(row.created),
        "updated_at": stamp(row.updated),
        "path": row.path,
        "commit_id": row.commit_sha,
        "original_commit_id": "",
        "diff_hunk": row.hunk,
        "position": max(row.line, 0),
        "original_position": max(-row.line, 0),
        "html_url": f"{web}#issuecomment-{row.id}",
        "pull_request_url": web,
    }
