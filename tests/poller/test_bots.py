"""Programs wake nobody unless they are named, and do not talk with each other for ever."""

from __future__ import annotations

import pytest

from tests.poller.house import House


def talk(house: House, times: int) -> None:
    for nth in range(times):
        house.pull.comment(f"@bot once more, {nth}", by="renovate")
        house.once()


def named(house: House) -> House:
    house.repo.collaborator("renovate", "write")
    house.configure(trust={"bots": ["renovate"], "turns_without_human": 2})
    house.pull = house.repo.open_pull(by="ana")
    house.once()
    return house


def test_a_bot_that_can_push_wakes_nobody(house: House) -> None:
    house.repo.collaborator("renovate", "write")
    pull = house.repo.open_pull(by="renovate")
    pull.comment("@bot look", by="renovate")
    house.once()
    assert house.turns() == []
    assert {reason for _, reason in house.verdicts()} == {"renovate is a bot that trust.bots does not name"}


def test_so_many_turns_without_a_person_pause_the_pull_with_one_comment(house: House) -> None:
    talk(named(house), 4)
    assert [turn.state for turn in house.turns()] == ["done", "done", "done", "waiting"]
    notices = [words for words in house.said(house.pull) if "part=unattended" in words]
    assert len(notices) == 1 and "Without a person, 2 turns went by here" in notices[0]
    assert len(house.turns()[-1].events) == 2, "what the bot said meanwhile is kept"


def test_a_persons_resume_goes_on_and_counts_anew(house: House) -> None:
    talk(named(house), 3)
    house.pull.comment("@bot resume", by="ana")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"] * 4
    talk(house, 3)
    assert [turn.state for turn in house.turns()] == ["done"] * 6 + ["waiting"]


def test_a_person_who_asks_or_commands_is_there(house: House) -> None:
    named(house)
    for words in ("@bot and what of this?", "@bot status"):
        talk(house, 2)
        house.pull.comment(words, by="ben")
    talk(house, 1)
    assert {turn.state for turn in house.turns()} == {"done"}


@pytest.mark.parametrize("words", ["lol", "@bot me, too!", "@bot status"])
def test_strangers_do_not_keep_bots_talking(house: House, words: str) -> None:
    named(house)
    for nth in range(3):
        house.pull.comment(words, by="eve")
        house.pull.comment(f"@bot go on, {nth}", by="renovate")
        house.once()
    assert [turn.state for turn in house.turns()] == ["done", "done", "done", "waiting"]


def test_a_bot_that_may_wake_may_not_command(house: House) -> None:
    named(house)
    house.pull.comment("@bot stop", by="renovate")
    house.once()
    assert house.verdicts()[-1] == (
        "refuse", "stop: commands are for people: renovate is a bot that trust.bots names",
    )  # fmt: skip
