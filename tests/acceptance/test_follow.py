"""`poll events` for those who ask for a part of the log, or go on listening."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller import eventlog
from poller.app import COMPONENTS
from poller.demo.repos import Repo
from sessions.database import begin, open_database
from tests.acceptance.bot import Bot
from tests.acceptance.calls import PATIENCE, Running, until
from tests.poller.happenings import Happenings


class Log:
    """The bot's log, written by another process than the one that reads it: ours."""

    def __init__(self, bot: Bot) -> None:
        self._path = bot.state / "bottlepost.db"
        self.happens = Happenings()

    def open(self) -> None:
        open_database(self._path, COMPONENTS).dispose()

    def add(self, *words: str) -> None:
        """Comments, as one cycle commits them."""
        engine = open_database(self._path, COMPONENTS)
        with begin(engine) as conn:
            eventlog.add_events(conn, [self.happens.commented(n, word) for n, word in enumerate(words)])
        engine.dispose()


@pytest.fixture
def log(bot: Bot) -> Log:
    return Log(bot)


@pytest.fixture
def listening(bot: Bot) -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for running in started:
        running.tell(signal.SIGTERM).finish(code=None)


def heard(running: Running) -> list[str]:
    """The words of whole lines that have come out so far."""
    return [line.rpartition(": ")[2].rstrip() for line in running.out.splitlines(keepends=True) if line.endswith("\n")]


def test_what_others_commit_is_told_at_once_until_it_is_terminated(bot: Bot, log: Log) -> None:
    log.add("one", "two", "three")
    listener = bot.start("events", "--follow", "--limit", "2")
    until(lambda: heard(listener) == ["two", "three"], "the newest are told")
    log.add("four")
    until(lambda: heard(listener)[2:] == ["four"], "the next is told")
    log.add("five", "six")
    until(lambda: heard(listener)[3:] == ["five", "six"], "the next are told")
    ended = listener.tell(signal.SIGTERM).finish(code=0)
    assert ended.err == ""


def test_it_waits_for_a_log_that_is_not_there_yet(bot: Bot, log: Log, listening: list[Running]) -> None:
    listener = bot.start("events", "--follow", "--format", "jsonl")
    listening.append(listener)
    early = bot.poll("events")
    assert (early.out, bot.state.exists()) == ("", False)
    log.open()
    log.add("first")
    until(lambda: '"body":"first"' in listener.out, "it is told")
    assert listener.process.poll() is None


def test_only_what_was_asked_for_is_told(bot: Bot, log: Log, listening: list[Running]) -> None:
    log.add("before")
    listening.append(bot.start("events", "--follow", "--kind", "pull_request_comment created", "--actor", "ANA"))
    listening.append(bot.start("events", "--follow", "--kind", "pull_request_thread"))
    listening.append(bot.start("events", "--follow", "--pull", "gitea.example.com/acme/api#7"))
    until(lambda: heard(listening[0]) == ["before"], "the first listens")
    log.add("after")
    until(lambda: heard(listening[0]) == ["before", "after"], "it is told")
    assert heard(listening[1]) == []


def test_an_interrupt_ends_it_in_the_middle_of_a_wait(bot: Bot, log: Log) -> None:
    log.add("one")
    listener = bot.start("events", "--follow")
    until(lambda: heard(listener) == ["one"], "it listens")
    listener.tell(signal.SIGINT).finish(code=130)


@pytest.mark.parametrize("more", [[], ["--follow"]])
def test_a_reader_that_has_heard_enough_is_no_trouble(bot: Bot, log: Log, more: list[str]) -> None:
    log.add(*(f"{n} " * 5000 for n in range(100)))
    bot.start("status").finish(code=None)  # writes the config file
    call = [sys.executable, "-m", "poller", "events", "--format", "jsonl", *more]
    errors = bot.directory / "errors"
    with (
        errors.open("wb") as err,
        subprocess.Popen(call, cwd=bot.directory, env=bot.environment(), stdout=subprocess.PIPE, stderr=err) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
    assert errors.read_text() == ""


def test_an_idle_listener_leaves_when_its_reader_does(bot: Bot, log: Log) -> None:
    """There may be no next event to find out by."""
    log.add("one")
    bot.start("status").finish(code=None)
    call = [sys.executable, "-m", "poller", "events", "--follow"]
    with subprocess.Popen(call, cwd=bot.directory, env=bot.environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(b"one\n")
        process.stdout.close()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--kind", "pull_request_coment", "pull_request_comment"),
        ("--kind", "pull_request/created", "pull_request/opened"),
        ("--kind", "", "repository"),
        ("--actor", "@ana", "login"),
        ("--actor", "", "login"),
        ("--since", "yesterday", "24h"),
        ("--since", "2026-13-01", "24h"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(bot: Bot, option: str, value: str, said: str) -> None:
    complaint = bot.poll("events", option, value, code=2).complaint
    assert complaint.startswith(f"poll: {option} ")
    assert said in complaint


def test_nothing_is_made_by_asking(bot: Bot, tmp_path: Path) -> None:
    bot.poll("events", "--kind", "repository", "--actor", "ana", "--since", "1h", "--limit", "3")
    assert not bot.state.exists()


def test_a_pull_that_nobody_knows_is_no_empty_log(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.once()
    for name in ("acme/api#2", "nonsense"):
        assert f"{name}: no such pull in the log" in bot.poll("events", "--pull", name, code=2).complaint
    assert len(bot.poll("events", "--pull", "acme/api#1", "--format", "jsonl").rows) == 1
