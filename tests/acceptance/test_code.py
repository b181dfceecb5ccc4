"""The code of a pull request in the agent's working directory, from a forge that serves git too."""

from __future__ import annotations

import contextlib
import signal
import ssl
import time
from pathlib import Path

import pytest
import trustme

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until
from tests.doors import Proxy, Relay, address_of
from tests.gitside.forge import Forge
from tests.gitside.origin import git
from tests.gitside.server import GitServer


def test_agent_finds_the_pulls_code_and_is_told_how_to_see_the_change(
    coder: tuple[Bot, GitServer], forge: Forge
) -> None:
    bot, _ = coder
    pull = forge.open_pull({"greet.py": "print('hello')\n"})
    assert bot.tally()["turns"]["done"] == 1
    [turn] = bot.turns(pull)
    work = bot.state / "state" / turn["identity"] / "work"
    assert (work / "greet.py").read_text() == "print('hello')\n"
    assert git("rev-parse", "HEAD", at=work) == forge.origin.tip(pull.head_ref)
    [prompt] = bot.prompts(turn["identity"])
    assert "`git diff origin/main...HEAD`" in prompt
    assert "greet.py" in git("diff", "--name-only", "origin/main...HEAD", at=work)


def test_push_moves_the_code_and_keeps_what_the_agent_had_made(coder: tuple[Bot, GitServer], forge: Forge) -> None:
    bot, _ = coder
    pull = forge.open_pull({"greet.py": "print('hello')\n"})
    bot.once()
    [turn] = bot.turns(pull)
    work = bot.state / "state" / turn["identity"] / "work"
    (work / "notes.txt").write_text("half an idea")
    head = forge.push(pull, {"greet.py": "print('hello, ana')\n"})
    bot.once()
    assert git("rev-parse", "HEAD", at=work) == head
    prompt = bot.prompts(turn["identity"])[1]
    assert "was kept on branch `bottlepost/kept-2`" in " ".join(prompt.split())
    assert git("show", "bottlepost/kept-2:notes.txt", at=work) == "half an idea"


def test_code_that_has_not_moved_is_not_asked_for_again(coder: tuple[Bot, GitServer], forge: Forge) -> None:
    bot, server = coder
    pull = forge.open_pull({"greet.py": "print('hello')\n"})
    bot.once()
    asked = len(server.asked)
    pull.comment("@bot why?", by="ana")
    assert bot.tally()["turns"]["done"] == 1
    assert asked and len(server.asked) == asked
    forge.push(pull, {"greet.py": "print('hello, ana')\n"})
    assert bot.tally()["turns"]["done"] == 1
    assert len(server.asked) > asked


def test_unfetchable_code_fails_its_turn_with_the_reason_and_no_other(
    coder: tuple[Bot, GitServer], forge: Forge
) -> None:
    bot, _ = coder
    pull, other = forge.open_pull({"a.py": "1\n"}), forge.open_pull({"b.py": "2\n"})
    git("update-ref", "-d", f"refs/pull/{pull.number}/head", at=forge.origin.place)
    said = bot.tally(code=1)
    assert (said["turns"]["done"], said["turns"]["failed"], said["turns"]["waiting"]) == (1, 1, 1)
    [turn] = bot.turns(pull)
    [(reason,)] = bot.query(f"SELECT reason FROM turn WHERE id = {turn['turn']}")
    assert turn["state"] == "waiting" and "refs/pull/1/head" in reason
    assert bot.turns(other)[0]["state"] == "done"
    forge.origin.pull(pull.number, pull.head_ref)
    bot.pass_time(60)
    assert bot.tally()["turns"]["done"] == 1


