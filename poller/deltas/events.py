"""What can happen on a pull request, named as Gitea's webhooks name it.

Knows names and shapes.  Must not know how a change is found, stored or answered.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sessions.decoding import decoder

EventName = Literal[
    "pull_request",
    "pull_request_sync",
    "pull_request_label",
    "pull_request_assign",
    "pull_request_milestone",
    "pull_request_review_request",
    "pull_request_review_approved",
    "pull_request_review_rejected",
    "pull_request_review_comment",
    "pull_request_comment",
    "pull_request_review_dismissal",
    "pull_request_thread",
    "repository",
]


class Actor(msgspec.Struct, frozen=True):
    """Who did it.  `id` is what is compared: logins can be renamed; -1 is Gitea's ghost of a deleted user."""

    id: int
    login: str


class PullFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The pull as it was when the event was read (not when it happened).

    `author` and `fork` serve the decision about the event and are not part of the log's line.
    """

    title: str
    state: Literal["open", "closed"]
    draft: bool
    merged: bool
    head_sha: str
    head_ref: str
    base_ref: str
    html_url: str
    author: Actor | None = None
    #: From another repository than its base; `None` while nobody has read it.
    fork: bool | None = None


#: What is done to words that may speak to somebody.
WORDED = frozenset({"created", "edited", "reviewed"})


class InlineComment(msgspec.Struct, frozen=True, kw_only=True):
    """One remark on a line, as part of a review.  `line` is the new file's, else the old one's."""

    comment_id: int
    path: str
    line: int | None
    body: str
    diff_hunk: str


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the event is about; only the fields of its kind are set, the others stay out of the JSON."""

    # pull_request_sync: head SHAs
    before: str | msgspec.UnsetType = msgspec.UNSET
    after: str | msgspec.UnsetType = msgspec.UNSET
    forced: bool | msgspec.UnsetType = msgspec.UNSET
    commits: list[str] | msgspec.UnsetType = msgspec.UNSET
    # pull_request_label: names; `labels` is the set afterwards
    added: list[str] | msgspec.UnsetType = msgspec.UNSET
    removed: list[str] | msgspec.UnsetType = msgspec.UNSET
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET
    # people and milestones; of a team that is asked for a review, `reviewer` is null and `team` its name
    assignee: Actor | msgspec.UnsetType = msgspec.UNSET
    reviewer: Actor | msgspec.UnsetType | None = msgspec.UNSET
    team: str | msgspec.UnsetType = msgspec.UNSET
    resolver: Actor | msgspec.UnsetType | None = msgspec.UNSET
    milestone: str | msgspec.UnsetType | None = msgspec.UNSET
    # reviews and comments
    review_id: int | msgspec.UnsetType = msgspec.UNSET
    comment_id: int | msgspec.UnsetType = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    commit_id: str | msgspec.UnsetType = msgspec.UNSET
    path: str | msgspec.UnsetType = msgspec.UNSET
    line: int | msgspec.UnsetType | None = msgspec.UNSET
    comments: list[InlineComment] | msgspec.UnsetType = msgspec.UNSET
    # repository: full names
    from_: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="from")
    to: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def texts(self) -> list[str]:
        """What a person wrote: the comment, or the review and then each of its remarks."""
        return [text for text in (self.body, *(remark.body for remark in self.comments or ())) if text]


class Change(msgspec.Struct, frozen=True):
    """The value before an edit; the value after it is in the event's `pull` or `subject`."""

    from_: str | bool = msgspec.field(name="from")


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the event log.  Times are RFC 3339 in UTC with whole seconds (`…Z`), as Gitea's clock has them.

    `id` is stable: the same happening has the same id however often and in whatever slices it is read.
    """

    id: str
    event: EventName
    action: str
    forge: str
    repo: str
    repo_id: int
    number: int | None
    at: str
    seen_at: str
    actor: Actor | None
    changes: dict[str, Change] = {}
    subject: Subject
    pull: PullFacts | None
    #: The words of a new comment or review were changed before anybody read them.  The log keeps it beside the line.
    is_reworded: bool = False
    #: The row of a review in the timeline, which takes reactions as a comment does; 0 = not known.  It is not logged.
    row_id: int = 0

    def to_json(self) -> bytes:
        """The contract's JSON object, without a line end."""
        return msgspec.json.encode(self._as_logged())

    @classmethod
    def from_json(cls, raw: bytes | str) -> Event:
        """Read back what `to_json` wrote."""
        return decoder(cls).decode(raw)

    def as_dict(self) -> dict[str, Any]:
        """The same object as plain builtins."""
        built: dict[str, Any] = msgspec.to_builtins(self._as_logged())
        return built

    def _as_logged(self) -> Event:
        pull = msgspec.structs.replace(self.pull, author=None, fork=None) if self.pull is not None else None
        return msgspec.structs.replace(self, pull=pull, is_reworded=False, row_id=0)

    @property
    def key(self) -> str:
        """The pull's key for people, `<forge>/<owner>/<repo>#<number>`; renames change it."""
        return f"{self.forge}/{self.repo}" + (f"#{self.number}" if self.number is not None else "")

    @property
    def ref(self) -> str:
        """The pull's identity, which renames keep: (forge, repository id, number) as one opaque string."""
        return pull_ref(self.forge, self.repo_id, self.number)


def pull_ref(forge: str, repo_id: int, number: int | None) -> str:
    """The opaque string under which `sessions` knows a pull."""
    return f"{forge}|{repo_id}|{number if number is not None else ''}"


def place_of(ref: str) -> tuple[int, int]:
    """(repository id, number) of a pull's opaque string."""
    _forge, repo_id, number = ref.rsplit("|", 2)
    return int(repo_id), int(number)
