"""What an operator pauses: its events are kept, its turns wait, and all of it goes on when the pause is lifted."""

from __future__ import annotations

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until


def held(bot: Bot) -> list[tuple[str, str, int]]:
    """What `status` says is paused: (what, reason, waiting turns)."""
    said = bot.poll("status", "--format", "json", code=None).json
    return [(one["what"], one["reason"], one["waiting"]) for one in said["held"]]


def answered(bot: Bot, *pulls: Pull) -> list[int]:
    return [len(bot.comments(pull)) for pull in pulls]


def test_a_paused_pull_keeps_its_events_and_answers_them_in_one_turn_afterwards(bot: Bot, repo: Repo) -> None:
    here, there = repo.open_pull(by="ana"), repo.open_pull(by="ben")
    bot.once()
    said = bot.poll("pause", "acme/api#1", "--reason", "release\nweek").out
    assert "acme/api#1 is paused: release week" in said
    for pull in (here, there):
        pull.comment("@bot first?", by="ana")
        bot.pass_time(2)
        pull.comment("@bot second?", by="ben")
    assert bot.tally()["turns"] == {"started": 1, "adopted": 0, "done": 1, "failed": 0, "waiting": 1}
    assert held(bot) == [("acme/api#1", "release week", 1)]
    assert "paused: acme/api#1, since " in bot.poll("status").out
    assert (answered(bot, here, there), len(bot.events(here))) == ([1, 2], 4)
    assert "1 waiting turn: with the next" in bot.poll("unpause", "acme/api#1").out
    assert bot.tally()["turns"]["done"] == 1
    assert (answered(bot, here, there), held(bot)) == ([2, 2], [])
    assert len(bot.turns(here)[-1]["events"]) == 2


@pytest.mark.parametrize(("place", "expected"), [([], [0, 0, 0]), (["acme"], [0, 0, 1]), (["ACME/api"], [0, 1, 1])])
def test_a_pause_covers_what_it_names_and_nothing_else(
    bot: Bot, world: World, repo: Repo, place: list[str], expected: list[int]
) -> None:
    bot.configure(repos=["acme/*", "other/*"])
    people = {"bot": "write", "ana": "write"}
    repos = [repo, *(world.repo(name, private=True, collaborators=people) for name in ("acme/web", "other/api"))]
    bot.once()
    bot.poll("pause", *place, "--reason", "why not")
    pulls = [one.open_pull(by="ana") for one in repos]
    would = {turn["key"] for turn in bot.once("--dry-run", "--format", "json").json["would_run"]}
    assert [int(bot.key(pull) in would) for pull in pulls] == expected
    bot.once()
    assert answered(bot, *pulls) == expected
    bot.poll("unpause", *place)
    bot.once()
    assert answered(bot, *pulls) == [1, 1, 1]


def test_a_turn_that_runs_goes_on_and_its_answer_is_posted(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    running = bot.start("--once")
    until(bot.begun, "the agent runs")
    assert "1 turn running, to the end" in bot.poll("pause", "--reason", "maintenance").out
    bot.let_go()
    running.finish()
    assert answered(bot, pull) == [1]


def test_a_daemon_minds_what_another_call_has_paused(bot: Bot, repo: Repo) -> None:
    bot.configure(poll={"every": "1s"})
    bot.once()
    bot.poll("pause", "acme", "--reason", "quiet")
    running = bot.start()
    pull = repo.open_pull(by="ana")
    until(lambda: bot.turns(pull), "the event has become a turn")
    assert answered(bot, pull) == [0]
    bot.poll("unpause", "acme")
    until(lambda: answered(bot, pull) == [1], "the turn that waited has run")
    assert bot.begun(1)
    running.kill()


def test_a_pause_holds_under_a_new_name(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    bot.poll("pause", "acme/api", "--reason", "moving house")
    repo.rename("core")
    bot.configure(repos=["acme/core"])
    pull.comment("@bot still there?", by="ana")
    assert bot.tally()["turns"]["waiting"] == 1
    assert held(bot) == [("acme/core", "moving house", 1)]
    bot.poll("unpause", "acme/core")
    bot.once()
    assert answered(bot, pull) == [2]


def test_a_pause_inside_another_one_is_named_when_the_outer_one_is_lifted(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.once()
    bot.poll("pause", "acme/api#1", "--reason", "inner")
    assert "acme/api#1 stays paused, now for: innermost" in bot.poll(
        "pause", "acme/api#1", "--reason", "innermost").out  # fmt: skip
    bot.poll("pause", "acme", "--reason", "outer")
    assert "but acme/api#1 still is: innermost; to lift that: poll unpause acme/api#1" in bot.poll(
        "unpause", "acme").out  # fmt: skip
    assert held(bot) == [("acme/api#1", "innermost", 0)]


def test_a_program_is_told_of_a_pause_in_one_object(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.comment("@bot still there?", by="ana")
    [made] = bot.poll("pause", "acme", "--reason", "week", "--format", "json").rows
    nothing = {"before": None, "known": True, "waiting": 0, "running": 0}
    assert made == {"what": "acme", "reason": "week", **nothing, "to_lift": "poll unpause acme"}
    bot.once()
    [again] = bot.poll("--format", "json", "pause", "acme/api#1", "--reason", "day").rows
    assert (again["what"], again["before"], again["waiting"]) == ("acme/api#1", None, 1)
    [lifted] = bot.poll("unpause", "acme", "-v", "--format", "json").rows
    assert lifted.pop("since").endswith("Z")
    inner = {"what": "acme/api#1", "reason": "day", "to_lift": "poll unpause acme/api#1"}
    assert lifted == {"what": "acme", "reason": "week", "waiting": 1, "still": [inner]}
    refused = bot.poll("--format", "json", "unpause", "acme", code=2)
    assert not refused.out and "has no pause of its own" in refused.complaint


def test_what_cannot_be_paused_is_told_in_one_line(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.once()
    for words, expected in (
        (["acme/api#x", "--reason", "r"], "expected owner, owner/repo or owner/repo#N"),
        (["acme/web", "--reason", "r"], "no repository acme/web is known"),
        (["acmee", "--reason", "r"], "nothing of this owner is watched"),
        (["acme", "--reason", " "], "--reason: found nothing"),
    ):
        assert expected in bot.poll("pause", *words, code=2).complaint
    assert "nothing was ever seen of acme/api#999" in bot.poll("pause", "acme/api#999", "--reason", "early").out
    assert "ever seen" not in bot.poll("pause", "acme/api#1", "--reason", "late").out
    bot.poll("unpause", "acme/api#1")
    bot.poll("unpause", "acme/api#999")
    assert "everything: has no pause of its own" in bot.poll("unpause", code=2).complaint
    bot.poll("pause", "--reason", "all of it")
    mend = "acme/api: has no pause of its own; everything is: poll unpause;"
    assert mend in bot.poll("unpause", "acme/api", code=2).complaint


def test_a_shell_offers_what_can_be_paused_and_what_can_be_retried(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana", body="[agent: garbage]")
    bot.once(code=1)
    bot.query("UPDATE turn SET state = 'failed'")
    bot.environ |= {"_POLL_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    for line, offered in (("poll pause ac", ["acme", "acme/api", "acme/api#1"]), ("poll retry ", ["1"])):
        bot.environ["COMP_WORDS"] = line
        assert bot.poll().out.split() == offered
