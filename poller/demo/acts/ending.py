"""How a pull ends and comes back: closed, reopened, merged, its branches or itself deleted.

Knows what Gitea does then.  Must not know what was said before.
"""

from __future__ import annotations

from html import escape

from poller.demo.acts.pushing import Pushing
from poller.demo.acts.talking import Talking
from poller.demo.state import User, act


class Ending(Pushing, Talking):
    """What ends a pull."""

    @act
    def close(self, *, by: User | str, comment: str | None = None) -> None:
        """Close it, with a comment before if there is one to make."""
        person = self.world.person(by)
        if comment is not None:
            self.comment(comment, by=person)
        self.state, self.closed = "closed", self.world.now()
        row = self.noted("close", by=person)
        if self.is_pull:
            self.tell("pull_request", "closed", by=person, about={"row": row.id})

    @act
    def reopen(self, *, by: User | str, on_the_web: bool = True) -> None:
        """Reopen it.  The web page moves `refs/pull/N/head` to the branch's tip, the API waits for the next push."""
        person = self.world.person(by)
        self.state, self.closed = "open", None
        if on_the_web and self.is_pull:
            self.ref_sha = self.head_sha
        row = self.noted("reopen", by=person)
        if self.is_pull:
            self.tell("pull_request", "reopened", by=person, about={"row": row.id})

    @act
    def merge(self, *, by: User | str, delete_branch: bool = False, style: str = "merge") -> str:
        """Merge, squash or rebase it into its base; the SHA that the base got."""
        person, world, now = self.world.person(by), self.world, self.world.now()
        history, base, head = world.history, self.base_sha, self.head_sha
        self.merge_base_then, self.ref_sha = self.merge_base, head
        said = f"Merge pull request '{self.title}' (#{self.number}) from {self.head_ref} into {self.base_ref}"
        if style == "merge":
            sha = history.merge(base, head, author=person, message=f"{said}\n", at=now)
        else:
            said = f"{self.title} (#{self.number})"
            tree = history[head].files
            sha = history.commit((base,), author=self.author, message=f"{said}\n", at=now, files=tree)
        self.repo.branches[self.base_ref] = sha
        self.state, self.closed, self.merged = "closed", now, now
        self.merged_by, self.merge_sha = person, sha
        row = self.noted("merge_pull", by=person)
        self.tell("pull_request", "closed", by=person, about={"row": row.id})
        if style != "rebase" and world.version.merge_refers:
            link = f'<a href="/{self.repo.full_name}/commit/{sha}">{escape(said)}</a>'
            self.noted("commit_ref", by=person, body=link, commit_sha=sha)
        if delete_branch and self.head_repo is not None:
            self.noted("delete_branch", by=person, old_ref=self.head_ref)
            self.head_repo.branches.pop(self.head_ref, None)
        return sha

    @act
    def delete_head_branch(self, *, by: User | str) -> None:
        """Delete the branch that the pull comes from: an open pull is closed by that."""
        if self.head_repo is not None:
            self.head_repo.delete_branch(self.head_ref, by=by)

    def head_gone(self, *, by: User) -> None:
        """Its head branch or its whole fork was deleted while it was open."""
        self.state, self.closed = "closed", self.world.now()
        row = self.noted("close", by=by)
        if self.world.version.branch_deletion_shows and self.head_repo is not None and not self.head_repo.deleted:
            self.noted("delete_branch", by=by, old_ref=self.head_ref)
        self.tell("pull_request", "closed", by=by, about={"row": row.id})

    def base_gone(self, *, by: User) -> None:
        """Its base branch was deleted: it goes to the default branch, before 1.25 it is closed."""
        if self.world.version.base_change_rewrites:
            self.change_base(self.repo.default_branch, by=by)
        else:
            self.state, self.closed = "closed", self.world.now()
            row = self.noted("close", by=by)
            self.tell("pull_request", "closed", by=by, about={"row": row.id})

    @act
    def delete(self, *, by: User | str) -> None:
        """Delete it: its number is not used again, and some of its addresses answer 500 from now on."""
        person = self.world.person(by)
        self.deleted = True
        self.world.index.remove(self._pull)
        del self.repo.pulls[self.number]
        if self.is_pull and self.world.version.deletion_told:
            self.tell("pull_request", "deleted", by=person)
        elif self.is_pull:
            self.silent("pull_request", "deleted", by=person)
