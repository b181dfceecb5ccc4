"""`poll replay`: what was kept from an answer gets one, and nothing is answered twice by accident."""

from __future__ import annotations

import json

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot


def test_what_was_refused_is_answered_once_after_the_mend(bot: Bot, repo: Repo) -> None:
    bot.configure(trust={"who": ["olga"]})
    pull = repo.open_pull(by="ana")
    pull.comment("@bot what is this?", by="ben")
    bot.once()
    assert bot.verdicts() == [("refuse", "ana is not named in trust.who"), ("refuse", "ben is not named in trust.who")]
    assert "0 of 2 events fed again" in bot.poll("replay", "acme/api#1").out
    bot.configure(trust={"who": ["ben"]})
    rehearsed = bot.poll("replay", "acme/api#1", "--dry-run").out
    assert "dry run: 1 of 2 events fed again, into turn 1" in rehearsed
    [told] = bot.poll("replay", "acme/api#1", "--dry-run", "--format", "json").rows
    log = told.pop("log")
    sums = {"dry_run": True, "events": 2, "fed": 1, "turns": [1], "paused": None}
    assert told == {"key": bot.key(pull), **sums}
    assert [one["event_id"] for one in log] == [one["id"] for one in bot.events(pull)]
    assert [(one["agent"], one["turn"]) for one in log] == [("reviewer", None), ("reviewer", 1)]
    assert log[0]["left_out"].startswith("refuse: ana") and log[1]["left_out"] is None
    assert bot.turns() == []
    said = bot.poll("replay", "acme/api#1").out
    assert "left out, refuse: ana is not named" in said
    assert "reviewer: joins turn 1" in said
    assert "left out, turn 1 is waiting with it" in bot.poll("replay", "acme/api#1").out
    bot.once()
    assert "left out, turn 1 has answered it" in bot.poll("replay", "acme/api#1").out
    bot.once()
    assert len(bot.comments(pull)) == 1
    assert bot.verdicts()[1][1].endswith("before: refuse, ben is not named in trust.who")


def test_what_was_answered_is_fed_again_only_on_purpose(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    bot.pass_time(2)
    kept, gone = pull.comment("@bot keep?", by="ben"), pull.comment("@bot gone?", by="ben")
    bot.once()
    pull.delete_comment(gone, by="ben")
    bot.configure(poll={"sweep": "0s"})
    bot.pass_time(700)
    bot.once()
    assert "pull_request_comment deleted" in bot.kinds(pull)
    asked = next(one for one in bot.events(pull) if one["subject"].get("comment_id") == kept.id)
    said = bot.poll("replay", "acme/api#1", "--from", asked["id"], "--answered").out
    assert "1 of 4 events fed again, into turn 3: with the next" in said
    assert "left out, the comment was deleted" in said
    bot.once()
    assert len(bot.comments(pull)) == 3
    turn = bot.turns(pull)[-1]
    assert (turn["turn"], turn["events"], turn["state"]) == (3, [asked["id"]], "done")
    [row] = bot.query("SELECT told FROM turn WHERE id = 2")
    assert asked["id"] in json.loads(row[0]), "the turn that it came from still says whom it told"


def test_what_cannot_be_fed_is_told_in_one_line(bot: Bot, repo: Repo) -> None:
    assert "nothing is logged yet" in bot.poll("replay", "acme/api#1", code=2).complaint
    pull = repo.open_pull(by="ana")
    bot.once()
    assert "no such pull in the log" in bot.poll("replay", "acme/api#9", code=2).complaint
    assert "--from x: acme/api#1 has no such event" in bot.poll("replay", "acme/api#1", "--from", "x", code=2).complaint
    pull.close(by="ana")
    bot.once()
    assert "is closed, and on a closed pull nothing runs" in bot.poll("replay", "acme/api#1", code=2).complaint
