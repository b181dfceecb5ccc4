"""Pull requests as the forge shows them, and as we remember them.

Knows nouns only.  Must not know HTTP, Gitea's field names, SQL or the clock.
Times are RFC 3339 in UTC with whole seconds (`2026-11-21T07:08:11Z`): they compare as text.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from poller.deltas.events import Actor, pull_ref


class Label(msgspec.Struct, frozen=True, order=True):
    """A label by id; the name may change without the pull noticing."""

    id: int
    name: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one line of the cross-repository search says of a pull: its state, without head and reviews."""

    issue_id: int
    repo_id: int
    repo: str
    number: int
    title: str
    body: str
    state: Literal["open", "closed"]
    merged: bool
    draft: bool
    author: Actor | None
    labels: tuple[Label, ...]
    milestone: Label | None
    assignees: tuple[Actor, ...]
    comments: int
    created_at: str
    updated_at: str
    closed_at: str | None
    html_url: str

    @property
    def place(self) -> tuple[int, int]:
        """Identity within the forge: repository id and number (ids survive renames)."""
        return self.repo_id, self.number


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the timeline: commentary that the forge may rewrite, never the state itself."""

    id: int
    kind: str
    actor: Actor | None
    at: str
    updated_at: str
    body: str = ""
    old_title: str = ""
    new_title: str = ""
    old_ref: str = ""
    new_ref: str = ""
    review_id: int = 0
    label: str | None = None
    label_id: int = 0
    milestone: str | None = None
    milestone_id: int = 0
    old_milestone: str | None = None
    assignee: Actor | None = None
    team: str | None = None
    removed: bool = False
    forced: bool = False
    commits: tuple[str, ...] = ()


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A submitted review (or, as `REQUEST_REVIEW`, the request for one)."""

    id: int
    actor: Actor | None
    state: str
    body: str
    commit_id: str
    dismissed: bool
    comments_count: int
    #: when it was begun: a pending one that is submitted late keeps that
    at: str = ""
    updated_at: str


class Inline(msgspec.Struct, frozen=True, kw_only=True):
    """One remark on a line.  `line` is the new file's, else the old one's."""

    id: int
    review_id: int
    actor: Actor | None
    body: str
    path: str
    line: int | None
    diff_hunk: str
    at: str
    updated_at: str
    #: who marked the conversation as done; shown at its first remark, without a time
    resolver: Actor | None = None


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A plain comment as the list of all of them shows it: exact, unlike the timeline."""

    id: int
    actor: Actor | None
    body: str
    at: str
    updated_at: str
    #: of which pull; 0 when the list is of one pull, or it is a comment on an issue
    number: int = 0


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    """Where head and base of the pull are now (`pulls/{n}`: the live tip of the head branch)."""

    head_sha: str
    head_ref: str
    base_ref: str
    #: "" where the branch is gone.
    base_sha: str = ""
    fork: bool
    state: Literal["open", "closed"]
    merged: bool
    draft: bool


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one look at one pull brought.  `None` means "not asked", never "empty"."""

    row: Row
    steps: tuple[Step, ...]
    reviews: tuple[Review, ...] | None = None
    #: by review id, only of the reviews that were asked for
    inline: dict[int, tuple[Inline, ...]] = {}
    heads: Heads | None = None
    #: all plain comments
    comments: tuple[Comment, ...] | None = None
    #: comments, remarks and reviews that were missing, and that a second, different question does not find either
    gone: frozenset[int] = frozenset()
    gone_reviews: frozenset[int] = frozenset()
    #: where `refs/pull/N/head` was when somebody asked
    ref_head: str | None = None
    #: the forge's clock when the look began
    read_at: str
    #: nothing can come late any more: the row has been quiet for the overlap
    settling: bool = False
    #: for how long a new head waits for its row (seconds)
    overlap: float = 0


class ReviewMemo(msgspec.Struct, frozen=True, kw_only=True):
    """What we keep of a review: enough to see that it moved."""

    state: str
    dismissed: bool
    comments_count: int
    updated_at: str


class RemarkMemo(msgspec.Struct, frozen=True, kw_only=True):
    """What we keep of a remark on a line, beside its words.  `toggles`: how often its thread was told to change."""

    review_id: int
    path: str
    line: int | None
    resolver: Actor | None = None
    toggles: int = 0


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """The labels, milestone and assignees to which the events told so far lead.

    They differ from the row's when a row is still to come, or when nobody wrote one: a label or milestone was deleted
    as such, somebody's access ended.  `lost` counts what was told of the latter, by thing: it numbers ids.
    """

    labels: tuple[Label, ...]
    milestone: Label | None
    assignees: tuple[Actor, ...]
    lost: dict[str, int] = {}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Our memory of one pull.

    `boundary`: rows of the timeline that are older (`at < boundary`) are history and become no events.
    `shallow`: only the search row has been read so far; timeline, reviews and head have not.
    """

    row: Row
    boundary: str
    shallow: bool = False
    heads: Heads | None = None
    #: the last head that was told of (or found at the baseline)
    head: str | None = None
    #: it was read beside the row of a push that named none, and may be that of a later push whose row is to come
    head_is_guess: bool = False
    seen: frozenset[int] = frozenset()
    comments: dict[int, str] = {}
    reviews: dict[int, ReviewMemo] = {}
    inline: dict[int, str] = {}
    #: which of `comments` are plain ones (the others are the words of reviews)
    plain: frozenset[int] = frozenset()
    remarks: dict[int, RemarkMemo] = {}
    marks: Marks | None = None
    #: how many edits of the description have been told: numbers their ids
    body_edits: int = 0
    #: a head that no timeline row explains yet; `stray_is_old`: it may have been there before we looked at all
    stray_head: str | None = None
    stray_is_old: bool = False
    stray_at: str | None = None
    #: heads that were told of without a row, and how often: numbers the ids of a head that comes back
    strays: dict[str, int] = {}
    #: where `refs/pull/N/head` was when it was last asked for
    ref_head: str | None = None
    #: it was deleted
    gone: bool = False
    #: the timeline has been read to its end at this time of the forge; `None` = never
    read_to: str | None = None

    def ref(self, forge: str) -> str:
        """The pull's opaque identity."""
        return pull_ref(forge, self.row.repo_id, self.row.number)
