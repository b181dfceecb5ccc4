"""`poll simulate`: a changed config tried on what is logged, without a request, a turn or a written row."""

from __future__ import annotations

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot


def test_another_config_is_compared_with_what_was(bot: Bot, repo: Repo, world: World) -> None:
    bot.agent(on=["opened"]).configure(trust={"who": ["ana", "ben"]})
    pull = repo.open_pull(by="ana")
    pull.comment("@bot and this?", by="ben")
    pull.comment("@bot let me in", by="eve")
    bot.once()
    [cost] = [turn["cost_usd"] for turn in bot.turns()]
    bot.agent(on=["mentioned"])
    bot.config["agents"]["second"] = {"backend": "process", "on": ["opened", "mentioned"]}
    before, held = bot.query("SELECT * FROM decision"), len(world.requests)
    said = bot.poll("simulate", "--since", "1d", "--format", "json").json
    assert said["events"] == 3
    assert (said["was"], said["would"]) == ({"reviewer": 1}, {"reviewer": 1, "second": 2})
    assert [(list(one["more"]), list(one["less"])) for one in said["changes"]] == [
        (["second"], ["reviewer"]), (["reviewer", "second"], []),
    ]  # fmt: skip
    assert said["changes"][0]["less"]["reviewer"] == "its `on` does not name this"
    assert (round(said["cost_was"], 6), round(said["cost_would"] / cost)) == (round(cost, 6), 3)
    text = bot.poll("simulate").out
    assert "+ second: opened; ana is named in trust.who" in text
    assert "second: 2 would have woken it, about 2 runs; 0 did" in text
    assert (bot.query("SELECT * FROM decision"), len(world.requests)) == (before, held)


def test_people_of_whom_nothing_is_remembered_are_counted(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["opened"])
    repo.open_pull(by="ana").comment("hello", by="ben")
    bot.once()
    bot.agent(on=["commented"])
    assert "1 events are counted as refused, because the forge would have to be asked" in bot.poll("simulate").out
    bot.configure(repos=["acme/other"])
    assert "- reviewer: `repos` does not name the repository" in bot.poll("simulate").out


def test_a_config_of_another_state_is_told_so(bot: Bot) -> None:
    assert "is logged in" in bot.poll("simulate", code=2).complaint
    assert not bot.state.exists()
