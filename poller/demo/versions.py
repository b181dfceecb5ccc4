"""In what the served versions of Gitea and Forgejo differ, as seen on real servers or in their source.

Knows names of differences.  Must not know how they are brought about.
"""

from __future__ import annotations

import msgspec


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version's answers to the questions on which versions disagree."""

    #: What `GET /version` says.
    name: str
    #: Default `limit` of the cross-repository search, and whether there is a cap on it.
    search_limit: int
    caps_search: bool
    #: Timeline, reviews and a repository's comments are cut into pages even when nobody asked for a page.
    paged_by_default: bool
    #: Status of the answer under an old repository name.
    moved: int
    #: Empty lists of a single pull are `null`, counts are 0 instead of absent, a few keys are younger than this.
    old_json: bool
    #: A base change deletes the rows of all pushes and writes one new row.
    base_change_rewrites: bool
    #: A force-push deletes the rows of all earlier pushes and may write two.
    force_push_rewrites: bool
    #: A push without own commits writes a row and moves the stamp.
    empty_push_shows: bool
    #: Deleting a comment moves the stamp.
    deletion_bumps: bool
    #: Deleting a head branch of an open pull writes `delete_branch` besides `close`.
    branch_deletion_shows: bool
    #: The merge commit refers to the pull: a `commit_ref` follows `merge_pull`.
    merge_refers: bool
    #: The comment counter counts review rows (else: replies on lines).
    counts_reviews: bool
    #: Deleting an inline comment by the API really deletes it.
    inline_deletable: bool
    #: Deleting a pull sends a webhook.
    deletion_told: bool
    #: A review with a line beyond the end of its file is a 500 that leaves a pending review.
    checks_lines: bool
    #: `collaborators/{u}/permission` knows that members of ordinary teams may write.
    knows_team_writers: bool
    #: A writer may comment on a locked pull only from a certain right on; before, the API had no lock at all.
    has_lock: bool
    #: `POST pulls/comments/{id}/resolve` is there.
    has_resolve: bool
    #: `POST pulls/{n}/comments/{id}/replies` is there (Gitea), `POST pulls/{n}/reviews/{id}/comments` (Forgejo).
    has_replies: bool
    takes_remarks: bool
    #: Admins may say with which `updated_at` an edit or a comment is stamped.
    backdates: bool

    @property
    def not_found(self) -> str:
        """The message of a 404."""
        return "The target couldn't be found." if self.old_json else "not found"


_OLD = Version(
    name="1.22.6",
    search_limit=20,
    caps_search=True,
    paged_by_default=False,
    moved=307,
    old_json=True,
    base_change_rewrites=False,
    force_push_rewrites=False,
    empty_push_shows=True,
    deletion_bumps=True,
    branch_deletion_shows=False,
    merge_refers=True,
    counts_reviews=False,
    inline_deletable=False,
    deletion_told=False,
    checks_lines=False,
    knows_team_writers=True,
    has_lock=False,
    has_resolve=False,
    has_replies=False,
    takes_remarks=False,
    backdates=False,
)
_STABLE = Version(
    name="1.25.4",
    search_limit=20,
    caps_search=True,
    paged_by_default=False,
    moved=301,
    old_json=False,
    base_change_rewrites=True,
    force_push_rewrites=False,
    empty_push_shows=False,
    deletion_bumps=False,
    branch_deletion_shows=True,
    merge_refers=True,
    counts_reviews=True,
    inline_deletable=True,
    deletion_told=True,
    checks_lines=False,
    knows_team_writers=False,
    has_lock=True,
    has_resolve=False,
    has_replies=False,
    takes_remarks=False,
    backdates=False,
)
_NEXT = msgspec.structs.replace(
    _STABLE,
    name="1.26.0+dev",
    search_limit=30,
    caps_search=False,
    paged_by_default=True,
    force_push_rewrites=True,
    merge_refers=False,
    checks_lines=True,
    has_resolve=True,
)
#: Played beside a real 1.27.1: the same but for keys that nobody reads (`content_version`, `projects`).
_AFTER = msgspec.structs.replace(_NEXT, name="1.27.0+dev", has_replies=True)
#: Branched off at 1.22.  Played beside a real 10.0-dev: the same but for keys that nobody reads (`pronouns`).
_FORGEJO = msgspec.structs.replace(_OLD, name="11.0.1+gitea-1.22.0", takes_remarks=True, backdates=True)
VERSIONS = {"1.22.6": _OLD, "1.25.4": _STABLE, "1.26-dev": _NEXT, "1.27-dev": _AFTER, "forgejo-11": _FORGEJO}
