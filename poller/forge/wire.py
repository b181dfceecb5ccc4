"""Gitea's JSON into our nouns: the only file that spells Gitea's field names.

Strict about the shape of what we use, lenient about everything else: fields that we do not name are skipped, lists
and rows may be `null` (the facts: an empty timeline is `null`, a row may be `null` too).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec

from poller.deltas import pulls
from poller.deltas.events import Actor
from sessions.decoding import decoder

T = TypeVar("T")
_NUMBER = re.compile(r"/pulls/(\d+)/?$")
_HEAD = re.compile(r"refs/pull/(\d+)/head")


class User(msgspec.Struct, frozen=True):
    id: int
    login: str = ""


class Named(msgspec.Struct, frozen=True):
    id: int
    name: str = ""
    title: str = ""


class RowRepository(msgspec.Struct, frozen=True):
    id: int
    full_name: str
    archived: bool = False


class RowPull(msgspec.Struct, frozen=True):
    merged: bool = False
    draft: bool = False
    html_url: str = ""


class IssueRow(msgspec.Struct, frozen=True):
    id: int
    number: int
    title: str
    state: Literal["open", "closed"]
    created_at: datetime
    updated_at: datetime
    body: str | None = None
    user: User | None = None
    labels: list[Named] | None = None
    milestone: Named | None = None
    assignees: list[User | None] | None = None
    comments: int = 0
    closed_at: datetime | None = None
    html_url: str = ""
    pull_request: RowPull | None = None
    repository: RowRepository | None = None


class TimelineRow(msgspec.Struct, frozen=True):
    id: int
    type: str
    created_at: datetime
    updated_at: datetime
    user: User | None = None
    body: str | None = None
    old_title: str = ""
    new_title: str = ""
    old_ref: str = ""
    new_ref: str = ""
    review_id: int = 0
    label: Named | None = None
    milestone: Named | None = None
    old_milestone: Named | None = None
    assignee: User | None = None
    assignee_team: Named | None = None
    removed_assignee: bool = False


class PushBody(msgspec.Struct, frozen=True):
    is_force_push: bool = False
    commit_ids: list[str] | None = None


class ReviewRow(msgspec.Struct, frozen=True):
    id: int
    state: str
    user: User | None = None
    body: str | None = None
    commit_id: str = ""
    dismissed: bool = False
    comments_count: int = 0
    submitted_at: datetime | None = None
    updated_at: datetime | None = None


class InlineRow(msgspec.Struct, frozen=True):
    id: int
    pull_request_review_id: int
    created_at: datetime
    updated_at: datetime
    user: User | None = None
    body: str | None = None
    path: str = ""
    position: int = 0
    original_position: int = 0
    diff_hunk: str = ""
    resolver: User | None = None


class BranchSide(msgspec.Struct, frozen=True):
    label: str = ""
    ref: str = ""
    sha: str = ""
    repo_id: int = 0
    repo: dict[str, object] | None = None


class PullDetail(msgspec.Struct, frozen=True):
    state: Literal["open", "closed"]
    head: BranchSide
    base: BranchSide
    merged: bool = False
    draft: bool = False


class CommentRow(msgspec.Struct, frozen=True):
    """A plain comment.  `pull_request_url` is a page of the web, and empty for a comment on an issue."""

    id: int
    created_at: datetime
    updated_at: datetime
    user: User | None = None
    body: str | None = None
    pull_request_url: str = ""


class Branch(msgspec.Struct, frozen=True):
    name: str
    protected: bool = False


class Ref(msgspec.Struct, frozen=True):
    """One of `git/refs/pull`: `refs/pull/<number>/head`."""

    ref: str
    object: BranchSide


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds; Gitea answers in its own time zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def actor(user: User | None) -> Actor | None:
    """Who, if anybody."""
    return Actor(user.id, user.login) if user else None


def without_nulls(rows: Iterable[T | None] | None) -> list[T]:
    """A list that the forge may have sent as `null`, or with `null` in it."""
    return [row for row in rows or () if row is not None]


def row(found: IssueRow, *, repo_id: int | None = None, repo: str | None = None) -> pulls.Row | None:
    """A search row, or one of `issues/{n}` (which knows its repository too).  `None` if it is not a pull."""
    if found.pull_request is None:
        return None
    if found.repository is not None:
        repo_id, repo = found.repository.id, found.repository.full_name
    if repo_id is None or repo is None:
        return None
    return pulls.Row(
        issue_id=found.id,
        repo_id=repo_id,
        repo=repo,
        number=found.number,
        title=found.title,
        body=found.body or "",
        state=found.state,
        merged=found.pull_request.merged,
        draft=found.pull_request.draft,
        author=actor(found.user),
        labels=tuple(sorted(pulls.Label(label.id, label.name) for label in found.labels or ())),
        milestone=pulls.Label(found.milestone.id, found.milestone.title) if found.milestone else None,
        assignees=tuple(Actor(user.id, user.login) for user in without_nulls(found.assignees)),
        comments=found.comments,
        created_at=stamp(found.created_at),
        updated_at=stamp(found.updated_at),
        closed_at=stamp(found.closed_at) if found.closed_at else None,
        html_url=found.pull_request.html_url or found.html_url,
    )


def step(found: TimelineRow) -> pulls.Step:
    """A timeline row; the body of a push is a JSON *string* with the commits."""
    push = PushBody()
    if found.type == "pull_push":
        try:
            push = decoder(PushBody).decode(found.body or "{}")
        except msgspec.DecodeError:
            push = PushBody()
    return pulls.Step(
        id=found.id,
        kind=found.type,
        actor=actor(found.user),
        at=stamp(found.created_at),
        updated_at=stamp(found.updated_at),
        body=found.body or "",
        old_title=found.old_title,
        new_title=found.new_title,
        old_ref=found.old_ref,
        new_ref=found.new_ref,
        review_id=found.review_id,
        label=found.label.name if found.label else None,
        label_id=found.label.id if found.label else 0,
        milestone=found.milestone.title if found.milestone else None,
        milestone_id=found.milestone.id if found.milestone else 0,
        old_milestone=found.old_milestone.title if found.old_milestone else None,
        assignee=actor(found.assignee),
        team=found.assignee_team.name if found.assignee_team else None,
        removed=found.removed_assignee,
        forced=push.is_force_push,
        commits=tuple(push.commit_ids or ()),
    )


def review(found: ReviewRow) -> pulls.Review:
    """A row of `/reviews`; `user` is null for a team's request."""
    return pulls.Review(
        id=found.id,
        actor=actor(found.user),
        state=found.state,
        body=found.body or "",
        commit_id=found.commit_id,
        dismissed=found.dismissed,
        comments_count=found.comments_count,
        at=stamp(found.submitted_at) if found.submitted_at else "",
        updated_at=stamp(found.updated_at) if found.updated_at else "",
    )


