"""Words that are no prompt: obeyed once, by people who are trusted, and answered."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from poller import commands, pauses
from poller.demo.pulls import Pull
from sessions.database import begin
from tests.poller.happenings import Happenings
from tests.poller.house import House


@pytest.fixture
def pull(house: House) -> Pull:
    """Opened, and looked at by the agent."""
    made = house.repo.open_pull(by="ana")
    house.once()
    return made


def answer(house: House, pull: Pull, words: str, *, by: str = "ana") -> str:
    before = house.said(pull)
    pull.comment(words, by=by)
    house.once()
    said = house.said(pull)[len(before) :]
    assert len(said) == 1, said
    return said[0]


@pytest.mark.parametrize("word", commands.WORDS)
def test_each_is_answered_once_with_a_mark_and_wakes_nobody(house: House, pull: Pull, word: str) -> None:
    text = answer(house, pull, f"@bot {word}")
    assert "<!-- bottlepost turn=-" in text and f"part={word} -->" in text
    house.once()
    assert len(house.said(pull)) == 2, "the agent's, and the answer"
    assert len(house.turns()) == 1
    [verdict] = [verdict for verdict, reason in house.verdicts() if verdict not in ("wake", "ignore")]
    assert verdict == "command"


def test_a_stranger_commands_nothing_and_is_not_answered(house: House, pull: Pull) -> None:
    for word in commands.WORDS:
        pull.comment(f"@bot {word}", by="eve")
    house.once()
    assert len(house.said(pull)) == 1
    refused = [reason for verdict, reason in house.verdicts() if verdict == "refuse"]
    assert len(refused) == len(commands.WORDS)
    assert refused[0] == "help: eve cannot write to acme/api"


def test_another_first_word_is_the_prompt(house: House, pull: Pull) -> None:
    pull.comment("@bot please help", by="ana")
    house.once()
    assert len(house.turns()) == 2
    assert "please help" in house.prompts(house.turns()[1])[0]


def test_words_behind_a_command_go_to_nobody_and_the_answer_says_so(house: House, pull: Pull) -> None:
    assert "the words behind it went to nobody" in answer(house, pull, "@bot help me with this")
    assert "went to nobody" not in answer(house, pull, "@bot help")


def test_help_names_the_commands_and_what_wakes_whom(house: House, pull: Pull) -> None:
    text = answer(house, pull, "@bot help")
    assert all(f"| `{word}` |" in text for word in commands.WORDS)
    assert "**reviewer** wakes on `opened`" in text


def test_status_tells_of_turns_and_of_what_holds_them_back(house: House, pull: Pull) -> None:
    text = answer(house, pull, "@bot status")
    assert "turn 1 of reviewer (`opened`) is done on 2" in text
    answer(house, pull, "@bot pause: release week")
    pull.comment("@bot are you there?", by="ben")
    text = answer(house, pull, "@bot status")
    assert "is waiting" in text and "release week" in text


def test_pause_keeps_what_happens_and_resume_goes_on(house: House, pull: Pull) -> None:
    assert "is paused: `release week`" in answer(house, pull, "@bot pause: release week")
    pull.comment("@bot are you there?", by="ben")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done", "waiting"]
    pull.comment("@bot resume", by="ben")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done", "done"]
    assert any("The pause is over" in words for words in house.said(pull))


def hold_back(house: House, pull: Pull, *, reason: str) -> None:
    """As `poll pause` does."""
    scope = pauses.pull(house.app.config.forge, house.repo.id, pull.number, house.repo.full_name)
    with begin(house.app.engine) as conn:
        pauses.pause(conn, scope, reason=reason, now=house.now())


def test_what_the_operator_holds_back_nobody_else_lifts_or_explains_anew(house: House, pull: Pull) -> None:
    hold_back(house, pull, reason="an incident")
    pull.comment("@bot work", by="ana")
    for words in ("@bot pause: lunch", "@bot resume"):
        said = answer(house, pull, words)
        assert said.startswith("The operator still holds me back: `paused (acme/api#1): an incident`.")
    assert "an incident" in answer(house, pull, "@bot status")
    assert house.turns()[-1].state == "waiting"


def test_the_operator_takes_over_what_somebody_has_paused(house: House, pull: Pull) -> None:
    answer(house, pull, "@bot pause: lunch")
    hold_back(house, pull, reason="an incident")
    assert "holds me back" in answer(house, pull, "@bot resume")


def test_where_everyone_may_ask_only_writers_steer(house: House, pull: Pull) -> None:
    house.configure(trust={"who": "everyone"})
    house.once()
    assert "part=status" in answer(house, pull, "@bot status", by="eve")
    steering = [word for word in commands.WORDS if word not in ("help", "status", "cost")]
    for word in steering:
        pull.comment(f"@bot {word}", by="eve")
    house.once()
    refused = [reason for verdict, reason in house.verdicts() if verdict == "refuse"]
    assert refused == [f"{word}: eve cannot write to acme/api" for word in steering]
    assert "is paused" in answer(house, pull, "@bot pause")


def test_ignore_drops_what_waits_and_keeps_nothing_until_resume(any_house: House) -> None:
    house = any_house
    pull = house.repo.open_pull(by="ana")
    house.once()
    answer(house, pull, "@bot pause")
    pull.comment("@bot one", by="ben")
    assert "One turn that waited is dropped" in answer(house, pull, "@bot ignore").replace("one turn", "One turn")
    answer(house, pull, "@bot resume")
    answer(house, pull, "@bot ignore")
    pull.comment("@bot two", by="ben")
    house.once()
    assert house.verdicts()[-1] == ("refuse", "ignored, as ana said; `@bot resume` ends it")
    assert "I listen again" in answer(house, pull, "@bot resume")
    pull.comment("@bot three", by="ben")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done", "dropped", "done"]


def test_stop_ends_what_runs_and_retry_runs_it_again(house: House) -> None:
    house.environ["DEMO_AGENT"] = "sleep 30"
    pull = house.repo.open_pull(by="ana")
    house.pass_time(2)
    house.app.cycle.run()
    running = threading.Thread(target=lambda: house.app.turns(wait=True, stop=house.never))
    running.start()
    while not any(turn.started_at for turn in house.turns()):
        assert running.is_alive()
    pull.comment("@bot stop", by="ben")
    house.pass_time(2)
    house.app.cycle.run()
    running.join(60)
    house.app.post()
    [turn] = house.turns()
    assert (turn.state, turn.reason) == ("dropped", "stopped by ben")
    assert house.said(pull)[0].startswith("One turn asked to stop. `retry` runs the last one again.")
    house.environ["DEMO_AGENT"] = "say done"
    house.configure()
    pull.comment("@bot retry", by="ben")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"]
    assert any("Turn 1 of reviewer runs again." in words for words in house.said(pull))


@pytest.mark.parametrize("end", ["@bot stop", "@bot ignore", "closed"])
def test_who_was_heard_sees_that_nothing_comes_of_it(house: House, pull: Pull, end: str) -> None:
    hold_back(house, pull, reason="lunch")
    asked = pull.comment("@bot work", by="ana")
    house.once()
    if end == "closed":
        pull.close(by="ben")
    else:
        pull.comment(end, by="ben")
    house.once()
    house.once()
    assert house.turns()[-1].state == "dropped"
    assert signs(pull, asked.id) == ["eyes", "confused"]


def test_what_was_answered_is_not_taken_for_dropped(house: House, pull: Pull) -> None:
    asked = pull.comment("@bot work", by="ana")
    house.once()
    house.once()
    assert signs(pull, asked.id) == ["eyes", "rocket"]


def signs(pull: Pull, comment_id: int) -> list[str]:
    return [content for target, _, content, *_ in pull.reactions if target == comment_id]


def test_retry_of_what_went_well_is_none(house: House, pull: Pull) -> None:
    assert "nothing to run again" in answer(house, pull, "@bot retry")
    assert len(house.turns()) == 1


def test_retry_of_a_turn_that_waits_for_its_next_try_hastens_it(house: House) -> None:
    house.agent(on=["opened"])
    pull = house.repo.open_pull(by="ana", body="[agent: fail]")
    house.once()
    [turn] = house.turns()
    assert (turn.state, turn.attempts) == ("waiting", 1)
    pull.comment("@bot retry", by="ana")
    house.once()
    assert house.said(pull)[0].startswith("Turn 1 of reviewer runs again.")
    assert house.turns()[0].state == "done"


def test_reset_forgets_the_conversation(house: House, pull: Pull) -> None:
    assert "The conversation of **reviewer** is forgotten" in answer(house, pull, "@bot reset")
    assert "no conversation to forget" in answer(house, pull, "@bot reset")
    pull.comment("@bot hello again", by="ana")
    house.once()
    assert [turn.mode for turn in house.turns()] == ["fresh", "fresh"]
    assert "· a fresh session: reset by ana" in house.said(pull)[-1]


def test_cost_tells_what_was_spent_and_what_may_be(house: House, pull: Pull) -> None:
    house.configure(limits={"usd_per_pull": 5})
    text = answer(house, pull, "@bot cost")
    assert "this pull request: $0.0" in text and "in 1 runs" in text
    assert "one pull request: $0.0" in text and "of $5.00" in text and "a day: $0.0" in text


def test_an_edit_commands_only_if_it_brings_the_mention(house: House, pull: Pull) -> None:
    row = pull.comment("bot stop", by="ana")
    house.once()
    house.pass_time(2)
    row.edit("@bot status")
    pull.label(by="ana", add=["wanted"])
    house.once()
    assert any("part=status" in words for words in house.said(pull))
    house.pass_time(2)
    row.edit("@bot ignore")
    pull.label(by="ana", remove=["wanted"])
    house.once()
    assert not any("part=ignore" in words for words in house.said(pull))


def test_commands_are_heard_where_no_agent_wakes_on_mentions(house: House) -> None:
    house.agent(on=["opened"])
    pull = house.repo.open_pull(by="ana")
    house.once()
    assert "part=help" in answer(house, pull, "@bot help")


def test_a_command_on_a_closed_pull_is_dropped(house: House, pull: Pull) -> None:
    pull.close(by="ana")
    pull.comment("@bot status", by="ana")
    house.once()
    assert not any("part=status" in words for words in house.said(pull))


def test_a_command_in_a_review_is_one(house: House, pull: Pull) -> None:
    pull.review(by="ben", event="COMMENT", body="", inline=[("README.md", 1, "@bot cost")])
    house.once()
    assert any("part=cost" in words for words in house.said(pull))
    assert len(house.turns()) == 1


def test_a_cycle_that_breaks_off_obeys_nothing_and_the_next_one_obeys_once(house: House, pull: Pull) -> None:
    pull.comment("@bot pause", by="ana")
    pull.comment("@bot status", by="ana")
    statements, limit = 0, 0

    def break_off(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements == limit:
            raise RuntimeError("killed here")

    for nth in range(20, 200, 9):
        statements, limit = 0, nth
        house.pass_time(400)  # past the lease of the one that broke off
        sa.event.listen(house.app.engine, "before_cursor_execute", break_off)
        try:
            house.app.cycle.run()
        except RuntimeError:
            pass
        else:
            break
        finally:
            sa.event.remove(house.app.engine, "before_cursor_execute", break_off)
    house.once()
    assert sorted(words.partition("part=")[2] for words in house.said(pull)) == ["1 -->", "pause -->", "status -->"]


HEARD = [
    ("@bot stop", "stop", ""),
    ("hey @BOT, Status?", "status", ""),
    ("@bot ok-to-test ABCDEF1", "ok-to-test", "abcdef1"),
    ("@bot ok-to-test abc", "ok-to-test", ""),
    ("@bot ok-to-test yes please", "ok-to-test", ""),
]


@pytest.mark.parametrize(("text", "word", "sha"), HEARD)
def test_the_first_word_after_the_first_mention_is_a_command(text: str, word: str, sha: str) -> None:
    found = commands.command_in(Happenings().commented(1, text), "bot")
    assert found is not None and (found.word, found.sha) == (word, sha)


@pytest.mark.parametrize(
    "text", ["@bot", "@bot stopped", "@bot `stop`", "`@bot stop`", "> @bot stop", "@bots stop", "stop"]
)
def test_other_words_are_none(text: str) -> None:
    assert commands.command_in(Happenings().commented(1, text), "bot") is None


def test_who_asks_in_vain_gets_one_sign_and_no_words(house: House, pull: Pull) -> None:
    row = pull.comment("@bot please", by="eve")
    pull.comment("nothing for the bot", by="eve")
    house.once()
    house.once()
    signs = [(target, content) for target, who, content, _ in pull.reactions if who.login == "bot"]
    assert signs == [(row.id, "confused")]
    assert len(house.said(pull)) == 1


def test_who_asks_in_the_words_of_a_review_sees_what_becomes_of_it(house: House, pull: Pull) -> None:
    for login in ("ben", "eve"):
        pull.review(by=login, event="COMMENT", body="@bot please look", inline=[])
    house.once()
    house.once()
    rows = [row.id for row in pull.rows if row.type == "review"]
    assert [signs(pull, row) for row in rows] == [["eyes", "rocket"], ["confused"]]


def test_a_crowd_of_strangers_does_not_keep_the_bot_busy(house: House, pull: Pull) -> None:
    for _ in range(30):
        pull.comment("@bot please", by="eve")
    house.once()
    assert len(pull.reactions) == 5
