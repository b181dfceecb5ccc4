"""Labels, milestone and assignees: which of them the rows explain, and which came or went without a row.

A label or a milestone that is deleted as such, or an account that loses its access, leaves the pull without a word;
the deletion of a label takes the rows of its past along.  Knows marks.  Must not know HTTP, SQL or the clock.
"""

from __future__ import annotations

from poller.deltas.events import EventName, Subject
from poller.deltas.pulls import Label, Marks, Row, Step
from poller.deltas.walk import LAST, Walk


def read_marks(walk: Walk) -> Marks:
    """Tell what the state shows and no row does; the marks to which the events lead now.

    Believed only of a row that has been quiet for the overlap: until then its steps may still come.
    """
    row, base = walk.seen.row, _before(walk)
    if base is None:
        return _of(row)
    for step in walk.steps:
        if walk.is_news(step):
            base = _after(base, step)
    if not walk.seen.settling:
        return base
    lost = dict(base.lost)
    _labels(walk, base, lost)
    _milestone(walk, base, lost)
    _assignees(walk, base, lost)
    return _of(row, lost)


def _of(row: Row, lost: dict[str, int] | None = None) -> Marks:
    return Marks(labels=row.labels, milestone=row.milestone, assignees=row.assignees, lost=lost or {})


def _before(walk: Walk) -> Marks | None:
    known = walk.known
    if known is not None:
        return known.marks or _of(known.row)
    return Marks(labels=(), milestone=None, assignees=()) if walk.is_new else None


def _after(marks: Marks, step: Step) -> Marks:
    labels, milestone, assignees = marks.labels, marks.milestone, marks.assignees
    if step.kind == "label" and step.label is not None:
        labels = tuple(label for label in labels if label.id != step.label_id)
        if step.body == "1":
            labels = tuple(sorted((*labels, Label(step.label_id, step.label))))
    elif step.kind == "milestone" and (step.milestone or step.old_milestone):
        milestone = Label(step.milestone_id, step.milestone) if step.milestone is not None else None
    elif step.kind == "assignees" and step.assignee is not None:
        assignees = tuple(one for one in assignees if one.id != step.assignee.id)
        if not step.removed:
            assignees = (*assignees, step.assignee)
    return Marks(labels=labels, milestone=milestone, assignees=assignees, lost=marks.lost)


def _labels(walk: Walk, base: Marks, lost: dict[str, int]) -> None:
    row = walk.seen.row
    before, now = {label.id: label for label in base.labels}, {label.id: label for label in row.labels}
    names = sorted(label.name for label in row.labels)
    for key in sorted(before.keys() ^ now.keys()):
        added = [now[key].name] if key in now else []
        removed = [before[key].name] if key not in now else []
        subject = Subject(added=added, removed=removed, labels=names)
        _tell(walk, "pull_request_label", "label_updated", thing=f"label {key}", lost=lost, subject=subject)


def _milestone(walk: Walk, base: Marks, lost: dict[str, int]) -> None:
    before, now = base.milestone, walk.seen.row.milestone
    if (before.id if before else None) == (now.id if now else None):
        return
    action, subject = "milestoned" if now else "demilestoned", Subject(milestone=now.name if now else None)
    thing = f"milestone {now.id if now else before.id if before else 0}"
    _tell(walk, "pull_request_milestone", action, thing=thing, lost=lost, subject=subject)


def _assignees(walk: Walk, base: Marks, lost: dict[str, int]) -> None:
    before, now = {one.id: one for one in base.assignees}, {one.id: one for one in walk.seen.row.assignees}
    for key in sorted(before.keys() ^ now.keys()):
        action = "assigned" if key in now else "unassigned"
        subject = Subject(assignee=now[key] if key in now else before[key])
        _tell(walk, "pull_request_assign", action, thing=f"assignee {key}", lost=lost, subject=subject)


def _tell(walk: Walk, name: EventName, action: str, *, thing: str, lost: dict[str, int], subject: Subject) -> None:
    """Nobody says who did it, or when: `at` is our look."""
    lost[thing] = lost.get(thing, 0) + 1
    key = (*thing.split(), "silent", lost[thing])
    walk.tell(LAST, name, action, at=walk.seen.read_at, actor=None, key=key, subject=subject)
