"""Comments, plain ones and those on lines, and noise that only moves the stamp.

Knows what Gitea does with them.  Must not know reviews' verdicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.demo.acts.common import Acting
from poller.demo.clock import stamp
from poller.demo.state import Row, User, act
from poller.demo.webhooks import changed

if TYPE_CHECKING:
    from poller.demo.repos import Repo

_EDITABLE = {"comment", "code", "review"}


class Talking(Acting):
    """What is said on a pull."""

    @property
    def comments(self) -> list[Row]:
        """Plain comments, oldest first, also those that came by HTTP."""
        return [row for row in self.rows if row.type == "comment"]

    @act
    def comment(self, body: str, *, by: User | str) -> Row:
        person = self.world.person(by)
        row = self.noted("comment", by=person, body=body)
        self.recount()
        said = {"id": row.id, "body": body}
        self.tell("pull_request_comment", "created", by=person, comment=said, about={"row": row.id})
        return row

    @act
    def edit_comment(self, row: Row, body: str, *, by: User | str) -> None:
        """Change a text: the pull's stamp stays.  Of a review, `reviews` goes on showing the old one."""
        before, row.body = row.body, body
        if before != body:
            row.updated = self.world.now()
            self._told(row, "edited", by=by, changes=changed("body", before))
        elif self.world.version.old_json:
            row.updated = self.world.now()

    @act
    def delete_comment(self, row: Row, *, by: User | str) -> None:
        """Take a comment away without a trace; only the counter falls.  Of a review, the row goes and it stays."""
        if row.type in {"code", "review"} and not self.world.version.inline_deletable:
            return
        self.rows.remove(row)
        if row.type == "review" and row.review is not None:
            row.review.row = None
        if row.type == "comment" or row.is_reply:
            self.recount()
        if self.world.version.deletion_bumps:
            self.bump()
        self._told(row, "deleted", by=by)

    def _told(self, row: Row, action: str, *, by: User | str, **fields: object) -> None:
        if row.type in _EDITABLE:
            said = {"id": row.id, "body": row.body}
            about = {"row": row.id, "type": row.type, "review": row.review.id if row.review is not None else None}
            self.tell("pull_request_comment", action, by=self.world.person(by), comment=said, about=about, **fields)

    @act
    def attach(self, name: str, *, to: Row | None = None) -> None:
        """Attach a file to a comment (its stamp moves, its text does not) or to the pull (only the pull's moves)."""
        if to is not None:
            to.assets.append(name)
            to.updated = self.world.now()
            return
        self.assets.append(name)
        self.bump()

    @act
    def react(self, content: str, *, by: User | str, to: Row | None = None) -> bool:
        """Leave a reaction on the pull or a comment; nothing else moves.  False if it was there."""
        person = self.world.person(by)
        target = to.id if to else 0
        if any(one[0] == target and one[1] is person and one[2] == content for one in self.reactions):
            return False
        self.reactions.append((target, person, content, self.world.now()))
        return True

    @act
    def reference(self, *, by: User | str, source: Repo | None = None) -> None:
        """Somebody named this pull elsewhere.  Where the reader cannot read the source, only the stamp shows it."""
        self.noted("pull_ref", by=self.world.person(by), source=source or self.repo)

    @act
    def lock(self, *, by: User | str, reason: str = "") -> None:
        """Lock the conversation.  The row names the repository's owner, whoever did it."""
        self.world.person(by)
        self.locked = True
        self.noted("lock", by=self.repo.owner, body=reason)

    @act
    def unlock(self, *, by: User | str) -> None:
        self.world.person(by)
        self.locked = False
        self.noted("unlock", by=self.repo.owner)

    @act
    def pin(self, *, by: User | str) -> None:
        """Pin it, or unpin it if it is."""
        self.pinned = not self.pinned
        self.noted("pin" if self.pinned else "unpin", by=self.world.person(by))

    @act
    def deadline(self, due: int | None, *, by: User | str) -> None:
        """Set the day by which it is due (epoch seconds), or take it away."""
        kind, said = ("removed_deadline", self.due) if due is None else ("added_deadline", due)
        self.due = due
        self.noted(kind, by=self.world.person(by), body=stamp(said or 0)[:10])
