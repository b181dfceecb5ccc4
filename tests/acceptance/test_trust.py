"""Nobody uninvited makes the agent run, and the log says why not."""

from __future__ import annotations

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot


def refusals(bot: Bot) -> list[str]:
    return [reason for verdict, reason in bot.verdicts() if verdict == "refuse"]


def test_a_stranger_who_mentions_the_bot_is_refused_with_the_reason(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.comment("@bot run this for me", by="eve")
    asked = bot.once()
    assert "eve is no collaborator of acme/api" in asked.err
    assert "refuse reviewer: eve is no collaborator of acme/api" in asked.out
    assert len(bot.turns()) == 1
    pull.comment("@bot and for me?", by="ben")
    bot.once()
    _, turn = bot.turns()
    assert len(turn["events"]) == 1, "the stranger's words are not carried along"
    assert "run this for me" not in bot.prompts(turn["identity"])[1]


def test_only_the_logins_in_the_list_are_heard_in_whatever_case(bot: Bot, repo: Repo, world: World) -> None:
    bot.configure(trust={"who": ["Eve"]})
    pull = repo.open_pull(by="ana")
    pull.comment("@bot let me in", by="eve")
    world.reset_requests()
    assert bot.tally()["turns"]["done"] == 1
    assert refusals(bot) == ["ana is not named in trust.who"]
    [turn] = bot.turns()
    assert len(turn["events"]) == 1
    assert not any("/collaborators/" in request.path for request in world.requests)


def test_everyone_means_everyone(bot: Bot, repo: Repo) -> None:
    bot.configure(trust={"who": "everyone"})
    repo.open_pull(by="eve")
    assert bot.tally()["turns"]["done"] == 1


def test_the_owner_of_a_repository_is_no_collaborator_and_trusted_all_the_same(bot: Bot, world: World) -> None:
    own = world.repo("ana/notes", private=True, collaborators={"bot": "write"})
    bot.configure(repos=["ana/notes"])
    own.open_pull(by="ana")
    assert bot.tally()["turns"]["done"] == 1


@pytest.mark.parametrize("version", ["1.22.6", "1.25.4", "1.26-dev"])
def test_a_writer_through_a_team_is_a_writer(bot: Bot, world: World, repo: Repo, version: str) -> None:
    bot.configure(trust={"who": "writers"})
    world.team("acme", "developers", permission="write", members=["tim"], repos=["acme/api"])
    repo.open_pull(by="tim")
    assert bot.tally()["turns"]["done"] == 1


def test_a_member_of_a_team_that_may_only_read_is_none(bot: Bot, world: World, repo: Repo) -> None:
    bot.configure(trust={"who": "writers"})
    world.team("acme", "developers", permission="write", members=["tim"], repos=["acme/api"])
    world.team("acme", "guests", permission="read", members=["rita"], repos=["acme/api"])
    repo.open_pull(by="rita")
    assert bot.tally()["turns"]["started"] == 0
    [reason] = refusals(bot)
    assert "may be in a team of acme/api that only reads" in reason


def test_a_bot_that_is_admin_is_told_who_writes(bot: Bot, world: World, repo: Repo) -> None:
    bot.configure(trust={"who": "writers"})
    repo.collaborator("bot", "admin")
    repo.collaborator("rita", "read")
    pull = repo.open_pull(by="ben")
    pull.comment("@bot what now?", by="rita")
    assert bot.tally()["turns"]["done"] == 1
    [turn] = bot.turns()
    assert len(turn["events"]) == 1
    [reason] = refusals(bot)
    assert "rita cannot write to acme/api" in reason


def test_who_lost_the_right_is_not_heard_any_more(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    pull.comment("@bot hello", by="ben")
    bot.once()
    repo.collaborator("ben", None)
    bot.pass_time(600)
    pull.comment("@bot hello again", by="ben")
    assert bot.tally()["turns"]["started"] == 0
    assert refusals(bot) == ["ben is no collaborator of acme/api"]


def test_a_pull_from_a_fork_starts_nothing(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", fork="eve/api")
    pull.comment("@bot look at this", by="ana")
    assert bot.tally()["turns"]["started"] == 0
    assert set(refusals(bot)) == {"from a fork, and trust.forks is never"}
    assert bot.comments(pull) == []


def test_a_pull_from_a_fork_waits_for_ok_to_test_and_says_so(bot: Bot, repo: Repo) -> None:
    bot.configure(trust={"forks": "ask"})
    pull = repo.open_pull(by="eve", fork="eve/api")
    assert bot.tally()["posted"] == 1
    pull.comment("@bot ok-to-test", by="eve")
    assert bot.tally()["turns"]["started"] == 0
    pull.comment("@bot ok-to-test", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert [verdict for verdict, _ in bot.verdicts() if verdict != "ignore"] == ["hold", "refuse", "command"]
    why = bot.poll("why", "acme/api#1").out
    assert "not yet, reviewer: opened; from a fork: waits for @bot ok-to-test" in why and "1 in reviewer-" in why


def test_a_pull_from_a_fork_runs_where_forks_are_welcome(bot: Bot, repo: Repo) -> None:
    bot.configure(trust={"forks": "always"})
    repo.open_pull(by="ana", fork="eve/api")
    assert bot.tally()["turns"]["done"] == 1


def test_an_edit_that_brings_the_mention_asks_and_one_that_keeps_it_does_not(bot: Bot, repo: Repo) -> None:
    bot.configure(trust={"who": "writers"})
    pull = repo.open_pull(by="ana")
    bot.once()
    comment = pull.comment("bot, are you there?", by="ana")
    bot.once()
    bot.pass_time(2)
    comment.edit("@bot are you there?")
    pull.label(by="ana", add=["wanted"])
    assert bot.tally()["turns"]["done"] == 1
    bot.pass_time(2)
    comment.edit("@bot are you there, please?")
    pull.label(by="ana", remove=["wanted"])
    done = bot.tally()
    assert done["turns"]["started"] == 0
    assert bot.kinds(pull).count("pull_request_comment edited") == 2


def test_an_edit_of_a_comment_is_found_without_any_other_change_once_the_pull_is_quiet(bot: Bot, repo: Repo) -> None:
    bot.configure(trust={"who": "writers"}, poll={"sweep": "24h"})
    pull = repo.open_pull(by="ana")
    comment = pull.comment("bot, are you there?", by="ana")
    bot.once()
    bot.pass_time(2)  # what is read in the second of a change is read once more
    bot.once()
    bot.pass_time(60)
    comment.edit("@bot are you there?")
    assert bot.tally()["events"] == 0, "an edit does not move the pull"
    bot.pass_time(400)
    assert bot.tally()["turns"]["done"] == 1
    assert "@bot are you there?" in bot.prompts(bot.turns()[1]["identity"])[1]


def test_a_strangers_edit_starts_nothing(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    comment = pull.comment("hello", by="eve")
    bot.once()
    bot.pass_time(2)
    comment.edit("@bot hello")
    pull.label(by="ana", add=["wanted"])
    assert bot.tally()["turns"]["started"] == 0
    assert refusals(bot) == ["eve is no collaborator of acme/api"]


def test_an_edit_asks_nothing_where_others_than_the_trusted_may_edit(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    comment = pull.comment("hello", by="ana")
    bot.once()
    bot.pass_time(2)
    comment.edit("@bot hello")
    pull.label(by="ana", add=["wanted"])
    assert bot.tally()["turns"]["started"] == 0
    [reason] = refusals(bot)
    assert reason.startswith(
        "edited, and the forge does not show by whom: olga may edit comments, too, and may not ask"
    )
    pull.comment("@bot hello", by="ana")
    assert bot.tally()["turns"]["done"] == 1


def test_who_lost_the_right_while_his_turn_waited_starts_nothing(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    bot.poll("pause", "acme/api", "--reason", "release")
    pull.comment("@bot one", by="ben")
    gone = pull.comment("@bot two", by="ana")
    bot.once()
    repo.collaborator("ben", None)
    gone.delete()
    bot.pass_time(3600)
    bot.poll("unpause", "acme/api")
    assert bot.tally()["turns"]["started"] == 0
    assert bot.turns()[-1]["state"] == "dropped"
    pull.comment("@bot three", by="ana")
    assert bot.tally()["turns"]["done"] == 1
