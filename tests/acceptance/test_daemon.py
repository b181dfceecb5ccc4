"""`poll` without `--once`: it watches until it is told to stop, and leaves in order."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import PATIENCE, Running, until


@pytest.fixture
def bot(bot: Bot) -> Bot:
    return bot.configure(poll={"every": "1s"})


@pytest.fixture
def daemon(bot: Bot) -> Iterator[Running]:
    running = bot.start()
    until(lambda: "watching" in running.err or running.process.poll() is not None, "it watches")
    yield running
    if running.process.poll() is None:
        running.tell(signal.SIGTERM).finish(code=None)


def test_a_pull_opened_while_it_watches_is_answered(bot: Bot, repo: Repo, daemon: Running) -> None:
    pull = repo.open_pull(by="ana")
    until(lambda: bot.comments(pull), "the first answer")
    pull.comment("@bot why?", by="ben")
    until(lambda: len(bot.comments(pull)) == 2, "the second answer")
    pull.merge(by="ana")
    until(lambda: not bot.sessions(), "the bottle is put away")
    stopped = daemon.tell(signal.SIGTERM).finish()
    assert stopped.said == []
    assert [turn["mode"] for turn in bot.turns(pull)] == ["fresh", "resume"]


def test_told_to_stop_it_leaves_its_turn_to_the_next_call(bot: Bot, repo: Repo, daemon: Running) -> None:
    bot.hold()
    pull = repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    daemon.tell(signal.SIGTERM).finish()
    assert bot.comments(pull) == []
    bot.let_go()
    assert bot.tally()["turns"] == {"started": 0, "adopted": 1, "done": 1, "failed": 0, "waiting": 0}
    assert len(bot.comments(pull)) == 1


def test_killed_it_is_followed_by_another_that_adopts(bot: Bot, repo: Repo, daemon: Running) -> None:
    bot.hold()
    pull = repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    daemon.kill()
    other = bot.start()
    until(lambda: "watching" in other.err, "the other one watches")
    bot.let_go()
    until(lambda: bot.comments(pull), "the answer")
    other.tell(signal.SIGTERM).finish()
    assert len(bot.comments(pull)) == 1
    assert [turn["attempts"] for turn in bot.turns(pull)] == [1]


def test_interrupted_it_says_so_with_code_130(bot: Bot, daemon: Running) -> None:
    daemon.tell(signal.SIGINT).finish(code=130)


def test_a_wrong_token_ends_it_at_once(bot: Bot, repo: Repo) -> None:
    bot.token = "0123456789abcdef-no-such-token"
    bot.secrets.append(bot.token)
    assert "401" in bot.poll(code=4).complaint


def test_a_repository_that_is_not_there_ends_it_at_once(bot: Bot) -> None:
    assert "acme/nonesuch" in bot.configure(repos=["acme/nonesuch"]).poll(code=2).complaint


def test_started_while_the_forge_is_down_it_waits_for_it(bot: Bot, repo: Repo, world: World) -> None:
    down = world.fault("…", status=503, times=None)
    pull = repo.open_pull(by="ana")
    running = bot.start()
    until(lambda: "trying again in" in running.err, "it has noticed")
    world.faults.remove(down)
    until(lambda: bot.comments(pull), "the answer")
    assert "`@bot`" in bot.prompts(bot.turns()[0]["identity"])[0], "it knows who it is"
    running.tell(signal.SIGTERM).finish()


def test_a_forge_that_goes_away_for_a_while_ends_nothing(bot: Bot, repo: Repo, world: World, daemon: Running) -> None:
    down = world.fault("…", html=True, times=None)
    pull = repo.open_pull(by="ana")
    until(lambda: "cycle failed" in daemon.err, "it has noticed")
    world.faults.remove(down)
    until(lambda: bot.comments(pull), "the answer")


def test_a_call_beside_it_finds_its_place(bot: Bot, repo: Repo, daemon: Running) -> None:
    bot.hold()
    pull = repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    beside = bot.once("--format", "json", code=None)
    assert beside.code in (0, 5)
    bot.let_go()
    until(lambda: bot.comments(pull), "the answer")
    daemon.tell(signal.SIGTERM).finish()
    assert len(bot.comments(pull)) == 1
    assert bot.kinds(pull) == ["pull_request opened"]


def test_two_daemons_share_the_work_and_do_nothing_twice(bot: Bot, repo: Repo, daemon: Running) -> None:
    other = bot.start()
    until(lambda: "watching" in other.err, "the other one watches")
    pulls = [repo.open_pull(by="ana") for _ in range(4)]
    until(lambda: all(bot.comments(pull) for pull in pulls), "all answers")
    for one in (daemon, other):
        one.tell(signal.SIGTERM).finish()
    assert [len(bot.comments(pull)) for pull in pulls] == [1, 1, 1, 1]
    assert bot.at_once()[0] <= 2


def test_an_answer_that_could_not_be_posted_is_posted_without_another_event(
    bot: Bot, repo: Repo, world: World, daemon: Running
) -> None:
    world.fault("POST …/comments", status=502)
    pull = repo.open_pull(by="ana")
    until(lambda: bot.comments(pull), "the answer")


@pytest.mark.parametrize("when", ["first", "later"])
def test_told_to_stop_while_the_forge_keeps_it_waiting_it_leaves_within_seconds(
    world: World, bot: Bot, when: str
) -> None:
    if when == "first":
        fault = world.fault("GET /", delay=60, times=None)
        daemon = bot.start()
        until(lambda: fault.struck > 0, "it asks")
    else:
        daemon = bot.start()
        until(lambda: "watching" in daemon.err, "it watches")
        fault = world.fault("GET /repos/issues/search", delay=60, times=None)
        until(lambda: fault.struck > 0, "it asks again")
    began = time.monotonic()
    daemon.tell(signal.SIGTERM).finish()
    assert time.monotonic() - began < 30  # the forge would have taken a minute


def test_a_pull_that_is_merged_in_the_middle_of_a_turn_stops_it(bot: Bot, repo: Repo, daemon: Running) -> None:
    bot.hold()
    pull = repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    pull.merge(by="ana")
    until(lambda: not bot.agents_alive(), "it is stopped")
    until(lambda: bot.turns(pull)[0]["state"] == "dropped", "and that is noted")
    bot.let_go()
    daemon.tell(signal.SIGTERM).finish()
    assert bot.comments(pull) == []


def test_drained_it_waits_for_the_turn_that_runs_and_begins_no_other(bot: Bot, repo: Repo) -> None:
    daemon = bot.configure(limits={"parallel": 1}).start("--drain")
    until(lambda: "watching" in daemon.err, "it watches")
    bot.hold()
    pull = repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    other = repo.open_pull(by="ana")
    until(lambda: bot.events(other), "it has seen the other one")
    daemon.tell(signal.SIGTERM)
    time.sleep(1.0)
    assert daemon.process.poll() is None
    bot.let_go()
    daemon.finish()
    assert (len(bot.comments(pull)), len(bot.comments(other))) == (1, 0)
    assert bot.tally()["turns"]["started"] == 1, "the other one is the next call's"


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Was it sent, and not delivered yet?"""
    [mask] = re.findall("^ShdPnd:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_told_twice_while_it_drains_it_leaves_at_once(bot: Bot, repo: Repo) -> None:
    daemon = bot.start("--drain")
    until(lambda: "watching" in daemon.err, "it watches")
    bot.hold()
    repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    daemon.tell(signal.SIGTERM)
    until(lambda: not is_pending(daemon.process.pid, signal.SIGTERM), "it has been told: two that wait are one")
    daemon.tell(signal.SIGTERM).finish(code=130)
    bot.let_go()
    assert bot.tally()["turns"]["adopted"] == 1


def test_told_to_go_while_the_container_engine_keeps_it_waiting_it_goes(bot: Bot, repo: Repo) -> None:
    bot.agent(backend="docker", image="nobody/none:1")
    with socket.create_server(("127.0.0.1", 0)) as engine:  # it takes calls and says nothing
        bot.environ["DOCKER_HOST"] = f"tcp://127.0.0.1:{engine.getsockname()[1]}"
        repo.open_pull(by="ana")
        running = bot.start()
        engine.settimeout(PATIENCE)
        engine.accept()[0].close()  # whether there is one
        with engine.accept()[0]:
            told = time.monotonic()
            running.tell(signal.SIGTERM).finish()
            assert time.monotonic() - told < 15, "the engine alone would have been waited for for a minute"
    [turn] = bot.turns()
    assert turn["state"] in ("running", "waiting"), "the next call's"


def test_a_service_manager_is_told_how_it_goes(bot: Bot, repo: Repo) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(bot.directory / "notify"))
        manager.settimeout(40)
        bot.environ |= {"NOTIFY_SOCKET": str(bot.directory / "notify"), "WATCHDOG_USEC": "1000000"}
        daemon = bot.start()
        heard: list[str] = []

        def hears(line: str) -> bool:
            while not any(said.startswith(line) for said in heard):
                heard.append(manager.recv(4096).decode())
            return True

        assert hears("READY=1") and hears("WATCHDOG=1")
        assert any(line.startswith(f"STATUS=watching {bot.forge}, last looked at ") for line in heard)
        daemon.tell(signal.SIGTERM).finish()
        assert hears("STOPPING=1")
    repo.open_pull(by="ana")
    bot.once()
    environ = next(bot.directory.glob("environ.*")).read_text()
    assert "NOTIFY_SOCKET" not in environ and "WATCHDOG" not in environ
