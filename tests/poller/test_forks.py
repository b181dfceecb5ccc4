"""A fork's code is worked on when somebody trusted has looked at it, at exactly that commit."""

from __future__ import annotations

import pytest

from poller.demo.pulls import Pull
from tests.poller.house import House


def verdicts(house: House) -> list[str]:
    return [verdict for verdict, _ in house.verdicts() if verdict != "ignore"]


def test_a_fork_waits_and_one_notice_says_so(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.push(by="eve")
    house.once()
    pull.comment("@bot what do you think?", by="ana")
    house.once()
    assert house.turns() == []
    assert verdicts(house) == ["hold", "hold", "hold"]
    [notice] = house.said(pull)
    assert "`@bot ok-to-test`" in notice and pull.head_sha[:12] not in notice, "the head has moved on since"
    assert notice.rstrip().endswith("part=consent -->")


def test_a_trusted_persons_word_lets_in_the_head_and_all_that_waited(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    [turn] = house.turns()
    assert (turn.state, turn.why, len(turn.events)) == ("done", "opened", 1)
    _, answer, words = house.said(pull)
    assert answer.startswith(f"`{pull.head_sha[:12]}` may be worked on") and "One turn can begin" in answer
    assert "bottlepost turn=1 part=1" in words
    assert "opened" in house.prompts(turn)[0]


def test_what_happens_on_a_head_that_was_let_in_wakes_the_agent(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    pull.comment("@bot and now?", by="ben")
    pull.comment("@bot me, too!", by="eve")
    house.once()
    assert [len(turn.events) for turn in house.turns()] == [1, 1]
    assert verdicts(house)[-2:] == ["wake", "refuse"]


def test_a_later_push_asks_again(any_house: House) -> None:
    house = any_house
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    pull.push(by="eve")
    house.once()
    pull.push(by="eve")
    house.once()
    assert len(house.turns()) == 1
    assert sum("part=consent" in words for words in house.said(pull)) == 2
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done", "done"]


def test_a_push_behind_the_word_is_not_let_in_by_it(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    pull.push(by="eve")
    house.once()
    assert house.turns() == []
    assert "the head is being pushed to" in house.said(pull)[-1]
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"]


def test_a_push_whose_row_is_still_to_come_is_not_let_in(house: House) -> None:
    pull = house.forked()
    house.once()
    house.world.push_lag = 600
    pull.push(by="eve")
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    house.once(later=660)
    [turn] = house.turns()
    assert turn.state == "waiting" and f"{pull.head_sha[:12]} has not been let in" in turn.reason
    pull.comment(f"@bot ok-to-test {pull.head_sha}", by="ana")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"]


def test_a_push_that_wakes_nobody_asks_again_when_it_keeps_a_turn_out(house: House) -> None:
    house.agent(on=["opened", "mentioned"])
    pull = house.forked()
    house.once()
    for nth in range(2):
        pull.comment("@bot ok-to-test", by="ana")
        house.pass_time(2)
        house.app.cycle.run()
        pull.push(by="eve")
        house.app.turns(wait=True, stop=house.never)
        house.once()
        wanted = [words for words in house.said(pull) if "part=consent" in words]
        assert len(wanted) == 2 + nth and f"`{pull.head_sha[:12]}` now" in wanted[-1]
    assert [turn.state for turn in house.turns()] == ["waiting"]
    assert any("waits for `ok-to-test`" in words for words in answered(house, pull, "@bot status"))


def answered(house: House, pull: Pull, words: str) -> list[str]:
    before = len(house.said(pull))
    pull.comment(words, by="ana")
    house.once()
    return house.said(pull)[before:]


def test_a_commit_that_is_named_is_let_in_only_while_it_is_the_head(house: House) -> None:
    pull = house.forked()
    house.once()
    old = pull.head_sha
    pull.push(by="eve")
    pull.comment(f"@bot ok-to-test {old}", by="ana")
    house.once()
    assert house.turns() == []
    assert f"not {old[:12]}" in house.said(pull)[-1]


def test_a_push_between_the_word_and_the_launch_does_not_slip_in(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    house.pass_time(2)
    report = house.app.cycle.run()
    pull.push(by="eve")
    house.app.turns(wait=True, stop=house.never)
    assert report.told and [turn.state for turn in house.turns()] == ["waiting"]
    house.once()
    assert [turn.state for turn in house.turns()] == ["waiting"]
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    [turn] = house.turns()
    assert (turn.state, len(turn.events)) == ("done", 2)


def test_a_word_that_is_edited_in_lets_in_only_what_it_names(house: House) -> None:
    pull = house.forked()
    row = pull.comment("looks good", by="ana")
    house.once()
    house.pass_time(2)
    row.edit("@bot ok-to-test")
    pull.push(by="eve")
    house.once()
    assert house.turns() == [] and "an edit does not show when it was made" in house.said(pull)[-1]
    other = pull.comment("looks good", by="ana")
    house.once()
    house.pass_time(2)
    other.edit(f"@bot ok-to-test {pull.head_sha}")
    pull.label(by="ana", add=["wanted"])
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"]


def test_a_strangers_word_lets_nothing_in(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="eve")
    house.once()
    assert house.turns() == []
    assert verdicts(house)[-1] == "refuse"
    assert len(house.said(pull)) == 1, "a stranger is not answered"


def test_where_everyone_may_ask_only_writers_let_forks_in(house: House) -> None:
    house.configure(trust={"who": "everyone"})
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="eve")
    house.once()
    assert house.turns() == [] and verdicts(house)[-1] == "refuse"
    pull.comment("@bot ok-to-test", by="ben")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"]


def test_a_bot_that_may_push_and_wake_lets_no_fork_in(house: House) -> None:
    house.repo.collaborator("renovate", "write")
    house.configure(trust={"who": "everyone", "bots": ["renovate"]})
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="renovate")
    house.once()
    assert house.turns() == []
    assert house.verdicts()[-1][1].startswith("ok-to-test: commands are for people")


def test_a_trusted_persons_own_fork_waits_too(house: House) -> None:
    pull = house.forked(by="ana")
    house.once()
    assert house.turns() == []
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    assert [turn.state for turn in house.turns()] == ["done"]


@pytest.mark.parametrize(("forks", "words"), [("never", "lets no fork in"), ("always", "forks need no consent")])
def test_where_forks_need_no_consent_or_get_none_the_word_is_answered(house: House, forks: str, words: str) -> None:
    house.configure(trust={"forks": forks})
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    house.once()
    said = house.said(pull)[-1]
    assert words in said and "When you have looked" not in said, "no advice that cannot help"
    assert [turn.state for turn in house.turns()] == []


@pytest.mark.parametrize("forks", ["never", "always", "ask"])
def test_on_a_pull_from_no_fork_the_word_is_told_so_whatever_the_config_says_of_forks(house: House, forks: str) -> None:
    house.configure(trust={"forks": forks})
    pull = house.repo.open_pull(by="ana")
    house.once()
    [said] = answered(house, pull, "@bot ok-to-test")
    assert said.startswith("Nothing was let in: it comes from no fork.\n")


def test_who_forbids_forks_later_forbids_what_waits(house: House) -> None:
    pull = house.forked()
    house.once()
    pull.comment("@bot ok-to-test", by="ana")
    house.pass_time(2)
    house.app.cycle.run()
    house.configure(trust={"forks": "never"})
    house.app.turns(wait=True, stop=house.never)
    [turn] = house.turns()
    assert (turn.state, turn.reason) == ("dropped", "from a fork, and trust.forks is never")
    assert pull.state == "open"
