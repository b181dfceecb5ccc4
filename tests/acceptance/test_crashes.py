"""Killed at the worst moment, and started again: nothing is lost, nothing is done twice."""

from __future__ import annotations

import signal
import time

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import Deed, Running, until


def test_a_turn_left_running_is_adopted_by_the_next_call(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    left = bot.tally("--no-wait")
    assert left["turns"] == {"started": 1, "adopted": 0, "done": 0, "failed": 0, "waiting": 0}
    assert left["posted"] == 0
    until(bot.begun, "the agent runs")
    assert [turn["state"] for turn in bot.turns(pull)] == ["running"]
    again = bot.tally("--no-wait")
    assert (again["turns"]["started"], again["turns"]["done"]) == (0, 0), "it still runs"
    bot.let_go()
    assert bot.tally()["turns"] == {"started": 0, "adopted": 1, "done": 1, "failed": 0, "waiting": 0}
    assert len(bot.comments(pull)) == 1
    assert len(bot.prompts(bot.turns(pull)[0]["identity"])) == 1


def test_without_waiting_the_answers_of_ended_turns_are_posted_all_the_same(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once("--no-wait")
    until(lambda: list(bot.state.rglob("turns/1/exit")), "the agent has ended")
    done = bot.tally("--no-wait")
    assert (done["turns"]["adopted"], done["turns"]["done"], done["posted"]) == (1, 1, 1)
    assert len(bot.comments(pull)) == 1


def test_killed_in_the_middle_of_a_turn_the_next_call_adopts_it_and_answers_once(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once")
    until(bot.begun, "the agent runs")
    first.kill()
    second = bot.start("--once", "--format", "json")
    until(lambda: "adopt" in second.err or bot.query("SELECT 1 FROM turn WHERE fence > 1"), "it is adopted")
    bot.let_go()
    done = second.finish().json
    assert done["turns"] == {"started": 0, "adopted": 1, "done": 1, "failed": 0, "waiting": 0}
    assert (done["posted"], len(bot.comments(pull))) == (1, 1)
    assert bot.tally()["posted"] == 0
    assert len(bot.comments(pull)) == 1
    assert len([run for run in bot.runs() if run[1] == "begin"]) == 1


def test_killed_together_with_its_agent_the_turn_is_run_again(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once")
    until(bot.begun, "the agent runs")
    first.kill()
    identity = bot.turns(pull)[0]["identity"]
    keeper = int((bot.state / "state" / identity / "turns" / "1" / "pid").read_text().split()[0])
    bot.kill_group(keeper)
    bot.let_go()
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1
    assert "This is a repeat" in bot.prompts(identity)[-1]


def test_killed_between_posting_and_noting_it_does_not_post_twice(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    running: list[Running] = []
    world.fault("POST …/comments", drop_after_accept=Deed(running))
    bot.hold()
    running.append(bot.start("--once"))
    until(bot.begun, "the agent runs")
    bot.let_go()
    running[0].finish(code=-signal.SIGKILL)
    assert len(bot.comments(pull)) == 1
    done = bot.tally()
    assert done["posted"] == 1, "what was posted is found by its mark, and noted"
    assert len(bot.comments(pull)) == 1
    [turn] = bot.turns(pull)
    assert turn["posted"] == [f"comment {pull.comments[0].id}"]


def test_an_answer_whose_receipt_was_lost_is_not_posted_twice(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    world.fault("POST …/comments", drop_after_accept=True)
    assert bot.tally()["posted"] == 0
    bot.pass_time(60)
    assert bot.tally()["posted"] == 1
    assert len(bot.comments(pull)) == 1


@pytest.mark.parametrize("status", [500, 429, 401])
def test_an_answer_that_the_forge_would_not_take_is_posted_later(
    bot: Bot, repo: Repo, world: World, status: int
) -> None:
    pull = repo.open_pull(by="ana")
    world.fault("POST …/comments", status=status)
    first = bot.tally()
    assert (first["turns"]["done"], first["posted"]) == (1, 0)
    assert bot.comments(pull) == []
    bot.pass_time(60)
    second = bot.tally()
    assert (second["turns"]["started"], second["posted"]) == (0, 1)
    assert len(bot.comments(pull)) == 1


def test_an_answer_that_may_not_be_posted_is_given_up_and_that_is_noted(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    world.fault("POST …/comments", status=403, times=None)
    done = bot.tally(code=1)
    [error] = done["errors"]
    assert (done["turns"]["done"], done["posted"]) == (1, 0)
    assert error.startswith("acme/api#1: an answer could not be posted: not allowed: 403")
    [turn] = bot.turns(pull)
    assert turn["posted"] == ["failed: not allowed: 403"]
    bot.pass_time(3600)
    assert bot.tally()["posted"] == 0, "it is not tried again by itself"
    assert "`poll retry 1` posts it" in bot.poll("status", code=1).out
    world.faults.clear()
    assert "posted with the next" in bot.poll("retry", "1").out
    assert bot.tally()["posted"] == 1
    assert len(bot.comments(pull)) == 1
    assert "healthy" in bot.poll("status").out


def test_killed_while_it_reads_the_forge_it_has_lost_nothing(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    slow = world.fault("GET …/timeline", delay=20.0)
    first = bot.start("--once")
    until(lambda: slow.struck, "it reads the pull")
    first.kill()
    assert bot.tally()["turns"]["done"] == 1, "the lease of a dead process is taken over at once"
    assert bot.kinds(pull) == ["pull_request opened"]
    assert len(bot.comments(pull)) == 1


def test_two_polls_in_the_same_minute_one_of_them_stands_back(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    slow = world.fault("GET /repos/issues/search", delay=0.1)
    first = bot.start("--once", "--format", "json")
    until(lambda: slow.struck, "the first reads the forge")
    with world.mutex:  # which answers nobody before the second has been turned away
        refused = bot.once(code=5)
    assert "another poller" in refused.complaint
    assert first.finish().json["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1


def test_ctrl_c_leaves_the_turn_running_for_the_next_call(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.hold()
    first = bot.start("--once")
    until(bot.begun, "the agent runs")
    interrupted = first.tell(signal.SIGINT).finish(code=130)
    assert "interrupted" in interrupted.complaint
    bot.let_go()
    assert bot.tally()["turns"] == {"started": 0, "adopted": 1, "done": 1, "failed": 0, "waiting": 0}
    assert len(bot.comments(pull)) == 1


def test_ctrl_c_while_the_forge_is_slow_leaves_nothing_behind(bot: Bot, repo: Repo, world: World) -> None:
    repo.open_pull(by="ana")
    slow = world.fault("GET /repos/issues/search", delay=20.0)
    first = bot.start("--once")
    until(lambda: slow.struck, "it reads the forge")
    assert "interrupted" in first.tell(signal.SIGINT).finish(code=130).complaint
    assert bot.events() == []
    assert bot.tally()["turns"]["done"] == 1


def test_told_to_stop_while_a_turn_is_prepared_a_call_leaves_within_seconds(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    slow = world.fault("GET …diff", delay=60.0)
    first = bot.start("--once")
    until(lambda: slow.struck, "it asks for the diff")
    began = time.monotonic()
    assert "the next call adopts them" in first.tell(signal.SIGTERM).finish(code=130).complaint
    assert time.monotonic() - began < 20
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1


def test_a_dry_run_shows_what_would_happen_and_touches_nothing(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana", title="Add five")
    shown = bot.once("--dry-run")
    assert "acme/api#1 pull_request opened by ana: Add five" in shown.out
    assert f"would run reviewer on {bot.key(pull)} for 1 event" in shown.out
    assert not bot.state.exists()
    assert {request.method for request in world.requests} == {"GET"}
    said = bot.once("--dry-run", "--format", "json").json
    assert [(event["event"], event["decisions"][0]["verdict"]) for event in said.pop("log")] == [
        ("pull_request", "wake")
    ]
    assert said.pop("would_run") == [{"key": bot.key(pull), "agent": "reviewer", "events": 1}]
    begun = {"started": 0, "adopted": 0, "done": 0, "failed": 0, "waiting": 0}
    assert (said["events"], said["turns"], said["posted"]) == (1, begun, 0)
    assert not bot.state.exists()
    real = bot.tally()
    assert real["events"] == 1, "the real run finds everything again"
    assert list(real) == list(said), "and tells it under the same keys"


def test_a_dry_run_beside_a_used_database_leaves_it_as_it_is(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana")
    bot.once()
    pull.comment("@bot hm?", by="ana")
    before = (bot.turns(), bot.events(), bot.query("SELECT * FROM forge"))
    assert "1 turns would run" in bot.once("--dry-run").out
    assert (bot.turns(), bot.events(), bot.query("SELECT * FROM forge")) == before
    assert len(bot.comments(pull)) == 1


def test_turns_whose_worker_died_before_the_launch_are_launched_beside_others(
    bot: Bot, repo: Repo, world: World
) -> None:
    bot.configure(limits={"parallel": 5})
    bot.hold()
    pulls = [repo.open_pull(by="ana")]
    bot.once("--no-wait")
    until(bot.begun, "the agent runs")
    pulls += [repo.open_pull(by="ana") for _ in range(4)]
    world.fault("GET …diff", status=500, times=None)
    bot.once("--no-wait")
    world.faults.clear()
    # As a kill -9 between claim and launch leaves them.
    bot.query("UPDATE turn SET state='running', owner='', lease_until=0, started_at=NULL, not_before=0 WHERE id > 1")
    running = bot.start("--once", "--format", "json")
    until(lambda: bot.begun(5) or running.process.poll() is not None, "all agents run")
    bot.let_go()
    assert running.finish().json["turns"]["done"] == 5
    assert [len(bot.comments(pull)) for pull in pulls] == [1] * 5
    assert [turn["attempts"] for turn in bot.turns()] == [1] * 5
