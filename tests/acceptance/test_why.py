"""`poll why`: the whole chain in words, and what a turn that waits is waiting for."""

from __future__ import annotations

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot


def test_the_chain_is_told_from_the_look_to_the_post(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    pull.comment("@bot why?", by="ben")
    pull.comment("@bot let me in", by="eve")
    bot.pass_time(2)
    bot.once()
    said = bot.poll("why", "acme/api#1").out
    assert said.startswith("acme/api#1: open, last moved ")
    for words in (
        "s after it happened, id ",
        "allowed   yes, reviewer: opened; ana is a collaborator of acme/api",
        "allowed   no, reviewer: eve is no collaborator of acme/api",
        "fresh, with 1 other event",
        "outcome   done at ",
        "posted    comment ",
    ):
        assert words in said, words
    [mine] = [one for one in bot.events(pull) if one["event"] == "pull_request_comment" and one["actor"]["id"] and
              one["subject"]["body"] == "@bot why?"]  # fmt: skip
    [row] = bot.poll("why", mine["id"], "--format", "json").rows
    assert row["decisions"][0]["turn"]["state"] == "done"


def test_a_pull_may_be_spelled_in_any_case(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    for key in ("ACME/Api#1", bot.key(pull).replace("acme/api", "ACME/Api")):
        assert "reviewer: opened" in bot.poll("why", key).out
        assert len(bot.poll("events", "--pull", key, "--format", "json").rows) == 1
        assert "is answered" in (said := bot.poll("replay", key, "--dry-run").out) or "has answered it" in said
    assert "forgot the conversation" in bot.poll("reset", "ACME/API#1").out


def test_a_turn_that_waits_says_for_what(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="[agent: fail]")
    bot.once(code=1)
    assert "waits for its time, " in bot.poll("why", "acme/api#1").out
    bot.poll("pause", "acme", "--reason", "a quiet\x1b week")
    said = bot.poll("why", bot.key(pull)).out
    assert r"waits for paused (acme): a quiet\x1b week" in said
    assert "open, last moved" in said.splitlines()[0] and "paused (acme)" in said.splitlines()[0]
    bot.poll("unpause", "acme")
    bot.pass_time(3600)
    assert "waits for nothing: it runs with the next `poll --once`" in bot.poll("why", bot.key(pull)).out


def test_of_what_the_log_lacks_it_says_why(bot: Bot, repo: Repo) -> None:
    bot.configure(repos=["acme/api", "!acme/attic", "acme/gone"])
    bot.once()
    for subject, expected in (
        ("acme/api#9", "nothing has happened there since the watching began (`poll.start` is 24h)"),
        ("acme/attic#1", "does not name acme/attic, or excludes it"),
        ("acme/gone#1", "acme/gone cannot be read: "),
        ("nonsense", "expected the id of an event, or owner/repo#N"),
    ):
        assert expected in bot.poll("why", subject, code=2).complaint
