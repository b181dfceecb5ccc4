"""The forge is down, slow, or somebody else: one clear line, the right code, nothing lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot


def assert_nothing_happened(bot: Bot) -> None:
    """The failure may be noted for `status`; the cursor has not moved, and nobody was told of anything."""
    assert bot.events() == []
    assert bot.turns() == []
    assert [row for row in bot.query("SELECT cursor FROM forge") if row[0] is not None] == []


def test_a_wrong_token_is_refused_with_code_4(bot: Bot, repo: Repo, world: World) -> None:
    bot.token = "0123456789abcdef-no-such-token"
    bot.secrets.append(bot.token)
    repo.open_pull(by="ana")
    said = bot.once(code=4).complaint
    assert "the forge refused the token: 401" in said
    assert "gitea.token" in said
    assert_nothing_happened(bot)


def test_a_token_revoked_between_two_cycles_is_refused_with_code_4(bot: Bot, repo: Repo, world: World) -> None:
    bot.once()
    world.revoke(bot.token)
    assert "401" in bot.once(code=4).complaint


def test_requests_of_a_cycle_that_fails_are_counted_with_the_others(bot: Bot, repo: Repo, world: World) -> None:
    """Also those that ask who we are, and those of a poller that is refused again and again."""
    assert bot.tally()["requests"] == len(world.requests)
    bot.token = "0123456789abcdef-no-such-token"
    bot.secrets.append(bot.token)
    for _ in range(2):
        before = len(world.requests)
        refused = bot.tally(code=4)
        assert refused["requests"] == len(world.requests) - before > 0
    counted = bot.poll("status", "--format", "json", code=1).json["requests"]
    assert counted["sent"] == len(world.requests)


@pytest.mark.parametrize(
    ("held", "lacking"),
    [
        ("write:issue,write:repository", "read:user"),
        ("read:user,write:repository", "read:issue"),
        ("read:user,write:issue", "read:repository"),
    ],
)
def test_a_token_without_a_scope_is_told_which(bot: Bot, repo: Repo, world: World, held: str, lacking: str) -> None:
    bot.token = world.token("bot", scopes=held)
    repo.open_pull(by="ana")
    assert f"lacks the scope {lacking}" in bot.once(code=4).complaint
    assert_nothing_happened(bot)


def test_a_repository_that_is_not_there_is_an_error_of_the_config(bot: Bot) -> None:
    bot.configure(repos=["acme/nonesuch"])
    said = bot.once(code=2).complaint
    assert "acme/nonesuch" in said
    assert "404" in said
    assert_nothing_happened(bot)


def test_a_repository_that_is_not_there_does_not_stop_the_others(bot: Bot, repo: Repo) -> None:
    bot.configure(repos=["acme/api", "acme/nonesuch"])
    pull = repo.open_pull(by="ana")
    done = bot.tally()
    assert done["turns"]["done"] == 1
    [error] = done["errors"]
    assert error.startswith("acme/nonesuch: not found, or no access: 404")
    assert len(bot.comments(pull)) == 1
    again = bot.once()
    assert "acme/nonesuch" in again.complaint, "it is shown as long as it is so"
    unwell = bot.poll("status", code=1)
    assert "acme/nonesuch cannot be read" in unwell.out


def test_a_private_repository_without_access_looks_like_none(bot: Bot, world: World, repo: Repo) -> None:
    world.repo("acme/secret", private=True)
    bot.configure(repos=["acme/api", "acme/secret"])
    [error] = bot.tally()["errors"]
    assert error.startswith("acme/secret: not found, or no access: 404")


def test_a_forge_that_is_down_is_code_3(bot: Bot, repo: Repo) -> None:
    bot.configure(gitea={"url": "http://127.0.0.1:9"})
    said = bot.once(code=3).complaint
    assert "127.0.0.1:9" in said
    assert_nothing_happened(bot)


def test_a_forge_that_goes_down_later_is_code_3_and_nothing_is_lost(bot: Bot, repo: Repo, world: World) -> None:
    bot.once()
    pull = repo.open_pull(by="ana")
    down = world.fault("…", status=502, times=None)
    said = bot.once(code=3).complaint
    assert "502" in said
    assert "the last cycle failed" in bot.poll("status", code=1).out
    world.faults.remove(down)
    assert bot.tally()["turns"]["done"] == 1
    assert bot.kinds(pull) == ["pull_request opened"]
    assert "healthy" in bot.poll("status").out


@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_proxys_login_page_is_not_taken_for_an_empty_forge(bot: Bot, repo: Repo, world: World, when: str) -> None:
    if when == "later":
        bot.once()
    pull = repo.open_pull(by="ana")
    page = world.fault("…", html=True, times=None)
    said = bot.once(code=3).complaint
    assert "HTML page with status 200" in said
    world.faults.remove(page)
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1


def test_a_pull_that_the_forge_cannot_show_does_not_stop_the_others(bot: Bot, repo: Repo, world: World) -> None:
    bad = repo.open_pull(by="ana", title="Bad")
    good = repo.open_pull(by="ana", title="Good")
    broken = world.fault(f"GET …/issues/{bad.number}/timeline", status=500, times=None)
    done = bot.tally()
    assert done["turns"]["done"] == 1
    assert len(bot.comments(good)) == 1
    [error] = done["errors"]
    assert error.startswith(f"acme/api#{bad.number}: the forge failed: 500")
    world.faults.remove(broken)
    bot.pass_time(120)
    assert bot.tally()["turns"]["done"] == 1, "what it could not show is read later"
    assert len(bot.comments(bad)) == 1


@pytest.mark.parametrize(
    "trouble",
    [{"status": 429, "retry_after": 1}, {"status": 503}, {"cut": True}, {"drop_after_accept": True}],
    ids=["patience", "trouble", "cut", "silence"],
)
@pytest.mark.parametrize("where", ["GET /repos/issues/search", "GET …/timeline"])
def test_trouble_that_passes_is_not_even_seen(
    bot: Bot, repo: Repo, world: World, trouble: dict[str, Any], where: str
) -> None:
    pull = repo.open_pull(by="ana")
    fault = world.fault(where, **trouble)
    assert bot.tally()["turns"]["done"] == 1
    assert fault.struck == 1
    assert len(bot.comments(pull)) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_forge_that_asks_for_much_patience_gets_it_from_every_call(
    bot: Bot, repo: Repo, world: World, status: int
) -> None:
    bot.once()
    repo.open_pull(by="ana")
    world.fault("GET /repos/issues/search", status=status, retry_after=1800)
    assert f"{status}" in bot.once(code=3).complaint
    world.reset_requests()
    bot.pass_time(600)
    for call in ((), ("--dry-run",), ("--format", "json")):
        assert re.search("the forge has asked for patience, (19|20) min are left", bot.once(*call, code=3).complaint)
    [said] = bot.once("--dry-run", "--format", "json", code=3).rows
    assert "has asked for patience" in said["errors"][0] and said["events"] == 0
    assert world.requests == [], "nothing is asked"
    unwell = bot.poll("status", code=1).out
    assert f"the last cycle failed: the forge {'asks for patience: 429' if status == 429 else 'failed: 503'}" in unwell
    bot.pass_time(1201)
    assert bot.tally()["turns"]["done"] == 1
    assert "healthy" in bot.poll("status").out


def test_an_answer_that_is_cut_again_and_again_is_code_3(bot: Bot, repo: Repo, world: World) -> None:
    bot.once()
    repo.open_pull(by="ana")
    cut = world.fault("GET /repos/issues/search", cut=True, times=None)
    bot.once(code=3).complaint  # noqa: B018 - one line
    world.faults.remove(cut)
    assert bot.tally()["turns"]["done"] == 1


def test_a_forge_that_fails_just_before_the_launch_only_delays_the_turn(bot: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana")
    world.fault("GET …/pulls/1.diff", status=500)
    first = bot.tally()
    assert first["turns"] == {"started": 0, "adopted": 0, "done": 0, "failed": 0, "waiting": 1}
    bot.pass_time(120)
    assert bot.tally()["turns"]["done"] == 1
    assert bot.turns(pull)[0]["attempts"] == 1, "it was no attempt"


def test_no_secret_leaves_by_an_address_either(bot: Bot, world: World, tmp_path: Path) -> None:
    bot.configure(gitea={"url": "http://bot:hunter2hunter2@127.0.0.1:9"})
    said = bot.once(code=2).complaint
    assert "hunter2" not in said
    assert not bot.state.exists()
