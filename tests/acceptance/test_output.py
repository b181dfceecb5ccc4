"""What programs read: the last line of stdout, the health, the log."""

from __future__ import annotations

import json

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot

TURNS = {"started": 0, "adopted": 0, "done": 0, "failed": 0, "waiting": 0}


def test_what_a_cycle_did_is_the_last_line_of_stdout_key_by_key(bot: Bot, repo: Repo, world: World) -> None:
    repo.open_pull(by="ana")
    bot.once()
    bot.pass_time(2)
    bot.once()
    world.reset_requests()
    idle = bot.once("--format", "json")
    assert idle.out.count("\n") == 1
    assert list(idle.json.items())[1:] == [
        ("requests", 1),
        ("pulls_changed", 0),
        ("events", 0),
        ("turns", TURNS),
        ("posted", 0),
        ("errors", []),
    ]
    assert list(idle.json["turns"]) == list(TURNS)
    assert next(iter(idle.json)) == "cursor"
    assert idle.out.startswith('{"cursor":"2')
    assert idle.out.strip() == json.dumps(idle.json, separators=(",", ":"))
    assert len(world.requests) == 1


def test_the_cursor_is_the_newest_stamp_of_the_forge(bot: Bot, repo: Repo) -> None:
    bot.once()
    pull = repo.open_pull(by="ana")
    bot.config["agents"] = {}
    bot.pass_time(100)
    assert bot.tally()["cursor"] == bot.events(pull)[0]["at"]
    assert bot.tally()["cursor"] == bot.events(pull)[0]["at"], "time alone does not move it"


def test_people_read_what_happened_and_why(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana", title="Add five")
    said = bot.once().out
    assert "acme/api#1 pull_request opened by ana: Add five" in said
    assert "wake reviewer: opened; ana is a collaborator of acme/api" in said
    assert "1 events from 1 changed pulls" in said
    assert "1 done" in said


def test_options_may_stand_before_the_verb_or_behind_it(bot: Bot, repo: Repo) -> None:
    bot.once()
    before = bot.poll("--config", "config.yaml", "--format", "json", "status").json
    behind = bot.poll("status", "--format", "json", "--config", "config.yaml").json
    passing = {"age_seconds": 0, "cost": "that of another day, at midnight"}
    assert before | passing == behind | passing


def test_a_call_with_wrong_words_is_one_line_with_the_mend(bot: Bot) -> None:
    for words, said in (
        ("nope", "no such command 'nope'; `poll -h` shows how"),
        ("pause", "missing option '--reason'; `poll pause -h` shows how"),
        ("retry x", "invalid value for 'TURN': 'x' is not a valid int"),
        ("status --format xml", "invalid value for '--format': 'xml' is not one of 'text', 'json'; `poll status -h`"),
        ("status --config", "option '--config' requires an argument; `poll"),
    ):
        refused = bot.poll(*words.split(), code=2)
        assert refused.complaint.startswith(f"poll: {said}") and refused.complaint.endswith(" -h` shows how")
        assert not refused.out


def test_a_program_is_told_which_turn_runs_again(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana", body="[agent: garbage]")
    bot.once(code=1)
    bot.query("UPDATE turn SET state = 'failed'")
    assert bot.poll("retry", "1", "--format", "json").rows == [{"turn": 1, "runs_as": 1, "posts": 0}]
    assert bot.tally()["turns"]["done"] == 1
    refused = bot.poll("--format", "json", "retry", "9", code=2)
    assert not refused.out and "turn 9: there is no such turn" in refused.complaint


def test_health_before_the_first_cycle_is_no_health(bot: Bot) -> None:
    unknown = bot.poll("status", "--format", "json", code=1).json
    assert unknown["healthy"] is False
    assert "no cycle has succeeded yet" in unknown["problems"][0]
    assert not bot.state.exists(), "a question makes no database"


def test_health_is_told_in_keys(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.once()
    well = bot.poll("status", "--format", "json").json
    assert well["healthy"] is True
    assert well["problems"] == []
    assert (well["forge"], well["bot"], well["version"]) == (bot.forge, "bot", "1.25.4")
    assert well["turns"] == {"running": 0, "waiting": 0, "failed": 0, "done": 1}
    assert (well["sessions"], well["outbox"], well["last_error"]) == (1, 0, None)
    assert well["age_seconds"] < 60


def test_a_poller_that_nobody_calls_any_more_is_not_healthy(bot: Bot, repo: Repo) -> None:
    bot.once()
    bot.pass_time(3 * 3600)
    assert "is the timer running?" in bot.poll("status", code=1).out


def test_every_log_line_of_a_turn_names_pull_turn_and_bottle(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    ran = bot.once("--log-format", "json", "-v")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    assert {"time", "level", "event", "logger"} <= set.intersection(*map(set, lines))
    [turn] = bot.turns(pull)
    about_it = [line for line in lines if line["logger"] in ("sessions.worker", "poller.outbox")]
    assert {line["event"] for line in about_it} >= {"turn done", "answer posted"}
    for line in about_it:
        assert (line["pull"], line["turn"], line["bottle"]) == (bot.key(pull), turn["turn"], turn["identity"]), line
    [decision] = [line for line in lines if line["logger"] == "poller.cycle"]
    assert (decision["pull"], decision["agent"]) == (bot.key(pull), "reviewer")
    assert "collaborator" in decision["reason"]


def test_hostile_words_forge_no_log_line(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana", title="x\n2026-11-21T00:00:00.000Z INFO all is well", body="[agent: fail]")
    ran = bot.once(code=1)
    assert not any(line.endswith("all is well") for line in ran.err.splitlines())


def test_the_bottles_own_tool_shows_the_turns_of_the_poller(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    [turn] = bot.bottle("log", bot.key(pull), "--format", "jsonl").rows
    assert turn == bot.turns(pull)[0]
    assert bot.bottle("log", "acme/api#1", "--format", "jsonl").rows == [turn], "it is enough where there is one forge"
    assert bot.bottle("log", "api#1", "--format", "jsonl").rows == [turn]
    assert "i#1: no turn and no session of it" in bot.bottle("log", "i#1", code=2).complaint
    [session] = bot.bottle("list", "--format", "json").json
    assert (session["identity"], session["claude_session"]) == (turn["identity"], turn["claude_session"])
    assert (session["key"], session["turns"], session["state"]) == (bot.key(pull), 1, "idle")
    assert list(turn) == [
        "turn", "key", "agent", "identity", "claude_session", "mode", "why", "events", "state", "attempts",
        "started_at", "ended_at", "exit", "cost_usd", "posted",
    ]  # fmt: skip
    assert session["cost_usd"] > 0
