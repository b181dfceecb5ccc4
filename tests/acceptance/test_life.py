"""A pull request's whole life: one bottle, one conversation."""

from __future__ import annotations

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot


def test_an_opened_pull_starts_a_fresh_turn_and_its_answer_is_a_comment(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", title="Add five", body="It adds five.")
    assert bot.tally()["turns"] == {"started": 1, "adopted": 0, "done": 1, "failed": 0, "waiting": 0}
    [answer] = bot.comments(pull)
    assert "This is our first message." in answer
    assert answer.endswith("<!-- bottlepost turn=1 part=1 -->")
    [turn] = bot.turns(pull)
    assert (turn["mode"], turn["state"], turn["attempts"], turn["exit"]) == ("fresh", "done", 1, 0)
    assert turn["posted"] == [f"comment {pull.comments[0].id}"]
    [prompt] = bot.prompts(turn["identity"])
    assert "It adds five." in prompt
    assert "+++ " in prompt, "the first prompt shows the change"


def test_a_push_and_a_mention_become_one_resumed_turn_of_the_same_conversation(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="A description.")
    bot.once()
    pull.push(by="ana")
    pull.comment("@bot what do you think?", by="ben")
    assert bot.tally()["turns"]["done"] == 1
    first, second = bot.turns(pull)
    assert (first["mode"], second["mode"]) == ("fresh", "resume")
    assert (first["identity"], first["claude_session"]) == (second["identity"], second["claude_session"])
    assert len(second["events"]) == 2
    assert "I remember 1 earlier message." in bot.comments(pull)[1]
    delta = bot.prompts(second["identity"])[1]
    assert "what do you think?" in delta
    assert "A description." not in delta, "a resumed agent is told what is new"


def test_a_review_that_requests_changes_wakes_the_agent_that_listens_to_it(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["opened", "rejected"])
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.review(by="ben", event="REQUEST_CHANGES", body="Not like this.", inline=[("README.md", 1, "Why here?")])
    bot.once()
    [_, turn] = bot.turns(pull)
    assert (turn["why"], turn["mode"]) == ("rejected", "resume")
    prompt = bot.prompts(turn["identity"])[1]
    assert "Not like this." in prompt
    assert "Why here?" in prompt


def test_merging_puts_the_bottle_away_and_says_nothing(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    [session] = bot.sessions()
    pull.merge(by="ana")
    assert bot.tally()["turns"]["started"] == 0
    assert bot.sessions() == []
    [away] = bot.sessions(put_away=True)
    assert away["identity"] == session["identity"]
    assert len(bot.comments(pull)) == 1
    assert (bot.state / "state" / session["identity"]).is_dir(), "its state stays for the grace time"


def test_a_pull_reopened_within_the_grace_time_finds_its_old_conversation(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["opened", "reopened"])
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.close(by="ana")
    bot.once()
    bot.pass_time(3600)
    pull.reopen(by="ana")
    bot.once()
    first, second = bot.turns(pull)
    assert second["mode"] == "resume"
    assert (first["identity"], first["claude_session"]) == (second["identity"], second["claude_session"])
    assert "I remember 1 earlier message." in bot.comments(pull)[1]


def test_a_pull_closed_and_reopened_between_two_looks_goes_on(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.close(by="ana")
    pull.reopen(by="ana")
    pull.comment("@bot still there?", by="ana")
    bot.once()
    first, second = bot.turns(pull)
    assert (first["identity"], second["mode"]) == (second["identity"], "resume")


def test_a_comment_that_does_not_mention_the_bot_starts_nothing(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.comment("Looks good to me, `@bot` aside.", by="ben")
    pull.comment("> @bot why?\n\nIndeed.", by="ben")
    done = bot.tally()
    assert done["events"] == 3, "two of ben's, and the bot's own answer"
    assert done["turns"]["started"] == 0
    assert ("ignore", "no agent wakes on this: it does not mention @bot") in bot.verdicts()


def test_the_bots_own_words_wake_nobody(bot: Bot, repo: Repo) -> None:
    bot.agent(on=["opened", "commented", "mentioned"])
    pull = repo.open_pull(by="ana", body="[agent: say Ask @bot again!]")
    bot.once()
    assert bot.tally()["turns"]["started"] == 0
    assert ("ignore", "own act of bot") in bot.verdicts()
    pull.comment("@bot said by somebody with the bot's account", by="bot")
    assert bot.tally()["turns"]["started"] == 0
    assert len(bot.turns()) == 1


def test_an_answer_notifies_nobody(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="[agent: say Hello @ana and @olga]")
    bot.once()
    [answer] = bot.comments(pull)
    assert "@\u200bana and @\u200bolga" in answer


def test_words_on_a_closed_pull_are_dropped_for_good(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.close(by="ana")
    pull.comment("@bot are you there?", by="ana")
    assert bot.tally()["turns"]["started"] == 0
    assert ("ignore", "the pull is closed") in bot.verdicts()
    pull.reopen(by="ana")
    assert bot.tally()["turns"]["started"] == 0
    assert len(bot.comments(pull)) == 1


def test_a_pull_opened_and_closed_between_two_looks_starts_nothing(bot: Bot, repo: Repo) -> None:
    bot.once()
    pull = repo.open_pull(by="ana")
    pull.close(by="ana")
    done = bot.tally()
    assert (done["events"], done["turns"]["started"]) == (2, 0)
    assert bot.kinds(pull) == ["pull_request opened", "pull_request closed"]


def test_the_first_run_takes_what_is_there_as_it_is(bot: Bot, repo: Repo) -> None:
    bot.configure(poll={"start": "now"})
    old = repo.open_pull(by="ana", title="Old")
    old.comment("@bot from before your time", by="ana")
    bot.pass_time(60)
    assert bot.tally()["events"] == 0
    new = repo.open_pull(by="ana", title="New")
    old.comment("@bot and now?", by="ana")
    assert bot.tally()["turns"]["done"] == 2
    assert bot.kinds(old) == ["pull_request_comment created"]
    assert bot.kinds(new) == ["pull_request opened"]
    assert [turn["mode"] for turn in bot.turns(old)] == ["fresh"]


def test_start_24h_looks_a_day_back_and_no_further(bot: Bot, repo: Repo) -> None:
    older = repo.open_pull(by="ana", title="Older")
    bot.pass_time(2 * 86_400)
    young = repo.open_pull(by="ana", title="Young")
    bot.pass_time(3600)
    older.comment("@bot an old pull, a new word", by="ana")
    assert bot.tally()["turns"]["done"] == 2
    assert bot.kinds(young) == ["pull_request opened"]
    assert bot.kinds(older) == ["pull_request_comment created"]


def test_without_agents_there_is_still_the_event_log(bot: Bot, repo: Repo) -> None:
    bot.config["agents"] = {}
    repo.open_pull(by="ana")
    done = bot.tally()
    assert (done["events"], done["turns"]["started"]) == (1, 0)
    assert bot.verdicts() == [("ignore", "no agents in the config")]


def test_two_agents_of_one_pull_have_two_bottles_and_take_turns(bot: Bot, repo: Repo) -> None:
    bot.config["agents"] = {
        "reviewer": {"backend": "process", "checkout": False},
        "tester": {"backend": "process", "on": ["opened"], "reply": "none", "checkout": False},
    }
    pull = repo.open_pull(by="ana")
    assert bot.tally()["turns"]["done"] == 2
    assert {session["agent"] for session in bot.sessions()} == {"reviewer", "tester"}
    assert len(bot.comments(pull)) == 1
    assert bot.at_once() == (1, 1), "turns of one pull never overlap, whatever agent"


def test_a_clock_that_jumps_ahead_takes_nobodys_bottle(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.merge(by="ana")
    bot.once()
    [closed] = bot.sessions(put_away=True)
    bottle = bot.state / "state" / closed["identity"]
    bot.ahead += 10 * 86_400
    assert "240 hours apart" in bot.once(code=None).err
    assert bottle.is_dir(), "the forge's clock says that no time has passed"
    world.clock.advance(seconds=10 * 86_400)
    bot.once()
    assert not bottle.exists()
