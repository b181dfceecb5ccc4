"""What looks like an event and is none, what is one and hardly shows: on values, without any forge."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from poller.deltas.diff import NEVER, events_between, shallow
from poller.deltas.events import Actor, Event
from poller.deltas.pulls import Heads, Inline, Known, Label, Review, Row, Sighting, Step

ANA, BEN = Actor(1, "ana"), Actor(2, "ben")
A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
T0 = "2026-11-21T07:00:00Z"


def at(seconds: int) -> str:
    return f"2026-11-21T07:{seconds // 60:02}:{seconds % 60:02}Z"


ROW = Row(
    issue_id=7, repo_id=1, repo="acme/api", number=2, title="Title", body="Body", state="open", merged=False,
    draft=False, author=ANA, labels=(), milestone=None, assignees=(), comments=0, created_at=T0, updated_at=T0,
    closed_at=None, html_url="",
)  # fmt: skip
HEADS = Heads(
    head_sha=A, head_ref="feature", base_ref="main", fork=False, state="open", merged=False, draft=False
)  # fmt: skip


class Pull:
    """A pull as the forge would show it; `look` is one look, and returns what it told."""

    def __init__(self) -> None:
        self.row, self.heads, self.known = ROW, HEADS, None
        self.steps: list[Step] = []
        self.reviews: list[Review] = []
        self.inline: dict[int, tuple[Inline, ...]] = {}
        self.ids = itertools.count(100)
        self.known: Known | None = None
        self.seconds = 0

    def later(self, seconds: int = 10) -> Pull:
        self.seconds += seconds
        return self

    def step(self, kind: str, *, who: Actor = ANA, bump: bool = True, **more: Any) -> Step:
        made = Step(id=next(self.ids), kind=kind, actor=who, at=at(self.seconds), updated_at=at(self.seconds), **more)
        self.steps.append(made)
        if bump:
            self.change()
        return made

    def change(self, **fields: Any) -> None:
        self.row = msgspec.structs.replace(self.row, updated_at=at(self.seconds), **fields)

    def head(self, sha: str) -> None:
        self.heads = msgspec.structs.replace(self.heads, head_sha=sha)

    def push(self, *commits: str, forced: bool = False, who: Actor = ANA) -> None:
        self.step("pull_push", commits=commits, forced=forced, who=who)
        self.head(commits[-1])

    def review(self, *remarks: str, state: str = "COMMENT", body: str = "") -> Review:
        number = next(self.ids)
        self.inline[number] = tuple(self.remark(number, text) for text in remarks)
        step = self.step("review", who=BEN, review_id=number, body=body)
        made = Review(
            id=number, actor=BEN, state=state, body=body, commit_id=A, dismissed=False,
            comments_count=len(remarks), updated_at=step.at,
        )  # fmt: skip
        self.reviews.append(made)
        return made

    def remark(self, review_id: int, text: str) -> Inline:
        return Inline(
            id=next(self.ids), review_id=review_id, actor=BEN, body=text, path="app.py", line=5, diff_hunk="@@",
            at=at(self.seconds), updated_at=at(self.seconds),
        )  # fmt: skip

    def reply(self, review: Review, text: str) -> None:
        self.inline[review.id] += (self.remark(review.id, text),)
        self.reviews[self.reviews.index(review)] = msgspec.structs.replace(
            review, comments_count=len(self.inline[review.id])
        )
        self.change()

    def look(self, *, boundary: str = T0, settling: bool = False, heads: bool = True) -> list[Event]:
        seen = Sighting(
            row=self.row, steps=tuple(self.steps), reviews=tuple(self.reviews), inline=dict(self.inline),
            heads=self.heads if heads else None, read_at=at(self.seconds + 1), settling=settling,
        )  # fmt: skip
        told, self.known = events_between(self.known, seen, forge="g", seen_at=T0, boundary=boundary)
        return told

    def told(self, **how: Any) -> list[str]:
        return [f"{event.event} {event.action}" for event in self.look(**how)]


@pytest.fixture
def pull() -> Pull:
    made = Pull()
    made.push(A)
    assert made.told() == ["pull_request opened"]
    return made.later()


def test_the_first_push_row_is_the_opening_and_no_push() -> None:
    pull = Pull()
    pull.push(A)
    assert pull.told() == ["pull_request opened"]


def test_a_push_before_the_first_look_is_a_push() -> None:
    pull = Pull()
    pull.push(A)
    pull.later().push(B)
    (_, push) = pull.look()
    assert (push.subject.before, push.subject.after) == (A, B)


def test_a_pull_that_was_opened_without_commits_gets_its_first_push(pull: Pull) -> None:
    empty = Pull()
    empty.head(D)
    assert empty.told() == ["pull_request opened"]
    empty.later().push(B)
    (push,) = empty.look()
    assert (push.subject.before, push.subject.after) == (D, B)


def test_a_push_of_several_commits_is_one_event(pull: Pull) -> None:
    pull.push(B, C)
    (push,) = pull.look()
    assert (push.subject.before, push.subject.after, push.subject.commits) == (A, C, [B, C])
    assert pull.told() == []


def test_a_changed_base_rewrites_the_push_rows_and_is_no_push(pull: Pull) -> None:
    pull.steps.clear()
    pull.step("change_target_branch", who=BEN, old_ref="main", new_ref="develop")
    pull.step("pull_push", who=BEN, commits=(A,))
    (edited,) = pull.look()
    assert edited.changes["ref"].from_ == "main"


def test_a_push_hidden_in_a_changed_base_is_told_but_not_as_that_persons(pull: Pull) -> None:
    pull.steps.clear()
    pull.step("change_target_branch", who=BEN, old_ref="main", new_ref="develop")
    pull.step("pull_push", who=BEN, commits=(A, B))
    pull.head(B)
    push = pull.look()[1]
    assert (push.subject.after, push.actor) == (B, None)


def test_a_forced_push_is_one_event_on_every_version(pull: Pull) -> None:
    pull.push(A, B, forced=True)
    (one_row,) = pull.look()
    pull.later()
    pull.steps.clear()
    pull.step("pull_push", commits=(C,))
    pull.push(B, C, forced=True)
    (two_rows,) = pull.look()
    assert [(e.subject.before, e.subject.after, e.subject.forced) for e in (one_row, two_rows)] == [
        (A, B, True), (B, C, True),
    ]  # fmt: skip


def test_a_forced_push_that_is_not_marked_as_one_is_known_by_its_old_head(pull: Pull) -> None:
    pull.push(A, B)
    (push,) = pull.look()
    assert (push.subject.forced, push.subject.before) == (True, A)


def test_a_head_that_leads_its_row_waits_and_is_told_once(pull: Pull) -> None:
    pull.step("comment", body="hello")
    pull.head(B)
    assert pull.told() == ["pull_request_comment created"]
    pull.push(B)
    assert pull.told() == ["pull_request_sync synchronized"]
    assert pull.told() == []


def test_a_push_without_a_row_is_told_from_the_head_when_nothing_more_can_come(pull: Pull) -> None:
    pull.step("comment", body="hello")
    pull.head(B)
    pull.told()
    (push,) = pull.later(400).look(settling=True)
    assert (push.subject.before, push.subject.after, push.actor) == (A, B, None)
    assert pull.told(settling=True) == []


def test_a_push_while_closed_tells_nothing_not_even_after_reopening(pull: Pull) -> None:
    pull.step("close")
    pull.change(state="closed")
    assert pull.told() == ["pull_request closed"]
    pull.head(B)
    assert pull.told(settling=True) == []
    pull.later().step("reopen")
    pull.change(state="open")
    assert pull.told() == ["pull_request reopened"]
    pull.later().push(C)
    (push,) = pull.look()
    assert (push.subject.before, push.subject.after) == (B, C)


def test_closed_and_reopened_within_one_second_are_two_events(pull: Pull) -> None:
    pull.step("close")
    pull.step("reopen")
    assert pull.told() == ["pull_request closed", "pull_request reopened"]


def test_the_reference_after_a_merge_is_noise(pull: Pull) -> None:
    pull.step("merge_pull")
    pull.change(state="closed", merged=True)
    (closed,) = pull.look()
    assert closed.pull is not None and closed.pull.merged
    pull.later(2).step("commit_ref")
    assert pull.told() == []


def test_a_state_without_a_row_is_believed_when_the_pull_itself_agrees(pull: Pull) -> None:
    pull.change(state="closed", closed_at=at(10))
    assert pull.told(heads=False) == []
    pull.heads = msgspec.structs.replace(pull.heads, state="closed")
    assert pull.told() == ["pull_request closed"]
    pull.step("close")
    assert pull.told() == []


def test_a_comment_made_twice_the_same_is_two_events_with_two_ids(pull: Pull) -> None:
    pull.step("comment", body="same")
    pull.step("comment", body="same")
    assert len({event.id for event in pull.look()}) == 2


def test_an_edit_and_an_edit_back_are_two_events(pull: Pull) -> None:
    comment = pull.step("comment", body="one")
    pull.look()
    told = []
    for body in ("two", "one", "two"):
        pull.later()
        comment = msgspec.structs.replace(comment, body=body, updated_at=at(pull.seconds))
        pull.steps[-1] = comment
        told += pull.look()
    assert [(event.changes["body"].from_, event.subject.body) for event in told] == [
        ("one", "two"), ("two", "one"), ("one", "two"),
    ]  # fmt: skip
    assert len({event.id for event in told}) == 3


def test_a_new_stamp_without_a_new_text_is_no_edit(pull: Pull) -> None:
    comment = pull.step("comment", body="one")
    pull.look()
    pull.steps[-1] = msgspec.structs.replace(comment, updated_at=at(500))
    assert pull.told() == []


def test_an_edited_review_body_is_an_edited_comment_with_the_rows_id(pull: Pull) -> None:
    pull.review(body="look")
    pull.look()
    row = pull.steps[-1]
    pull.steps[-1] = msgspec.structs.replace(row, body="look again", updated_at=at(99))
    (edited,) = pull.look()
    assert (edited.event, edited.subject.comment_id) == ("pull_request_comment", row.id)


def test_a_review_submitted_late_is_told_with_its_old_remarks(pull: Pull) -> None:
    review_id = next(pull.ids)
    remarks = (pull.remark(review_id, "thought early"),)
    pull.later(600).step("comment", body="in between")
    pull.look()
    pull.inline[review_id] = remarks
    pull.later().step("review", who=BEN, review_id=review_id, body="at last")
    pull.reviews.append(
        Review(
            id=review_id, actor=BEN, state="COMMENT", body="at last", commit_id=A, dismissed=False, comments_count=1,
            updated_at=at(10),
        )
    )  # fmt: skip
    (review,) = pull.look()
    assert isinstance(review.subject.comments, list)
    assert [remark.body for remark in review.subject.comments] == ["thought early"]


def test_a_review_of_lines_only_is_a_review(pull: Pull) -> None:
    pull.review("one", "two")
    (review,) = pull.look()
    assert (review.event, review.subject.body) == ("pull_request_review_comment", "")
    assert isinstance(review.subject.comments, list) and len(review.subject.comments) == 2


def test_a_reply_has_no_row_and_is_an_event_of_its_own(pull: Pull) -> None:
    review = pull.review("why?")
    pull.look()
    pull.later().reply(review, "because")
    (reply,) = pull.look()
    assert (reply.event, reply.action, reply.subject.review_id, reply.subject.path, reply.subject.line) == (
        "pull_request_comment", "created", review.id, "app.py", 5,
    )  # fmt: skip


def test_a_reply_made_before_the_first_look_is_not_part_of_the_review(pull: Pull) -> None:
    review = pull.review("why?")
    pull.reply(review, "because")
    told = pull.look()
    assert [event.event for event in told] == ["pull_request_review_comment", "pull_request_comment"]


def test_a_verdict_that_is_not_shown_yet_is_asked_for_again_not_guessed(pull: Pull) -> None:
    review = pull.review(state="APPROVED")
    pull.reviews.clear()
    assert pull.told() == []
    pull.reviews.append(review)
    assert pull.told() == ["pull_request_review_approved reviewed"]


def test_a_superseded_review_is_not_a_dismissed_one(pull: Pull) -> None:
    old = pull.review(state="REQUEST_CHANGES", body="no")
    pull.look()
    pull.later().review(state="APPROVED", body="yes")
    pull.reviews[pull.reviews.index(old)] = msgspec.structs.replace(old, dismissed=True, updated_at=at(pull.seconds))
    assert pull.told() == ["pull_request_review_approved reviewed"]


def test_a_dismissal_is_told_by_its_row(pull: Pull) -> None:
    review = pull.review(state="APPROVED")
    pull.look()
    pull.step("dismiss_review", review_id=review.id, body="stale")
    (dismissed,) = pull.look()
    assert (dismissed.event, dismissed.subject.review_id) == ("pull_request_review_dismissal", review.id)


def labels(pull: Pull, *names: str) -> None:
    pull.change(labels=tuple(Label(number, name) for number, name in enumerate(names, start=1)))


def test_rows_of_one_call_are_one_event_even_over_the_turn_of_a_second(pull: Pull) -> None:
    pull.step("label", label="bug", body="1")
    pull.later(1).step("label", label="ui", body="1")
    labels(pull, "bug", "ui")
    (event,) = pull.look()
    assert (event.action, event.subject.added, event.subject.labels) == ("label_updated", ["bug", "ui"], ["bug", "ui"])


def test_rows_of_two_people_or_two_times_are_two_events(pull: Pull) -> None:
    pull.step("label", label="bug", body="1")
    pull.step("label", label="ui", body="1", who=BEN)
    pull.later(2).step("label", label="db", body="1", who=BEN)
    labels(pull, "bug", "ui", "db")
    assert [(event.subject.added, event.subject.labels) for event in pull.look()] == [
        (["bug"], ["bug"]), (["ui"], ["bug", "ui"]), (["db"], ["bug", "db", "ui"]),
    ]  # fmt: skip


def test_taking_the_last_label_away_clears(pull: Pull) -> None:
    pull.step("label", label="bug", body="1")
    labels(pull, "bug")
    pull.look()
    pull.later().step("label", label="bug", body="")
    labels(pull)
    (event,) = pull.look()
    assert (event.action, event.subject.removed, event.subject.labels) == ("label_cleared", ["bug"], [])


def test_draft_and_ready_are_title_edits_with_the_flag_before(pull: Pull) -> None:
    pull.step("change_title", old_title="Title", new_title="WIP: Title")
    pull.change(title="WIP: Title", draft=True)
    (draft,) = pull.look()
    pull.later().step("change_title", old_title="WIP: Title", new_title="Title")
    pull.change(title="Title", draft=False)
    (ready,) = pull.look()
    assert [(e.changes["draft"].from_, e.changes["title"].from_) for e in (draft, ready)] == [
        (False, "Title"), (True, "WIP: Title"),
    ]  # fmt: skip


def test_an_edited_description_has_no_row_and_nobody_s_name(pull: Pull) -> None:
    pull.change(body="other")
    (edited,) = pull.look()
    assert (edited.changes["body"].from_, edited.actor) == ("Body", None)
    pull.later().change(body="Body")
    (back,) = pull.look()
    assert back.id != edited.id


def test_a_bump_without_anything_to_see_tells_nothing(pull: Pull) -> None:
    pull.change()
    assert pull.told() == []


def test_a_row_that_is_read_twice_is_told_once_whatever_its_stamp(pull: Pull) -> None:
    pull.step("comment", body="one")
    pull.look()
    pull.row = msgspec.structs.replace(pull.row, updated_at=T0)  # a clock was set back
    assert pull.told() == []


def test_a_renamed_or_deleted_author_tells_nothing(pull: Pull) -> None:
    pull.step("comment", body="one")
    pull.look()
    pull.steps[-1] = msgspec.structs.replace(pull.steps[-1], actor=Actor(-1, "Ghost"))
    pull.row = msgspec.structs.replace(pull.row, author=Actor(-1, "Ghost"))
    assert pull.told() == []


def test_kinds_that_later_versions_invent_are_passed_over(pull: Pull) -> None:
    pull.step("teleport")
    assert pull.told() == []


def test_everything_at_a_baseline_is_history() -> None:
    pull = Pull()
    pull.push(A)
    pull.later().step("comment", body="old")
    pull.review("old")
    assert pull.told(boundary=NEVER) == []
    pull.later().step("comment", body="new")
    assert pull.told() == ["pull_request_comment created"]


def test_of_a_pull_that_only_its_row_was_read_of_what_is_newer_than_the_row_is_told() -> None:
    pull = Pull()
    pull.push(A)
    pull.later().step("comment", body="old")
    pull.known = shallow(pull.row)
    pull.later().step("comment", body="new")
    pull.later().push(B)
    (comment, push) = pull.look()
    assert (comment.subject.body, push.subject.before, push.subject.after) == ("new", A, B)


def test_of_a_pull_that_nobody_knew_what_is_newer_than_the_boundary_is_told() -> None:
    pull = Pull()
    pull.push(A)
    pull.later().step("comment", body="old")
    pull.later().step("comment", body="new")
    (comment,) = pull.look(boundary=at(20))
    assert comment.subject.body == "new"
