"""What pending events come to when several are told at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.deltas.events import Change, Event
from poller.fold import Told, folded, tellable
from tests.poller.happenings import ANA, BOB, BOT, Happenings, any_happening

CHOICES = len(any_happening(Happenings()))


@pytest.fixture
def make() -> Happenings:
    return Happenings()


def only(*events: Event) -> Told:
    """The one thing they come to."""
    (told,) = folded(events)
    assert told.ids == tuple(event.id for event in events)
    return told


def nothing(*events: Event) -> bool:
    return only(*events).void


def test_several_pushes_are_one_from_the_first_head_to_the_last(make: Happenings) -> None:
    told = only(make.pushed("a", "b"), make.pushed("b", "c", forced=True), make.pushed("c", "d", commits=["c", "d"]))
    subject = told.event.subject
    assert (subject.before, subject.after, subject.forced, subject.commits) == ("a", "d", True, ["b", "c", "d"])


def test_a_push_that_was_taken_back_is_nothing(make: Happenings) -> None:
    assert nothing(make.pushed("a", "b"), make.pushed("b", "a", forced=True))


def test_a_push_of_unknown_origin_is_kept(make: Happenings) -> None:
    pushes = [
        make("pull_request_sync", "synchronized", after="a"),
        make("pull_request_sync", "synchronized", after="b"),
    ]
    assert only(*pushes).event.subject.after == "b"


def test_a_comment_edited_before_it_was_told_is_its_last_text(make: Happenings) -> None:
    told = only(make.commented(1, "@bot pls"), make.comment_edited(1, "@bot pls", "@bot please"))
    assert (told.event.action, told.event.subject.body, told.event.changes) == ("created", "@bot please", {})
    assert told.event.id == "e1"


def test_a_comment_edited_twice_is_its_last_text_beside_its_first(make: Happenings) -> None:
    told = only(make.comment_edited(1, "a", "b"), make.comment_edited(1, "b", "c"))
    assert (told.event.action, told.event.subject.body, told.event.changes) == ("edited", "c", {"body": Change("a")})


def test_an_edit_that_was_taken_back_is_nothing(make: Happenings) -> None:
    assert nothing(make.comment_edited(1, "a", "b"), make.comment_edited(1, "b", "a"))


def test_a_comment_that_came_and_went_is_nothing(make: Happenings) -> None:
    assert nothing(make.commented(1, "a"), make.comment_edited(1, "a", "b"), make.comment_deleted(1))


def test_a_known_comment_that_was_edited_and_deleted_is_deleted(make: Happenings) -> None:
    assert only(make.comment_edited(1, "a", "b"), make.comment_deleted(1)).event.action == "deleted"


def test_two_comments_stay_two(make: Happenings) -> None:
    assert [told.ids for told in folded([make.commented(1, "a"), make.commented(2, "a")])] == [("e1",), ("e2",)]


def test_what_an_edited_comment_says_keeps_the_place_of_the_comment(make: Happenings) -> None:
    events = [make.commented(1, "a"), make.commented(2, "why?"), make.comment_edited(1, "a", "b")]
    assert [told.event.subject.body for told in folded(events)] == ["b", "why?"]


@pytest.mark.parametrize(
    ("acts", "told"),
    [
        (["opened", "closed"], None),
        (["opened", "closed", "reopened"], "opened"),
        (["opened", "closed", "reopened", "closed"], None),
        (["closed", "reopened"], "reopened"),
        (["closed", "reopened", "closed"], "closed"),
        (["reopened", "closed"], None),
        (["reopened"], "reopened"),
    ],
)
def test_opening_and_closing_come_to_the_state_at_the_end(make: Happenings, acts: list[str], told: str | None) -> None:
    found = only(*(getattr(make, act)() for act in acts))
    assert (None if found.void else found.event.action) == told


def test_opened_again_is_opened_by_its_author_as_it_is_now(make: Happenings) -> None:
    told = only(make.opened(), make.closed(), make("pull_request", "reopened", actor=BOB, pull={"title": "New"}))
    assert told.event.actor == ANA and told.event.pull is not None and told.event.pull.title == "New"


def test_a_label_that_came_and_went_is_nothing(make: Happenings) -> None:
    assert nothing(make.labelled("bug"), make.labelled(removed=("bug",)))


def test_labels_are_told_as_the_difference(make: Happenings) -> None:
    told = only(make.labelled("bug", "ui"), make.labelled("docs", removed=("bug", "old")))
    assert (told.event.subject.added, told.event.subject.removed) == (["ui", "docs"], ["old"])


def test_a_person_assigned_and_unassigned_is_nothing_to_the_others(make: Happenings) -> None:
    told = folded([make.assigned(ANA), make.assigned(BOB), make.unassigned(ANA)])
    assert [(each.ids, each.void) for each in told] == [(("e1", "e3"), True), (("e2",), False)]


def test_a_review_asked_for_again_is_asked_for(make: Happenings) -> None:
    assert only(make.unasked(BOT), make.asked(BOT)).event.action == "review_requested"
    assert nothing(make.asked(BOT), make.unasked(BOT))


def test_title_edits_are_one_from_the_first_title(make: Happenings) -> None:
    told = only(make.titled("a", "b"), make.titled("b", "c"))
    assert told.event.changes == {"title": Change("a")}
    assert nothing(make.titled("a", "b"), make.titled("b", "a"))


def test_a_draft_that_became_ready_under_its_old_title_is_ready(make: Happenings) -> None:
    told = only(make.titled("WIP: a", "a", was_draft=True), make.titled("a", "b"), make.titled("b", "WIP: a"))
    assert told.event.changes == {"draft": Change(True)}


def test_a_review_deleted_before_it_was_told_is_nothing(make: Happenings) -> None:
    assert nothing(make.reviewed(5, "no"), make("pull_request_review_dismissal", "deleted", review_id=5))


def test_dismissed_and_undismissed_is_nothing_and_leaves_the_review(make: Happenings) -> None:
    dismissed = make("pull_request_review_dismissal", "dismissed", review_id=5)
    undismissed = make("pull_request_review_dismissal", "undismissed", review_id=5)
    told = folded([make.reviewed(5, "no"), dismissed, undismissed])
    assert [each.void for each in told] == [False, True]


def test_a_repository_renamed_twice_went_from_its_first_name_to_its_last(make: Happenings) -> None:
    told = only(
        make("repository", "renamed", from_="acme/a", to="acme/b"),
        make("repository", "renamed", from_="acme/b", to="acme/c"),
    )
    assert (told.event.subject.from_, told.event.subject.to) == ("acme/a", "acme/c")


def test_events_of_two_pulls_do_not_mix(make: Happenings) -> None:
    import msgspec

    here = make.pushed("a", "b")
    there = msgspec.structs.replace(make.pushed("b", "a"), number=8)
    assert [told.ids for told in folded([here, there])] == [("e1",), ("e2",)]


def test_an_event_that_is_in_twice_counts_once(make: Happenings) -> None:
    comment = make.commented(1, "a")
    assert folded([comment, comment]) == [Told(event=comment, ids=("e1",))]


@given(st.lists(st.integers(min_value=0, max_value=CHOICES - 1), max_size=25))
def test_every_event_is_accounted_for_once_and_in_order(picks: list[int]) -> None:
    makers = any_happening(Happenings())
    events = [makers[pick]() for pick in picks]
    told = folded(events)
    order = {event.id: nth for nth, event in enumerate(events)}
    assert sorted(order[id_] for each in told for id_ in each.ids) == list(range(len(events)))
    assert all(list(each.ids) == sorted(each.ids, key=order.__getitem__) for each in told)
    assert [order[each.ids[0]] for each in told] == sorted(order[each.ids[0]] for each in told)
    assert tellable(told) == [each for each in told if not each.void]


@given(st.lists(st.integers(min_value=0, max_value=CHOICES - 1), max_size=25))
def test_what_is_told_needs_no_more_folding(picks: list[int]) -> None:
    makers = any_happening(Happenings())
    once = [each.event for each in tellable(folded([makers[pick]() for pick in picks]))]
    again = folded(once)
    assert [each.event for each in again if not each.void] == [each.event for each in again]
    assert [each.event for each in again] == once


@given(st.integers(min_value=0, max_value=CHOICES - 1))
def test_a_single_event_is_told_as_it_is(pick: int) -> None:
    event = any_happening(Happenings())[pick]()
    assert folded([event]) == [Told(event=event, ids=(event.id,))]
