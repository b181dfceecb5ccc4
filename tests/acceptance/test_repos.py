"""Which repositories are watched, and what that costs the forge."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot


def test_all_repositories_of_an_owner_but_the_excluded_one(bot: Bot, repo: Repo, world: World) -> None:
    bot.configure(repos=["acme/*", "!acme/attic"])
    web = world.repo("acme/web", private=True, collaborators={"bot": "write", "ana": "write"})
    attic = world.repo("acme/attic", private=True, collaborators={"bot": "write", "ana": "write"})
    for each in (repo, web, attic):
        each.open_pull(by="ana")
    assert bot.tally()["turns"]["done"] == 2
    assert {event["repo"] for event in bot.events()} == {"acme/api", "acme/web"}


@pytest.mark.parametrize("exclusion", ["!acme/api", "!acme/*"])
def test_a_repository_that_is_named_and_excluded_is_left_alone_from_then_on(
    bot: Bot, world: World, repo: Repo, exclusion: str
) -> None:
    other = world.repo("olga/web", private=True, collaborators={"bot": "write", "ana": "write"})
    bot.configure(repos=["acme/api", "olga/web"])
    pull = repo.open_pull(by="ana")
    assert bot.tally()["turns"]["done"] == 1
    bot.configure(repos=["acme/api", "olga/web", exclusion])
    pull.comment("@bot and now?", by="ana")
    other.open_pull(by="ana")
    bot.once()
    pull.comment("@bot hello?", by="ana")
    bot.once()
    assert len(bot.comments(pull)) == 1
    assert [event["repo"] for event in bot.events()].count("acme/api") == 1
    assert bot.events()[-1]["repo"] == "olga/web"
    assert "acme/api" not in bot.poll("doctor", code=None).out


def test_a_repository_made_later_belongs_to_its_owners_pattern(bot: Bot, world: World, repo: Repo) -> None:
    bot.configure(repos=["acme/*"])
    bot.once()
    later = world.repo("acme/later", private=True, collaborators={"bot": "write", "ana": "write"})
    later.open_pull(by="ana")
    assert bot.tally()["turns"]["done"] == 1


def test_public_repositories_of_strangers_are_none_of_ours(bot: Bot, world: World, repo: Repo) -> None:
    other = world.repo("eve/public")
    pull = other.open_pull(by="eve")
    pull.comment("@bot come here", by="eve")
    bot.configure(trust={"who": "everyone", "forks": "always"})
    done = bot.tally()
    assert (done["events"], done["pulls_changed"], done["turns"]["started"]) == (0, 0, 0)
    assert bot.query("SELECT * FROM pull") == []
    assert bot.comments(pull) == []


def test_a_repository_taken_into_the_config_begins_with_what_is_there(bot: Bot, world: World, repo: Repo) -> None:
    bot.configure(poll={"start": "now"})
    web = world.repo("acme/web", private=True, collaborators={"bot": "write", "ana": "write"})
    old = web.open_pull(by="ana")
    old.comment("@bot from before", by="ana")
    bot.once()
    bot.pass_time(60)
    bot.configure(repos=["acme/api", "acme/web"])
    assert bot.tally()["events"] == 0
    old.comment("@bot from now on", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert bot.kinds(old) == ["pull_request_comment created"]


def test_a_renamed_repository_keeps_its_pulls_and_their_conversations(bot: Bot, world: World, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    former = bot.key(pull)
    repo.rename("core")
    pull.comment("@bot do you still know me?", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    first, second = bot.turns()
    assert (second["identity"], second["mode"]) == (first["identity"], "resume")
    assert {turn["key"] for turn in bot.turns()} == {bot.key(pull)} != {former}
    assert len(bot.comments(pull)) == 2
    found = [bot.poll("events", "--pull", key, "--format", "jsonl").rows for key in (former, bot.key(pull))]
    assert found[0] == found[1] != []


@pytest.mark.parametrize("version", ["1.22.6", "1.25.4"])
def test_an_answer_reaches_a_repository_that_was_renamed_meanwhile(
    bot: Bot, world: World, repo: Repo, version: str
) -> None:
    pull = repo.open_pull(by="ana")
    bot.once("--no-wait")
    repo.rename("core")
    assert bot.tally()["posted"] == 1
    assert len(bot.comments(pull)) == 1


def test_an_idle_cycle_is_one_request_however_many_repositories(bot: Bot, world: World, repo: Repo) -> None:
    for number in range(200):
        world.repo(f"acme/lib{number}", private=True, collaborators={"bot": "write"}).open_pull(by="ana")
    bot.configure(repos=["acme/*"], poll={"start": "now", "sweep": "24h"})
    bot.once()
    bot.pass_time(600)
    repo.open_pull(by="eve")
    bot.pass_time(2)
    assert bot.tally()["events"] == 1
    world.reset_requests()
    idle = bot.tally()
    assert (idle["requests"], len(world.requests)) == (1, 1)


def test_many_repositories_named_one_by_one_are_listed_by_owner(bot: Bot, world: World, repo: Repo) -> None:
    names = [world.repo(f"acme/lib{number}", private=True, collaborators={"bot": "write"}) for number in range(120)]
    bot.configure(repos=[one.full_name for one in names])
    bot.once()
    assert len(world.requests) < 12
    world.reset_requests()
    bot.once()
    assert len(world.requests) == 1


@pytest.mark.parametrize("version", ["1.22.6", "1.25.4", "1.26-dev"])
def test_a_changed_pull_costs_three_requests_at_most(bot: Bot, world: World, repo: Repo, version: str) -> None:
    bot.config["agents"] = {}
    acts: list[Callable[[Pull], object]] = [
        lambda pull: pull.comment("two", by="ana"),
        lambda pull: pull.push(by="ana"),
        lambda pull: pull.label(by="ana", add=["bug"]),
        lambda pull: pull.edit(by="ana", body="Other words."),
        lambda pull: pull.close(by="ana"),
        lambda pull: pull.merge(by="ana"),
    ]
    pulls = [repo.open_pull(by="ana") for _ in acts]
    for pull in pulls:
        pull.comment("one", by="ana")
    bot.once()
    bot.pass_time(2)
    bot.once()
    bot.pass_time(2)
    for act, pull in zip(acts, pulls, strict=True):
        act(pull)
    world.reset_requests()
    done = bot.tally()
    assert (done["events"], done["requests"]) == (len(acts), len(world.requests))
    for pull in pulls:
        mine = [request.path for request in world.requests if re.search(rf"/{pull.number}\b", request.path)]
        assert 1 <= len(mine) <= 3, mine


def test_a_quiet_pull_is_read_once_more_and_then_left_alone(bot: Bot, world: World, repo: Repo) -> None:
    bot.config["agents"] = {}
    bot.configure(poll={"sweep": "24h"})
    repo.open_pull(by="ana")
    bot.once()
    bot.pass_time(400)
    bot.once()
    bot.pass_time(400)
    world.reset_requests()
    assert bot.tally()["requests"] == 1


def test_a_deleted_pull_is_no_trouble_for_the_others(bot: Bot, world: World, repo: Repo) -> None:
    gone, stays = repo.open_pull(by="ana"), repo.open_pull(by="ana")
    bot.once()
    gone.comment("@bot hello", by="ana")
    gone.delete(by="olga")
    stays.comment("@bot hello", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(stays)) == 2
