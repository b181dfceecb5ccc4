"""A turn that runs again ends again, and is told of again; what is said again is said once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from poller import letters
from poller.demo.pulls import Pull
from poller.replies import marks_in
from sessions.database import reading
from sessions.turns import Turn
from tests.poller.house import House


def failed(house: House, pull: Pull) -> Turn:
    """The pull's turn, when its agent has failed as often as it may."""
    house.environ["DEMO_AGENT"] = "fail"
    for _ in range(12):
        house.once(later=7200)
        [turn] = house.turns(pull)
        if turn.state == "failed":
            return turn
    raise AssertionError(turn.state)


def told(house: House, pull: Pull) -> list[tuple[str, str]]:
    return [mark for body in house.said(pull) for mark in marks_in(body) if not mark[0].startswith("-")]


def states(house: House, pull: Pull) -> list[object]:
    return [one["status"] for one in house.repo.statuses[pull.head_sha]]


def test_a_turn_that_fails_twice_says_so_twice_and_its_status_follows(any_house: House) -> None:
    house = any_house.agent(status=True)
    pull = house.repo.open_pull(by="ana")
    turn = failed(house, pull)
    assert (told(house, pull), states(house, pull)[-1]) == ([(f"{turn.id}", "notice-failed")], "failure")
    before = len(states(house, pull))
    pull.comment("@bot retry", by="ana")
    assert failed(house, pull).id == turn.id
    assert told(house, pull) == [(f"{turn.id}", "notice-failed"), (f"{turn.id}", "notice-failed-2")]
    assert states(house, pull)[before] == "pending" and states(house, pull)[-1] == "failure"


def test_a_notice_that_could_not_be_posted_is_forgotten_when_somebody_runs_the_turn_again(house: House) -> None:
    pull = house.repo.open_pull(by="ana")
    fault = house.world.fault(f"POST .*/issues/{pull.number}/comments", status=423, times=None)
    turn = failed(house, pull)
    house.world.faults.remove(fault)
    with reading(house.app.engine) as conn:
        [failure] = letters.failures(conn, 0.0)
        assert (failure.turn_id, failure.mend) == (turn.id, f"`poll retry {turn.id}` runs the turn again")
    house.environ["DEMO_AGENT"] = ""
    pull.comment("@bot retry", by="ana")
    house.once()
    assert told(house, pull) == [(f"{turn.id}", "1")]
    with reading(house.app.engine) as conn:
        assert letters.failures(conn, 0.0) == []


def test_a_turn_that_is_dropped_while_it_waits_leaves_no_status_pending(house: House) -> None:
    house.agent(status=True)
    house.environ["DEMO_AGENT"] = "fail"
    pull = house.repo.open_pull(by="ana")
    house.once()
    [turn] = house.turns(pull)
    assert (turn.state, states(house, pull)) == ("waiting", ["pending"])
    pull.comment("@bot stop", by="ana")
    house.once()
    assert states(house, pull) == ["pending", "failure"]
    assert house.repo.statuses[pull.head_sha][-1]["description"] == f"turn {turn.id} dropped: stopped by ana"
    house.once()
    assert len(states(house, pull)) == 2


def test_a_turn_that_goes_on_with_another_commit_leaves_none_pending_on_the_first(house: House) -> None:
    house.agent(status=True)
    house.environ["DEMO_AGENT"] = "fail 1"
    pull = house.repo.open_pull(by="ana")
    house.once()
    first = pull.head_sha
    pull.push(by="ana")
    house.once(later=7200)
    assert [turn.state for turn in house.turns(pull)] == ["done"]
    assert states(house, pull) == ["pending", "success"]
    assert [one["status"] for one in house.repo.statuses[first]] == ["pending", "failure"]


def test_a_review_whose_post_was_not_answered_is_found_on_a_server_of_small_pages(tmp_path: Path) -> None:
    with closing(House(tmp_path, version="1.26-dev").agent(on=["mentioned"], reply="review")) as house:
        house.world.max_items = 20
        pull = house.repo.open_pull(by="ana")
        house.once()
        for number in range(25):
            pull.review(by="ben", body=f"r{number}")
        house.once()
        house.world.fault("POST …/pulls/1/reviews", drop_after_accept=True)
        pull.comment("@bot please", by="ana")
        for _ in range(3):
            house.once(later=40)
        assert [turn.state for turn in house.turns(pull)] == ["done"] and house.said(pull) == []
        assert sum(one.user is not None and one.user.login == "bot" for one in pull.reviews) == 1