def inline(found: InlineRow) -> pulls.Inline:
    """An inline comment: `position` is a *line* of the new file, `original_position` of the old one, 0 = none."""
    return pulls.Inline(
        id=found.id,
        review_id=found.pull_request_review_id,
        actor=actor(found.user),
        body=found.body or "",
        path=found.path,
        line=found.position or found.original_position or None,
        diff_hunk=found.diff_hunk,
        at=stamp(found.created_at),
        updated_at=stamp(found.updated_at),
        resolver=actor(found.resolver),
    )


def comment(found: CommentRow) -> pulls.Comment:
    """A plain comment of one pull, or of a whole repository."""
    number = _NUMBER.search(found.pull_request_url)
    return pulls.Comment(
        id=found.id,
        actor=actor(found.user),
        body=found.body or "",
        at=stamp(found.created_at),
        updated_at=stamp(found.updated_at),
        number=int(number.group(1)) if number else 0,
    )


def heads_of_refs(found: Iterable[Ref]) -> dict[int, str]:
    """`refs/pull/<number>/head` by number."""
    named = ((_HEAD.fullmatch(one.ref), one.object.sha) for one in found)
    return {int(match.group(1)): sha for match, sha in named if match}


def heads(found: PullDetail) -> pulls.Heads:
    """Head and base.  A head without repository is a deleted fork: still a fork.

    So is one without a branch (AGit): the forge says that it is in the base's repository, yet takes it from everybody
    who may read.  Only a pull that is closed may have lost its branch."""
    no_branch = not found.head.label or (found.state == "open" and found.head.ref.startswith("refs/"))
    return pulls.Heads(
        head_sha=found.head.sha,
        head_ref=found.head.ref,
        base_ref=found.base.ref,
        base_sha=found.base.sha,
        fork=no_branch or found.head.repo is None or found.head.repo_id != found.base.repo_id,
        state=found.state,
        merged=found.merged,
        draft=found.draft,
    )