@pytest.mark.parametrize("words", [(), ("--once",)])
def test_told_to_go_while_the_forge_keeps_a_fetch_waiting_it_goes(
    coder: tuple[Bot, GitServer], forge: Forge, words: tuple[str, ...]
) -> None:
    bot, server = coder
    pull = forge.open_pull({"a.py": "1\n"})
    server.stalled.set()
    running = bot.start(*words)
    until(lambda: server.asked and gits_at(bot.state), "git asks for the code")
    told = time.monotonic()
    running.tell(signal.SIGTERM).finish(code=130 if words else 0)
    assert time.monotonic() - told < 15, "git alone would have waited for minutes"
    server.stalled.clear()
    until(lambda: not gits_at(bot.state), "git goes with it")
    bot.tally()
    assert [turn["state"] for turn in bot.turns(pull)] == ["done"] and len(bot.comments(pull)) == 1


def test_renamed_repository_keeps_its_mirror(coder: tuple[Bot, GitServer], forge: Forge, repo: Repo) -> None:
    bot, _ = coder
    bot.configure(repos=["acme/*"])
    pull = forge.open_pull({"a.py": "1\n"})
    bot.once()
    repo.rename("api-two")
    forge.origin.place.rename(forge.origin.place.with_name("api-two.git"))
    forge.origin.place = forge.origin.place.with_name("api-two.git")
    forge.push(pull, {"a.py": "2\n"})
    bot.once()
    assert [turn["state"] for turn in bot.turns()] == ["done", "done"]
    assert len(list((bot.state / "mirrors").glob("*.git"))) == 1


def test_code_comes_by_tls_through_a_proxy_from_an_address_with_a_path(
    tmp_path: Path, world: World, repo: Repo
) -> None:
    """As everything else from that forge does; and neither token nor password stays in a file."""
    password = "a-password-of-the-proxy"
    forge = Forge(tmp_path / "forge" / "git", world, repo)
    pull = forge.open_pull({"greet.py": "print('hello')\n"})
    place = tmp_path / "bot"
    place.mkdir()
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("gitea.example.com").configure_cert(context)
    with (
        world.serve(prefix="/git") as stand_in,
        GitServer(tmp_path / "forge", beyond="http://" + ":".join(map(str, address_of(stand_in.url)))) as server,
        Relay(address_of(server.url), tls=context) as relay,
        Proxy({"gitea.example.com": relay.address}, password=f"ann:{password}") as proxy,
    ):
        bot = Bot(place, world, "https://gitea.example.com/git")
        authority.cert_pem.write_to_path(place / "ca.pem")
        bot.agent(checkout=True)
        bot.configure(gitea={"ca_file": "ca.pem"})
        bot.environ["HTTPS_PROXY"] = f"http://ann:{password}@{proxy.address}"
        bot.secrets.append(password)
        server.token = bot.token
        assert bot.tally()["turns"]["done"] == 1
        [turn] = bot.turns()
        work = bot.state / "state" / turn["identity"] / "work"
        assert git("rev-parse", "HEAD", at=work) == forge.origin.tip(pull.head_ref)
        assert git("config", "remote.origin.url", at=work) == "https://gitea.example.com/git/acme/api.git"
        assert {line.split()[0] for line in proxy.seen} == {"CONNECT"}
        assert all(path.startswith("/git/acme/api.git/") for _, path, _ in server.asked)
        for path in (path for path in bot.state.rglob("*") if path.is_file()):
            assert not {secret for secret in (bot.token, password) if secret.encode() in path.read_bytes()}, path
        bot.leave()


def test_a_live_doctor_sees_whether_git_gets_to_the_code(coder: tuple[Bot, GitServer], forge: Forge) -> None:
    bot, server = coder
    forge.open_pull({"greet.py": "print('hello')\n"})
    said = bot.poll("doctor", "--live").out
    assert "ok    code: git reaches acme/api, 2 branches" in said
    assert "ok    live reviewer: answered '" in said
    server.token = "another"
    bot.secrets.append(server.token)
    said = bot.poll("doctor", "--live", code=1).out
    assert "FAIL  code: acme/api: git ls-remote" in said and "DISABLE_HTTP_GIT" in said
    assert not bot.state.exists()


def gits_at(place: Path) -> list[str]:
    """Command lines of gits that run in there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(place):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [line for line in found if line.startswith("git")]
