"""One conversation for a pull's whole life: handed over, lost, refused, limited; and what people are told of it."""

from __future__ import annotations

import re

from poller.demo.world import Repo
from tests.acceptance.bot import Bot

LIMITS = {"turns": 30, "minutes": 30, "usd": 2.0}


def footer(comment: str) -> str:
    """What stands small below an answer."""
    found = re.search(
        r"<sub>bottlepost · (.*) · `@bot help`</sub>\n\n<!-- bottlepost turn=\d+ part=[\w-]+ -->$", comment
    )
    assert found is not None, comment
    return found[1]


def test_after_a_hand_over_the_agent_goes_on_with_its_note_and_people_are_told(bot: Bot, repo: Repo) -> None:
    bot.agent(limits={**LIMITS, "rotate_turns": 1})
    pull = repo.open_pull(by="ana", body="It is slow. " * 400)
    bot.once()
    pull.comment("@bot and now?", by="ana")
    done = bot.tally()
    assert (done["turns"]["started"], done["turns"]["done"], done["posted"]) == (1, 1, 1)
    first, asked, second = bot.prompts(bot.sessions()[0]["identity"])
    assert asked.startswith("Write a hand-over note") and "What went before" not in first
    assert "The note that you wrote at its end:" in second and "Note: the words so far." in second
    assert "@bot and now?" in second and "It is slow." in second, "in full"
    assert "What the log says" not in second, "the note knows it all"
    said = bot.comments(pull)
    assert len(said) == 2, "the note is not posted"
    assert re.fullmatch(r"turn 1 · a fresh session: reviewer's first turn here · \$\d\.\d\d", footer(said[0]))
    assert re.fullmatch(
        r"turn 2 · a fresh session: the conversation had gone on for 1 turns · \$\d\.\d\d", footer(said[1])
    )
    why = bot.poll("why", bot.key(pull)).out
    assert "fresh (the conversation had gone on for 1 turns)" in why


def test_without_a_note_the_agent_is_told_what_the_log_knows(bot: Bot, repo: Repo) -> None:
    bot.agent(limits={**LIMITS, "rotate_turns": 1}, env=["DEMO_AGENT"])
    pull = repo.open_pull(by="ana")
    pull.comment("@bot please [agent: say I prefer teal.]", by="ana")
    bot.once()
    bot.environ["DEMO_AGENT"] = "handover fail"
    pull.comment("@bot which colour?", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    message = bot.prompts(bot.sessions()[0]["identity"])[-1]
    log = re.search(r"^<untrusted-(\w+) log>\n(.*?)\n</untrusted-\1>$", message, re.M | re.S)
    assert log is not None
    assert log[2].startswith("Turn 1, about:\n- 2") and "@bot please [agent: say I prefer teal.]" in log[2]
    assert "You answered:\nI prefer teal." in log[2]
    assert "which colour?" not in log[2], "the turn itself is told below"


def test_lost_conversation_is_told_from_the_log_too_and_the_answer_says_so(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["DEMO_AGENT"])
    pull = repo.open_pull(by="ana")
    bot.once()
    bot.environ["DEMO_AGENT"] = "lost"
    pull.comment("@bot and now?", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert "What the log says about your turns:" in bot.prompts(bot.sessions()[0]["identity"])[-1]
    assert footer(bot.comments(pull)[-1]).startswith(
        "turn 2 · a fresh session: the agent did not find its conversation any more"
    )


def test_after_a_reset_nothing_is_carried_over(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    assert "expected reviewer" in bot.poll("reset", bot.key(pull), "--agent", "nobody", code=2).complaint
    [told] = bot.poll("reset", "acme/api#1", "--format", "json").rows
    dropped = {"agent": "reviewer", "identity": bot.sessions()[0]["identity"], "turns": 1}
    assert told == {"key": bot.key(pull), "bottle": False, "forgot": [dropped]}
    pull.comment("@bot and now?", by="ana")
    bot.once()
    message = bot.prompts(bot.sessions()[0]["identity"])[-1]
    assert message.startswith("You are asked for something") and "What went before" not in message


def test_operators_template_loses_no_note(bot: Bot, repo: Repo) -> None:
    templates = bot.directory / "templates"
    templates.mkdir()
    (templates / "prompt.md").write_text("Be brief about {{ pull.title }}.\n{{ pull.description }}\n")
    bot.agent(limits={**LIMITS, "rotate_turns": 1}, prompts="templates")
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.push(by="ana")
    assert bot.tally()["turns"]["done"] == 1
    message = bot.prompts(bot.sessions()[0]["identity"])[-1]
    assert message.startswith("Be brief about") and message.count("Note: the words so far.") == 1


def test_turn_that_ran_into_a_limit_says_which_and_how_far_it_came(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["DEMO_AGENT"], limits={**LIMITS, "usd": 0.25})
    bot.environ["DEMO_AGENT"] = "budget"
    pull = repo.open_pull(by="ana")
    assert bot.tally(code=1)["posted"] == 1
    (said,) = bot.comments(pull)
    assert "its $0.25 (`limits.usd`) are used up".replace("`", "'") in said
    assert "By then I had said:\n\nI have looked at half of it." in said
    assert footer(said).startswith("turn 1")
    bot.environ["DEMO_AGENT"] = ""
    pull.comment("@bot go on", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert bot.turns(pull)[-1]["mode"] == "resume", "the conversation is kept"


def test_refused_agent_is_shown_as_paused_and_its_events_are_answered_later(bot: Bot, repo: Repo) -> None:
    bot.agent(env=["DEMO_AGENT"])
    bot.environ["DEMO_AGENT"] = "login"
    first = repo.open_pull(by="ana")
    bot.once(code=1)
    second = repo.open_pull(by="ana")
    bot.environ["DEMO_AGENT"] = ""
    assert bot.tally()["turns"]["started"] == 0, "it is the account's trouble: no other pull tries it either"
    status = bot.poll("status", "--format", "json", code=1).json
    (pause,) = status["paused"]
    assert pause["agent"] == "reviewer" and "login" in pause["why"] and not status["healthy"]
    assert "agent reviewer is paused until" in bot.poll("status", code=1).out
    assert "paused until" in bot.bottle("list").out and bot.sessions()[0]["state"] == "paused"
    bot.pass_time(1000)
    assert bot.tally()["turns"]["done"] == 2
    assert len(bot.comments(first)) == len(bot.comments(second)) == 1
    status = bot.poll("status", "--format", "json").json
    assert status["paused"] == [] and status["cost"]["usd"] > 0
    assert status["cost"]["usd"] == sum(turn["cost_usd"] for turn in bot.turns())
