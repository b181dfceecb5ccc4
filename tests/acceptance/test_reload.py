"""Another config for a daemon that runs: all of it or nothing, and a line says which."""

from __future__ import annotations

import signal
from typing import Any

import yaml

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until


def write(bot: Bot, **changes: Any) -> None:
    """The file alone: no call is made."""
    bot.configure(**changes)
    aside = bot.directory / "config.new"
    aside.write_text(yaml.safe_dump(bot.config, sort_keys=False))
    aside.replace(bot.directory / "config.yaml")


def test_a_changed_file_is_taken_over_and_a_broken_one_is_not(bot: Bot, world: World, repo: Repo) -> None:
    second = world.repo("acme/web", private=True, collaborators={"bot": "write", "ana": "write"})
    bot.configure(poll={"every": "1s"})
    bot.once()
    running = bot.start()
    until(lambda: "watching" in running.err, "it polls")
    (bot.directory / "config.yaml").write_text("gitea: {url: [}")
    until(lambda: "config not reloaded, the one before stays: " in running.err, "it says what is wrong")
    pull = repo.open_pull(by="ana")
    until(lambda: len(bot.comments(pull)) == 1, "it goes on as before")
    write(bot, state="elsewhere")
    until(lambda: "state changed, expected to stay while `poll` runs; restart it" in running.err, "it says so")
    write(bot, state="state", repos=["acme/api", "acme/web"], trust={"who": ["ana"]})
    until(lambda: 'config reloaded file=config.yaml changed="trust, repos"' in running.err, "it takes the new one")
    added = second.open_pull(by="ana")
    until(lambda: len(bot.comments(added)) == 1, "what is new in it counts")
    running.tell(signal.SIGHUP)
    until(lambda: "config read again: nothing has changed" in running.err, "it was asked to")
    assert running.tell(signal.SIGTERM).finish().code == 0


def test_a_turn_that_runs_goes_on_under_the_new_config(bot: Bot, repo: Repo) -> None:
    bot.configure(poll={"every": "1s"})
    pull = repo.open_pull(by="ana")
    bot.hold()
    running = bot.start()
    until(bot.begun, "the agent runs")
    write(bot, limits={"parallel": 3})
    until(lambda: "config reloaded" in running.err, "it takes the new one")
    other = repo.open_pull(by="ben")
    until(lambda: bot.begun(2), "the next turn is begun beside it")
    bot.let_go()
    until(lambda: (len(bot.comments(pull)), len(bot.comments(other))) == (1, 1), "both have answered")
    assert [turn["attempts"] for turn in bot.turns()] == [1, 1]
    assert len(bot.runs()) == 4, "none was begun twice"
    assert running.tell(signal.SIGTERM).finish().code == 0
