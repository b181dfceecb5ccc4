"""Turns: many events become few, none of one pull overlap, a failing one is tried again and then given up."""

from __future__ import annotations

import pytest

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until


def test_ten_comments_made_while_a_turn_runs_become_one_next_turn(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once", "--format", "json")
    until(bot.begun, "the agent runs")
    for number in range(10):
        pull.comment(f"@bot question {number}", by="ben")
    second = bot.tally()
    assert (second["events"], second["turns"]["started"], second["turns"]["waiting"]) == (10, 0, 1)
    bot.let_go()
    assert first.finish().json["turns"] == {"started": 2, "adopted": 0, "done": 2, "failed": 0, "waiting": 0}
    _, turn = bot.turns(pull)
    assert len(turn["events"]) == 10
    prompt = bot.prompts(turn["identity"])[1]
    assert [prompt.index(f"question {number}") for number in range(10)] == sorted(
        prompt.index(f"question {number}") for number in range(10)
    )
    assert len(bot.comments(pull)) == 2


def test_pulls_run_side_by_side_up_to_the_limit_and_no_bottle_twice(bot: Bot, repo: Repo) -> None:
    bot.configure(limits={"parallel": 2})
    pulls = [repo.open_pull(by="ana", title=f"Change {number}") for number in range(4)]
    bot.hold()
    running = bot.start("--once", "--format", "json")
    until(lambda: bot.begun(2), "two agents run")
    for pull in pulls:
        pull.comment("@bot and this?", by="ben")
    other = bot.tally()
    assert other["turns"]["started"] == 0, "another poll keeps to the same limit"
    bot.let_go()
    assert running.finish().json["turns"]["failed"] == 0
    assert bot.at_once() == (2, 1)
    assert [len(bot.comments(pull)) for pull in pulls if len(bot.comments(pull)) not in (1, 2)] == []
    told = [event for turn in bot.turns() for event in turn["events"]]
    assert len(told) == len(set(told)) == 8


def test_what_another_poll_finds_is_started_while_the_first_one_waits(bot: Bot, repo: Repo) -> None:
    """By either of them: the one that waits looks for turns, too, and may see it laid down first."""
    slow = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once", "--format", "json")
    until(bot.begun, "the agent runs")
    quick = repo.open_pull(by="ben")
    second = bot.start("--once", "--format", "json")
    until(lambda: bot.begun(2), "the second agent runs")
    bot.let_go()
    tallies = [first.finish().json["turns"], second.finish().json["turns"]]
    assert [sum(tally[what] for tally in tallies) for what in ("started", "done", "failed")] == [2, 2, 0]
    assert bot.at_once() == (2, 1)
    assert (len(bot.comments(slow)), len(bot.comments(quick))) == (1, 1)


def test_superseded_events_are_folded_before_anybody_is_told(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["opened", "synchronized", "labeled", "mentioned"])
    pull = repo.open_pull(by="ana")
    bot.once()
    before = pull.head_sha
    pull.push(by="ana")
    pull.push(by="ana")
    after = pull.push(by="ana")
    bot.once()
    _, turn = bot.turns(pull)
    prompt = bot.prompts(turn["identity"])[1]
    assert len(turn["events"]) == 3
    assert f"the head went from {before[:12]} to {after[:12]}" in prompt
    assert prompt.count("the head went") == 1


def test_pushed_and_taken_back_is_nothing_to_run_for(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    bot.hold()
    pull.comment("@bot wait for it", by="ben")
    first = bot.start("--once", "--format", "json")
    until(lambda: bot.begun(2), "the agent runs")
    before = pull.head_sha
    pull.push(by="ana")
    bot.once()
    pull.head_repo.move_branch(pull.head_ref, before, by=pull.author, forced=True)  # type: ignore[union-attr]
    bot.once()
    bot.let_go()
    assert first.finish().json["turns"]["started"] == 1
    assert [turn["state"] for turn in bot.turns(pull)] == ["done", "done", "dropped"]
    assert len(bot.comments(pull)) == 2


def test_an_agent_whose_reply_is_none_works_in_silence(bot: Bot, repo: Repo) -> None:
    bot.agent(reply="none")
    pull = repo.open_pull(by="ana")
    done = bot.tally()
    assert (done["turns"]["done"], done["posted"]) == (1, 0)
    assert bot.comments(pull) == []


def test_a_failing_agent_is_tried_again_with_pauses_and_then_given_up_with_one_notice(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["DEMO_AGENT"])
    bot.environ["DEMO_AGENT"] = "fail"
    pull = repo.open_pull(by="ana")
    first = bot.tally(code=1)
    assert first["turns"] == {"started": 1, "adopted": 0, "done": 0, "failed": 1, "waiting": 1}
    soon = bot.tally()
    assert soon["turns"] == {"started": 0, "adopted": 0, "done": 0, "failed": 0, "waiting": 1}, "it waits for its time"
    bot.pass_time(60)
    assert bot.tally(code=1)["turns"]["waiting"] == 1
    assert bot.comments(pull) == [], "nothing is said as long as it will be tried again"
    bot.pass_time(60)
    assert bot.tally()["turns"]["started"] == 0, "the second pause is longer"
    bot.pass_time(600)
    assert bot.tally(code=1)["turns"] == {"started": 1, "adopted": 0, "done": 0, "failed": 1, "waiting": 0}
    [notice] = bot.comments(pull)
    assert "given up" in notice
    assert "the scripted agent was told to fail" in notice
    bot.pass_time(86_400)
    assert bot.tally()["turns"]["started"] == 0
    assert len(bot.comments(pull)) == 1
    [turn] = bot.turns(pull)
    assert (turn["state"], turn["attempts"]) == ("failed", 3)


def test_a_failed_turn_does_not_stand_in_the_way_of_the_next_event(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["DEMO_AGENT"])
    bot.environ["DEMO_AGENT"] = "fail"
    pull = repo.open_pull(by="ana")
    for _ in range(3):
        bot.once(code=1)
        bot.pass_time(1000)
    bot.environ["DEMO_AGENT"] = ""
    pull.comment("@bot and now?", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert [turn["state"] for turn in bot.turns(pull)] == ["failed", "done"]


def test_an_event_that_comes_while_a_failed_turn_waits_joins_it(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="[agent: fail 1]")
    bot.once(code=1)
    pull.comment("@bot here is more", by="ana")
    assert bot.tally()["turns"]["waiting"] == 1
    bot.pass_time(60)
    assert bot.tally()["turns"] == {"started": 1, "adopted": 0, "done": 1, "failed": 0, "waiting": 0}
    [turn] = bot.turns(pull)
    assert (turn["attempts"], len(turn["events"])) == (2, 2)
    prompt = bot.prompts(turn["identity"])[1]
    assert "here is more" in prompt


@pytest.mark.parametrize("word", ["garbage", "silent"])
def test_an_agent_that_says_nothing_readable_has_failed(bot: Bot, repo: Repo, word: str) -> None:
    pull = repo.open_pull(by="ana", body=f"[agent: {word}]")
    assert bot.tally(code=1)["turns"]["waiting"] == 1
    assert bot.comments(pull) == []


def test_one_agents_failure_does_not_stop_the_other_pulls(bot: Bot, repo: Repo) -> None:
    bad = repo.open_pull(by="ana", body="[agent: fail]")
    good = repo.open_pull(by="ana")
    done = bot.tally(code=1)
    assert (done["turns"]["done"], done["turns"]["failed"], done["posted"]) == (1, 1, 1)
    assert (len(bot.comments(bad)), len(bot.comments(good))) == (0, 1)


def test_a_lost_conversation_is_begun_anew_with_the_whole_story(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="A description.")
    bot.once()
    [before] = bot.sessions()
    for transcript in bot.state.rglob("*.jsonl"):
        if transcript.stem == before["claude_session"]:
            transcript.unlink()
    pull.comment("@bot do you remember?", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    _, turn = bot.turns(pull)
    assert (turn["mode"], turn["identity"]) == ("fresh", before["identity"])
    assert turn["claude_session"] != before["claude_session"]
    assert "A description." in bot.prompts(turn["identity"])[1]


def test_closing_the_pull_stops_its_running_turn(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once", "--format", "json")
    until(bot.begun, "the agent runs")
    pull.close(by="ana")
    assert bot.tally()["events"] == 1
    assert first.finish().json["turns"]["done"] == 0
    assert [turn["state"] for turn in bot.turns(pull)] == ["dropped"]
    assert bot.comments(pull) == []
    assert bot.sessions() == []


def test_a_very_long_answer_is_cut_and_says_so(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="[agent: big 150000]")
    bot.once()
    [answer] = bot.comments(pull)
    assert len(answer) < 65_000
    assert "more characters are in the log of turn 1" in answer


def test_a_bottle_gets_the_variables_that_are_named_and_no_others(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["ANTHROPIC_API_KEY"])
    bot.environ |= {"ANTHROPIC_API_KEY": "sk-for-the-agent", "OTHER_KEY": "not-for-the-agent"}
    repo.open_pull(by="ana")
    bot.once()
    [environ] = [path.read_text() for path in bot.directory.glob("environ.*")]
    assert "ANTHROPIC_API_KEY=sk-for-the-agent" in environ
    assert "OTHER_KEY" not in environ
    assert "GITEA_TOKEN" not in environ
