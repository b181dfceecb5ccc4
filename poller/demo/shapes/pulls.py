"""Pulls, issues' rows, labels, milestones as Gitea's JSON.

Knows their keys and how single and list differ.  Must not know comments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.demo import git
from poller.demo.clock import stamp
from poller.demo.shapes.people import Json, View, team_json, user_json
from poller.demo.shapes.repos import repo_in_row_json, repo_json

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.repos import Repo
    from poller.demo.state import Label, Milestone, Review, User


def web_url(pull: Pull, view: View) -> str:
    kind = "pulls" if pull.is_pull else "issues"
    return f"{view.url}/{pull.repo.full_name}/{kind}/{pull.number}"


def label_json(label: Label, repo: Repo, view: View) -> Json:
    return {
        "id": label.id,
        "name": label.name,
        "exclusive": False,
        "is_archived": False,
        "color": label.color,
        "description": "",
        "url": f"{view.api}/repos/{repo.full_name}/labels/{label.id}",
    }


def asset_json(name: str, view: View) -> Json:
    """An attached file, as far as anybody asks."""
    return {"name": name, "size": 1, "browser_download_url": f"{view.url}/attachments/{name}"}


def milestone_json(milestone: Milestone | None, repo: Repo) -> Json | None:
    """A milestone with its live counters: they move with other issues."""
    if milestone is None:
        return None
    states = [pull.state for pull in repo.pulls.values() if pull.current_milestone is milestone]
    return {
        "id": milestone.id,
        "title": milestone.title,
        "description": "",
        "state": "open",
        "open_issues": states.count("open"),
        "closed_issues": states.count("closed"),
        "created_at": stamp(milestone.created),
        "updated_at": stamp(milestone.updated),
        "closed_at": None,
        "due_on": None,
    }


def _when(seconds: int | None) -> str | None:
    return None if seconds is None else stamp(seconds)


def row_json(pull: Pull, view: View) -> Json:
    """The row of the search, of a repository's issues and of `issues/{n}`."""
    people = [user_json(user, view) for user in pull.assignees]
    body: Json = {
        "id": pull.id,
        "url": f"{view.api}/repos/{pull.repo.full_name}/issues/{pull.number}",
        "html_url": web_url(pull, view),
        "number": pull.number,
        "user": user_json(pull.author, view),
        "original_author": "",
        "original_author_id": 0,
        "title": pull.title,
        "body": pull.body,
        "ref": "",
        "assets": [] if view.version.old_json else [asset_json(name, view) for name in pull.assets],
        "labels": [label_json(label, pull.repo, view) for label in pull.labels],
        "milestone": milestone_json(pull.current_milestone, pull.repo),
        "assignee": people[0] if people else None,
        "assignees": people or None,
        "state": pull.state,
        "is_locked": pull.locked,
        "comments": pull.counter,
        "created_at": stamp(pull.created),
        "updated_at": stamp(pull.updated),
        "closed_at": _when(pull.closed),
        "due_date": _when(pull.due),
        **({} if view.version.old_json else {"time_estimate": 0}),
        "pull_request": None,
        "repository": repo_in_row_json(pull.repo),
        "pin_order": int(pull.pinned),
    }
    if pull.is_pull:
        merged = {"merged": pull.merged is not None, "merged_at": _when(pull.merged)}
        body["pull_request"] = {**merged, "draft": pull.draft, "html_url": web_url(pull, view)}
    return body


