"""Pushes and branches: what moves a head or a base, and the rows of it.

Knows how Gitea writes and rewrites `pull_push`.  Must not know comments or labels.
"""

from __future__ import annotations

import json
from functools import partial

from poller.demo.acts.common import Acting
from poller.demo.git import line_of
from poller.demo.state import Row, User, act
from poller.demo.webhooks import changed

_DISMISSED = "New commits pushed, approval review dismissed automatically according to repository settings"


class Pushing(Acting):
    """What is pushed.  The head moves at once, open pull or not; rows come only while it is open."""

    @act
    def push(
        self, *, by: User | str, commits: int = 1, files: dict[str, str] | None = None, message: str = "edit"
    ) -> str:
        """Push commits on top of the head; the new head."""
        person, tip = self.world.person(by), self.head_sha
        for _ in range(commits):
            tip = self.world.history.edit(tip, author=person, message=f"{message}\n", at=self.world.now(), files=files)
        return self._move_head(tip, by=person)

    @act
    def force_push(self, *, by: User | str, to_base: bool = False) -> str:
        """Amend the last commit, or (`to_base`) throw all own commits away; the new head."""
        person = self.world.person(by)
        if to_base:
            return self._move_head(self.base_sha, by=person, forced=True)
        own = self.own_commits()
        below = self.world.history[self.head_sha].parents[0] if own else self.base_sha
        tip = self.world.history.edit(below, author=person, message="amended\n", at=self.world.now(), files=None)
        return self._move_head(tip, by=person, forced=True)

    @act
    def push_without_own_commits(self, *, by: User | str) -> str:
        """Push commits that the base has too: (≥ 1.25) only the head tells, yet a webhook goes out."""
        person, history, repo = self.world.person(by), self.world.history, self.repo
        if self.head_sha not in history.ancestors(self.base_sha):
            repo.branches[self.base_ref] = history.merge(
                self.base_sha, self.head_sha, author=person, message="merge\n", at=self.world.now()
            )
        return self._move_head(repo.push(by=person, branch=self.base_ref), by=person)

    def _move_head(self, tip: str, *, by: User, forced: bool = False) -> str:
        if self.head_repo is None or self.head_repo.deleted:
            raise ValueError("there is no head repository to push to")
        if self.agit:
            before, self.ref_sha = self.ref_sha, tip
            self.world.after_lag(partial(self.pushed, before, tip, by=by, forced=forced))
            return tip
        self.head_repo.move_branch(self.head_ref, tip, by=by, forced=forced)
        return tip

    def pushed(self, before: str, after: str, *, by: User, forced: bool) -> None:
        """What a push does to a pull that comes from the branch; to a closed one, nothing."""
        if self.state != "open" or self.deleted:
            return
        history = self.world.history
        self.ref_sha = after
        row: Row | None = None
        if forced:
            row = self._forced_rows(before, after, by=by)
        else:
            fresh = history.own(after, before, self.base_sha)
            if fresh or self.world.version.empty_push_shows:
                row = self._push_row(fresh, by=by)
        self._outdate(before, after)
        for review in self.reviews:
            if review.state not in {"REQUEST_REVIEW", "PENDING"}:
                review.stale = review.commit_id != after
        self._dismiss_approvals(by)
        about = {"before": before, "after": after, "row": row.id if row is not None else None}
        self.tell("pull_request_sync", "synchronized", by=by, about=about)

    def _forced_rows(self, before: str, after: str, *, by: User) -> Row:
        """From 1.26 on the rows of older pushes go, and what the old head lacked comes in a row of its own."""
        if self.world.version.force_push_rewrites:
            self._drop_push_rows()
            fresh = self.world.history.own(after, before, self.base_sha)
            if fresh:
                self._push_row(fresh, by=by)
        return self._push_row([before, after], by=by, forced=True)

    def _push_row(self, commits: list[str], *, by: User, forced: bool = False) -> Row:
        said = {"is_force_push": forced, "commit_ids": commits}
        return self.noted("pull_push", by=by, body=json.dumps(said, separators=(",", ":")))

    def _drop_push_rows(self) -> None:
        self.rows = [row for row in self.rows if row.type != "pull_push"]

    def _outdate(self, before: str, after: str) -> None:
        old, new = self.world.history[before].files, self.world.history[after].files
        for row in self.rows:
            if row.type == "code" and line_of(old, row.path, row.line) != line_of(new, row.path, row.line):
                row.updated = self.world.now()

    def _dismiss_approvals(self, by: User) -> None:
        if self.base_ref not in self.repo.dismissing_branches:
            return
        for review in self.reviews:
            if review.state == "APPROVED" and not review.dismissed:
                review.dismissed, review.updated = True, self.world.now()
                row = self.noted("dismiss_review", by=by, body=_DISMISSED, review=review)
                self.silent("pull_request_review_dismissal", "dismissed", by=by, review=review.id, row=row.id)

    def change_base(self, base: str, *, by: User) -> None:
        """(≥ 1.25) the rows of all pushes go, and one that looks like a push comes: the head is the same."""
        before, self.base_ref = self.base_ref, base
        row = self.noted("change_target_branch", by=by, old_ref=before, new_ref=base)
        if self.world.version.base_change_rewrites:
            self._drop_push_rows()
            if self.own_commits():
                self._push_row(self.own_commits(), by=by)
        # Gitea passes the name of the *new* base here.
        about = {"row": row.id, "from": before}
        self.tell("pull_request", "edited", by=by, changes=changed("ref", base), about=about)

    def first_push(self) -> None:
        """The row of the commits that a pull is opened with; an empty pull has none."""
        if self.own_commits():
            said = {"is_force_push": False, "commit_ids": self.own_commits()}
            self.row("pull_push", by=self.author, body=json.dumps(said, separators=(",", ":")))
