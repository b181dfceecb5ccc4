"""The way to the forge, for both clients: certificates of one's own, proxies, other addresses."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from poller.demo.world import World
from poller.forge import errors
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.way import Way, proxy_of
from sessions import logs
from sessions.config import ConfigError
from tests.doors import Proxy, Relay, address_of

Ask = Callable[..., str]


def by_client(url: str, token: str, **options: Any) -> str:
    with Client(url, token, **options) as client:
        return str(client.get("/user", dict).body["login"])


def by_control(url: str, token: str, **options: Any) -> str:
    with Control(url, token, **options) as control:
        return control.who_am_i().login


@pytest.fixture(params=[by_client, by_control])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Who am I, asked by either client."""
    found: Ask = request.param
    return found


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with world.serve() as server:
        yield server.url


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


# -- certificates ---------------------------------------------------------------------------------------------------


def test_an_authority_of_ones_own_is_believed_by_its_file(
    ask: Ask, world: World, url: str, authority: trustme.CA, ca_file: Path
) -> None:
    with Relay(address_of(url), tls=certified(authority, "127.0.0.1")) as relay:
        there = f"https://127.0.0.1:{relay.port}"
        assert ask(there, world.token("bot"), way=Way(url=there, ca_file=ca_file)) == "bot"


def test_an_unknown_authority_is_refused_with_its_mend(ask: Ask, world: World, url: str, authority: trustme.CA) -> None:
    with Relay(address_of(url), tls=certified(authority, "127.0.0.1")) as relay:
        with pytest.raises(errors.Untrusted, match=r"certificate is not accepted: .*set `gitea.ca_file` to a file"):
            ask(f"https://127.0.0.1:{relay.port}", world.token("bot"))
    assert world.requests == []
    assert len(relay.refused) == 1, "it is not tried again and again"


def test_no_other_authority_is_believed_than_that_of_the_file(ask: Ask, world: World, url: str, ca_file: Path) -> None:
    with Relay(address_of(url), tls=certified(trustme.CA(), "127.0.0.1")) as relay:
        there = f"https://127.0.0.1:{relay.port}"
        with pytest.raises(errors.Untrusted, match="does not hold the authority that signed"):
            ask(there, world.token("bot"), way=Way(url=there, ca_file=ca_file))


def test_a_certificate_for_another_name_is_refused(
    ask: Ask, world: World, url: str, authority: trustme.CA, ca_file: Path
) -> None:
    with Relay(address_of(url), tls=certified(authority, "gitea.example.com")) as relay:
        there = f"https://127.0.0.1:{relay.port}"
        with pytest.raises(errors.Untrusted, match=r"mismatch.*write the name in `gitea.url`"):
            ask(there, world.token("bot"), way=Way(url=there, ca_file=ca_file))


