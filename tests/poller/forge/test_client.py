"""The HTTP door: what is sent again, what is sent once, and what a status means."""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import pytest

from poller.demo.world import World
from poller.forge import errors
from poller.forge.client import Client
from poller.forge.wire import CommentRow
from tests.doors import serving

SECRET = "s3cr3t-of-the-token"


@pytest.fixture
def world() -> World:
    made = World()
    made.org("acme")
    made.repo("acme/api", private=True, collaborators={"bot": "write", "ana": "write"}).open_pull(by="ana")
    return made


@contextmanager
def asking(world: World, **options: object) -> Iterator[Client]:
    token = world.token("bot", scopes="all")
    with world.serve() as server, Client(server.url, token, **options) as client:  # type: ignore[arg-type]
        yield client


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 502}, {"status": 429, "retry_after": 0}, {"cut": True}])
def test_a_safe_request_is_sent_again(world: World, fault: dict[str, object]) -> None:
    with asking(world) as client:
        world.fault("GET /version", times=2, **fault)
        assert client.get("/version", dict).body["version"] == "1.25.4"
        assert client.requests == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 500}, errors.ServerTrouble),
        ({"cut": True}, errors.Unreachable),
        ({"status": 429}, errors.RateLimited),
    ],
)
def test_patience_has_an_end(world: World, fault: dict[str, object], kind: type[errors.ForgeError]) -> None:
    with asking(world) as client:
        world.fault("GET /version", times=None, **fault)
        with pytest.raises(kind) as caught:
            client.get("/version", dict)
        assert client.requests == 3
        assert caught.value.exit_code == 3
        assert "\n" not in str(caught.value)


def test_a_long_retry_after_is_the_next_cycles_business(world: World) -> None:
    with asking(world) as client:
        world.fault("GET /version", status=429, retry_after=3600)
        with pytest.raises(errors.RateLimited) as caught:
            client.get("/version", dict)
        assert (client.requests, caught.value.retry_after) == (1, 3600.0)


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut": True}, {"drop_after_accept": True}, {"status": 429}])
def test_a_post_is_sent_once(world: World, fault: dict[str, object]) -> None:
    with asking(world) as client:
        world.fault("POST .*/comments", **fault)
        with pytest.raises(errors.ForgeError):
            client.post("/repos/acme/api/issues/1/comments", CommentRow, {"body": "hello"})
        assert client.requests == 1


@pytest.mark.parametrize("version", ["1.22.6", "1.25.4"])
def test_a_renamed_repository_is_followed_and_a_post_stays_a_post(version: str) -> None:
    world = World(version=version)
    world.org("acme")
    repo = world.repo("acme/api", collaborators={"bot": "write"})
    pull = repo.open_pull(by="ana")
    repo.rename("service")
    with asking(world) as client:
        assert client.get("/repos/acme/api", dict).body["full_name"] == "acme/service"
        client.post("/repos/acme/api/issues/1/comments", CommentRow, {"body": "hello"})
    assert [row.body for row in pull.comments] == ["hello"]


def test_a_login_page_with_status_200_is_not_an_answer(world: World) -> None:
    with asking(world) as client:
        world.fault("GET /version", html=True)
        with pytest.raises(errors.NotGitea, match="HTML page"):
            client.get("/version", dict)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/repos/acme/nope", errors.NotFound), ("/repos/issues/search?since=yesterday", errors.Declined)],
)
def test_a_refusal_has_its_kind_and_is_not_repeated(world: World, path: str, kind: type[errors.ForgeError]) -> None:
    with asking(world) as client:
        with pytest.raises(kind):
            client.get(path, dict)
        assert client.requests == 1


def test_json_of_another_shape_is_recognised(world: World) -> None:
    with asking(world) as client, pytest.raises(errors.NotGitea, match="another shape"):
        client.get("/version", list[int])


def test_nobody_at_home_is_unreachable_and_tells_no_secret() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as nobody:
        port = nobody.server_address[1]
    with Client(f"http://127.0.0.1:{port}", SECRET, timeout=2.0) as client:
        with pytest.raises(errors.Unreachable) as caught:
            client.get("/version", dict)
    assert SECRET not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)


class _Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody on to `target`, and remembers who came with a token."""

    target = ""
    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        self.send_response(302)
        self.send_header("Location", self.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_token_is_taken_to_no_other_place() -> None:
    class Thief(_Elsewhere):
        seen: ClassVar[list[str | None]] = []

    with serving(Thief) as thief:

        class Door(_Elsewhere):
            target = f"{thief}/api/v1/version"
            seen: ClassVar[list[str | None]] = []

        with serving(Door) as door, Client(door, SECRET) as client, pytest.raises(errors.NotGitea) as caught:
            client.get("/version", dict)
    assert Door.seen == [f"token {SECRET}"]
    assert Thief.seen == []
    assert SECRET not in str(caught.value)


def test_a_redirect_out_of_the_api_is_a_login_page() -> None:
    class Login(_Elsewhere):
        target = "/user/login"
        seen: ClassVar[list[str | None]] = []

    with serving(Login) as url, Client(url, SECRET) as client, pytest.raises(errors.NotGitea, match="redirect"):
        client.get("/version", dict)


def test_a_long_diff_is_cut_at_the_limit(world: World) -> None:
    with asking(world) as client:
        whole, is_all = client.get_text("/repos/acme/api/pulls/1.diff", limit=100_000)
        part, is_part = client.get_text("/repos/acme/api/pulls/1.diff", limit=20)
    assert (is_all, is_part) == (True, False)
    assert whole.startswith(part)
    assert len(part) == 20


def test_a_diff_follows_its_renamed_repository(world: World) -> None:
    with asking(world) as client:
        before = client.get_text("/repos/acme/api/pulls/1.diff", limit=100_000)
        world.repo("acme/api").rename("service")
        assert client.get_text("/repos/acme/api/pulls/1.diff", limit=100_000) == before


def test_a_login_page_is_no_diff(world: World) -> None:
    with asking(world) as client:
        world.fault("GET .*diff", html=True)
        with pytest.raises(errors.NotGitea, match="HTML page"):
            client.get_text("/repos/acme/api/pulls/1.diff", limit=100_000)


def test_redirects_that_lead_nowhere_have_an_end() -> None:
    class Circle(_Elsewhere):
        target = "/api/v1/version"
        seen: ClassVar[list[str | None]] = []

    with serving(Circle) as url, Client(url, SECRET) as client:
        for ask in (lambda: client.get("/version", dict), lambda: client.get_text("/version", limit=9)):
            Circle.seen.clear()
            with pytest.raises(errors.Moved):
                ask()
            assert len(Circle.seen) == 4
