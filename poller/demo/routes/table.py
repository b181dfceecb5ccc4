"""Which route answers which method and path, and the scope that a token needs for it.

Knows the table.  Must not know what the routes do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from poller.demo.routes import instance, listing, reading, reviewing, writing
from poller.demo.routes.answers import Answer, Call
from poller.demo.versions import Version

Handler = Callable[[Call], Answer]


class Route(NamedTuple):
    """`scope` is a category of Gitea's (`issue`); reading needs `read:…`, all else `write:…`."""

    methods: str
    path: str
    handler: Handler
    scope: str | None
    #: Whether this version has it.
    has: Callable[[Version], bool] = lambda _: True


_R = "/repos/{owner}/{repo}"
ROUTES = [
    Route("GET", "/version", instance.version, None),
    Route("GET", "/settings/api", instance.settings_api, None),
    Route("GET", "/settings/ui", instance.settings_ui, None),
    Route("GET", "/user", instance.me, "user"),
    Route("GET", "/user/repos", listing.my_repos, "user"),
    Route("GET", "/users/{user}", instance.user, "user"),
    Route("GET", "/users/{user}/repos", listing.repos_of_user, "user"),
    Route("GET", "/orgs/{org}", instance.org, "organization"),
    Route("GET", "/orgs/{org}/repos", listing.repos_of_org, "organization"),
    Route("GET", "/teams/{team}/members/{user}", instance.team_member, "organization"),
    Route("GET", "/notifications", instance.notifications, "notification"),
    Route("GET", "/repositories/{id}", instance.repo_by_id, "repository"),
    Route("GET", "/repos/search", listing.search_repos, "repository"),
    Route("GET", "/repos/issues/search", listing.search, "issue"),
    Route("GET", _R, instance.repo, "repository"),
    Route("GET", f"{_R}/issues", listing.repo_issues, "issue"),
    Route("GET", f"{_R}/issues/comments", reading.repo_comments, "issue"),
    Route("GET", f"{_R}/issues/comments/{{id}}", reading.comment, "issue"),
    Route("PATCH", f"{_R}/issues/comments/{{id}}", writing.patch_comment, "issue"),
    Route("DELETE", f"{_R}/issues/comments/{{id}}", writing.delete_comment, "issue"),
    Route("GET POST DELETE", f"{_R}/issues/comments/{{id}}/reactions", writing.comment_reactions, "issue"),
    Route("GET", f"{_R}/issues/{{number}}", reading.issue, "issue"),
    Route("PATCH", f"{_R}/issues/{{number}}", writing.patch_issue, "issue"),
    Route("GET", f"{_R}/issues/{{number}}/comments", reading.issue_comments, "issue"),
    Route("POST", f"{_R}/issues/{{number}}/comments", writing.post_comment, "issue"),
    Route("GET", f"{_R}/issues/{{number}}/timeline", reading.timeline, "issue"),
    Route("GET POST DELETE", f"{_R}/issues/{{number}}/reactions", writing.issue_reactions, "issue"),
    Route("GET POST PUT DELETE", f"{_R}/issues/{{number}}/labels", writing.labels, "issue"),
    Route("PUT DELETE", f"{_R}/issues/{{number}}/lock", writing.lock, "issue", lambda version: version.has_lock),
    Route("GET", f"{_R}/pulls", listing.pulls, "repository"),
    Route("POST", f"{_R}/pulls", writing.post_pull, "repository"),
    Route("POST", f"{_R}/pulls/{{number}}/merge", writing.merge_pull, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}.diff", reading.diff, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}", reading.pull, "repository"),
    Route("PATCH", f"{_R}/pulls/{{number}}", writing.patch_pull, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}/files", reading.files, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}/commits", reading.commits, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}/reviews", reading.reviews, "repository"),
    Route("POST", f"{_R}/pulls/{{number}}/reviews", reviewing.post_review, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}/reviews/{{review}}", reading.review, "repository"),
    Route("POST", f"{_R}/pulls/{{number}}/reviews/{{review}}", reviewing.submit_review, "repository"),
    Route("DELETE", f"{_R}/pulls/{{number}}/reviews/{{review}}", reviewing.delete_review, "repository"),
    Route("GET", f"{_R}/pulls/{{number}}/reviews/{{review}}/comments", reading.review_comments, "repository"),
    Route(
        "POST",
        f"{_R}/pulls/{{number}}/reviews/{{review}}/comments",
        reviewing.add_remark,
        "repository",
        lambda version: version.takes_remarks,
    ),
    Route(
        "POST",
        f"{_R}/pulls/{{number}}/comments/{{id}}/replies",
        reviewing.reply,
        "repository",
        lambda version: version.has_replies,
    ),
    Route("POST", f"{_R}/pulls/{{number}}/reviews/{{review}}/dismissals", reviewing.dismiss, "repository"),
    Route("POST", f"{_R}/pulls/{{number}}/reviews/{{review}}/undismissals", reviewing.dismiss, "repository"),
    Route("POST DELETE", f"{_R}/pulls/{{number}}/requested_reviewers", reviewing.requested_reviewers, "repository"),
    *(
        Route(
            "POST",
            f"{_R}/pulls/comments/{{id}}/{act}",
            reviewing.resolve,
            "repository",
            lambda version: version.has_resolve,
        )
        for act in ("resolve", "unresolve")
    ),
    Route("GET", f"{_R}/branches/{{branch}}", instance.branch, "repository"),
    Route("GET", f"{_R}/git/refs/pull{{rest}}", instance.git_refs_of_pulls, "repository"),
    Route("GET", f"{_R}/collaborators", instance.collaborators, "repository"),
    Route("GET", f"{_R}/collaborators/{{user}}", instance.collaborator, "repository"),
    Route("GET", f"{_R}/collaborators/{{user}}/permission", instance.permission, "repository"),
    Route("GET", f"{_R}/assignees", instance.assignees, "repository"),
    Route("GET", f"{_R}/reviewers", instance.reviewers, "repository"),
    Route("GET", f"{_R}/teams", instance.teams, "repository"),
    Route("GET POST", f"{_R}/statuses/{{sha}}", writing.statuses, "repository"),
    Route("GET", f"{_R}/commits/{{sha}}/status", writing.combined_status, "repository"),
]


@lru_cache(maxsize=1)
def _compiled() -> list[tuple[re.Pattern[str], Route]]:
    def pattern(path: str) -> str:
        slots = {"number": r"[^/.]+", "rest": r"(?:/.*)?", "branch": ".+"}
        pieces = re.split(r"\{(\w+)\}", path)
        return "".join(
            re.escape(piece) if at % 2 == 0 else f"(?P<{piece}>{slots.get(piece, '[^/]+')})"
            for at, piece in enumerate(pieces)
        )

    return [(re.compile(pattern(route.path)), route) for route in ROUTES]


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route and the names in its path."""
    for pattern, route in _compiled():
        match = pattern.fullmatch(path)
        if match and method in route.methods.split():
            return route, match.groupdict()
    return None


def known_path(path: str, version: Version) -> bool:
    """Whether another method would find a route that this version has."""
    return any(pattern.fullmatch(path) and route.has(version) for pattern, route in _compiled())
