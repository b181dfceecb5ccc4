"""Several processes on several machines, one PostgreSQL between them: everything once, in order."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import Deed, Running, until

pytestmark = pytest.mark.postgres


@pytest.fixture
def left(bot: Bot, postgres_url: str) -> Bot:
    return bot.share(postgres_url, host="left")


@pytest.fixture
def right(left: Bot, tmp_path: Path, postgres_url: str) -> Iterator[Bot]:
    """The same config on another machine."""
    place = tmp_path / "right"
    place.mkdir()
    made = Bot(place, left.world, left.url).share(postgres_url, host="right")
    yield made
    made.leave()


def test_calls_of_the_same_minute_tell_and_answer_everything_once(left: Bot, right: Bot, repo: Repo) -> None:
    pulls = [repo.open_pull(by=who) for who in ("ana", "ben", "ana")]
    calls = [bot.start("--once", "--format", "json") for bot in (left, right, left, right)]
    codes = Counter(call.finish(code=None).code for call in calls)
    assert set(codes) <= {0, 5} and codes[0] >= 1, [call.err for call in calls]
    left.once()
    right.once()
    assert left.kinds() == ["pull_request opened"] * 3
    assert [turn["state"] for turn in left.turns()] == ["done"] * 3
    assert [len(left.comments(pull)) for pull in pulls] == [1, 1, 1]
    begun = [turn for bot in (left, right) for _, what, turn in bot.runs() if what == "begin"]
    assert len(begun) == 3


def test_a_pull_goes_on_where_its_bottle_is_while_another_machine_polls(left: Bot, right: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    left.once()
    pull.comment("@bot and now?", by="ana")
    tally = right.tally()
    assert (tally["turns"]["started"], tally["turns"]["waiting"]) == (0, 1), "it is told of, and left to the other"
    assert left.tally()["turns"]["done"] == 1
    assert [turn["mode"] for turn in left.turns(pull)] == ["fresh", "resume"]
    assert len(left.comments(pull)) == 2


def test_an_answer_that_a_killed_machine_may_have_posted_is_not_posted_by_another(
    left: Bot, right: Bot, repo: Repo, world: World
) -> None:
    pull = repo.open_pull(by="ana")
    running: list[Running] = []
    world.fault("POST …/comments", drop_after_accept=Deed(running))
    left.hold()
    running.append(left.start("--once"))
    until(left.begun, "the agent runs")
    left.let_go()
    running[0].finish(code=-signal.SIGKILL)
    assert len(left.comments(pull)) == 1
    assert right.tally()["posted"] == 0, "it may still be about to note it"
    assert left.tally()["posted"] == 1, "what was posted is found by its mark, and noted"
    assert len(left.comments(pull)) == 1


def test_doctor_looks_at_the_server_and_shows_no_password(left: Bot, repo: Repo) -> None:
    said = left.poll("doctor", code=None)
    assert "database: PostgreSQL 1" in said.out and "no tables yet" in said.out
    left.once()
    assert left.sessions() == []
    assert "no tables yet" not in left.poll("doctor", code=None).out
