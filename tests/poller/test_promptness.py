"""What people wait for comes first, and what it needs is loaded in time, and never for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.cycle import Report
from tests.poller.house import House
from tests.sessions.stage import eventually
from tests.standing_engine import Asked, standing_engine


@pytest.fixture
def asked(house: House, tmp_path: Path) -> Iterator[Asked]:
    """The engine of the reviewer's containers."""
    with standing_engine(tmp_path) as engine:
        house.environ["DOCKER_HOST"] = engine.host
        house.agent(backend="docker", image="nobody/none:1", on=["mentioned"])
        yield engine


def without_its_turns(house: House) -> Report:
    """A cycle, and what comes behind it when somebody has said stop."""
    house.pass_time(2)
    report = house.app.cycle.run()
    house.never.set()
    house.app.followed_up(report, wait=True, stop=house.never)
    return report


def test_engine_is_asked_before_the_turn_is_begun(house: House, asked: Asked) -> None:
    house.repo.open_pull(by="ana").comment("@bot why?", by="ana")
    without_its_turns(house)
    assert [turn.attempts for turn in house.turns()] == [0]
    eventually(lambda: len(asked) == 2)


def test_engine_is_left_alone_when_nothing_is_to_run(house: House, asked: Asked) -> None:
    house.repo.open_pull(by="ana").comment("why?", by="ana")
    assert without_its_turns(house).told and not house.turns()
    assert "warm" not in [thread.name for thread in threading.enumerate()] and asked == []


def test_answer_comes_before_the_marks_that_go_with_it(house: House) -> None:
    house.agent(on=["mentioned"], status=True)
    pull = house.repo.open_pull(by="ana")
    pull.comment("@bot why?", by="ana")
    assert house.once().posted == 1
    posts = [request.path.rpartition("/")[2] for request in house.world.requests if request.method == "POST"]
    assert posts[2] == "comments" and sorted(posts[:2]) == sorted(posts[3:]) == sorted(["reactions", pull.head_sha])
