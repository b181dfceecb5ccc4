"""A repository of the world: its branches, labels, who may do what, and the opening of pulls.

Knows the state and how a pull begins.  Must not know HTTP or JSON.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from poller.demo.pulls import Pull
from poller.demo.state import Label, Milestone, User, act

if TYPE_CHECKING:
    from poller.demo.world import World


@dataclass(eq=False, kw_only=True)
class Repo:
    """A repository and the language in which tests speak of it."""

    world: World
    id: int
    owner: User
    name: str
    private: bool
    created: int
    updated: int
    default_branch: str = "main"
    archived: bool = False
    deleted: bool = False
    pulls_enabled: bool = True
    fork_of: Repo | None = None
    #: A push to a pull against one of these branches dismisses its approvals.
    dismissing_branches: set[str] = field(default_factory=set)
    #: Branches with a rule about who may push to them.
    protected_branches: set[str] = field(default_factory=set)
    collaborators: dict[int, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    milestones: list[Milestone] = field(default_factory=list)
    pulls: dict[int, Pull] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    last_number: int = 0

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def mutex(self) -> threading.RLock:
        return self.world.mutex

    def catch_up(self) -> None:
        self.world.catch_up()

    @act
    def open_pull(
        self,
        *,
        by: User | str,
        title: str = "Add five",
        body: str = "",
        head: str | None = None,
        base: str | None = None,
        draft: bool = False,
        fork: str | None = None,
        agit: bool = False,
        commits: int = 1,
        files: dict[str, str] | None = None,
        labels: Iterable[str] = (),
        milestone: str | None = None,
        assignees: Iterable[User | str] = (),
        reviewers: Iterable[User | str] = (),
    ) -> Pull:
        """Open a pull request.  A head branch that is missing is made from the base with some commits of its own.

        `agit`: by a push to `refs/for/<base>`, as who may only read can, too; no branch is made."""
        world = self.world
        pull = self._new(by, title=f"WIP: {title}" if draft else title, body=body, is_pull=True)
        pull.base_ref = base or self.default_branch
        pull.head_repo = world.fork(self, fork) if fork else self
        pull.agit = agit
        pull.head_ref = head or (f"{pull.author.login}/topic-{pull.number}" if agit else f"feature-{pull.number}")
        branches = dict[str, str]() if agit else pull.head_repo.branches
        if pull.head_ref not in branches:
            tip = self.branches[pull.base_ref]
            for _ in range(commits):
                tip = world.history.edit(tip, author=pull.author, message="edit\n", at=world.now(), files=files)
            branches[pull.head_ref] = tip
        pull.ref_sha = branches[pull.head_ref]
        pull.begin(labels=labels, milestone=milestone, assignees=assignees, reviewers=reviewers)
        return pull

    @act
    def import_pull(self, *, by: User | str, made: str, title: str = "From elsewhere") -> Pull:
        """A pull that a migration brings along: with its original times, and without a webhook."""
        told, silent = len(self.world.webhooks), len(self.world.silent)
        with self.world.backdated(made):
            pull = self.open_pull(by=by, title=title)
        del self.world.webhooks[told:], self.world.silent[silent:]
        pull.silent("pull_request", "opened", by=pull.author, made=made)
        return pull

    @act
    def open_issue(self, *, by: User | str, title: str = "An issue", body: str = "") -> Pull:
        """Open a plain issue: it shares the numbers with pulls and must not be taken for one."""
        return self._new(by, title=title, body=body, is_pull=False)

    def _new(self, by: User | str, *, title: str, body: str, is_pull: bool) -> Pull:
        world, now = self.world, self.world.now()
        self.last_number += 1
        pull = Pull(
            world=world,
            repo=self,
            id=world.ids.issue(),
            pull_id=world.ids.pull() if is_pull else 0,
            number=self.last_number,
            author=world.person(by),
            title=title,
            body=body,
            created=now,
            updated=now,
            is_pull=is_pull,
        )
        self.pulls[pull.number] = pull
        world.index.add(pull)
        return pull

    @act
    def branch(self, name: str, *, at: str | None = None) -> str:
        """Make a branch from another one (the default branch by default); the SHA of its tip."""
        return self.branches.setdefault(name, self.branches[at or self.default_branch])

    @act
    def push(self, *, by: User | str, branch: str | None = None, files: dict[str, str] | None = None) -> str:
        """Push a commit to a branch; its SHA."""
        name, person = branch or self.default_branch, self.world.person(by)
        at = self.world.now()
        sha = self.world.history.edit(self.branches[name], author=person, message="pushed\n", at=at, files=files)
        self.move_branch(name, sha, by=person)
        return sha

    def move_branch(self, name: str, tip: str, *, by: User, forced: bool = False) -> None:
        """The branch moves at once; what follows for open pulls comes after the lag of pushes."""
        before, self.branches[name] = self.branches[name], tip
        self.updated = self.world.now()
        for pull in self.world.pulls_from(self, name):
            self.world.after_lag(partial(pull.pushed, before, tip, by=by, forced=forced))

    @act
    def label(self, name: str, *, color: str = "ff0000") -> Label:
        """The label of that name, made if it is missing."""
        known = next((label for label in self.labels if label.name == name), None)
        if known is None:
            known = Label(id=self.world.ids.label(), name=name, color=color)
            self.labels.append(known)
        return known

    @act
    def delete_label(self, name: str) -> None:
        """Delete the label object: pulls lose it, and every row that told of it, without a stamp."""
        label = self.label(name)
        self.labels.remove(label)
        for pull in self.pulls.values():
            if label in pull.labels and pull.is_pull:
                pull.silent("pull_request_label", "label_updated", added=[], removed=[(None, label.name)])
            pull.labels = [one for one in pull.labels if one is not label]
            pull.rows = [row for row in pull.rows if row.label is not label]

    @act
    def rename_label(self, name: str, to: str) -> None:
        """Another name for the same label: rows and pulls show it at once, and nothing is stamped."""
        self.label(name).name = to

    @act
    def milestone(self, title: str) -> Milestone:
        """The milestone of that title, made if it is missing."""
        known = next((milestone for milestone in self.milestones if milestone.title == title), None)
        if known is None:
            now = self.world.now()
            known = Milestone(id=self.world.ids.milestone(), title=title, created=now, updated=now)
            self.milestones.append(known)
        return known

    @act
    def delete_milestone(self, title: str) -> None:
        """Delete the milestone object: pulls lose it, without a row or a stamp; rows show none in its place."""
        milestone = self.milestone(title)
        self.milestones.remove(milestone)
        for pull in self.pulls.values():
            if pull.current_milestone is milestone:
                pull.current_milestone = None
                if pull.is_pull:
                    pull.silent("pull_request_milestone", "demilestoned", milestone=None)
            for row in pull.rows:
                row.milestone = None if row.milestone is milestone else row.milestone
                row.old_milestone = None if row.old_milestone is milestone else row.old_milestone

    @act
    def collaborator(self, user: User | str, level: str | None) -> None:
        """Give `read`, `write` or `admin`, or take it away (`None`): then he is unassigned, without a row."""
        person = self.world.person(user)
        if level is not None:
            self.collaborators[person.id] = level
            return
        self.collaborators.pop(person.id, None)
        for pull in self.pulls.values():
            if person in pull.assignees and pull.is_pull:
                pull.silent("pull_request_assign", "unassigned", assignee=person.id)
            pull.assignees = [one for one in pull.assignees if one is not person]

    @act
    def rename(self, name: str) -> None:
        """The old name redirects, until a new repository takes it."""
        self.world.moved(self, owner=self.owner, name=name)

    @act
    def transfer(self, owner: User | str) -> None:
        """As a rename, with another owner."""
        self.world.moved(self, owner=self.world.person(owner), name=self.name)

    @act
    def archive(self, *, back: bool = False) -> None:
        self.archived = not back

    @act
    def delete(self) -> None:
        """Delete the repository; pulls from it (it was a fork) are closed."""
        self.deleted = True
        self.world.forget(self)

    @act
    def delete_branch(self, name: str, *, by: User | str) -> None:
        """Delete a branch: open pulls that come from it are closed, those against it are retargeted (1.22: closed)."""
        sha = self.branches.pop(name)
        person = self.world.person(by)
        for pull in self.world.pulls_from(self, name):
            if pull.state == "open":
                pull.ref_sha = sha
                pull.head_gone(by=person)
        for pull in list(self.pulls.values()):
            if pull.is_pull and pull.state == "open" and pull.base_ref == name:
                pull.base_gone(by=person)
