"""The world between the bot and its forge: a token that is replaced, TLS, proxies, paths, an address of IPv6."""

from __future__ import annotations

import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import until
from tests.doors import Proxy, Relay, address_of

SCOPES = "read:user,write:issue,write:repository"


# -- a token that is replaced ---------------------------------------------------------------------------------------


@pytest.fixture
def by_file(bot: Bot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the bot's token, away from its house, in which no token may be found."""
    file = tmp_path_factory.mktemp("secrets") / "token"
    file.write_text(bot.token + "\n")
    bot.configure(gitea={"token": None, "token_file": str(file)})
    bot.environ["GITEA_TOKEN"] = ""
    return file


def test_a_call_goes_on_when_its_token_is_replaced_under_it(bot: Bot, repo: Repo, world: World, by_file: Path) -> None:
    bot.once()
    pull = repo.open_pull(by="ana")
    slow = world.fault("GET /repos/issues/search", delay=3)
    running = bot.start("--once", "-vv")
    until(lambda: slow.struck, "it asks")
    world.revoke(bot.token)
    by_file.write_text(world.token("bot", scopes=SCOPES))
    said = running.finish()
    assert "another token" in said.err
    assert len(bot.comments(pull)) == 1
    world.reset_requests()
    bot.once()
    assert "/user" in [request.path for request in world.requests], "who we are is asked again with another token"


def test_a_daemon_goes_on_with_the_token_that_is_in_the_file_now(
    bot: Bot, repo: Repo, world: World, by_file: Path
) -> None:
    running = bot.configure(poll={"every": "1s"}).start("-vv")
    until(lambda: "watching" in running.err, "it watches")
    world.revoke(bot.token)
    until(lambda: "refused the token: 401" in running.err, "it has noticed")
    by_file.write_text(world.token("bot", scopes=SCOPES))
    pull = repo.open_pull(by="ana")
    until(lambda: bot.comments(pull), "the answer")
    running.tell(signal.SIGTERM).finish()
    assert "going on with that" in running.err


def test_a_token_that_is_another_accounts_makes_that_one_the_bot(
    bot: Bot, repo: Repo, world: World, by_file: Path
) -> None:
    world.user("robot")
    repo.collaborators[world.user("robot").id] = "write"
    bot.once()
    world.revoke(bot.token)
    by_file.write_text(world.token("robot", scopes=SCOPES))
    bot.once()
    assert "as robot" in bot.poll("status").out


# -- patience -------------------------------------------------------------------------------------------------------


def test_a_daemon_leaves_a_forge_alone_that_has_asked_for_it(bot: Bot, repo: Repo, world: World) -> None:
    running = bot.configure(poll={"every": "1s"}).start()
    until(lambda: "watching" in running.err, "it watches")
    bot.hold()
    repo.open_pull(by="ana")
    until(bot.begun, "the agent runs")
    world.fault("GET /repos/issues/search", status=503, retry_after=1800, times=None)
    until(lambda: "cycle failed" in running.err, "it was told")
    world.reset_requests()
    bot.let_go()
    until(lambda: "answer not posted yet" in running.err, "its turn has ended")
    running.tell(signal.SIGTERM).finish()
    assert world.requests == [], "nor did it post"
    waits = re.findall(r"cycle failed: .*trying again in (\d+)s", running.err)
    assert len(waits) == 1 and 1800 <= int(waits[0]) <= 1980
    again = bot.start()
    until(lambda: "watching" in again.err, "another one watches")
    bot.pass_time(60)  # for who starts from now on: the post that waits is due
    assert "has asked for patience" in bot.once(code=3).complaint
    again.tell(signal.SIGTERM).finish()
    assert "the forge has asked for patience" in again.err
    assert world.requests == [], "whoever comes next was told as well"


def test_a_daemon_whose_forge_is_down_asks_ever_more_rarely_and_says_so_each_time(
    bot: Bot, repo: Repo, world: World
) -> None:
    running = bot.configure(poll={"every": "1s"}).start()
    until(lambda: "watching" in running.err, "it watches")
    down = world.fault("…", status=502, times=None)
    until(lambda: "failures=4" in running.err, "it has failed again and again")
    unwell = bot.poll("status", code=1)
    assert "NOT healthy" in unwell.out and "the last cycle failed: the forge failed: 502" in unwell.out
    world.faults.remove(down)
    until(lambda: "cycles succeed again" in running.err, "it is well again")
    assert "healthy" in bot.poll("status").out
    running.tell(signal.SIGTERM).finish()
    errors = [line for line in running.err.splitlines() if " ERROR cycle failed: the forge failed: 502" in line]
    waits = [int(wait) for line in errors for wait in re.findall(r"trying again in (\d+)s", line)]
    assert waits[:2] == [1, 2] and waits == sorted(waits)


# -- ways -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ca_file(bot: Bot) -> Iterator[tuple[Path, ssl.SSLContext]]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("gitea.example.com", "127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(bot.directory / "ca.pem")
    yield bot.directory / "ca.pem", context


def test_a_forge_behind_a_proxy_with_a_certificate_and_a_path_of_its_own(
    bot: Bot, repo: Repo, world: World, ca_file: tuple[Path, ssl.SSLContext]
) -> None:
    password = "a-password-of-the-proxy"
    bot.secrets.append(password)
    with (
        world.serve(prefix="/git") as server,
        Relay(address_of(server.url), tls=ca_file[1]) as relay,
        Proxy({"gitea.example.com": relay.address}, password=f"ann:{password}") as proxy,
    ):
        bot.configure(gitea={"url": "https://gitea.example.com/git", "ca_file": "ca.pem"})
        bot.environ["HTTPS_PROXY"] = f"http://ann:{password}@{proxy.address}"
        pull = repo.open_pull(by="ana")
        assert bot.tally("-vv")["turns"]["done"] == 1
        assert len(bot.comments(pull)) == 1
        said = bot.poll("why", "gitea.example.com/git/acme/api#1").out
        assert "opened" in said
        doctor = bot.poll("doctor", code=None).out
        assert f"by the proxy http://{proxy.address} (HTTPS_PROXY)" in doctor and str(ca_file[0]) in doctor
        bot.environ["HTTPS_PROXY"] = f"http://ann:{password}x@{proxy.address}"
        assert "407" in bot.once("-vv", code=3).said[-1]
    assert {line.split()[0] for line in proxy.seen} == {"CONNECT"}


def test_a_certificate_that_nobody_knows_is_told_with_its_mend(
    bot: Bot, repo: Repo, world: World, ca_file: tuple[Path, ssl.SSLContext]
) -> None:
    with Relay(address_of(bot.url), tls=ca_file[1]) as relay:
        bot.configure(gitea={"url": f"https://127.0.0.1:{relay.port}"})
        complaint = bot.once(code=3).complaint
        assert "certificate is not accepted" in complaint and "set `gitea.ca_file`" in complaint
        doctor = bot.poll("doctor", code=3).out
        assert "→ set `gitea.ca_file` to a file (PEM)" in doctor
    bot.configure(gitea={"ca_file": "nowhere.pem"})
    assert "gitea.ca_file: found" in bot.once(code=2).complaint


def test_a_forge_at_an_address_of_ipv6(bot: Bot, repo: Repo, world: World) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6; enable it on the loopback interface")
    with Relay(address_of(bot.url), host="::1") as relay:
        bot.url = f"http://[::1]:{relay.port}"
        bot.configure(gitea={"url": bot.url})
        pull = repo.open_pull(by="ana")
        assert bot.tally()["turns"]["done"] == 1
        assert bot.events(pull)[0]["forge"] == f"[::1]:{relay.port}"
        for key in ("acme/api#1", bot.key(pull)):
            assert "opened" in bot.poll("why", key).out
            assert "opened" in bot.poll("events", "--pull", key).out
        assert "healthy" in bot.poll("status").out
