"""Repositories as Gitea's JSON.

Knows their keys, also those that versions disagree on.  Must not know pulls' rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.demo.access import ADMIN, READ, WRITE, level
from poller.demo.clock import stamp
from poller.demo.shapes.people import NEVER, Json, View, user_json

if TYPE_CHECKING:
    from poller.demo.repos import Repo

_TRACKER = {
    "enable_time_tracker": True,
    "allow_only_contributors_to_track_time": True,
    "enable_issue_dependencies": True,
}


def repo_json(repo: Repo, view: View) -> Json:
    """A repository, with what the reader may do in it."""
    right = level(view.user, repo)
    name, web = repo.full_name, f"{view.url}/{repo.full_name}"
    pulls = [pull for pull in repo.pulls.values() if pull.state == "open"]
    body: Json = {
        "id": repo.id,
        "owner": user_json(repo.owner, view),
        "name": repo.name,
        "full_name": name,
        "description": "",
        "empty": not repo.branches,
        "private": repo.private,
        "fork": repo.fork_of is not None,
        "template": False,
        **_parent(repo, view),
        "mirror": False,
        "size": 26,
        "language": "",
        "languages_url": f"{view.api}/repos/{name}/languages",
        "html_url": web,
        "url": f"{view.api}/repos/{name}",
        "link": "",
        "ssh_url": f"git@localhost:{name}.git",
        "clone_url": f"{web}.git",
        "original_url": "",
        "website": "",
        "stars_count": 0,
        "forks_count": 0,
        "watchers_count": 1,
        "open_issues_count": sum(not pull.is_pull for pull in pulls),
        "open_pr_counter": sum(pull.is_pull for pull in pulls),
        "release_counter": 0,
        "default_branch": repo.default_branch,
        "archived": repo.archived,
        "created_at": stamp(repo.created),
        "updated_at": stamp(repo.updated),
        "archived_at": "1970-01-01T00:00:00Z",
        "permissions": {"admin": right >= ADMIN, "push": right >= WRITE, "pull": right >= READ},
    }
    return body | _units(repo, view) | _last(view)


def _parent(repo: Repo, view: View) -> Json:
    if repo.fork_of is not None:
        return {"parent": repo_json(repo.fork_of, view)}
    return {"parent": None} if view.version.old_json else {}


def _units(repo: Repo, view: View) -> Json:
    mine = repo.fork_of is None
    return {
        **({} if view.version.old_json else {"has_code": True}),
        "has_issues": mine,
        **({"internal_tracker": dict(_TRACKER)} if mine else {}),
        "has_wiki": mine,
        "has_pull_requests": repo.pulls_enabled,
        "has_projects": mine,
        "projects_mode": "all",
        "has_releases": mine,
        "has_packages": False,
        "has_actions": False,
        "ignore_whitespace_conflicts": False,
        "allow_merge_commits": True,
        "allow_rebase": True,
        "allow_rebase_explicit": True,
        "allow_squash_merge": True,
        "allow_fast_forward_only_merge": True,
        "allow_rebase_update": True,
        **({} if view.version.old_json else {"allow_manual_merge": False, "autodetect_manual_merge": False}),
        "default_delete_branch_after_merge": False,
        "default_merge_style": "merge",
        "default_allow_maintainer_edit": False,
    }


def _last(view: View) -> Json:
    return {
        "avatar_url": "",
        "internal": False,
        "mirror_interval": "",
        "object_format_name": "sha1",
        "mirror_updated": NEVER,
        **({"repo_transfer": None} if view.version.old_json else {"topics": [], "licenses": []}),
    }


def repo_in_row_json(repo: Repo) -> Json:
    """The few words on a repository in a search row."""
    return {"id": repo.id, "name": repo.name, "owner": repo.owner.login, "full_name": repo.full_name}