def pull_json(pull: Pull, view: View, *, listed: bool = False) -> Json:
    """A pull under `/pulls`.  In the list, people and counts are left out, and the head is the kept ref."""
    old = view.version.old_json
    reviews = sum(review.state in {"APPROVED", "REQUEST_CHANGES", "COMMENT"} for review in pull.reviews)
    web = web_url(pull, view)
    return {
        "id": pull.pull_id,
        "url": web,
        "number": pull.number,
        "user": user_json(pull.author, view),
        "title": pull.title,
        "body": pull.body,
        "labels": [label_json(label, pull.repo, view) for label in pull.labels],
        "milestone": milestone_json(pull.current_milestone, pull.repo),
        **_people(pull, view, listed=listed),
        "state": pull.state,
        "draft": pull.draft,
        "is_locked": pull.locked,
        "comments": pull.counter,
        **({"review_comments": reviews} if reviews or old else {}),
        **_counts(pull, view, listed=listed),
        "html_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
        "mergeable": not pull.draft,
        "merged": pull.merged is not None,
        "merged_at": _when(pull.merged),
        "merge_commit_sha": pull.merge_sha,
        "merged_by": user_json(pull.merged_by, view) if pull.merged_by else None,
        "allow_maintainer_edit": False,
        "base": _base(pull, view),
        "head": _head(pull, view, listed=listed),
        "merge_base": pull.merge_base,
        "due_date": _when(pull.due),
        "created_at": stamp(pull.created),
        "updated_at": stamp(pull.updated),
        "closed_at": _when(pull.closed),
        "pin_order": int(pull.pinned),
    }


def _people(pull: Pull, view: View, *, listed: bool) -> Json:
    assignees = [user_json(user, view) for user in pull.assignees]
    asked = [user_json(user, view) if user else None for user in _asked(pull, view)]
    first = assignees[0] if assignees else None
    if view.version.old_json:
        return {"assignee": first, "assignees": assignees or None, "requested_reviewers": asked or None}
    teams = [team_json(review.team, view) for review in pull.reviews if review.team]
    return {
        "assignee": first,
        "assignees": None if listed else assignees,
        "requested_reviewers": None if listed else asked,
        "requested_reviewers_teams": None if listed else teams,
    }


def _asked(pull: Pull, view: View) -> list[User | None]:
    """Who is shown as asked: all who ever reviewed; before 1.25 those whose last verdict stands (a team: `None`)."""
    if not view.version.old_json:
        people = {one.user.id: one.user for one in pull.reviews if one.user and one.state != "PENDING"}
        return list(people.values())
    last: dict[int, Review] = {}
    for review in pull.reviews:
        if review.state in {"APPROVED", "REQUEST_CHANGES", "REQUEST_REVIEW"}:
            last[review.user.id if review.user else -review.id] = review
    return [review.user for review in last.values() if not review.dismissed]


def _counts(pull: Pull, view: View, *, listed: bool) -> Json:
    """Lines and files; absent where the head branch of a fork is gone, and in lists (1.22: 0)."""
    of_fork = pull.head_repo is not pull.repo
    gone = of_fork and (
        pull.head_repo is None or pull.head_repo.deleted or pull.head_ref not in pull.head_repo.branches
    )
    if gone or listed:
        return {"additions": 0, "deletions": 0, "changed_files": 0} if view.version.old_json else {}
    history = pull.world.history
    base = pull.merge_base
    added, deleted, files = git.counts(history[base].files, history[pull.head_sha].files) if base else (0, 0, 0)
    return {"additions": added, "deletions": deleted, "changed_files": files}


def _base(pull: Pull, view: View) -> Json:
    return {
        "label": pull.base_ref,
        "ref": pull.base_ref,
        "sha": pull.base_sha,
        "repo_id": pull.repo.id,
        "repo": repo_json(pull.repo, view),
    }


def _head(pull: Pull, view: View, *, listed: bool) -> Json:
    repo = pull.head_repo
    if repo is None or repo.deleted:
        return _end(pull, f"refs/pull/{pull.number}/head", pull.ref_sha) | {"repo_id": -1, "repo": None}
    there = pull.head_ref in repo.branches
    kept = listed and not view.version.old_json
    ref = pull.head_ref if there else f"refs/pull/{pull.number}/head"
    sha = pull.ref_sha if kept or not there else pull.head_sha
    return _end(pull, ref, sha) | {"repo_id": repo.id, "repo": repo_json(repo, view)}


def _end(pull: Pull, ref: str, sha: str) -> Json:
    return {"label": "" if pull.agit else pull.head_ref, "ref": ref, "sha": sha}
