"""What the keys of the config bring about."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot

WORDS: dict[str, Callable[[Pull], object]] = {
    "synchronized": lambda pull: pull.push(by="ana"),
    "reopened": lambda pull: (pull.close(by="ana"), pull.reopen(by="ana")),
    "ready": lambda pull: (pull.set_draft(by="ana"), pull.set_ready(by="ana")),
    "edited": lambda pull: pull.edit(by="ana", title="Other"),
    "labeled": lambda pull: pull.label(by="ana", add=["some"]),
    "labeled:wanted": lambda pull: pull.label(by="ana", add=["wanted"]),
    "assigned": lambda pull: pull.assign("ben", by="ana"),
    "review_requested": lambda pull: pull.request_review("bot", by="ana"),
    "approved": lambda pull: pull.review(by="ben", event="APPROVED"),
    "rejected": lambda pull: pull.review(by="ben", event="REQUEST_CHANGES", body="No."),
    "reviewed": lambda pull: pull.review(by="ben", event="COMMENT", body="Hm."),
    "commented": lambda pull: pull.comment("A word.", by="ben"),
    "mentioned": lambda pull: pull.comment("A word, @bot.", by="ben"),
    "dismissed": lambda pull: pull.dismiss(pull.review(by="ben", event="APPROVED"), by="ana"),
}
#: Acts that wake more than the agent of their own word.
ALSO = {
    "ready": {"edited"},
    "labeled:wanted": {"labeled"},
    "mentioned": {"commented"},
    "dismissed": {"approved"},
}


def test_each_word_of_on_wakes_on_its_act_and_on_no_other(bot: Bot, repo: Repo) -> None:
    pulls = {word: repo.open_pull(by="ana", title=word) for word in WORDS}
    bot.config["agents"] = {}
    bot.once()
    bot.pass_time(2)
    for word, pull in pulls.items():
        WORDS[word](pull)
    agent = {"backend": "process", "checkout": False}
    bot.config["agents"] = {word.replace(":", "."): {**agent, "on": [word]} for word in ("opened", *WORDS)}
    woken: dict[str, set[str]] = {}
    for turn in bot.once("--dry-run", "--format", "json").json["would_run"]:
        woken.setdefault(turn["key"], set()).add(turn["agent"].replace(".", ":"))
    assert {word: woken[bot.key(pull)] for word, pull in pulls.items()} == {
        word: {word, *ALSO.get(word, ())} for word in WORDS
    }


def test_a_review_asked_of_somebody_else_is_his_business(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.request_review("ben", by="ana")
    assert bot.tally()["turns"]["started"] == 0
    pull.request_review("bot", by="ana")
    assert bot.tally()["turns"]["done"] == 1


def test_an_operators_templates_go_before_ours_and_a_missing_delta_is_the_full_one(bot: Bot, repo: Repo) -> None:
    templates = bot.directory / "prompts"
    templates.mkdir()
    (templates / "prompt.md").write_text("Mine, about {{ pull.title }}.")
    bot.agent(prompts="prompts")
    pull = repo.open_pull(by="ana", title="Add five")
    bot.once()
    pull.push(by="ana")
    bot.once()
    identity = bot.turns()[0]["identity"]
    assert bot.prompts(identity) == ['Mine, about "Add five".\n'] * 2
    assert [turn["mode"] for turn in bot.turns()] == ["fresh", "resume"]


def test_a_broken_template_is_an_error_of_the_config_and_loses_no_event(bot: Bot, repo: Repo) -> None:
    templates = bot.directory / "prompts"
    templates.mkdir()
    (templates / "prompt.md").write_text("About {{ pull.titel }}.")
    bot.agent(prompts="prompts")
    pull = repo.open_pull(by="ana")
    assert "prompt.md:1" in bot.once(code=2).complaint
    (templates / "prompt.md").write_text("About {{ pull.title }}.")
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1


def test_a_turn_that_takes_too_long_is_ended_and_says_so(bot: Bot, repo: Repo) -> None:
    bot.agent(limits={"minutes": 0.02})
    bot.hold()
    pull = repo.open_pull(by="ana")
    assert bot.tally(code=1)["turns"]["failed"] == 1
    assert bot.agents_alive() == []
    [notice] = bot.comments(pull)
    assert "limits.minutes" in notice


def test_a_refused_login_costs_no_event_and_no_try(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["DEMO_AGENT"])
    bot.environ["DEMO_AGENT"] = "login"
    pull = repo.open_pull(by="ana")
    refused = bot.once("--format", "json", code=1)
    assert refused.json["turns"]["waiting"] == 1
    assert "Not logged in" in refused.err
    assert bot.tally()["turns"]["started"] == 0, "not again at once"
    bot.environ["DEMO_AGENT"] = ""
    bot.pass_time(1000)
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1


def test_a_moved_state_directory_goes_on_working(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    elsewhere = bot.directory / "elsewhere"
    shutil.move(bot.state, elsewhere)
    bot.configure(state=str(elsewhere))
    pull.comment("@bot still here?", by="ana")
    bot.once()
    assert "I remember 1 earlier message." in bot.comments(pull)[1]
    assert not bot.state.exists()


def test_the_token_may_stand_in_a_file(bot: Bot, repo: Repo, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("secrets") / "token"
    file.write_text(f"{bot.token}\n")
    bot.config["gitea"] = {"url": bot.url, "token_file": str(file)}
    bot.environ["GITEA_TOKEN"] = ""
    repo.open_pull(by="ana")
    assert bot.tally()["turns"]["done"] == 1


@pytest.fixture
def below(tmp_path: Path, world: World, repo: Repo) -> Iterator[Bot]:
    """The same, of a forge that is served under a path."""
    with world.serve(prefix="/git") as server:
        made = Bot(tmp_path, world, server.url)
        yield made
        made.leave()


def test_a_forge_under_a_path_is_a_forge(below: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    below.once()
    repo.rename("core")
    pull.comment("@bot hm?", by="ana")
    below.once()
    assert len(below.comments(pull)) == 2
    [session] = below.sessions()
    assert session["key"] == below.key(pull)
    assert session["key"].endswith("/git/acme/core#1")


@pytest.mark.parametrize("skew", [-900, 900])
def test_a_forge_whose_clock_is_wrong_loses_nothing(bot: Bot, repo: Repo, world: World, skew: int) -> None:
    world.clock.advance(seconds=skew)
    bot.configure(poll={"start": "now"})
    old = repo.open_pull(by="ana")
    bot.once()
    bot.pass_time(2)
    new = repo.open_pull(by="ana")
    old.push(by="ana")
    assert bot.tally()["turns"]["done"] == 2
    assert bot.kinds(old) == ["pull_request_sync synchronized"]
    assert bot.kinds(new) == ["pull_request opened"]
    bot.pass_time(500)
    assert bot.tally()["turns"]["started"] == 0


@pytest.mark.parametrize("version", ["1.25.4", "1.26-dev"])
def test_a_burst_longer_than_a_page_is_read_whole(bot: Bot, repo: Repo, version: str) -> None:
    bot.config["agents"] = {}
    pulls = [repo.open_pull(by="ana", title=f"Pull {number}") for number in range(70)]
    for number in range(120):
        pulls[0].comment(f"comment {number}", by="ben")
    assert bot.tally()["events"] == 190
    assert bot.tally()["events"] == 0
