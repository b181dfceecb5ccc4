"""What is wrong with the call, the config or the state directory: code 2, one line, and nothing was touched."""

from __future__ import annotations

from typing import Any

import pytest

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"poll": {"evry": "30s"}}, "poll.evry"),
        ({"repo": ["acme/api"]}, "repo"),
        ({"repos": ["api"]}, "repos[0]"),
        ({"repos": ["!acme/api"]}, "repos"),
        ({"poll": {"every": 30}}, "poll.every"),
        ({"trust": {"who": "friends"}}, "trust.who"),
        ({"limits": {"parallel": 0}}, "limits.parallel"),
        ({"gitea": {"token": "${NO_SUCH_VARIABLE}"}}, "NO_SUCH_VARIABLE"),
        ({"agents": {"reviewer": {"backend": "process", "on": ["opend"]}}}, "agents.reviewer.on[0]"),
        ({"agents": {"reviewer": {"backend": "vm"}}}, "agents.reviewer.backend"),
        ({"gitea": {"token_file": "nowhere", "token": None}}, "gitea.token_file"),
    ],
)
def test_a_wrong_config_is_named_by_file_and_key_and_touches_nothing(
    bot: Bot, changes: dict[str, Any], named: str
) -> None:
    said = bot.configure(**changes).once(code=2).complaint
    assert "config.yaml" in said
    assert named in said
    assert not bot.state.exists()
    assert bot.world.requests == []


@pytest.mark.parametrize("call", [(), ("--once", "--dry-run"), ("status",), ("events",)])
def test_every_verb_refuses_a_wrong_config(bot: Bot, call: tuple[str, ...]) -> None:
    said = bot.configure(poll={"evry": "30s"}).poll(*call, code=2).complaint
    assert "poll.evry" in said
    assert not bot.state.exists()
    assert bot.world.requests == []


def test_a_missing_config_is_told_with_its_mend(bot: Bot) -> None:
    said = bot.once("--config", "elsewhere.yaml", code=2).complaint
    assert "elsewhere.yaml" in said
    assert "poll init" in said


def test_the_config_may_be_named_by_a_variable(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.environ["BOTTLEPOST_CONFIG"] = "other.yaml"
    bot.once(code=2)
    (bot.directory / "other.yaml").write_text((bot.directory / "config.yaml").read_text())
    assert bot.tally()["turns"]["done"] == 1


@pytest.mark.parametrize("place", ["state", "state/below"])
def test_a_state_directory_that_is_a_file_is_code_2(bot: Bot, repo: Repo, place: str) -> None:
    bot.state.write_text("I am a file")
    bot.configure(state=place)
    for call in (("--once",), (), ("status",), ("events",)):
        said = bot.poll(*call, code=2).complaint
        assert str(bot.directory / place) in said
    assert bot.state.read_text() == "I am a file"
    assert bot.world.requests == []


def test_a_file_that_is_no_database_is_left_alone(bot: Bot, repo: Repo) -> None:
    bot.state.mkdir()
    database = bot.state / "bottlepost.db"
    database.write_bytes(b"this is no database " * 100)
    for call in (("--once",), ("--once", "--dry-run"), ("status",), ("events",)):
        said = bot.poll(*call, code=2).complaint
        assert str(database) in said
        assert "not a database" in said
    assert database.read_bytes() == b"this is no database " * 100
    assert bot.world.requests == []


def test_a_database_of_a_newer_bottlepost_is_not_written(bot: Bot, repo: Repo) -> None:
    bot.once()
    bot.query("UPDATE schema_version SET version = 99 WHERE component = 'poller'")
    repo.open_pull(by="ana")
    before = (bot.state / "bottlepost.db").read_bytes()
    said = bot.once(code=2).complaint
    assert "schema version 99" in said
    assert "upgrade bottlepost" in said
    assert (bot.state / "bottlepost.db").read_bytes() == before


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (("--nonsense",), "--nonsense"),
        (("nonsense",), "nonsense"),
        (("--dry-run",), "--once"),
        (("--no-wait",), "--once"),
        (("--once", "--no-wait", "--dry-run"), "--dry-run"),
        (("--once", "status"), "status"),
        (("--once", "--format", "xml"), "--format"),
        (("events", "--limit", "0"), "--limit"),
        (("events", "--since", "yesterday"), "yesterday"),
        (("events", "--format", "csv"), "csv"),
    ],
)
def test_a_call_that_makes_no_sense_is_code_2(bot: Bot, call: tuple[str, ...], named: str) -> None:
    ran = bot.poll(*call, code=2)
    complaints = [line for line in ran.said if named in line and not line.startswith("Usage:")]
    assert len(complaints) == 1, ran.err
    assert ran.out == ""
    assert not bot.state.exists()


def test_the_state_directory_is_ones_own_business(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.once()
    assert bot.state.stat().st_mode & 0o777 == 0o700
    for path in bot.state.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"


def test_a_database_somewhere_else_is_used(bot: Bot, repo: Repo) -> None:
    bot.configure(database=f"sqlite:///{bot.directory}/elsewhere.db")
    repo.open_pull(by="ana")
    bot.once()
    assert (bot.directory / "elsewhere.db").exists()
    assert not (bot.state / "bottlepost.db").exists()


def test_init_writes_a_config_and_never_overwrites_one(bot: Bot) -> None:
    wrote = bot.poll("init", "--config", "new.yaml")
    assert "new.yaml" in wrote.out
    text = (bot.directory / "new.yaml").read_text()
    assert "GITEA_TOKEN" in text
    assert "there already" in bot.poll("init", "--config", "new.yaml", code=2).complaint
    assert (bot.directory / "new.yaml").read_text() == text
    schema = bot.poll("init", "--schema").out
    assert '"gitea"' in schema
