"""Who may read and write in the world, and what refuses him."""

from __future__ import annotations

import pytest

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.demo.recorded import VERSIONS, asking

OLD, STABLE, NEXT = VERSIONS


def an_org_repo(version: str, *, private: bool = True) -> Repo:
    """A repository with somebody of every kind, as the samples' accounts were."""
    world = World(version=version)
    world.org("acme", owners=["own"])
    people = {"bot": "admin", "reads": "read", "writes": "write", "rules": "admin"}
    repo = world.repo("acme/api", private=private, collaborators=people)
    units = {"repo.code": "write", "repo.issues": "write", "repo.pulls": "write"}
    world.team("acme", "writers", units=units, members=["team_writes"], repos=[repo])
    world.team("acme", "readers", permission="read", members=["team_reads"], repos=[repo])
    world.team("acme", "rulers", permission="admin", members=["team_rules"], repos=[repo])
    world.user("stranger")
    return repo


SAID = {
    "reads": "read",
    "writes": "write",
    "rules": "admin",
    "own": "owner",
    "team_rules": "owner",
    "team_writes": "none",
    "team_reads": "none",
    "stranger": "none",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("private", [True, False])
def test_the_permission_of_team_writers_is_a_lie(version: str, private: bool) -> None:
    repo = an_org_repo(version, private=private)
    expected = SAID | ({} if private else dict.fromkeys(("team_writes", "team_reads", "stranger"), "read"))
    if version == OLD:
        expected |= {"team_writes": "write", "team_reads": "read"}
    with asking(repo.world) as client:
        base = "/repos/acme/api/collaborators"
        assert {login: client.get(f"{base}/{login}/permission").json()["permission"] for login in SAID} == expected
        assert client.get(f"{base}/nobody/permission").status_code == 404
        assert client.get(f"{base}/nobody").status_code == 422
        there = [login for login in SAID if client.get(f"{base}/{login}").status_code == 204]
        assert there == ["reads", "writes", "rules"]
        named = {user["login"] for user in client.get("/repos/acme/api/assignees").json()}
        assert named == {"bot", "writes", "rules", "own", "team_rules", "team_writes", "team_reads"}


def test_a_users_repository_has_no_teams() -> None:
    world = World()
    world.repo("ana/tool")
    with asking(world) as client:
        assert client.get("/repos/ana/tool/teams").status_code == 405


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bad_token_is_refused_everywhere_and_none_sees_what_is_public(version: str) -> None:
    world = World(version=version)
    world.repo("pub/tool").open_pull(by="ana")
    world.repo("acme/api", private=True).open_pull(by="ana")
    with asking(world, token="nonsense") as client:
        assert client.get("/version").status_code == 401
    with asking(world, token="") as client:
        assert client.get("/version").status_code == 200
        rows = client.get("/repos/issues/search?type=pulls").json()
        assert [row["repository"]["full_name"] for row in rows] == ["pub/tool"]
        assert client.get("/user").status_code == 401
        assert client.get("/repositories/1").status_code == 401
        assert client.get("/repos/acme/api").status_code == 404


def test_a_revoked_token_is_a_bad_one() -> None:
    world = World()
    token = world.token("bot")
    world.revoke(token)
    with asking(world, token=token) as client:
        assert client.get("/user").status_code == 401


def test_the_token_goes_as_bearer_or_basic_too() -> None:
    world = World()
    token = world.token("bot")
    with asking(world, token="") as client:
        assert client.get("/user", headers={"Authorization": f"Bearer {token}"}).json()["login"] == "bot"
        assert client.get("/user", auth=("x", token)).json()["login"] == "bot"


def test_a_public_only_token_does_not_see_that_something_is_missing() -> None:
    world = World()
    world.repo("pub/tool").open_pull(by="ana")
    world.repo("acme/api", private=True, collaborators={"bot": "write"}).open_pull(by="ana")
    token = world.token("bot", public_only=True)
    with asking(world, token=token) as client:
        assert len(client.get("/repos/issues/search?type=pulls").json()) == 1
        assert client.get("/repos/acme/api/pulls/1").status_code == 403


def test_search_shows_strangers_public_repositories_and_a_site_admin_everything() -> None:
    world = World()
    world.user("root1", admin=True)
    world.repo("cat/thing").open_pull(by="cat")
    world.repo("acme/secret", private=True).open_pull(by="ana")
    with asking(world) as client:
        rows = client.get("/repos/issues/search?type=pulls").json()
        assert [row["repository"]["full_name"] for row in rows] == ["cat/thing"]
    with asking(world, "root1") as client:
        assert len(client.get("/repos/issues/search?type=pulls").json()) == 2


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/user", "read:user"),
        ("/repos/issues/search", "read:issue"),
        ("/repos/pub/tool/issues/1/timeline", "read:issue"),
        ("/repos/pub/tool/pulls/1", "read:repository"),
        ("/repos/pub/tool/git/refs/pull", "read:repository"),
        ("/orgs/acme/repos", "read:organization"),
    ],
)
def test_a_missing_scope_is_named(path: str, scope: str) -> None:
    world = World()
    world.repo("pub/tool").open_pull(by="ana")
    others = {"read:user", "read:issue", "read:repository", "read:organization"} - {scope}
    with asking(world, scopes=",".join(others)) as client:
        answer = client.get(path)
        assert answer.status_code == 403
        assert f"required=[{scope}]" in answer.json()["message"]


def test_locked_and_archived_pulls_refuse_comments() -> None:
    world = World()
    pull = world.repo("pub/tool", collaborators={"ben": "write"}).open_pull(by="ana")
    pull.lock(by="pub")
    sent = {"body": "x"}
    with asking(world) as client:
        assert client.post("/repos/pub/tool/issues/1/comments", json=sent).status_code == 403
    with asking(world, "ben") as client:
        made = client.post("/repos/pub/tool/issues/1/comments", json=sent)
        assert made.status_code == 201
        pull.repo.archive()
        assert client.post("/repos/pub/tool/issues/1/comments", json=sent).status_code == 423
        assert client.patch(f"/repos/pub/tool/issues/comments/{made.json()['id']}", json=sent).status_code == 423
        assert client.get("/repos/pub/tool/issues/1/comments").status_code == 200
        assert client.delete(f"/repos/pub/tool/issues/comments/{made.json()['id']}").status_code == 204


def test_comments_belong_to_their_author_and_to_writers() -> None:
    world = World()
    pull = world.repo("pub/tool").open_pull(by="ana")
    comment, review = pull.comment("hers", by="ana"), pull.review(by="ben", body="r")
    assert review.row is not None
    with asking(world) as client:
        path = "/repos/pub/tool/issues/comments"
        refused = client.patch(f"{path}/{comment.id}", json={"body": "mine"})
        assert (refused.status_code, refused.content) == (403, b"")
        assert client.get(f"{path}/{comment.id}").status_code == 200
        assert client.get(f"{path}/{review.row.id}").status_code == 204
        assert client.get(f"{path}/999").status_code == 404
