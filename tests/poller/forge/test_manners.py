"""What both clients make of strange answers, of a token that is replaced, and of a forge that wants its quiet."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from poller.demo.world import World
from poller.forge import errors, signs
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.courtesy import AT_ONCE, Courtesy
from poller.token import Token
from sessions import logs
from tests.acceptance.calls import until
from tests.doors import serving

Ask = Callable[..., str]
TOKEN = "0123456789abcdef-the-first"
OTHER = "fedcba9876543210-the-other"


def by_client(url: str, token: str = TOKEN, **options: Any) -> str:
    with Client(url, token, **options) as client:
        return str(client.get("/user", dict).body["login"])


def by_control(url: str, token: str = TOKEN, **options: Any) -> str:
    with Control(url, token, **options) as control:
        return control.who_am_i().login


@pytest.fixture(params=[by_client, by_control])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Who am I, asked by either client."""
    found: Ask = request.param
    return found


class Scripted(BaseHTTPRequestHandler):
    """Gives everybody the same answer, and keeps who came with which token."""

    protocol_version = "HTTP/1.1"
    status = 200
    fields: ClassVar[dict[str, str]] = {}
    body = b""
    seen: ClassVar[list[str | None]] = []

    def _answer(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        for name, value in self.fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


def answering(status: int, body: bytes = b"", **fields: str) -> Any:
    """A server of that one answer, and whom it saw: `with … as (url, seen)`."""
    import contextlib

    class Made(Scripted):
        seen: ClassVar[list[str | None]] = []

    Made.status, Made.body = status, body
    Made.fields = {name.replace("_", "-"): value for name, value in fields.items()}

    @contextlib.contextmanager
    def run() -> Iterator[tuple[str, list[str | None]]]:
        with serving(Made) as url:
            yield url, Made.seen

    return run()


# -- pages ----------------------------------------------------------------------------------------------------------

PAGE = b"<!DOCTYPE html>\n<html><head><title>\n Sign in &amp; be\x1b[2J happy </title></head><body>...</body></html>"
HTML = {"Content_Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize("status", [200, 203, 400, 401, 403, 404, 418])
@pytest.mark.parametrize("fields", [HTML, {"Content_Type": "text/plain"}, {}], ids=["html", "plain", "nothing"])
def test_a_page_for_people_is_never_taken_for_the_forges_word(ask: Ask, status: int, fields: dict[str, str]) -> None:
    with answering(status, PAGE, **fields) as (url, seen), pytest.raises(errors.NotGitea) as caught:
        ask(url)
    assert f"an HTML page with status {status}, titled 'Sign in & be [2J happy'" in str(caught.value)
    assert "a proxy or a log-in page may answer in its place" in str(caught.value)
    assert (caught.value.exit_code, len(seen)) == (3, 1)


@pytest.mark.parametrize("begin", [b"<title>" + b" " * 19_000, b"<title " * 2_800, b"<title> " * 2_500])
def test_a_page_that_was_made_to_be_dear_costs_little(begin: bytes) -> None:
    began = time.process_time()
    assert signs.page_of(502, begin) == "an HTML page with status 502"
    assert time.process_time() - began < 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_proxy_before_a_forge_that_is_down_says_so_and_is_asked_again(ask: Ask, status: int) -> None:
    page = b"<html><head><title>Bad Gateway</title></head></html>"
    with answering(status, page, **HTML) as (url, seen), pytest.raises(errors.ServerTrouble) as caught:
        ask(url)
    assert f"a proxy answers in the forge's place: an HTML page with status {status}, titled 'Bad" in str(caught.value)
    assert (caught.value.exit_code, len(seen)) == (3, 3)


def test_a_proxy_that_limits_is_listened_to_whatever_its_page_looks_like(ask: Ask) -> None:
    with answering(429, PAGE, **HTML, Retry_After="90") as (url, seen):
        with pytest.raises(errors.RateLimited, match="asks for patience: 429, for 90 s") as caught:
            ask(url)
    assert (caught.value.retry_after, len(seen)) == (90, 1)


def test_a_proxy_that_wants_a_password_of_its_own(ask: Ask) -> None:
    with answering(407) as (url, _), pytest.raises(errors.NotGitea, match="the proxy wants a name and a password: 407"):
        ask(url)


def test_plain_http_on_a_port_of_tls(ask: Ask) -> None:
    said = b"Client sent an HTTP request to an HTTPS server.\n"
    with answering(400, said, Content_Type="text/plain") as (url, _):
        with pytest.raises(errors.NotGitea, match=r"it speaks only https.*write https:// in `gitea.url`"):
            ask(url)


# -- redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "target", ["{thief}/api/v1/user", "//{there}/api/v1/user", "http://x@{there}/api/v1/user", "http://[{there}/api/v1"]
)
def test_a_redirect_takes_the_token_to_no_other_port_or_host(ask: Ask, status: int, target: str) -> None:
    with answering(200, b'{"id":1,"login":"thief"}', Content_Type="application/json") as (thief, seen):
        location = target.format(thief=thief, there=thief.removeprefix("http://"))
        with answering(status, Location=location) as (url, asked), pytest.raises(errors.NotGitea, match="a redirect"):
            ask(url)
    assert seen == []
    assert asked == [f"token {TOKEN}"]


def test_a_post_that_is_redirected_elsewhere_takes_nothing_along_either() -> None:
    with answering(201, b"{}") as (thief, seen), answering(307, Location=f"{thief}/api/v1/x") as (url, _):
        with Client(url, TOKEN) as client, pytest.raises(errors.NotGitea, match="a redirect"):
            client.post("/x", dict, {"body": "secret words"})
        with Client(url, TOKEN) as client, pytest.raises(errors.NotGitea, match="a redirect"):
            client.get_text("/x", limit=10)
    assert seen == []


@pytest.mark.parametrize(
    ("location", "followed"),
    [
        ("/git/api/v1/repos/a/b?x=1", "https://h:8443/git/api/v1/repos/a/b?x=1"),
        ("https://h:8443/git/api/v1/y", "https://h:8443/git/api/v1/y"),
        ("https://H:8443/git/api/v1/y", "https://H:8443/git/api/v1/y"),
        ("http://h:8443/git/api/v1/y", None),
        ("https://h/git/api/v1/y", None),
        ("https://h:8443.evil.example.com/git/api/v1/y", None),
        ("https://h.evil.example.com:8443/git/api/v1/y", None),
        ("https://u:p@h:8443/git/api/v1/y", None),
        ("/api/v1/y", None),
        ("/git/user/login", None),
        ("/git/api/v1", None),
        ("javascript:x", None),
        ("", None),
    ],
)
def test_which_redirects_stay_within_the_forge(location: str, followed: str | None) -> None:
    assert signs.followed(location, asked="https://h:8443/git/api/v1/x", root="https://h:8443/git/api/v1") == followed


def test_a_port_may_be_named_or_not() -> None:
    there = "https://h:443/api/v1/x"
    assert signs.followed(there, asked="https://h/api/v1/y", root="https://h/api/v1") == there


def test_from_http_to_https_of_the_same_host_has_its_own_mend(ask: Ask) -> None:
    class Upgrade(Scripted):
        status = 301

        def _answer(self) -> None:
            self.fields = {"Location": f"https://{self.headers['Host']}{self.path}"}
            super()._answer()

        do_GET = _answer

    with serving(Upgrade) as url:
        with pytest.raises(errors.NotGitea, match=f"write {url.replace('http', 'https')} in `gitea.url`"):
            ask(url)


# -- the token ------------------------------------------------------------------------------------------------------


class Rotating(Scripted):
    """Takes `good` and nothing else."""

    good = OTHER
    fields: ClassVar[dict[str, str]] = {"Content-Type": "application/json"}
    seen: ClassVar[list[str | None]] = []

    def _answer(self) -> None:
        is_good = self.headers.get("Authorization") == f"token {self.good}"
        self.status = 200 if is_good else 401
        self.body = b'{"id":1,"login":"bot"}' if is_good else b'{"message":"invalid"}'
        super()._answer()

    do_GET = do_POST = _answer


@pytest.fixture
def door() -> Iterator[tuple[str, list[str | None]]]:
    class Made(Rotating):
        seen: ClassVar[list[str | None]] = []

    with serving(Made) as url:
        yield url, Made.seen


@pytest.fixture
def token(tmp_path: Path) -> Token:
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    return Token(TOKEN, file=tmp_path / "token")


def test_a_token_that_was_replaced_is_read_again_when_it_is_refused(
    ask: Ask, door: tuple[str, list[str | None]], token: Token, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, seen = door
    (tmp_path / "token").write_text(f" {OTHER} \n", encoding="utf-8")
    with caplog.at_level(logging.DEBUG):
        assert ask(url, renewed=token.renewed) == "bot"
    assert seen == [f"token {TOKEN}", f"token {OTHER}"]
    assert token.reveal() == OTHER
    assert "another token" in caplog.text
    assert OTHER not in caplog.text and logs.redacted(f"a {OTHER}") == "a [hidden]"


@pytest.mark.parametrize("content", [f"{TOKEN}\n", "", "two words", None], ids=["the same", "empty", "words", "gone"])
def test_a_token_that_is_refused_and_was_not_replaced_is_asked_with_once(
    ask: Ask, door: tuple[str, list[str | None]], token: Token, tmp_path: Path, content: str | None
) -> None:
    url, seen = door
    if content is None:
        (tmp_path / "token").unlink()
    else:
        (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(errors.Refused):
        ask(url, renewed=token.renewed)
    assert seen == [f"token {TOKEN}"]


def test_another_token_that_is_refused_as_well_is_not_tried_for_ever(
    ask: Ask, door: tuple[str, list[str | None]], token: Token, tmp_path: Path
) -> None:
    url, seen = door
    (tmp_path / "token").write_text("wrong-again", encoding="utf-8")
    with pytest.raises(errors.Refused):
        ask(url, renewed=token.renewed)
    assert seen == [f"token {TOKEN}", "token wrong-again"]


def test_a_token_from_a_variable_stays_as_it_is(ask: Ask, door: tuple[str, list[str | None]]) -> None:
    url, seen = door
    with pytest.raises(errors.Refused):
        ask(url, renewed=Token(TOKEN).renewed)
    assert len(seen) == 1


def test_a_post_and_a_text_are_sent_again_with_the_other_token(
    door: tuple[str, list[str | None]], token: Token, tmp_path: Path
) -> None:
    url, seen = door
    (tmp_path / "token").write_text(OTHER, encoding="utf-8")
    with Client(url, TOKEN, renewed=token.renewed) as client:
        assert client.post("/x", dict, {"body": "x"}).body["login"] == "bot"
    with Client(url, TOKEN, renewed=token.renewed) as client:
        assert "bot" in client.get_text("/x", limit=100)[0]
    assert seen == [f"token {TOKEN}", f"token {OTHER}"] * 2


def test_threads_that_are_refused_together_all_go_on(
    door: tuple[str, list[str | None]], token: Token, tmp_path: Path
) -> None:
    url, seen = door
    (tmp_path / "token").write_text(OTHER, encoding="utf-8")
    with Client(url, TOKEN, renewed=token.renewed) as client, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: client.get("/user", dict).body["login"], range(24)))
    assert said == ["bot"] * 24
    assert 1 <= seen.count(f"token {TOKEN}") <= 8, "each thread was refused once at most"


def test_a_token_is_written_nowhere(token: Token) -> None:
    assert TOKEN not in f"{token} {token!r}"


# -- courtesy -------------------------------------------------------------------------------------------------------


class Counting(Scripted):
    """Keeps everybody waiting until `gate` opens, and counts how many wait together."""

    body = b'{"id":1,"login":"bot"}'
    fields: ClassVar[dict[str, str]] = {"Content-Type": "application/json"}
    gate: ClassVar[threading.Event]
    lock: ClassVar[threading.Lock]
    now: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def _answer(self) -> None:
        kind = type(self)
        with kind.lock:
            kind.now += 1
            kind.most = max(kind.most, kind.now)
        kind.gate.wait(10)
        with kind.lock:
            kind.now -= 1
        super()._answer()

    do_GET = do_POST = _answer


def test_whatever_the_number_of_threads_and_clients_only_a_few_ask_at_once() -> None:
    class Made(Counting):
        gate = threading.Event()
        lock = threading.Lock()
        seen: ClassVar[list[str | None]] = []

    courtesy = Courtesy()
    with (
        serving(Made) as url,
        Client(url, TOKEN, courtesy=courtesy) as client,
        Control(url, TOKEN, courtesy=courtesy) as control,
        ThreadPoolExecutor(20) as pool,
    ):
        jobs = [pool.submit(client.get, "/user", dict) for _ in range(12)]
        jobs += [pool.submit(client.get_text, "/x", limit=10) for _ in range(3)]
        jobs += [pool.submit(client.post, "/x", dict, {}) for _ in range(3)]
        jobs.append(pool.submit(control.who_am_i))
        until(lambda: Made.now == AT_ONCE, "as many as may have asked")
        time.sleep(0.2)  # whoever else would ask could do so now
        Made.gate.set()
        for job in jobs:
            job.result(timeout=20)
    assert Made.most == AT_ONCE
    assert len(Made.seen) == len(jobs) == client.requests == courtesy.sent


def test_a_forge_that_wants_quiet_is_asked_nothing_until_it_is_over(ask: Ask) -> None:
    now = [1000.0]
    world = World()
    with world.serve() as server:
        courtesy, token = Courtesy(clock=lambda: now[0]), world.token("bot")
        world.fault("GET /user", status=429, retry_after=600)
        with pytest.raises(errors.RateLimited):
            ask(server.url, token, courtesy=courtesy)
        world.reset_requests()
        now[0] += 540
        with pytest.raises(errors.RateLimited, match="has asked for patience, 60 s are left") as early:
            ask(server.url, token, courtesy=courtesy)
        assert early.value.retry_after == 60
        with Client(server.url, token, courtesy=courtesy) as client:
            sent = client.requests
            with pytest.raises(errors.RateLimited):
                client.post("/repos/acme/api/issues/1/comments", dict, {"body": "x"})
            with pytest.raises(errors.RateLimited):
                client.get_text("/repos/acme/api/pulls/1.diff", limit=10)
            assert client.requests == sent
        assert world.requests == []
        now[0] += 61
        assert ask(server.url, token, courtesy=courtesy) == "bot"


@pytest.mark.parametrize("asked", [7200, 10**12])
def test_nobody_keeps_quiet_for_longer_than_an_hour(asked: int) -> None:
    now = [1000.0]
    courtesy = Courtesy(clock=lambda: now[0])
    courtesy.heard(errors.error_of(503, where="GET /", retry_after=asked))
    now[0] += 3599
    with pytest.raises(errors.RateLimited), courtesy.request("GET /"):
        pass
    now[0] += 2
    with courtesy.request("GET /"):
        pass


def test_a_clock_that_is_put_back_makes_no_quiet_longer() -> None:
    now = [100_000.0]
    courtesy = Courtesy(clock=lambda: now[0])
    courtesy.heard(errors.error_of(429, where="GET /", retry_after=3000))
    now[0] -= 50_000
    with courtesy.request("GET /"):
        pass


def test_maintenance_is_told_with_its_length(ask: Ask) -> None:
    with answering(503, b'{"message":""}', Content_Type="application/json", Retry_After="1800") as (url, seen):
        with pytest.raises(errors.ServerTrouble, match=r"the forge failed: 503.*it asks for 30 min") as caught:
            ask(url)
    assert (caught.value.retry_after, len(seen)) == (1800, 1)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 5000}, 999_999_999.0),
        ({"Retry-After": "Sat, 21 Nov 2026 07:10:00 GMT", "Date": "Sat, 21 Nov 2026 07:00:00 GMT"}, 600.0),
        ({"Retry-After": "Sat, 21 Nov 2026 06:00:00 GMT", "Date": "Sat, 21 Nov 2026 07:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sat, 21 Nov 2026 07:10:00 GMT"}, None),
        ({}, None),
    ],
)
def test_patience_is_asked_for_in_seconds_or_until_a_moment(fields: dict[str, str], seconds: float | None) -> None:
    assert signs.retry_after(fields) == seconds
