"""What the earlier systems promised of dispatch, by its number: where a forge is needed to show it.

The others are in `tests/sessions/test_demands_*.py`.  The tests are short; depth is elsewhere.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until


def test_demand_a01_lifecycle_is_seen_and_the_number_joins_it(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    comment = pull.comment("a remark", by="ben")
    pull.push(by="ana")
    pull.review(by="ben", event="APPROVED", body="Fine.")
    pull.review(by="ben", event="REQUEST_CHANGES", body="No.", inline=[("README.md", 1, "Why?")])
    bot.once()
    comment.edit("another remark", by="ben")
    pull.close(by="ana")
    bot.pass_time(700)
    bot.once()
    pull.reopen(by="ana")
    bot.once()
    pull.merge(by="ana")
    bot.once()
    seen = bot.kinds(pull)
    assert {
        "pull_request opened",
        "pull_request closed",
        "pull_request reopened",
        "pull_request_sync synchronized",
        "pull_request_comment created",
        "pull_request_comment edited",
        "pull_request_review_approved reviewed",
        "pull_request_review_rejected reviewed",
    } <= set(seen)
    assert [event["pull"]["merged"] for event in bot.events(pull) if event["action"] == "closed"] == [False, True]
    assert {event["number"] for event in bot.events(pull)} == {pull.number}


def test_demand_a02_a_push_is_one_event_and_one_dispatch(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.push(by="ana")
    bot.once()
    bot.once()
    assert bot.kinds(pull).count("pull_request_sync synchronized") == 1
    assert [turn["why"] for turn in bot.turns(pull)] == ["opened", "synchronized"]


def test_demand_a10_opened_starts_a_review_with_the_diff_and_writes_the_entry(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", title="Add five")
    bot.once()
    [entry] = bot.sessions()
    [turn] = bot.turns(pull)
    [prompt] = bot.prompts(entry["identity"])
    assert "Add five" in prompt and f"#{pull.number}" in prompt and "+++ " in prompt
    assert (turn["mode"], turn["claude_session"]) == ("fresh", entry["claude_session"])
    assert list((bot.state / "state" / entry["identity"]).rglob(f"{entry['claude_session']}.jsonl"))


def test_demand_a11_new_commits_resume_with_the_new_diff(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    head = pull.push(by="ana")
    bot.once()
    [entry] = bot.sessions()
    prompt = bot.prompts(entry["identity"])[1]
    assert head[:12] in prompt and "+++ " in prompt
    assert (bot.turns(pull)[1]["mode"], entry["turns"]) == ("resume", 2)


def test_demand_a12_a_comment_counts_only_when_it_mentions_the_bot_and_is_the_prompt(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.comment("what a fine day", by="ben")
    bot.once()
    assert len(bot.turns(pull)) == 1
    pull.comment("@bot why is the sky blue?", by="ben")
    bot.once()
    [entry] = bot.sessions()
    prompt = bot.prompts(entry["identity"])[1]
    assert "why is the sky blue?" in prompt and "what a fine day" not in prompt


def test_demand_a13_merged_cleans_up_the_bottle_and_then_the_entry(bot: Bot, repo: Repo) -> None:
    """After the grace time: until then it can be reopened."""
    pull = repo.open_pull(by="ana")
    bot.once()
    [entry] = bot.sessions()
    pull.merge(by="ana")
    bot.once()
    assert bot.sessions() == []
    place = bot.state / "state" / entry["identity"]
    assert place.is_dir()
    bot.pass_time(8 * 86_400)
    bot.once()
    assert not place.exists()


def test_demand_a16_events_of_one_pull_never_overlap_and_different_pulls_may(bot: Bot, repo: Repo) -> None:
    pulls = [repo.open_pull(by="ana", title=f"Change {number}") for number in range(2)]
    bot.hold()
    running = bot.start("--once")
    until(lambda: bot.begun(2), "two agents run")
    pulls[0].comment("@bot and this?", by="ben")
    bot.once()
    bot.let_go()
    running.finish()
    assert bot.at_once() == (2, 1)


def test_demand_a18_events_of_closed_pulls_are_ignored(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.close(by="ana")
    pull.comment("@bot are you there?", by="ben")
    assert bot.tally()["turns"]["started"] == 0
    assert "pull_request_comment created" in bot.kinds(pull), "seen it is"


def test_demand_a20_a_comment_when_the_agent_is_done_is_optional(bot: Bot, repo: Repo) -> None:
    spoken = repo.open_pull(by="ana")
    bot.once()
    assert len(bot.comments(spoken)) == 1
    bot.agent(reply="none")
    silent = repo.open_pull(by="ana")
    bot.once()
    assert bot.comments(silent) == [] and bot.turns(silent)[0]["state"] == "done"


def test_demand_a21_the_dispatcher_is_outside_of_the_bottle(bot: Bot, repo: Repo) -> None:
    """What it knows (the forge's token, its config, its database) is not in there."""
    repo.open_pull(by="ana")
    bot.once()
    [environ] = [path.read_text() for path in bot.directory.glob("environ.*")]
    assert bot.token not in environ and "GITEA_TOKEN" not in environ and "config.yaml" not in environ
    [entry] = bot.sessions()
    inside = [path for path in (bot.state / "state" / entry["identity"]).rglob("*") if path.is_file()]
    assert not [path for path in inside if bot.token.encode() in path.read_bytes() or path.suffix == ".db"]


def test_demand_b14_without_a_delta_template_the_full_one_is_used(bot: Bot, repo: Repo) -> None:
    ours = bot.directory / "prompts"
    ours.mkdir()
    (ours / "prompt.md").write_text("Ours, in full.")
    bot.agent(prompts=str(ours))
    pull = repo.open_pull(by="ana", title="Add five")
    bot.once()
    pull.push(by="ana")
    bot.once()
    assert [turn["mode"] for turn in bot.turns(pull)] == ["fresh", "resume"]
    [entry] = bot.sessions()
    assert all("Ours, in full" in prompt for prompt in bot.prompts(entry["identity"]))


def test_demand_b15_a_merge_says_that_nothing_is_resumed_for_it(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.merge(by="ana")
    bot.once()
    verdict, reason = bot.verdicts()[-1]
    assert verdict == "close" and reason.startswith("merged"), reason
    assert len(bot.turns(pull)) == 1


def test_upstream_what_is_true_just_before_the_dispatch_decides(bot: Bot, repo: Repo) -> None:
    """An assignment that came and went between the event and its turn once made three pulls of one."""
    bot.agent(on=["opened", "mentioned"])
    pull = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once")
    until(bot.begun, "the agent runs")
    pull.comment("@bot wait", by="ben")
    bot.once()
    # Nobody polls any more: only the look before the launch can know.
    pull.merge(by="ana")
    bot.let_go()
    first.finish(code=None)
    assert [turn["state"] for turn in bot.turns(pull)] == ["done", "dropped"]
    assert len(bot.runs()) == 2, "one run: its begin and its end"


def test_upstream_pulls_that_vanished_are_found_by_the_sweep_and_their_bottles_put_away(bot: Bot, repo: Repo) -> None:
    """Nothing that moved tells of it."""
    bot.configure(poll={"sweep": "0s"})
    pull = repo.open_pull(by="ana")
    bot.once()
    assert len(bot.sessions()) == 1
    pull.delete(by="olga")
    until(lambda: bot.once(code=None) and bot.sessions() == [], "its bottle is put away")


def test_demand_b03_the_map_of_the_registry_is_what_list_prints(bot: Bot, repo: Repo) -> None:
    """Where a file was asked for, there is the database, and this shows the same."""
    pull = repo.open_pull(by="ana")
    bot.once()
    [row] = json.loads(bot.bottle("list", "--format", "json").out)
    assert (row["key"], row["agent"]) == (bot.key(pull), "reviewer")
    assert Path(row["cwd"]).is_dir() and os.path.isabs(row["cwd"])
