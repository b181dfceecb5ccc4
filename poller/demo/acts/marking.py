"""What is written on a pull: labels, assignees, milestone, title, text, draft; and how it opens.

Knows what Gitea does with them.  Must not know pushes' rows or reviews' verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from poller.demo.acts.pushing import Pushing
from poller.demo.acts.reviewing import Reviewing
from poller.demo.state import Label, User, act
from poller.demo.webhooks import changed


class Marking(Pushing, Reviewing):
    """What is marked.  One call is one webhook, but one row per label or person."""

    def begin(
        self,
        *,
        labels: Iterable[str],
        milestone: str | None,
        assignees: Iterable[User | str],
        reviewers: Iterable[User | str],
    ) -> None:
        """The rows and webhooks of the opening, in Gitea's order: each extra is an event of its own."""
        author = self.author
        wanted = [self.repo.label(name) for name in labels]
        self.labels, self.assignees = list(wanted), [self.world.person(one) for one in assignees]
        if milestone is not None:
            self.current_milestone = self.repo.milestone(milestone)
            staged = self.row("milestone", by=author, milestone=self.current_milestone).id
        added = [(self.row("label", by=author, body="1", label=label).id, label.name) for label in wanted]
        assigned = [(self.row("assignees", by=author, assignee=person).id, person) for person in self.assignees]
        self.first_push()
        for reviewer in reviewers:
            self.request_review(reviewer, by=author)
        self.tell("pull_request", "opened", by=author)
        if wanted:
            self.tell("pull_request_label", "label_updated", by=author, about={"added": added, "removed": []})
        if milestone is not None:
            about = {"row": staged, "milestone": milestone}
            self.tell("pull_request_milestone", "milestoned", by=author, about=about)
        for row_id, person in assigned:
            self.tell("pull_request_assign", "assigned", by=author, about={"row": row_id, "assignee": person.id})

    @act
    def label(self, *, by: User | str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove labels in one call.  What changes nothing leaves no trace, but a webhook."""
        person = self.world.person(by)
        added = [label for label in map(self.repo.label, add) if label not in self.labels]
        removed = [label for label in map(self.repo.label, remove) if label in self.labels]
        about = self._relabel(added, removed, by=person)
        self.tell("pull_request_label", "label_updated", by=person, about=about)

    @act
    def replace_labels(self, names: Iterable[str], *, by: User | str) -> None:
        """Set the labels (PUT)."""
        person = self.world.person(by)
        wanted = [self.repo.label(name) for name in names]
        added = [label for label in wanted if label not in self.labels]
        about = self._relabel(added, [label for label in self.labels if label not in wanted], by=person)
        self.tell("pull_request_label", "label_updated", by=person, about=about)

    @act
    def clear_labels(self, *, by: User | str) -> None:
        """Take all labels off; the webhook still shows them."""
        person = self.world.person(by)
        about: dict[str, Any] = {}
        self.tell("pull_request_label", "label_cleared", by=person, about=about)
        about |= self._relabel([], list(self.labels), by=person)

    def _relabel(self, added: list[Label], removed: list[Label], *, by: User) -> dict[str, Any]:
        """What a call did: (row, name) each."""
        about: dict[str, Any] = {"added": [], "removed": []}
        for label in added:
            self.labels.append(label)
            about["added"].append((self.noted("label", by=by, body="1", label=label).id, label.name))
        for label in removed:
            self.labels.remove(label)
            about["removed"].append((self.noted("label", by=by, label=label).id, label.name))
        return about

    @act
    def assign(self, *users: User | str, by: User | str) -> None:
        person = self.world.person(by)
        for one in map(self.world.person, users):
            if one not in self.assignees:
                self.assignees.append(one)
                about = {"row": self.noted("assignees", by=person, assignee=one).id, "assignee": one.id}
                self.tell("pull_request_assign", "assigned", by=person, about=about)

    @act
    def unassign(self, *users: User | str, by: User | str) -> None:
        person = self.world.person(by)
        for one in map(self.world.person, users):
            if one in self.assignees:
                self.assignees.remove(one)
                row = self.noted("assignees", by=person, assignee=one, removed=True)
                about = {"row": row.id, "assignee": one.id}
                self.tell("pull_request_assign", "unassigned", by=person, about=about)

    @act
    def milestone(self, title: str | None, *, by: User | str) -> None:
        """Set, change or (`None`) unset the milestone."""
        person, before = self.world.person(by), self.current_milestone
        after = None if title is None else self.repo.milestone(title)
        if after is before:
            return
        self.current_milestone = after
        for touched in (before, after):
            if touched is not None:
                touched.updated = self.world.now()
        row = self.noted("milestone", by=person, old_milestone=before, milestone=after)
        about = {"row": row.id, "milestone": title}
        self.tell("pull_request_milestone", "milestoned" if after else "demilestoned", by=person, about=about)

    @act
    def edit(
        self, *, by: User | str, title: str | None = None, body: str | None = None, base: str | None = None
    ) -> None:
        """Change title, text, base: one webhook each, in this order.  Of the text no row tells."""
        person = self.world.person(by)
        if title is not None and title != self.title:
            before, self.title = self.title, title
            row = self.noted("change_title", by=person, old_title=before, new_title=title)
            about = {"row": row.id, "title": title}
            self.tell("pull_request", "edited", by=person, changes=changed("title", before), about=about)
        if body is not None:
            before, self.body = self.body, body
            self.bump()
            self.tell("pull_request", "edited", by=person, changes=changed("body", before), about={"body": body})
        if base is not None and base != self.base_ref:
            self.change_base(base, by=person)

    @act
    def set_draft(self, *, by: User | str) -> None:
        if not self.draft:
            self.edit(title=f"WIP: {self.title}", by=by)

    @act
    def set_ready(self, *, by: User | str) -> None:
        if self.draft:
            self.edit(title=self.title.split(":" if ":" in self.title[:6] else "]", 1)[1].lstrip(), by=by)
