"""The control plane against the stand-in forge, over HTTP."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.deltas.events import Actor
from poller.demo.world import World
from poller.forge import errors
from poller.forge.control import ApiSettings, Control, Rights
from poller.forge.people import Permission

SCOPES = "read:user,write:issue,write:repository"
VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]


@pytest.fixture(params=VERSIONS)
def world(request: pytest.FixtureRequest) -> World:
    return World(version=request.param)


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with world.serve() as server:
        yield server.url


@pytest.fixture
def control(world: World, url: str) -> Iterator[Control]:
    with Control(url, world.token("bot", scopes=SCOPES)) as control:
        yield control


def test_who_am_i_and_whom_do_i_speak_to(world: World, control: Control) -> None:
    assert control.who_am_i() == Actor(world.user("bot").id, "bot")
    assert control.server_version() == world.version.name
    assert control.api_settings() == ApiSettings(50, 30)
    assert control.clock_ahead is not None


def test_a_forge_under_a_path(world: World) -> None:
    with world.serve(prefix="/git") as server, Control(server.url, world.token("bot")) as control:
        assert control.who_am_i().login == "bot"


def test_all_repositories_of_an_owner_are_read_page_by_page(world: World, control: Control) -> None:
    for number in range(120):
        world.repo(f"acme/repo{number}")
    world.repo("acme/secret", private=True)
    found = control.repositories_of("acme")
    assert sorted(repo.full_name for repo in found) == sorted(f"acme/repo{number}" for number in range(120))
    assert len({repo.id for repo in found}) == 120


def test_an_unknown_owner_is_not_found(control: Control) -> None:
    with pytest.raises(errors.NotFound):
        control.repositories_of("nobody")


def test_a_repository_tells_what_the_bot_may_do(world: World, control: Control) -> None:
    world.repo("acme/api", private=True, collaborators={"bot": "write"})
    world.repo("acme/mine", private=True, collaborators={"bot": "admin"}, archived=True)
    api, mine = control.repository("acme/api"), control.repository("acme/mine")
    assert api is not None and api.permissions == Rights(admin=False, push=True, pull=True) and not api.archived
    assert mine is not None and mine.permissions.admin and mine.archived


def test_a_repository_that_is_not_there_or_not_to_be_seen_is_none(world: World, control: Control) -> None:
    world.repo("acme/secret", private=True)
    assert control.repository("acme/secret") is None
    assert control.repository("acme/none") is None


def test_a_renamed_repository_is_found_under_its_new_name(world: World, control: Control) -> None:
    repo = world.repo("acme/old")
    repo.rename("new")
    found = control.repository("acme/old")
    assert found is not None and (found.id, found.full_name) == (repo.id, "acme/new")


# -- who may ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["write", "admin"], ids=["bot_writes", "bot_is_admin"])
def rights(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_in_a_users_repository(world: World, control: Control, rights: str) -> None:
    people = {"bot": rights, "ria": "read", "wim": "write", "ada": "admin"}
    world.repo("olga/api", private=True, collaborators=people)
    world.user("stranger")
    allowed = {
        login: control.is_writer("olga/api", login).allowed
        for login in ("olga", "ria", "wim", "ada", "WIM", "stranger", "nobody")
    }
    assert allowed == {
        "olga": True, "ria": False, "wim": True, "ada": True, "WIM": True, "stranger": False, "nobody": False,
    }  # fmt: skip


@pytest.mark.parametrize("private", [True, False])
def test_in_an_organisation_where_a_team_only_reads_nobody_is_trusted_for_being_assignable(
    world: World, control: Control, rights: str, private: bool
) -> None:
    org = world.org("acme", owners=["olga"])
    world.repo("acme/api", private=private, collaborators={"bot": rights, "wim": "write", "ria": "read"})
    world.team(org, "writers", permission="write", members=["tess"], repos=["acme/api"])
    world.team(org, "readers", permission="read", members=["rob"], repos=["acme/api"])
    world.user("stranger")
    allowed = {
        login: control.is_writer("acme/api", login).allowed
        for login in ("olga", "wim", "ria", "tess", "rob", "stranger")
    }
    assert allowed["stranger"] is False and allowed["ria"] is False
    assert allowed["rob"] is None
    if rights == "admin":
        assert allowed["olga"] is True and allowed["wim"] is True
        # From 1.25 on the forge says `none` of team members who can push.
        assert allowed["tess"] is (True if world.version.name == "1.22.6" else None)
    else:
        assert allowed["wim"] is allowed["tess"] is allowed["olga"] is None


def test_in_an_organisation_where_all_teams_write_their_members_are_trusted(
    world: World, control: Control, rights: str
) -> None:
    org = world.org("acme", owners=["olga"])
    world.repo("acme/api", private=True, collaborators={"bot": rights})
    world.team(org, "writers", permission="write", members=["tess"], repos=["acme/api"])
    world.user("stranger")
    assert control.is_writer("acme/api", "tess").allowed is True
    assert control.is_writer("acme/api", "olga").allowed is True
    assert control.is_writer("acme/api", "stranger").allowed is False


def test_a_team_that_writes_issues_but_reads_code_is_no_team_of_writers(world: World, control: Control) -> None:
    org = world.org("acme")
    world.repo("acme/api", private=True, collaborators={"bot": "write"})
    units = {"repo.code": "read", "repo.issues": "write", "repo.pulls": "write"}
    world.team(org, "triage", permission="write", units=units, members=["tim"], repos=["acme/api"])
    assert control.is_writer("acme/api", "tim").allowed is None


def test_a_login_that_somebody_else_took_over_is_not_trusted(world: World, control: Control, rights: str) -> None:
    world.repo("olga/api", collaborators={"bot": rights, "wim": "write"})
    wim = world.user("wim").id
    assert control.is_writer("olga/api", "wim", user_id=wim).allowed is True
    assert control.is_writer("olga/api", "wim", user_id=wim + 1000).allowed is False


def test_collaborators_are_those_who_were_added_by_name_and_the_owner(world: World, control: Control) -> None:
    world.repo("olga/api", private=True, collaborators={"bot": "admin", "ria": "read", "wim": "write"})
    world.user("stranger")
    allowed = {
        login: control.is_collaborator("olga/api", login).allowed
        for login in ("olga", "ria", "wim", "stranger", "nobody")
    }
    assert allowed == {"olga": True, "ria": True, "wim": True, "stranger": False, "nobody": False}


def test_why_is_said(world: World, control: Control) -> None:
    world.repo("olga/api", private=True, collaborators={"bot": "write"})
    world.user("stranger")
    assert control.is_writer("olga/api", "stranger") == Permission(False, "stranger cannot write to olga/api")


def test_whether_the_bot_may_ask_for_the_rights_of_others(world: World, control: Control) -> None:
    world.repo("olga/admin", collaborators={"bot": "admin"})
    world.repo("olga/write", collaborators={"bot": "write"})
    assert control.may_ask_permissions("olga/admin", "olga") is True
    assert control.may_ask_permissions("olga/write", "olga") is False


def test_a_renamed_repository_answers_about_people_under_its_old_name(world: World, control: Control) -> None:
    world.repo("olga/old", collaborators={"bot": "admin", "wim": "write"}).rename("new")
    assert control.is_writer("olga/old", "wim").allowed is True


# -- trouble ------------------------------------------------------------------------------------------------------


def test_a_bad_token_is_refused_and_a_missing_scope_is_named(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        with Control(url, "hunter2hunter2") as control, pytest.raises(errors.Refused) as refused:
            control.who_am_i()
        with Control(url, world.token("bot", scopes="read:issue")) as control:
            with pytest.raises(errors.MissingScope) as lacking:
                control.who_am_i()
    assert lacking.value.scope == "read:user"
    assert "hunter2" not in str(refused.value) + caplog.text
    assert not [record for record in caplog.records if record.name.startswith("gitea")]


def test_a_missing_scope_is_not_taken_for_a_missing_right(world: World, url: str) -> None:
    world.repo("olga/api", collaborators={"bot": "write"})
    with Control(url, world.token("bot", scopes="read:user,read:issue")) as control:
        for ask in (control.is_writer, control.is_collaborator):
            with pytest.raises(errors.MissingScope):
                ask("olga/api", "olga")


def test_a_proxys_page_is_not_gitea(world: World, control: Control) -> None:
    world.fault("GET /user", html=True)
    with pytest.raises(errors.NotGitea, match="an HTML page with status 200"):
        control.who_am_i()


def test_a_safe_request_is_repeated_and_then_given_up(world: World, control: Control) -> None:
    world.fault("GET /user", status=502, times=2)
    assert control.who_am_i().login == "bot"
    world.fault("GET /user", status=503, times=None)
    with pytest.raises(errors.ServerTrouble):
        control.who_am_i()


def test_an_answer_that_is_cut_is_asked_for_again(world: World, control: Control) -> None:
    world.fault("GET /user", cut=True)
    assert control.who_am_i().login == "bot"


def test_a_forge_that_asks_for_patience_gets_it(world: World, control: Control) -> None:
    world.fault("GET /user", status=429, retry_after=0)
    assert control.who_am_i().login == "bot"
    world.fault("GET /user", status=429, retry_after=3600)
    with pytest.raises(errors.RateLimited) as limited:
        control.who_am_i()
    assert limited.value.retry_after == 3600


def test_a_silent_forge_is_not_waited_for_for_ever(world: World, url: str) -> None:
    world.fault("GET /user", delay=30, times=None)
    with Control(url, world.token("bot"), timeout=0.1) as control, pytest.raises(errors.Unreachable, match="in time"):
        control.who_am_i()


def test_a_forge_that_is_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # it is ours, and nobody listens
        with Control(f"http://127.0.0.1:{port}", "hunter2") as control, pytest.raises(errors.Unreachable) as down:
            control.who_am_i()
    assert "connection refused (GET /api/v1/user)" in str(down.value)
    assert down.value.exit_code == 3


def test_a_redirect_to_elsewhere_takes_no_token_along() -> None:
    with answering(
        b"HTTP/1.1 302 Found\r\nLocation: https://login.example.com/?next=x\r\nContent-Length: 0\r\n\r\n"
    ) as (
        url,
        asked,
    ):
        with Control(url, "t0ken") as control, pytest.raises(errors.NotGitea, match="a redirect to https"):
            control.who_am_i()
    assert len(asked) == 1


def test_a_password_in_netrc_does_not_take_the_tokens_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    body = b'{"id": 1, "login": "bot"}'
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answering(head + body) as (url, asked), Control(url, "t0ken") as control:
        assert control.who_am_i() == Actor(1, "bot")
    assert b"\r\nAuthorization: token t0ken\r\n" in asked[0]


@pytest.mark.parametrize(
    "body", [b'{"id": "x"}', b"[]", b"null", b'"words, more words"', b"{not json", b"", b'{"id": 1}']
)
def test_an_answer_of_another_shape_is_not_gitea(body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answering(head + body) as (url, _), Control(url, "t0ken") as control, pytest.raises(errors.NotGitea):
        control.who_am_i()


class answering:
    """A server that gives every connection the same bytes and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.asked = answer, list[bytes]()

    def __enter__(self) -> tuple[str, list[bytes]]:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}", self.asked

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65536)
                if asked:
                    self.asked.append(asked)
                    connection.sendall(self.answer)

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(timeout=10)
