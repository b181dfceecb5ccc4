"""Repositories that move, pulls and people that go."""

from __future__ import annotations

import pytest

from tests.demo.recorded import VERSIONS, asking
from tests.demo.stage import WRITERS, a_pull

OLD, STABLE, NEXT = VERSIONS


@pytest.mark.parametrize(("version", "status"), [(OLD, 307), (STABLE, 301), (NEXT, 301)])
def test_an_old_name_redirects_until_somebody_takes_it(version: str, status: int) -> None:
    pull = a_pull(version)
    pull.repo.rename("engine")
    with asking(pull.world) as client:
        answer = client.get("/repos/acme/api/pulls/1?x=1")
        assert (answer.status_code, answer.headers["Location"]) == (status, "/api/v1/repos/acme/engine/pulls/1?x=1")
        posted = client.post("/repos/acme/api/issues/1/comments", json={"body": "x"})
        assert (posted.status_code, posted.content) == (status, b"")
        assert client.get(f"/repositories/{pull.repo.id}").json()["full_name"] == "acme/engine"
        pull.world.repo("acme/api", private=True, collaborators=WRITERS)
        assert client.get("/repos/acme/api").json()["id"] != pull.repo.id


def test_a_deleted_pull_is_a_500_in_some_places_and_gone_in_others() -> None:
    pull = a_pull()
    pull.delete(by="root1")
    with asking(pull.world) as client:
        paths = ("issues/1/timeline", "issues/1/comments", "issues/1", "pulls/1", "pulls/1/reviews")
        assert [client.get(f"/repos/acme/api/{path}").status_code for path in paths] == [500, 500, 404, 404, 404]
        assert client.get("/repos/issues/search?type=pulls&state=all").json() == []
        assert pull.repo.open_pull(by="ana").number == 2


def test_with_the_pulls_unit_off_only_the_row_and_the_timeline_are_left() -> None:
    pull = a_pull()
    pull.repo.pulls_enabled = False
    with asking(pull.world) as client:
        paths = ("issues/1/timeline", "issues/1", "issues/1/comments", "pulls/1", "pulls/1/reviews", "pulls")
        assert [client.get(f"/repos/acme/api/{path}").status_code for path in paths] == [200, *[404] * 5]
        assert len(client.get("/repos/issues/search?type=pulls").json()) == 1


def test_a_renamed_user_redirects_and_a_deleted_one_is_the_ghost() -> None:
    pull = a_pull()
    pull.comment("hello", by="ben")
    pull.world.rename_user("ana", "anna")
    pull.world.delete_user("ben")
    with asking(pull.world) as client:
        assert client.get("/users/ana").status_code == 307
        assert client.get("/repos/acme/api/issues/1").json()["user"]["login"] == "anna"
        ghost = client.get("/repos/acme/api/issues/1/comments").json()[0]["user"]
        assert (ghost["id"], ghost["login"]) == (-1, "Ghost")
