"""Reads the rows of a timeline in their order and says which of them are news.

Knows what each kind of row means and which rows the forge writes, repeats or rewrites for one act.  Must not know
HTTP, SQL or the clock.  Rows carry the story (who, in which order); what *is* comes from the sighting's state.
"""

from __future__ import annotations

from typing import Literal

from poller.deltas import ids
from poller.deltas.events import Actor, Change, Event, EventName, PullFacts, Subject
from poller.deltas.habits import is_draft_title, label_groups
from poller.deltas.pulls import Inline, Known, Sighting, Step

#: The first push row of a pull is written by the opening itself, at most this much later (seconds).
OPENING = 2
FIRST, LAST = 0, 1 << 62


class Walk:
    """One reading of one pull: what is told so far, and the state the told rows lead to."""

    def __init__(self, known: Known | None, seen: Sighting, *, forge: str, seen_at: str, boundary: str) -> None:
        self.known, self.seen, self.forge, self.seen_at = known, seen, forge, seen_at
        self.boundary = known.boundary if known else boundary
        self.is_new = known is None and seen.row.created_at >= boundary
        #: nobody has read more than its search row so far
        self.is_first = known is None or known.shallow
        self.steps = sorted(seen.steps, key=lambda step: step.id)
        self.told: list[tuple[float, Event]] = []
        #: rows of reviews that are news; those whose verdict or remarks could not be read yet
        self.reviewed: list[Step] = []
        self.unclear: set[int] = set()
        self.state: Literal["open", "closed"] | None = known.row.state if known else "open" if self.is_new else None
        self.state_steps = 0
        self.reopened = False
        self.head = known.head if known else None
        self.head_is_guess = known.head_is_guess if known else False
        self.strays = known.strays if known else {}
        heads = seen.heads or (known.heads if known else None)
        row = seen.row
        self.facts = PullFacts(
            title=row.title,
            state=row.state,
            draft=row.draft,
            merged=row.merged,
            head_sha=(seen.heads.head_sha if seen.heads else self.head) or "",
            head_ref=heads.head_ref if heads else "",
            base_ref=heads.base_ref if heads else "",
            html_url=row.html_url,
            author=row.author,
            fork=heads.fork if heads else None,
        )

    # -- what is news -------------------------------------------------------------------------------------------

    def is_news(self, step: Step) -> bool:
        """A row nobody has told of.  On a first full reading everything before the boundary is history."""
        if self.known is not None and not self.known.shallow:
            return step.id not in self.known.seen
        return self.is_new or step.at >= self.boundary

    def is_news_inline(self, remark: Inline) -> bool:
        """The same for a remark inside a review that was told before."""
        if self.known is not None and not self.known.shallow:
            return remark.id not in self.known.inline
        return self.is_new or remark.at >= self.boundary

    def tell(
        self,
        order: float,
        name: EventName,
        action: str,
        *,
        at: str,
        actor: Actor | None,
        key: tuple[object, ...],
        subject: Subject | None = None,
        changes: dict[str, Change] | None = None,
        is_reworded: bool = False,
        row_id: int = 0,
    ) -> None:
        row = self.seen.row
        event = Event(
            id=ids.in_pull(self.forge, row.repo_id, row.number, *key),
            event=name,
            action=action,
            forge=self.forge,
            repo=row.repo,
            repo_id=row.repo_id,
            number=row.number,
            at=at,
            seen_at=self.seen_at,
            actor=actor,
            changes=changes or {},
            subject=subject or Subject(),
            pull=self.facts,
            is_reworded=is_reworded,
            row_id=row_id,
        )
        self.told.append((order, event))

    # -- rows ---------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """All rows once, oldest first."""
        if self.is_new:
            row = self.seen.row
            self.tell(FIRST, "pull_request", "opened", at=row.created_at, actor=row.author, key=("opened",))
        for step in self.steps:
            if step.kind in ("close", "reopen", "merge_pull"):
                self._state(step)
            elif step.kind in ("comment", "review"):
                self._words(step)
            elif self.is_news(step):
                self._simple(step)
        self._labels()
        self._titles()

    def _state(self, step: Step) -> None:
        after: Literal["open", "closed"] = "open" if step.kind == "reopen" else "closed"
        if not self.is_news(step):
            return
        self.state_steps += 1
        if self.state == after:
            return  # it was told from the state before this row could be read
        self.state = after
        if step.kind == "reopen":
            self.reopened = True
        action = "reopened" if step.kind == "reopen" else "closed"
        self.tell(step.id, "pull_request", action, at=step.at, actor=step.actor, key=(action, step.id))

    def _words(self, step: Step) -> None:
        """A comment or the body of a review: made, or edited.  Edits move the row's stamp, not the pull's."""
        before = self.known.comments.get(step.id) if self.known else None
        if before is not None:
            if before != step.body:
                self.tell_edit(step.id, before, body=step.body, at=step.updated_at, actor=step.actor)
        elif self.is_news(step):
            if step.kind == "review":
                self.reviewed.append(step)
            else:
                subject = Subject(comment_id=step.id, body=step.body)
                key = ("comment", step.id)
                self.tell(
                    step.id, "pull_request_comment", "created", at=step.at, actor=step.actor, key=key, subject=subject,
                    is_reworded=is_reworded(step),
                )  # fmt: skip

    def after_rows_until(self, at: str) -> float:
        """A place in the order of rows and remarks (one sequence of ids) for what has a time and no id of its own."""
        rows = [step.id for step in self.steps if step.at <= at]
        remarks = [one.id for remarks in self.seen.inline.values() for one in remarks if one.at <= at]
        return max(rows + remarks, default=FIRST) + 0.5

    def tell_edit(
        self, comment_id: int, before: str, *, body: str, at: str, actor: Actor | None, where: Inline | None = None
    ) -> None:
        """The editor is not shown anywhere: `actor` is the author of the words."""
        subject = Subject(comment_id=comment_id, body=body)
        if where is not None:
            subject = Subject(
                comment_id=comment_id, body=body, review_id=where.review_id, path=where.path, line=where.line
            )
        self.tell(
            self.after_rows_until(at),
            "pull_request_comment",
            "edited",
            at=at,
            actor=actor,
            key=ids.of_comment_edit(comment_id, body, at),
            subject=subject,
            changes={"body": Change(before)},
        )

    def _simple(self, step: Step) -> None:
        """Kinds of which each row is one event."""
        name: EventName
        match step.kind:
            case "assignees" if step.assignee:
                name, action = "pull_request_assign", "unassigned" if step.removed else "assigned"
                subject, key = Subject(assignee=step.assignee), ("assign", step.id)
            case "milestone" if step.milestone or step.old_milestone:  # neither: what it named was deleted since
                name, action = "pull_request_milestone", "milestoned" if step.milestone else "demilestoned"
                subject, key = Subject(milestone=step.milestone), ("milestone", step.id)
            case "review_request":
                name = "pull_request_review_request"
                action = "review_request_removed" if step.removed else "review_requested"
                subject = Subject(reviewer=step.assignee)
                if step.team is not None:
                    subject = Subject(reviewer=step.assignee, team=step.team)
                key = ("review_request", step.id)
            case "dismiss_review":
                name, action = "pull_request_review_dismissal", "dismissed"
                subject, key = Subject(review_id=step.review_id, body=step.body), ("dismissal", step.id)
            case "change_target_branch":
                self.tell(
                    step.id, "pull_request", "edited", at=step.at, actor=step.actor, key=("edited", step.id),
                    changes={"ref": Change(step.old_ref)},
                )  # fmt: skip
                return
            case _:
                return  # noise, or a kind that later versions invented
        self.tell(step.id, name, action, at=step.at, actor=step.actor, key=key, subject=subject)

    def _titles(self) -> None:
        """Title rows; turning a draft on or off is a title edit that carries `changes.draft` too."""
        steps = [step for step in self.steps if step.kind == "change_title" and self.is_news(step)]
        if not steps:
            return
        first = steps[0].old_title  # the known row may be older than the rows that were told
        known = self.known.row if self.known and self.known.row.title == first else None
        draft = known.draft if known else is_draft_title(first)
        for step in steps:
            last = step is steps[-1] and step.new_title == self.seen.row.title
            after = self.seen.row.draft if last else is_draft_title(step.new_title)
            changes = {"title": Change(step.old_title)}
            if after != draft:
                changes["draft"] = Change(draft)
            draft = after
            self.tell(
                step.id, "pull_request", "edited", at=step.at, actor=step.actor, key=("edited", step.id),
                changes=changes,
            )  # fmt: skip

    def _labels(self) -> None:
        """One call is one row per label: neighbouring rows of one person, a second apart at most, are one event."""
        groups = list(label_groups(self.steps, news=[s.id for s in self.steps if self.is_news(s)]))
        after = {label.name for label in self.seen.row.labels}
        for group in reversed(groups):
            # Once each: put on, taken off and put on again within a second is still one label.
            added = list(dict.fromkeys(s.label for s in group if s.label and s.body == "1"))
            removed = list(dict.fromkeys(s.label for s in group if s.label and s.body != "1"))
            cleared = bool(removed) and not added and not after
            self.tell(
                group[0].id,
                "pull_request_label",
                "label_cleared" if cleared else "label_updated",
                at=group[0].at,
                actor=group[0].actor,
                key=("label", group[0].id),
                subject=Subject(added=added, removed=removed, labels=sorted(after)),
            )
            after = (after - set(added)) | set(removed)


def is_reworded(step: Step) -> bool:
    """Were its words changed before anybody read them?  The forge stamps a row that it makes twice: the second can turn
    between."""
    return ids.seconds_between(step.at, step.updated_at) > 1
