"""What the world is made of: people, repositories, commits, pulls, rows of their timelines, reviews.

Knows fields, and which of them hang together.  Must not know HTTP, JSON or what an act does to them.
Times are whole epoch seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.repos import Repo
    from poller.demo.world import World

P = ParamSpec("P")
R = TypeVar("R")


class _Worldly(Protocol):
    @property
    def mutex(self) -> threading.RLock: ...

    def catch_up(self) -> None: ...


Lockable = TypeVar("Lockable", bound=_Worldly)


def act(method: Callable[Concatenate[Lockable, P], R]) -> Callable[Concatenate[Lockable, P], R]:
    """An act happens as a whole: readers over HTTP see the world before it or after it."""

    @wraps(method)
    def whole(self: Lockable, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.mutex:
            self.catch_up()
            return method(self, *args, **kwargs)

    return whole


@dataclass(eq=False, kw_only=True)
class User:
    """A person or an organisation (`is_org`); a deleted one is shown as Gitea's ghost."""

    id: int
    login: str
    created: int
    is_admin: bool = False
    is_org: bool = False
    private: bool = False
    deleted: bool = False
    email: str = ""


@dataclass(eq=False, kw_only=True)
class Token:
    """An access token; its text is its only secret, and made up."""

    text: str
    user: User
    scopes: frozenset[str]
    public_only: bool = False
    revoked: bool = False

    def grants(self, scope: str) -> bool:
        """Whether a scope like `read:issue` is held; write includes read."""
        return bool(self.scopes & {"all", scope, scope.replace("read:", "write:")})


@dataclass(eq=False, kw_only=True)
class Team:
    """A team of an organisation: rights per unit (`repo.code` → `write`) over some repositories or all."""

    id: int
    org: User
    name: str
    permission: str
    units: dict[str, str]
    members: list[User] = field(default_factory=list)
    repos: set[int] | None = field(default_factory=set)

    def covers(self, repo: Repo) -> bool:
        return repo.owner is self.org and (self.repos is None or repo.id in self.repos)


@dataclass(eq=False, kw_only=True)
class Commit:
    """A commit with its whole tree: path → lines.  Trees are shared, so this stays small."""

    sha: str
    parents: tuple[str, ...]
    author: User
    message: str
    at: int
    files: dict[str, tuple[str, ...]]


@dataclass(eq=False, kw_only=True)
class Label:
    id: int
    name: str
    color: str


@dataclass(eq=False, kw_only=True)
class Milestone:
    id: int
    title: str
    created: int
    updated: int


@dataclass(eq=False, kw_only=True)
class Row:
    """One row of Gitea's comment table: a plain comment, an inline one (`code`), or a note of what was done."""

    id: int
    type: str
    pull: Pull
    user: User
    body: str
    created: int
    updated: int
    review: Review | None = None
    label: Label | None = None
    old_milestone: Milestone | None = None
    milestone: Milestone | None = None
    assignee: User | None = None
    team: Team | None = None
    removed: bool = False
    old_title: str = ""
    new_title: str = ""
    old_ref: str = ""
    new_ref: str = ""
    commit_sha: str = ""
    #: Of a reference from elsewhere: where it was made.  Who cannot read that does not see the row.
    source: Repo | None = None
    # Inline comments only:
    path: str = ""
    #: Positive in the new file, negative in the old one.
    line: int = 0
    hunk: str = ""
    is_reply: bool = False
    resolver: User | None = None
    #: Names of attached files.
    assets: list[str] = field(default_factory=list)

    def edit(self, body: str, *, by: User | str | None = None) -> Row:
        """Change the text of a comment, an inline comment or (through its row) a review."""
        self.pull.edit_comment(self, body, by=by or self.user)
        return self

    def delete(self, *, by: User | str | None = None) -> None:
        self.pull.delete_comment(self, by=by or self.user)

    def resolve(self, *, by: User | str) -> None:
        """Mark the conversation of this line as done."""
        self.pull.resolve(self, by=by)

    def unresolve(self, *, by: User | str) -> None:
        self.pull.unresolve(self, by=by)


@dataclass(eq=False, kw_only=True)
class Review:
    """A review, or a request for one (`REQUEST_REVIEW`, then of a user or a team)."""

    id: int
    pull: Pull
    user: User | None
    team: Team | None = None
    state: str
    body: str
    commit_id: str
    stale: bool = False
    official: bool = False
    dismissed: bool = False
    submitted: int
    updated: int
    row: Row | None = None

    @property
    def comments(self) -> list[Row]:
        """Its inline comments, replies of others included, oldest first."""
        return [row for row in self.pull.rows if row.type == "code" and row.review is self]

    def add_inline(self, path: str, line: int, body: str) -> Row:
        """One more remark in a pending review; nobody else sees it."""
        return self.pull.add_inline(self, path, line, body)

    def submit(self, *, event: str = "COMMENT", body: str = "") -> Review:
        """Submit a pending review: the review row is new, id and `submitted_at` are those of its start."""
        return self.pull.submit_review(self, event=event, body=body)

    def reply(self, comment: Row, body: str, *, by: User | str) -> Row:
        """Answer an inline comment: it moves the pull's stamp and shows in no timeline."""
        return self.pull.reply(comment, body, by=by)

    def dismiss(self, *, by: User | str, message: str = "") -> None:
        self.pull.dismiss(self, by=by, message=message)

    def undismiss(self, *, by: User | str) -> None:
        self.pull.undismiss(self, by=by)

    def edit_body(self, body: str, *, by: User | str | None = None) -> None:
        """Only the row shows the new text; the review itself keeps the old one."""
        if self.row is not None:
            self.row.edit(body, by=by)

    def delete(self, *, by: User | str | None = None) -> None:
        self.pull.delete_review(self)


@dataclass(eq=False, kw_only=True)
class Issue:
    """The fields of a pull request (or, with `is_pull` false, of a plain issue)."""

    world: World
    repo: Repo
    id: int
    pull_id: int
    number: int
    author: User
    title: str
    body: str
    created: int
    updated: int
    is_pull: bool = True
    state: str = "open"
    locked: bool = False
    closed: int | None = None
    counter: int = 0
    labels: list[Label] = field(default_factory=list)
    current_milestone: Milestone | None = None
    assignees: list[User] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    reactions: list[tuple[int, User, str, int]] = field(default_factory=list)
    #: Names of files attached to the text.
    assets: list[str] = field(default_factory=list)
    pinned: bool = False
    due: int | None = None
    deleted: bool = False
    # Pulls only:
    head_repo: Repo | None = None
    head_ref: str = ""
    #: Made by a push to `refs/for/…`, for which one need only read: there is no such branch, the kept ref is the head.
    agit: bool = False
    base_ref: str = ""
    #: What `refs/pull/N/head` names: follows the branch while the pull is open.
    ref_sha: str = ""
    merged: int | None = None
    merged_by: User | None = None
    merge_sha: str | None = None
    merge_base_then: str | None = None

    @property
    def mutex(self) -> threading.RLock:
        return self.world.mutex

    def catch_up(self) -> None:
        self.world.catch_up()
