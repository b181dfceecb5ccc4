"""What is written on a pull: labels, assignees, milestone, title, text, draft; and how it opens.

Knows what Gitea does with them.  Must not know pushes' rows or reviews' verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable

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
            self.row("milestone", by=author, milestone=self.current_milestone)
        for label in wanted:
            self.row("label", by=author, body="1", label=label)
        for person in self.assignees:
            self.row("assignees", by=author, assignee=person)
        self.first_push()
        for reviewer in reviewers:
            self.request_review(reviewer, by=author)
        self.tell("pull_request", "opened", by=author)
        if wanted:
            self.tell("pull_request_label", "label_updated", by=author)
        if milestone is not None:
            self.tell("pull_request_milestone", "milestoned", by=author)
        for _ in self.assignees:
            self.tell("pull_request_assign", "assigned", by=author)

    @act
    def label(self, *, by: User | str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove labels in one call.  What changes nothing leaves no trace, but a webhook."""
        person = self.world.person(by)
        added = [label for label in map(self.repo.label, add) if label not in self.labels]
        removed = [label for label in map(self.repo.label, remove) if label in self.labels]
        self._relabel(added, removed, by=person)
        self.tell("pull_request_label", "label_updated", by=person)

    @act
    def replace_labels(self, names: Iterable[str], *, by: User | str) -> None:
        """Set the labels (PUT)."""
        person = self.world.person(by)
        wanted = [self.repo.label(name) for name in names]
        added = [label for label in wanted if label not in self.labels]
        self._relabel(added, [label for label in self.labels if label not in wanted], by=person)
        self.tell("pull_request_label", "label_updated", by=person)

    @act
    def clear_labels(self, *, by: User | str) -> None:
        """Take all labels off; the webhook still shows them."""
        person = self.world.person(by)
        gone = list(self.labels)
        self.tell("pull_request_label", "label_cleared", by=person)
        self._relabel([], gone, by=person)

    def _relabel(self, added: list[Label], removed: list[Label], *, by: User) -> None:
        for label in added:
            self.labels.append(label)
            self.noted("label", by=by, body="1", label=label)
        for label in removed:
            self.labels.remove(label)
            self.noted("label", by=by, label=label)

    @act
    def assign(self, *users: User | str, by: User | str) -> None:
        person = self.world.person(by)
        for one in map(self.world.person, users):
            if one not in self.assignees:
                self.assignees.append(one)
                self.noted("assignees", by=person, assignee=one)
                self.tell("pull_request_assign", "assigned", by=person)

    @act
    def unassign(self, *users: User | str, by: User | str) -> None:
        person = self.world.person(by)
        for one in map(self.world.person, users):
            if one in self.assignees:
                self.assignees.remove(one)
                self.noted("assignees", by=person, assignee=one, removed=True)
                self.tell("pull_request_assign", "unassigned", by=person)

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
        self.noted("milestone", by=person, old_milestone=before, milestone=after)
        self.tell("pull_request_milestone", "milestoned" if after else "demilestoned", by=person)

    @act
    def edit(
        self, *, by: User | str, title: str | None = None, body: str | None = None, base: str | None = None
    ) -> None:
        """Change title, text, base: one webhook each, in this order.  Of the text no row tells."""
        person = self.world.person(by)
        if title is not None and title != self.title:
            before, self.title = self.title, title
            self.noted("change_title", by=person, old_title=before, new_title=title)
            self.tell("pull_request", "edited", by=person, changes=changed("title", before))
        if body is not None:
            before, self.body = self.body, body
            self.bump()
            self.tell("pull_request", "edited", by=person, changes=changed("body", before))
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
