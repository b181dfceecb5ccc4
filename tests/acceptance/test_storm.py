"""Killed again and again at any moment, while the forge fails now and then: all is told once, and answered once."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot

FAULTS = ({"drop_after_accept": True}, {"cut": True}, {"status": 502})
PLACES = ("POST …/comments", "GET …/timeline", "GET /repos/issues/search")


class Weather:
    """People at work on some pulls, and trouble; the same for the same seed."""

    def __init__(self, seed: int, bot: Bot, pulls: list[Pull]) -> None:
        self._random, self._bot, self._pulls = random.Random(seed), bot, pulls
        self.asked = 0

    def people(self) -> None:
        acts: list[Callable[[Pull], object]] = [
            self._ask,
            self._ask,
            lambda pull: pull.push(by="ana"),
            lambda pull: pull.comment("Nothing for you.", by="ben"),
            lambda pull: pull.review(by="ben", event="COMMENT", body="Hm.", inline=[("README.md", 1, "Why?")]),
        ]
        for _ in range(self._random.randrange(4)):
            self._random.choice(acts)(self._random.choice(self._pulls))

    def _ask(self, pull: Pull) -> None:
        self.asked += 1
        pull.comment(f"@bot question <{self.asked}>", by="ben")

    def strike(self) -> None:
        if self._random.random() < 0.3:
            self._bot.world.fault(self._random.choice(PLACES), **self._random.choice(FAULTS))
        running = self._bot.start("--once", *(["--no-wait"] if self._random.random() < 0.3 else []))
        time.sleep(self._random.uniform(0.4, 1.4))
        running.kill()
        self._bot.pass_time(self._random.choice([0, 1, 10, 60]))


def quiet(bot: Bot) -> None:
    """Let it come to its end undisturbed."""
    for _ in range(10):
        bot.pass_time(400)
        done = bot.tally(code=None)
        if done["events"] == done["turns"]["waiting"] == done["posted"] == 0:
            return
    raise AssertionError("it does not come to its end")


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_all_is_told_and_answered_once(bot: Bot, repo: Repo, world: World, seed: int) -> None:
    pulls = [repo.open_pull(by="ana") for _ in range(3)]
    weather = Weather(seed, bot, pulls)
    for _ in range(10):
        weather.people()
        weather.strike()
    world.faults.clear()
    quiet(bot)
    happened = Counter((hook["event_type"], hook["number"]) for hook in world.webhooks)
    assert Counter((event["event"], event["number"]) for event in bot.events()) == happened
    bodies = {event["id"]: event["subject"].get("body") or "" for event in bot.events()}
    done = [turn for turn in bot.turns() if turn["state"] == "done"]
    answered = Counter(n for turn in done for event in turn["events"] for n in re.findall(r"<(\d+)>", bodies[event]))
    assert answered == {str(number): 1 for number in range(1, weather.asked + 1)}
    posted = Counter(re.search(r"turn=(\d+) part=", body)[1] for pull in pulls for body in bot.comments(pull))  # type: ignore[index]
    assert posted == {str(turn["turn"]): 1 for turn in done}
    assert bot.at_once()[1] == 1, "no bottle ran twice at the same time"
