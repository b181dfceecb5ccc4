"""An answer that is empty, short, null, cut or 404 deletes and closes nothing by itself, and loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from poller.demo.pulls import Pull
from poller.forge import errors
from tests.poller.desk import Desk
from tests.poller.traps.stage import LIES, NEXT, OLD, STABLE, log_of, on, short, told, watched

#: Each kind of question, as a pattern of its requests.
QUESTIONS = {
    "search": "GET /repos/issues/search",
    "timeline": "GET …/issues/1/timeline",
    "reviews": "GET …/pulls/1/reviews(\\?|$)",
    "inline": "GET …/pulls/1/reviews/\\d+/comments",
    "pull": "GET /repos/acme/api/pulls/1$",
    "issue": "GET …/issues/1$",
    "repository": "GET /repositories/",
}
REMARKS = [("app.txt", 5, "why?"), ("app.txt", 6, "and why this?")]


def lived_in(desk: Desk) -> Pull:
    """A pull with something of everything, all of it told, and quiet since long."""
    pull = watched(desk, labels=["bug"], milestone="v1", assignees=["ben"], reviewers=["bot"])
    for number in range(4):
        pull.comment(f"old {number}", by="ana")
    pull.review(by="ben", event="APPROVED", body="old verdict", inline=REMARKS)
    pull.push(by="ana")
    desk.cycle()
    desk.world.clock.advance(seconds=400)
    assert told(desk) == []
    return pull


def lives_on(pull: Pull, nth: int) -> list[str]:
    """Something of everything that shows in a timeline or in the state; what is to be told of it."""
    pull.comment(f"new {nth}", by="ana")
    pull.review(by="cyd", event="REQUEST_CHANGES", body=f"verdict {nth}", inline=REMARKS)
    pull.reply(pull.reviews[-1].comments[0], f"because {nth}", by="ana")
    pull.push(by="ben")
    pull.edit(by="ana", body=f"description {nth}")
    return sorted(
        [
            f"comment created new {nth}",
            f"review_rejected reviewed verdict {nth} why?/and why this?",
            f"comment created because {nth}",
            "sync synchronized",
            "edited",
        ]
    )


def line(event: Any) -> str:
    remarks = "/".join(remark.body for remark in event.subject.comments or ())
    return " ".join(word for word in (short(event), event.subject.body or "", remarks) if word)


def cycle_whatever_comes(desk: Desk) -> None:
    try:
        desk.cycle()
    except errors.ForgeError:
        return  # it says so, and commits nothing


def lied_to(desk: Desk, question: str, lie: str) -> None:
    """Two cycles in which every such question is answered so."""
    fault = desk.world.fault(QUESTIONS[question], times=None, **LIES[lie])
    cycle_whatever_comes(desk)
    cycle_whatever_comes(desk)
    fault.times = 0


@on(NEXT)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("question", ["search", "timeline", "reviews", "inline", "pull"])
def test_a_lie_about_a_pull_that_lives_loses_nothing_and_makes_nothing_up(desk: Desk, question: str, lie: str) -> None:
    pull = lived_in(desk)
    before = len(log_of(desk))
    expected = lives_on(pull, 1)
    lied_to(desk, question, lie)
    for seconds in (61, 301, 301):
        desk.world.clock.advance(seconds=seconds)
        assert desk.cycle().errors == []
    assert sorted(map(line, log_of(desk)[before:])) == expected


@on(STABLE)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("question", ["issue", "timeline", "reviews", "pull"])
def test_a_lie_when_a_quiet_pull_settles_is_no_end_of_it(desk: Desk, question: str, lie: str) -> None:
    pull = watched(desk)
    pull.review(by="ben", event="APPROVED", body="fine", inline=REMARKS)
    assert told(desk) == ["review_approved reviewed"]
    before = len(log_of(desk))
    desk.world.clock.advance(seconds=400)
    lied_to(desk, question, lie)
    for seconds in (61, 301, 301):
        desk.world.clock.advance(seconds=seconds)
        assert desk.cycle().errors == []
    assert log_of(desk)[before:] == []


@on(STABLE)
def test_a_repository_that_its_name_finds_is_there_though_its_id_does_not(desk: Desk) -> None:
    pull = watched(desk)
    pull.delete(by="root1")
    desk.world.clock.advance(seconds=400)
    lied_to(desk, "repository", "404")
    assert [short(event) for event in log_of(desk)] == ["opened", "deleted"]


@on(STABLE)
@pytest.mark.parametrize("lie", sorted(LIES.keys() - {"short", "404"}))
def test_a_pull_that_is_gone_is_not_deleted_while_its_repository_is_in_doubt(desk: Desk, lie: str) -> None:
    pull = watched(desk)
    pull.delete(by="root1")
    desk.world.clock.advance(seconds=400)
    lied_to(desk, "repository", lie)
    assert [short(event) for event in log_of(desk)] == ["opened"]
    desk.world.clock.advance(seconds=400)
    desk.cycle()
    assert [short(event) for event in log_of(desk)] == ["opened", "deleted"]


@on(OLD, NEXT)
@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_is_shorter_than_it_says_leaves_nobody_behind(desk: Desk, lie: str) -> None:
    """The cursor must not pass a pull that was left out: its stamp is older than the overlap soon."""
    older, newer = watched(desk), watched(desk)
    desk.world.clock.advance(seconds=1000)
    assert told(desk) == []
    older.comment("long before", by="ana")
    desk.world.clock.advance(seconds=1000)
    newer.comment("just now", by="ana")
    lied_to(desk, "search", lie)
    desk.world.clock.advance(seconds=1000)
    for _ in range(2):
        assert desk.cycle().errors == []
    said = {event.subject.body for event in log_of(desk) if short(event) == "comment created"}
    assert said == {"long before", "just now"}