def test_the_environment_can_name_the_certificates(
    ask: Ask, world: World, url: str, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")  # one client alone would heed it
    with Relay(address_of(url), tls=certified(authority, "127.0.0.1")) as relay:
        assert ask(f"https://127.0.0.1:{relay.port}", world.token("bot")) == "bot"


def test_where_no_tls_is_spoken_that_is_said(ask: Ask, world: World, url: str) -> None:
    with pytest.raises(errors.Unreachable, match="no TLS is spoken there"):
        ask(url.replace("http:", "https:"), world.token("bot"))


def test_certificates_that_are_gone_by_now_are_an_error_of_the_config(tmp_path: Path, ask: Ask) -> None:
    there = "https://gitea.example.com"
    with pytest.raises(ConfigError, match=r"ca_file: found .*gone.pem"):
        ask(there, "t0ken", way=Way(url=there, ca_file=tmp_path / "gone.pem"))


# -- proxies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_plain_http_goes_by_way_of_the_proxy(ask: Ask, world: World, url: str, variable: str) -> None:
    there = "http://gitea.example.com"
    with Proxy({"gitea.example.com": address_of(url)}) as proxy:
        way = Way.of(there, ca_file=None, environ={variable: f"http://{proxy.address}"})
        assert ask(there, world.token("bot"), way=way) == "bot"
    assert proxy.seen == ["GET http://gitea.example.com/api/v1/user"]


def test_tls_goes_through_the_proxy_to_the_forge_itself(
    ask: Ask, world: World, url: str, authority: trustme.CA, ca_file: Path
) -> None:
    there = "https://gitea.example.com/git"
    with (
        world.serve(prefix="/git") as server,
        Relay(address_of(server.url), tls=certified(authority, "gitea.example.com")) as relay,
        Proxy({"gitea.example.com": relay.address}) as proxy,
    ):
        way = Way.of(there, ca_file=ca_file, environ={"HTTPS_PROXY": proxy.address})
        assert ask(there, world.token("bot"), way=way) == "bot"
    assert proxy.seen == ["CONNECT gitea.example.com:443"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_is_sent_and_never_shown(
    ask: Ask, world: World, url: str, authority: trustme.CA, ca_file: Path, scheme: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    there = f"{scheme}://gitea.example.com"
    with (
        Relay(address_of(url), tls=certified(authority, "gitea.example.com")) as relay,
        Proxy(
            {"gitea.example.com": relay.address if scheme == "https" else address_of(url)}, password="ann:hunter/2"
        ) as proxy,
        caplog.at_level(logging.DEBUG),
    ):
        environ = {f"{scheme.upper()}_PROXY": f"http://ann:hunter%2F2@{proxy.address}"}
        way = Way.of(there, ca_file=ca_file, environ=environ)
        assert way.proxy is not None and "hunter" not in f"{way!r} {way.proxy.shown}"
        assert ask(there, world.token("bot"), way=way) == "bot"
        proxy.wanted = "Basic other"
        with pytest.raises(errors.ForgeError, match="407") as refused:
            ask(there, world.token("bot"), way=way)
    assert refused.value.exit_code == 3
    shown = logs.redacted(caplog.text) + str(refused.value)
    assert "hunter" not in shown and proxy.address in f"{way!r}"
    assert not any(secret in shown for secret in way.proxy.secrets)


def test_a_proxy_that_is_spoken_to_by_tls_is_believed_as_the_forge_is(
    ask: Ask, world: World, url: str, authority: trustme.CA, ca_file: Path
) -> None:
    with (
        Relay(address_of(url), tls=certified(authority, "gitea.example.com")) as forge,
        Proxy({"gitea.example.com": forge.address}) as proxy,
        Relay(address_of(f"http://{proxy.address}"), tls=certified(authority, "127.0.0.1")) as door,
    ):
        there = "https://gitea.example.com"
        way = Way.of(there, ca_file=ca_file, environ={"HTTPS_PROXY": f"https://127.0.0.1:{door.port}"})
        assert ask(there, world.token("bot"), way=way) == "bot"


def test_a_proxy_that_is_down_is_named(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        environ = {"HTTPS_PROXY": f"http://ann:hunter2@{address}"}
        way = Way.of("https://gitea.example.com", ca_file=None, environ=environ)
        with pytest.raises(errors.Unreachable, match=f"check the proxy http://{address}, `gitea.url`") as down:
            ask("https://gitea.example.com", "t0ken", way=way)
    assert "refused" in str(down.value) and "hunter2" not in str(down.value)


def test_what_the_environment_says_later_or_elsewhere_changes_no_way(
    ask: Ask, world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert ask(url, world.token("bot"), way=Way.of(url, ca_file=None, environ={})) == "bot"
    assert ask(url, world.token("bot"), way=Way.of(url, ca_file=None, environ={"HTTP_PROXY": "127.0.0.1:9"})) == "bot"


@pytest.mark.parametrize(
    ("url", "no_proxy", "by_proxy"),
    [
        ("https://gitea.example.com", "", True),
        ("https://gitea.example.com", "*", False),
        ("https://gitea.example.com", "other.com, Example.com", False),
        ("https://gitea.example.com", ".example.com", False),
        ("https://gitea.example.com", "*.example.com", False),
        ("https://example.com", ".example.com", False),
        ("https://notexample.com", "example.com", True),
        ("https://gitea.example.com", "gitea.example.com:443", False),
        ("https://gitea.example.com", "gitea.example.com:8443", True),
        ("https://gitea.example.com:8443", "gitea.example.com:8443", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", False),
        ("https://10.1.2.3", "2.3", True),
        ("https://[fd00::1]", "fd00::/8", False),
        ("https://[fd00::1]:3000", "[fd00::1]:3000", False),
        ("https://[fd00::1]:3000", "[fd00::1]", False),
        ("https://[fd00::1]:3000", "fd00::2,,", True),
        ("https://localhost:3000", "", False),
        ("https://127.8.0.1", "", False),
        ("https://[::1]:3000", "", False),
    ],
)
def test_what_goes_by_a_proxy(url: str, no_proxy: str, by_proxy: bool) -> None:
    found = proxy_of(url, {"https_proxy": "proxy.example.com:3128", "NO_PROXY": no_proxy})
    assert (found is not None) is by_proxy


def test_each_scheme_has_its_variable_and_a_caller_under_cgi_none() -> None:
    environ = {"HTTP_PROXY": "http://one:1", "HTTPS_PROXY": "http://two:2", "https_proxy": "http://three:3"}
    plain, secure = proxy_of("http://example.com", environ), proxy_of("https://example.com", environ)
    assert plain is not None and (plain.shown, plain.variable) == ("http://one:1", "HTTP_PROXY")
    assert secure is not None and (secure.shown, secure.variable) == ("http://three:3", "https_proxy")
    assert proxy_of("http://example.com", environ | {"REQUEST_METHOD": "GET"}) is None


@pytest.mark.parametrize(
    "value", ["socks5://ann:hunter2@host:1080", "http://", "http://host:x", "hunter2 hunter2:99999"]
)
def test_a_proxy_of_another_kind_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY: found .*expected the address of a proxy.*; ") as refused:
        proxy_of("https://example.com", {"HTTPS_PROXY": value})
    assert "hunter2" not in str(refused.value)


# -- other addresses ------------------------------------------------------------------------------------------------


def test_a_forge_at_an_address_of_ipv6_under_a_path(ask: Ask, world: World) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6; enable it on the loopback interface")
    with world.serve(prefix="/git") as server, Relay(address_of(server.url), host="::1") as relay:
        assert ask(f"http://[::1]:{relay.port}/git", world.token("bot")) == "bot"
        world.org("acme")
        world.repo("acme/old", private=True, collaborators={"bot": "write"}).rename("new")
        with Client(f"http://[::1]:{relay.port}/git", world.token("bot")) as client:
            assert client.get("/repos/acme/old", dict).body["full_name"] == "acme/new"
