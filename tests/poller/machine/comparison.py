"""The event log against what really happened: every happening has its event, every event its cause, none twice.

Where a happening has no event of its own, it must be proven from what was to be seen between two polls that nobody
could have told it; then it is counted under the name of that collapse.  Knows events, both logs of the world, and
polls.  Must not know how the poller reads.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

from poller.deltas.events import Actor, Event
from tests.poller.machine.collapses import (
    BACKDATED,
    BODIES,
    COMMENT,
    EDITS,
    EMPTY_PUSH,
    FLAG,
    LABEL,
    LABELS,
    LOSS,
    MILESTONE,
    NAMES,
    PULL,
    PUSH_LOST,
    PUSHES,
    REMARK,
    REVIEW,
    ROW_OF_REVIEW,
    UNSEEN_PUSH,
)
from tests.poller.machine.naming import (
    ROWS,
    Hook,
    Told,
    covers,
    epoch,
    happening,
    hook_of,
    is_body,
    is_body_hook,
    is_label,
    is_label_hook,
    is_row_hook,
    key_of_event,
    key_of_hook,
    kind_of,
    labels_of,
    of,
    said,
    taken,
)
from tests.poller.machine.stage import Poll, Sight, Spot

OVERLAP = 300


class Unlike(AssertionError):
    """What happened on one pull (number 0: to a repository) and what was told of it are not the same."""

    def __init__(self, spot: Spot, why: str) -> None:
        super().__init__(why)
        self.spot = spot


class Comparison:
    """Compares one history, every poll of which also swept."""

    def __init__(self, happened: Sequence[Hook], polls: Sequence[Poll], *, baseline: int) -> None:
        self._happened = [one for one in happened if one["nth"] > baseline]
        self._before = [one for one in happened if one["nth"] <= baseline]
        self._polls = polls
        self.counts = Counter[str]()

    def check(self) -> None:
        """Raises `Unlike` for what has no event, no cause, or not its place."""
        told = [Told(event, nth) for nth, poll in enumerate(self._polls) for event in poll.told]
        assert len({one.event.id for one in told}) == len(told), "an id twice"
        hooks, events = defaultdict[Spot, list[Hook]](list), defaultdict[Spot, list[Told]](list)
        for hook in self._happened:
            hooks[hook["repo_id"], hook["number"] or 0].append(hook)
        for one in told:
            events[one.event.repo_id, one.event.number or 0].append(one)
        for spot in hooks.keys() | events.keys():
            try:
                if spot[1]:
                    _OfPull(self, spot, hooks[spot], events[spot], self._polls).check()
                else:
                    self._repository(spot[0], hooks[spot], events[spot])
            except AssertionError as difference:
                raise Unlike(spot, str(difference)) from difference

    def _repository(self, repo_id: int, hooks: list[Hook], events: list[Told]) -> None:
        """Its names follow each other, and the last one is told; that it is gone is told once."""
        names = [hook["about"]["from"] for hook in hooks] + [hook["about"].get("to") for hook in hooks[-1:]]
        renames = [one for one in events if one.event.action == "renamed"]
        known, place = self._polls[0].names[repo_id], 0
        for one in renames:
            before, after = one.event.subject.from_, one.event.subject.to
            assert before == known != after and after in names[place:], f"without a cause: {said(one)}"
            known, place = after, names.index(after, place)
        gone = [hook for hook in hooks if hook["action"] == "gone"]
        assert len(events) - len(renames) == len(gone), f"gone is not gone: {[said(one) for one in events]}"
        assert gone or known == self._polls[-1].names[repo_id], f"is called otherwise, and that is not told: {names}"
        self.collapsed(NAMES, len(hooks) - len(gone) - len(renames))

    def collapsed(self, name: str, times: int = 1) -> None:
        self.counts[name] += times


class _OfPull:
    def __init__(
        self, whole: Comparison, spot: Spot, hooks: list[Hook], events: list[Told], polls: Sequence[Poll]
    ) -> None:
        self.whole, self.spot, self.hooks, self.events = whole, spot, hooks, events
        #: polls that cannot have overlooked this pull; the first one is a baseline, and reads little
        self.looks = [
            nth for nth, poll in enumerate(polls)
            if nth and poll.done and poll.honest and spot not in poll.unread and {spot} <= poll.first.keys() & poll.last
        ]  # fmt: skip
        self.polls = polls
        self.thorough = [nth for nth in self.looks if spot in polls[nth].thorough]
        self.matched: list[tuple[Told, int, Hook]] = []
        ends = [hook["nth"] for hook in hooks if (hook["event_type"], hook["action"]) == ("pull_request", "deleted")]
        self.end = ends[0] if ends else None

    def check(self) -> None:
        events, hooks = list(self.events), list(self.hooks)
        self._milestones(taken(events, of("pull_request_milestone")), taken(hooks, hook_of("pull_request_milestone")))
        self._rows(taken(events, self._is_row), taken(hooks, is_row_hook))
        self._labels(taken(events, is_label), taken(hooks, is_label_hook))
        self._pushes(taken(events, of("pull_request_sync")), taken(hooks, hook_of("pull_request_sync")))
        self._bodies(taken(events, is_body), taken(hooks, is_body_hook))
        self._texts(events, hooks)
        self._losses(events, hooks)
        self._flags(events, hooks)
        self._deletion(events, hooks)
        assert not events, f"without a cause: {[said(one) for one in events]}"
        self._order()

    # -- what has a row -----------------------------------------------------------------------------------------

    def _is_row(self, one: Told) -> bool:
        event = one.event
        if event.event == "pull_request_assign":
            return event.actor is not None
        if event.event == "pull_request":
            return event.action != "deleted" and "body" not in event.changes
        return event.event in ROWS or (event.event, event.action) in (
            ("pull_request_comment", "created"), ("pull_request_review_dismissal", "dismissed"),
        )  # fmt: skip

    def _rows(self, events: list[Told], hooks: list[Hook]) -> None:
        """Each row is one event: those of one kind in their order, by the second if there are several."""
        there = defaultdict[Hashable, list[Hook]](list)
        for hook in hooks:
            there[key_of_hook(hook)].append(hook)
        for one in events:
            some = there[key_of_event(one.event)]
            hook = next((hook for hook in some if hook["at"] == one.event.at), some[0] if some else None)
            assert hook is not None, f"without a cause: {said(one)}"
            assert hook["nth"] <= self.polls[one.poll].end, f"told before it happened: {said(one)}"
            if one.event.actor is not None and hook["sender_id"] is not None:
                assert one.event.actor.id == hook["sender_id"], f"by another: {said(one)}, {happening(hook)}"
            some.remove(hook)
            self.matched.append((one, hook["about"].get("row", 0), hook))
        for some in there.values():
            for hook in some:
                self.whole.collapsed(self._why_untold(hook))

    def _why_untold(self, hook: Hook) -> str:
        """The collapse of a happening whose row nobody can have seen."""
        row = hook["about"].get("row")
        if row is None:  # the opening
            assert not self.looks, f"never told: {happening(hook)}"
            return PULL
        backdated = self._is_backdated(hook)
        looks = self.thorough if backdated else self.looks
        seen = [nth for nth in looks if row in self._first(nth).rows & self._last(nth).rows]
        assert not seen, f"was to be seen, and is not told: {happening(hook)}"
        assert row not in self._final_rows(), f"is still to be seen, and is not told: {happening(hook)}"
        if self._final() is None:
            return PULL
        if backdated:
            return BACKDATED
        if any(
            kind_of(one) == ("pull_request_comment", "deleted") and one["comment"]["id"] == row for one in self.hooks
        ):
            return COMMENT if hook["event_type"] == "pull_request_comment" else ROW_OF_REVIEW
        return {"pull_request_comment": COMMENT, "pull_request_review_dismissal": REVIEW}.get(
            hook["event_type"], REVIEW
        )

    def _final(self) -> Sight | None:
        return self.polls[-1].last.get(self.spot)

    def _final_rows(self) -> frozenset[int]:
        final = self._final()
        return final.rows if final is not None else frozenset()

    # -- milestones ---------------------------------------------------------------------------------------------

    def _milestones(self, events: list[Told], hooks: list[Hook]) -> None:
        """A row names a milestone as long as there is one; one that is deleted leaves the pull without a row."""
        rows, silent = (
            [hook for hook in hooks if "row" in hook["about"]],
            [hook for hook in hooks if "row" not in hook["about"]],
        )
        excused, given = 0, list(rows)
        for one in events:
            same = [hook for hook in rows if one.event.actor is not None and hook["at"] == one.event.at]
            same = [hook for hook in same if one.event.actor and hook["sender_id"] == one.event.actor.id]
            exact = [hook for hook in same if hook["about"]["milestone"] == one.event.subject.milestone]
            if exact or same:
                hook = (exact or same)[0]
                if not exact:  # put on, and its object deleted: the row looks as if it had been taken off
                    assert one.event.action == "demilestoned" and self._is_nameless(hook), (
                        f"without a cause: {said(one)}"
                    )
                    self.whole.collapsed(MILESTONE)
                    excused += 1
                rows.remove(hook)
                self.matched.append((one, hook["about"]["row"], hook))
                continue
            assert one.event.actor is None and one.event.action == "demilestoned", f"without a cause: {said(one)}"
            causes = [*silent, *(hook for hook in rows if self._is_nameless(hook))]
            causes = [hook for hook in causes if hook["nth"] <= self.polls[one.poll].end]
            assert causes, f"without a cause: {said(one)}"
            (rows if causes[0] in rows else silent).remove(causes[0])
        for hook in rows:
            if self.looks and self._is_nameless(hook):
                self.whole.collapsed(MILESTONE)
            else:
                self.whole.collapsed(self._why_untold(hook))
        for hook in silent[: len(silent) - excused]:
            self._not_settled(hook, lambda sight: sight.milestone is not None, lambda other: other in given)

    def _is_nameless(self, hook: Hook) -> bool:
        """No look saw its row while it still named what was put on."""
        row = hook["about"]["row"]
        return all(row in self._last(nth).nameless for nth in self.looks if row in self._first(nth).rows)

    # -- labels -------------------------------------------------------------------------------------------------

    def _labels(self, events: list[Told], hooks: list[Hook]) -> None:
        """One call is one row per label; rows of one person that follow within a second may be one event."""
        rows = sorted(
            (row, hook["sender_id"], sign, name, hook) for hook in hooks
            for sign, field in (("+", "added"), ("-", "removed")) for row, name in hook["about"][field]
            if row is not None
        )  # fmt: skip
        by_person = [one for one in events if one.event.actor is not None]
        needs, has = Counter[Hashable](), Counter[Hashable]()
        vanished = list[tuple[str, str, Hook]]()
        for row, who, sign, name, hook in rows:
            needs[who, sign, name] += 1
            covering = [one for one in by_person if covers(one.event, who, sign, name, hook, rows)]
            if not covering:
                seen = any(row in self._first(nth).rows & self._last(nth).rows for nth in self.looks)
                assert not seen, f"a label was to be seen, and is not told: {sign}{name} {happening(hook)}"
                assert row not in self._final_rows()
                vanished.append((sign, name, hook))
            else:
                self.matched.append((covering[0], row, hook))
        for one in by_person:
            assert one.event.actor is not None
            marks = list(labels_of(one.event))
            assert marks, f"says nothing: {said(one)}"
            for sign, name in marks:
                has[one.event.actor.id, sign, name] += 1
                assert any(
                    covers(one.event, who, sign, name, hook, rows) for _, who, plus, label, hook in rows
                    if (plus, label) == (sign, name)
                ), f"without a cause: {sign}{name} {said(one)}"  # fmt: skip
        assert all(has[mark] <= needs[mark] for mark in has), "a label twice"
        self.whole.collapsed(LABELS, max(0, sum(needs.values()) - sum(has.values())))
        self._lost_labels(
            [one for one in events if one.event.actor is None],
            [hook for hook in hooks if hook["sender_id"] is None],
            vanished,
        )
        self.whole.collapsed(LABEL if self._final() is not None else PULL, len(vanished))

    def _lost_labels(self, events: list[Told], hooks: list[Hook], vanished: list[tuple[str, str, Hook]]) -> None:
        """Of a label whose object was deleted nobody knows who did it; nor of one taken off, and then deleted unseen.

        Takes out of `vanished` the rows that have their event so.
        """
        for one in events:
            assert not one.event.subject.added, f"without a cause: {said(one)}"
            for name in one.event.subject.removed or ():
                end = self.polls[one.poll].end
                causes = [hook for hook in hooks if hook["nth"] <= end]
                causes = [hook for hook in causes if any(gone == name for _, gone in hook["about"]["removed"])]
                unseen = [row for row in vanished if row[:2] == ("-", name) and row[2]["nth"] <= end]
                assert causes or unseen, f"without a cause: {said(one)}"
                if causes:
                    hooks.remove(causes[0])
                else:
                    vanished.remove(unseen[0])
        for hook in hooks:
            ((_, name),) = hook["about"]["removed"]
            self._not_settled(hook, lambda sight, name=name: name in sight.labels)

    # -- pushes -------------------------------------------------------------------------------------------------

    def _pushes(self, events: list[Told], hooks: list[Hook]) -> None:
        """Each event leads to a head that was pushed; what it passes over had no row, or lost it unseen."""
        left = list(hooks)
        for one in events:
            subject = one.event.subject
            assert subject.before != subject.after, f"pushed nothing: {said(one)}"
            place = next((nth for nth, hook in enumerate(left) if self._is_the_push(one, hook)), None)
            assert place is not None, f"a head that was not pushed, or not then: {said(one)}"
            passed, hook = left[:place], left[place]
            assert hook["nth"] <= self.polls[one.poll].end
            for over in passed:
                self.whole.collapsed(self._why_passed_over(over, hook["nth"]))
            self.whole.collapsed(EMPTY_PUSH, hook["about"]["after"] != subject.after)
            if hook["about"]["row"] is not None and one.event.actor is not None:
                self.matched.append((one, hook["about"]["row"], hook))
            left = left[place + 1 :]
        for hook in left:
            why, final = self._why_passed_over(hook, None), self._final()
            if why == PUSHES and final is not None:
                closed = final.state == "closed" or self._closed_after(hook)
                assert closed or self._told_head(events) == final.head, f"the head is not told: {happening(hook)}"
                why = PUSH_LOST if closed else PUSHES
            self.whole.collapsed(why)

    def _is_the_push(self, one: Told, hook: Hook) -> bool:
        """A push without commits of its own may have a row that names no head: what was there is told then, or none."""
        subject, row = one.event.subject, one.event.id.rpartition("/")[2]
        if row != str(hook["about"]["row"]):
            return not row.isdigit() and bool(hook["about"]["after"] == subject.after)
        there = self._first(one.poll).head, self._last(one.poll).head
        return hook["about"]["after"] == subject.after or (not subject.commits and subject.after in ("", *there))

    def _closed_after(self, hook: Hook) -> bool:
        """What is still under way when the pull is closed is not told when it comes back."""
        return any(one["action"] == "closed" and one["nth"] > hook["nth"] for one in self.hooks)

    def _told_head(self, events: list[Told]) -> str:
        if events:
            return str(events[-1].event.subject.after)
        return self.polls[self.looks[0]].first[self.spot].head if self.looks else ""

    def _why_passed_over(self, hook: Hook, before: int | None) -> str:
        """The collapse of a push whose row nobody can have seen, and whose head nobody saw for long enough."""
        row = hook["about"]["row"]
        seen = [nth for nth in self.looks if row in self._first(nth).rows & self._last(nth).rows]
        assert not seen, f"the row of a push was to be seen, and is not told: {happening(hook)}"
        if self._final() is None:
            return PULL
        if not any(self.polls[nth].end < hook["nth"] for nth in self.looks):
            return UNSEEN_PUSH
        heads = [
            self.polls[nth].at for nth in self.looks
            if self._first(nth).head == self._last(nth).head == hook["about"]["after"]
            and self._first(nth).state == self._last(nth).state == "open"
            and self.polls[nth].begin >= hook["nth"] and (before is None or self.polls[nth].end < before)
        ]  # fmt: skip
        clue = f"a head was to be seen, and is not told: {happening(hook)}"
        assert not heads or max(heads) - min(heads) <= 2 * OVERLAP, clue
        return PUSHES

    # -- texts --------------------------------------------------------------------------------------------------

    def _bodies(self, events: list[Told], hooks: list[Hook]) -> None:
        """No row tells of them: each event starts from the last one that was seen."""
        values = [str(hook["changes"]["body"]["from"]) for hook in hooks]
        final = hooks[-1]["about"]["body"] if hooks else ""
        values.append(final)
        places = []
        for one in events:
            start = places[-1] + 1 if places else 0
            places.append(values.index(str(one.event.changes["body"].from_), start))
            assert hooks[places[-1]]["nth"] <= self.polls[one.poll].end
        looked = [
            self._first(nth).body for nth in self.looks
            if self._first(nth).body == self._last(nth).body
        ]  # fmt: skip
        froms = [str(one.event.changes["body"].from_) for one in events]
        for before, after in itertools.pairwise(looked):
            if before != after:
                assert before in froms, f"was described otherwise, and is not told: {before!r}"
        if len(hooks) > len(events):
            self.whole.collapsed(BODIES if self._final() is not None else PULL, len(hooks) - len(events))

    def _texts(self, events: list[Told], hooks: list[Hook]) -> None:
        """Comments, remarks on lines, bodies of reviews: edited and deleted, each told as often as it was seen."""
        edits = defaultdict[int, list[Hook]](list)
        for hook in taken(hooks, lambda hook: kind_of(hook) == ("pull_request_comment", "edited")):
            edits[hook["comment"]["id"]].append(hook)
        gone = {
            hook["comment"]["id"]: hook
            for hook in taken(hooks, lambda hook: kind_of(hook) == ("pull_request_comment", "deleted"))
        }
        told = defaultdict[int, list[Told]](list)
        for one in taken(events, lambda one: one.event.event == "pull_request_comment"):
            assert isinstance(one.event.subject.comment_id, int)
            told[one.event.subject.comment_id].append(one)
        first = self._first_texts()
        for row in edits.keys() | gone.keys() | told.keys():
            self._text(row, first.get(row), told[row], edits[row], gone.get(row))

    def _first_texts(self) -> dict[int, str]:
        """What was told of each text when it was made, by row."""
        first: dict[int, str] = {}
        for one, row, _ in self.matched:
            subject = one.event.subject
            if isinstance(subject.body, str) and one.event.event != "pull_request_review_dismissal":
                first[row] = subject.body
            for remark in subject.comments or ():
                first[remark.comment_id] = remark.body
        return first

    def _text(self, row: int, first: str | None, told: list[Told], edits: list[Hook], gone: Hook | None) -> None:
        true = [str(hook["changes"]["body"]["from"]) for hook in edits] + [
            str(hook["comment"]["body"]) for hook in edits[-1:]
        ]
        place, known = 0, first
        changes = [one for one in told if one.event.action == "edited"]
        for one in changes:
            before, after = one.event.changes["body"].from_, one.event.subject.body
            assert before != after and (known is None or before == known), f"from another text: {said(one)}"
            assert after in true[place:], f"without a cause: {said(one)}"
            place = true.index(str(after), place)
            assert edits[max(0, place - 1)]["nth"] <= self.polls[one.poll].end
            known = str(after)
        self._must_have_told_text(row, first, changes)
        if len(edits) > len(changes):
            self.whole.collapsed(EDITS, len(edits) - len(changes))
        deletions = [one for one in told if one.event.action == "deleted"]
        assert len(deletions) <= (gone is not None), f"without a cause: {[said(one) for one in deletions]}"
        assert len(deletions) + len(changes) == len(told)
        if gone is not None and deletions:
            assert gone["nth"] <= self.polls[deletions[0].poll].end
        elif gone is not None:
            self.whole.collapsed(self._why_not_gone(row, first, gone))

    def _why_not_gone(self, row: int, first: str | None, gone: Hook) -> str:
        """The collapse of a deletion: nobody had heard of it, or nobody has asked since."""
        if gone["about"]["type"] == "review":
            return ROW_OF_REVIEW
        seen = [nth for nth in self.thorough if self.polls[nth].end < gone["nth"] and row in self._first(nth).texts]
        later = [nth for nth in self.thorough if self.polls[nth].begin >= gone["nth"]]
        whole = [
            hook for hook in self.hooks
            if kind_of(hook) == ("pull_request_review_dismissal", "deleted") and hook["nth"] > gone["nth"]
            and hook["about"]["review"] == gone["about"].get("review")
        ]  # fmt: skip
        if whole and not [nth for nth in later if self.polls[nth].end < whole[0]["nth"]]:
            return REMARK
        assert not ((seen or first is not None) and later), f"is gone, and is not told: {happening(gone)}"
        return COMMENT if self._final() is not None else PULL

    def _must_have_told_text(self, row: int, first: str | None, changes: list[Told]) -> None:
        """Every text that a look has seen was told by it."""
        if first is None:
            return
        for nth in self.thorough:
            start, end = self._first(nth).texts.get(row), self._last(nth).texts.get(row)
            if start is None or start != end:
                continue
            known = [first, *(str(one.event.subject.body) for one in changes if one.poll <= nth)][-1]
            assert known == start, f"says {start!r}, and told is {known!r}: comment {row}"

    # -- what is lost, and flags --------------------------------------------------------------------------------

    def _losses(self, events: list[Told], hooks: list[Hook]) -> None:
        """Assignments that go without a row."""
        mine = taken(hooks, hook_of("pull_request_assign"))
        for one in taken(events, of("pull_request_assign")):
            who = one.event.subject.assignee
            cause = next(
                (hook for hook in mine if isinstance(who, Actor) and hook["about"]["assignee"] == who.id), None
            )
            assert cause is not None, f"without a cause: {said(one)}"
            assert cause["nth"] <= self.polls[one.poll].end
            mine.remove(cause)
        for hook in mine:
            who = hook["about"]["assignee"]
            self._not_settled(
                hook,
                lambda sight, who=who: who in sight.assignees,
                lambda other, who=who: (
                    kind_of(other) == ("pull_request_assign", "assigned") and other["about"]["assignee"] == who
                ),
            )

    def _flags(self, events: list[Told], hooks: list[Hook]) -> None:
        """Threads and dismissals: done, undone, gone."""
        kinds = {
            ("pull_request_review_dismissal", "undismissed"): (
                "review",
                lambda sight, key: sight.reviews.get(key) is True,
            ),
            ("pull_request_review_dismissal", "deleted"): ("review", lambda sight, key: key in sight.reviews),
            ("pull_request_thread", "resolved"): ("comment", lambda sight, key: sight.threads.get(key, 0) is None),
            ("pull_request_thread", "unresolved"): ("comment", lambda sight, key: bool(sight.threads.get(key))),
        }
        for names, (field, was) in kinds.items():
            mine = taken(hooks, lambda hook, names=names: kind_of(hook) == names)
            for one in taken(events, lambda one, names=names: (one.event.event, one.event.action) == names):
                key = one.event.subject.review_id if field == "review" else one.event.subject.comment_id
                causes = [hook for hook in mine if hook["about"][field] == key]
                causes = [hook for hook in causes if hook["nth"] <= self.polls[one.poll].end]
                assert causes, f"without a cause: {said(one)}"
                # Of several that were one to every reader, the last is told.
                mine.remove(causes[-1])
            for hook in mine:
                self._not_shown(
                    hook, lambda sight, hook=hook, was=was, field=field: was(sight, hook["about"][field]), FLAG
                )

    def _not_shown(self, hook: Hook, before: Callable[[Sight], bool], name: str) -> None:
        """It need not be told: no thorough look saw what it ended, or the next one did not see that ended."""
        was = [
            nth for nth in self.thorough
            if self.polls[nth].end < hook["nth"] and before(self._first(nth)) and before(self._last(nth))
        ]  # fmt: skip
        after = [nth for nth in self.thorough if was and nth > was[-1]][:1]
        for nth in after:
            ended = not before(self._first(nth)) and not before(self._last(nth))
            assert self.polls[nth].begin < hook["nth"] or not ended, f"is not told: {happening(hook)}"
        self.whole.collapsed(name if self._final() is not None else PULL)

    def _not_settled(
        self, hook: Hook, before: Callable[[Sight], bool], given: Callable[[Hook], bool] = lambda _: False
    ) -> None:
        """A mark that is lost without a row is believed when the pull has been quiet for the overlap.

        If it is `given` again by a row before that, the rows lead from what was to what is, and hide the loss.
        """
        was = [
            nth for nth in self.looks
            if self.polls[nth].end < hook["nth"] and before(self._first(nth)) and before(self._last(nth))
        ]  # fmt: skip
        again = min((one["nth"] for one in self.hooks if one["nth"] > hook["nth"] and given(one)), default=math.inf)
        later = [nth for nth in self.looks if self.polls[nth].begin >= hook["nth"] and self.polls[nth].end < again]
        ended = itertools.takewhile(lambda nth: not before(self._first(nth)) and not before(self._last(nth)), later)
        settled = [nth for nth in ended if self.polls[nth].at >= self._last(nth).updated + OVERLAP]
        assert not (was and settled), f"is not told: {happening(hook)}"
        self.whole.collapsed(LOSS if self._final() is not None else PULL)

    def _first(self, nth: int) -> Sight:
        return self.polls[nth].first[self.spot]

    def _last(self, nth: int) -> Sight:
        return self.polls[nth].last[self.spot]

    def _deletion(self, events: list[Told], hooks: list[Hook]) -> None:
        mine = taken(hooks, lambda hook: kind_of(hook) == ("pull_request", "deleted"))
        told = taken(events, lambda one: (one.event.event, one.event.action) == ("pull_request", "deleted"))
        assert len(told) <= len(mine), f"without a cause: {[said(one) for one in told]}"
        if mine and not told:
            assert not self.looks, f"is gone, and is not told: {[happening(hook) for hook in mine]}"
            self.whole.collapsed(PULL)
        assert not hooks, f"nobody knows what to expect of {[happening(hook) for hook in hooks]}"

    # -- order --------------------------------------------------------------------------------------------------

    def _order(self) -> None:
        """As the forge's rows are numbered, but for what came while the one who told was looking (or was lied to)."""
        place = {one.event.id: nth for nth, one in enumerate(self.events)}
        rows = sorted(
            {one.event.id: (one, row, hook) for one, row, hook in reversed(self.matched)}.values(),
            key=lambda told: place[told[0].event.id],
        )
        for (one, row, hook), (other, next_row, next_hook) in itertools.pairwise(rows):
            if row <= next_row or self._is_backdated(hook) or self._is_backdated(next_hook):
                continue
            began = self.polls[one.poll].begin
            # What is said in a review waits for its row, even in vain.
            if self._is_rowless(one.event) or self._is_rowless(other.event):
                continue
            torn = next_hook["nth"] > began or hook["nth"] > began
            lied = any(each.lied or self.spot in each.unread for each in self.polls[: one.poll + 1])
            assert torn or lied, f"{said(one)} is told before {said(other)}"

    def _is_rowless(self, event: Event) -> bool:
        """Of a review whose row was deleted: it is told when nothing more can come."""
        gone = {hook["about"]["row"] for hook in self.hooks if hook["about"].get("type") == "review"}
        made = (hook for hook in self.hooks if hook["action"] == "reviewed")
        return event.subject.review_id in {hook["about"]["review"] for hook in made if hook["about"]["row"] in gone}

    def _is_backdated(self, hook: Hook) -> bool:
        """It bears a time from long before a poll that it came after: who reads by time finds it late."""
        return any(poll.end < hook["nth"] and epoch(hook["at"]) < poll.at - OVERLAP for poll in self.polls)
