"""How an answer looks on the pull: reactions on what was asked, a status on the commit, what is around the words."""

from __future__ import annotations

import re

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.versions import VERSIONS
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until

COST = r"(\$\d+\.\d\d|under \$0\.01)"


def reactions(pull: Pull) -> list[tuple[int, str, str]]:
    """(comment, who, which), in order."""
    return [(target, user.login, content) for target, user, content, *_ in pull.reactions]


def statuses(repo: Repo, sha: str) -> list[tuple[object, object]]:
    return [(one["context"], one["status"]) for one in repo.statuses.get(sha, [])]


def test_who_asks_sees_at_once_that_he_was_heard_and_later_that_it_is_done(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.agent(on=["mentioned"])
    comment = pull.comment("@bot why?", by="ana")
    other = pull.comment("nobody is asked here", by="ben")
    bot.hold()
    running = bot.start("--once")
    bot.wait_for_run()
    assert reactions(pull) == [(comment.id, "bot", "eyes")]
    bot.let_go()
    running.finish()
    assert reactions(pull) == [(comment.id, "bot", "eyes"), (comment.id, "bot", "rocket")]
    assert other.id not in [target for target, *_ in reactions(pull)]
    bot.pass_time(400)
    assert bot.tally()["events"] == 1, "the bot's own comment, and no reaction"


def test_a_turn_that_fails_for_good_says_so_on_the_comment(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.agent(on=["mentioned"])
    comment = pull.comment("@bot [agent: fail]", by="ana")
    for _ in range(3):
        bot.once(code=None)
        bot.pass_time(600)
    bot.once(code=None)
    assert [turn["state"] for turn in bot.turns(pull)] == ["failed"]
    assert [content for target, _, content in reactions(pull) if target == comment.id] == ["eyes", "confused"]


def test_a_comment_that_cannot_be_reacted_to_costs_no_answer(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    bot.agent(on=["mentioned"])
    pull.comment("@bot why?", by="ana")
    world.fault("POST .*/reactions", status=403, times=None)
    assert bot.tally()["posted"] == 1
    assert bot.tally()["posted"] == 0


def test_a_status_is_pending_while_the_agent_works_and_then_tells_how_it_ended(bot: Bot, repo: Repo) -> None:
    bot.agent(status=True)
    pull = repo.open_pull(by="ana")
    bot.hold()
    running = bot.start("--once")
    bot.wait_for_run()
    until(lambda: statuses(repo, pull.head_sha), "there is a status")
    assert statuses(repo, pull.head_sha) == [("bottlepost/reviewer", "pending")]
    bot.let_go()
    running.finish()
    assert statuses(repo, pull.head_sha)[1:] == [("bottlepost/reviewer", "success")]
    assert repo.statuses[pull.head_sha][-1]["description"] == "turn 1 answered"


def test_a_failed_turn_is_a_failure_on_the_commit_it_was_about(bot: Bot, repo: Repo) -> None:
    bot.agent(status=True, limits={"usd": 0.01})
    pull = repo.open_pull(by="ana", body="[agent: budget]")
    sha = pull.head_sha
    bot.once(code=1)
    assert statuses(repo, sha) == [("bottlepost/reviewer", "pending"), ("bottlepost/reviewer", "failure")]


def test_a_bot_that_may_not_write_statuses_answers_all_the_same(bot: Bot, repo: Repo, world: World) -> None:
    bot.agent(status=True)
    pull = repo.open_pull(by="ana")
    world.fault("POST .*/statuses", status=403, times=None)
    assert bot.tally()["posted"] == 1
    assert len(bot.comments(pull)) == 1


def test_killed_before_the_last_status_was_set_the_next_call_sets_it(bot: Bot, repo: Repo, world: World) -> None:
    bot.agent(status=True)
    pull = repo.open_pull(by="ana")
    fault = world.fault("POST .*/statuses", status=502, times=None)
    bot.once()
    assert statuses(repo, pull.head_sha) == []
    world.faults.remove(fault)
    bot.pass_time(1000)
    bot.once()
    assert statuses(repo, pull.head_sha)[-1] == ("bottlepost/reviewer", "success")


def test_the_line_below_an_answer_tells_turn_session_and_how_to_get_help(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.comment("@bot and now?", by="ana")
    bot.once()
    bot.poll("reset", bot.key(pull), "--bottle")
    pull.comment("@bot once more?", by="ana")
    bot.once()
    first, second, third = (answer.splitlines()[-3] for answer in bot.comments(pull))
    how = "a fresh session: reviewer's first turn here"
    assert re.fullmatch(rf"<sub>bottlepost · turn 1 · {how} · {COST} · `@bot help`</sub>", first)
    how = "resumed session: its 2nd turn"
    assert re.fullmatch(rf"<sub>bottlepost · turn 2 · {how} · {COST} · `@bot help`</sub>", second)
    how = "a fresh session: the bottle before was put away"
    assert re.fullmatch(rf"<sub>bottlepost · turn 3 · {how} · {COST} · `@bot help`</sub>", third)


def test_an_answer_to_a_remark_on_a_line_quotes_it(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["mentioned"])
    pull = repo.open_pull(by="ana", files={"app.py": "one\ntwo\n"})
    bot.once()
    review = pull.review(by="ana", event="COMMENT", inline=[("app.py", 2, "Is this @ben's?")])
    bot.once()
    pull.reply(review.comments[0], "@bot what do you say?", by="ben")
    bot.pass_time(700)
    bot.once()
    assert bot.comments(pull)[0].startswith("> `app.py`, line 2: @\u200bbot what do you say?\n\n")


def test_a_remark_in_a_review_that_asks_is_acknowledged_and_quoted(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["mentioned"])
    pull = repo.open_pull(by="ana", files={"app.py": "one\ntwo\n"})
    review = pull.review(by="ana", event="COMMENT", inline=[("app.py", 1, "Hm."), ("app.py", 2, "@bot is this right?")])
    bot.once()
    asked = next(row for row in review.comments if row.line == 2)
    assert reactions(pull) == [(asked.id, "bot", "eyes"), (asked.id, "bot", "rocket")]
    assert bot.comments(pull)[0].startswith("> `app.py`, line 2: @\u200bbot is this right?\n\n")


@pytest.mark.parametrize("version", ["1.27-dev", "forgejo-11"])
def test_an_answer_to_a_remark_stands_in_its_thread_where_the_forge_can(
    bot: Bot, repo: Repo, world: World, version: str
) -> None:
    world.version = VERSIONS[version]
    bot.agent(on=["mentioned"])
    pull = repo.open_pull(by="ana", files={"app.py": "one\ntwo\n"})
    review = pull.review(by="ana", event="COMMENT", inline=[("app.py", 1, "Hm."), ("app.py", 2, "@bot is this right?")])
    bot.once()
    asked = next(row for row in review.comments if row.line == 2)
    said = pull.rows[-1]
    assert (said.user.login, said.review, said.path, said.line) == ("bot", review, asked.path, asked.line)
    assert "<!-- bottlepost turn=1 part=1 -->" in said.body and not said.body.startswith(">")
    assert bot.comments(pull) == []
    pull.reply(said, "@bot [agent: say Surely.]", by="ben")
    bot.pass_time(700)
    bot.once()
    (more,) = [row for row in pull.rows if row.user.login == "bot" and row is not said]
    assert more.body.startswith("Surely.") and (more.review, more.line) == (review, asked.line)
    assert bot.comments(pull) == []


@pytest.mark.parametrize("besides", ["a comment", "a remark elsewhere", "the review's words", "sticky"])
def test_an_answer_to_more_than_one_thread_is_a_comment(bot: Bot, repo: Repo, world: World, besides: str) -> None:
    world.version = VERSIONS["1.27-dev"]
    bot.agent(on=["mentioned"], sticky=besides == "sticky")
    pull = repo.open_pull(by="ana", files={"app.py": "one\ntwo\n"})
    body = "@bot have a look" if besides == "the review's words" else ""
    pull.review(by="ana", event="COMMENT", body=body, inline=[("app.py", 2, "@bot is this right?")])
    if besides == "a comment":
        pull.comment("@bot and all of it?", by="ana")
    elif besides == "a remark elsewhere":
        pull.review(by="ana", event="COMMENT", inline=[("app.py", 1, "@bot and this?")])
    bot.once()
    assert len(bot.comments(pull)) == 1
    assert [row.type for row in pull.rows if row.user.login == "bot"] == ["comment"]


def test_a_sticky_answer_is_one_comment_that_is_kept_up_to_date(bot: Bot, repo: Repo) -> None:
    bot.agent(sticky=True)
    pull = repo.open_pull(by="ana", body="[agent: say First.]")
    bot.once()
    [first] = bot.comments(pull)
    pull.comment("@bot [agent: say Second.]", by="ana")
    bot.once()
    [second] = bot.comments(pull)
    assert first.startswith("First.") and second.startswith("Second.")
    assert second.endswith("<!-- bottlepost turn=2 part=sticky-reviewer -->")
    mine = next(row.id for row in pull.comments if row.user.login == "bot")
    assert [turn["posted"] for turn in bot.turns(pull)] == [[f"comment {mine}"]] * 2
    bot.pass_time(700)
    assert bot.tally()["turns"]["started"] == 0, "its own edit wakes nobody"


def test_a_sticky_answer_whose_receipt_was_lost_is_not_made_twice(bot: Bot, repo: Repo, world: World) -> None:
    bot.agent(sticky=True)
    pull = repo.open_pull(by="ana", body="[agent: say First.]")
    world.fault("POST .*/comments", drop_after_accept=True)
    bot.once()
    pull.comment("@bot [agent: say Second.]", by="ana")
    world.fault("PATCH .*/comments", drop_after_accept=True)
    bot.pass_time(60)
    bot.once()
    bot.pass_time(60)
    bot.once()
    assert [body.partition(" ")[0] for body in bot.comments(pull)] == ["Second."]


def test_a_sticky_comment_that_somebody_has_deleted_is_made_anew(bot: Bot, repo: Repo) -> None:
    bot.agent(sticky=True)
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.delete_comment(next(row for row in pull.comments if row.user.login == "bot"), by="ana")
    pull.comment("@bot once more", by="ana")
    bot.once()
    assert len(bot.comments(pull)) == 1
