"""What the client takes for granted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.conftest import Scene
from tests.contract.grounds import no_real_gitea
from tests.contract.patience import eventually, fresh

MARKER = "<!-- bottlepost turn=12 part=1 -->"


def rows_of(scene: Scene, **asked: str | int) -> list[dict[str, Any]]:
    """Rows of the cross-repository search that are of the scene's repository."""
    answer = scene.http.get("/repos/issues/search", params={"type": "pulls", "state": "all", "limit": 50, **asked})
    assert answer.status_code == 200
    return [row for row in answer.json() if row["repository"]["full_name"] == scene.repo]


def timeline(scene: Scene, number: str, **asked: str | int) -> list[dict[str, Any]]:
    answer = scene.http.get(scene.path(f"issues/{number}/timeline"), params={"page": 1, "limit": 50, **asked})
    assert answer.status_code == 200
    return answer.json() or []


def later(stamp: str, seconds: int) -> str:
    moved = datetime.fromisoformat(stamp) + timedelta(seconds=seconds)
    return moved.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.gitea
def test_a_real_server_is_asked_too() -> None:
    missing = no_real_gitea()
    if missing:
        pytest.skip(missing)


def test_it_tells_its_version_and_who_asks(scene: Scene) -> None:
    assert isinstance(scene.http.get("/version").json()["version"], str)
    me = scene.http.get("/user").json()
    assert me["login"] == scene.bot and isinstance(me["id"], int)


@pytest.mark.parametrize("path", ["/version", "/user", "/repos/issues/search?type=pulls"])
def test_a_bad_token_is_refused_on_every_route(scene: Scene, path: str) -> None:
    answer = scene.client("0" * 40).get(path)
    assert answer.status_code == 401 and "message" in answer.json()


def test_a_missing_scope_is_named(scene: Scene) -> None:
    narrow = scene.client(scene.ground.token(scene.bot, scopes="read:user,read:issue"))
    answer = narrow.get(scene.path("pulls"))
    assert answer.status_code == 403 and "read:repository" in answer.json()["message"]


def test_without_a_token_search_shows_public_rows_only_and_no_error(scene: Scene) -> None:
    scene.pull()
    hidden = scene.ground.repo(f"{scene.owner}/{fresh('hidden')}", private=True, collaborators={scene.ana: "write"})
    scene.ground.open_pull(hidden, by=scene.ana)
    answer = scene.client(None).get("/repos/issues/search?type=pulls&state=all&limit=50")
    names = {row["repository"]["full_name"] for row in answer.json()}
    assert answer.status_code == 200 and scene.repo in names and hidden not in names


def test_since_is_inclusive_and_cuts_fractions(scene: Scene) -> None:
    scene.pull()
    (row,) = rows_of(scene)
    stamp = row["updated_at"]
    assert [each["id"] for each in rows_of(scene, since=stamp)] == [row["id"]]
    assert [each["id"] for each in rows_of(scene, since=stamp.replace("Z", ".9Z"))] == [row["id"]]
    assert rows_of(scene, since=later(stamp, 1)) == []


def test_a_bad_since_is_refused_and_an_empty_one_is_none(scene: Scene) -> None:
    scene.pull()
    assert scene.http.get("/repos/issues/search?type=pulls&since=yesterday").status_code == 422
    assert len(rows_of(scene, since="")) == 1


def test_search_leaves_closed_pulls_out_unless_asked_for_all(scene: Scene) -> None:
    number = scene.pull()
    scene.as_ana().patch(scene.path(f"issues/{number}"), json={"state": "closed"}).raise_for_status()
    assert rows_of(scene)[0]["state"] == "closed"
    default = scene.http.get("/repos/issues/search", params={"type": "pulls", "limit": 50}).json()
    assert not [row for row in default if row["repository"]["full_name"] == scene.repo]


def test_search_is_paged_by_creation_and_the_total_tells_the_end(scene: Scene) -> None:
    numbers = [int(scene.pull()) for _ in range(3)]
    found: list[int] = []
    page, total = 1, 3
    while len(found) < total:
        asked: dict[str, str | int] = {"type": "pulls", "state": "all", "owner": scene.owner, "page": page, "limit": 2}
        answer = scene.http.get("/repos/issues/search", params=asked)
        total, page = int(answer.headers["X-Total-Count"]), page + 1
        found += [row["number"] for row in answer.json()]
    assert total == 3 and found == numbers[::-1]


def test_a_row_of_search_names_its_repository_and_no_head(scene: Scene) -> None:
    scene.pull()
    (row,) = rows_of(scene)
    assert isinstance(row["repository"]["id"], int)
    assert {"id", "number", "title", "body", "state", "updated_at", "created_at", "user", "labels"} <= set(row)
    assert row["pull_request"]["merged"] is False and "head" not in row and row["assignees"] is None


def test_a_new_pull_has_the_row_of_its_first_push(scene: Scene) -> None:
    number = scene.pull()
    (row,) = timeline(scene, number)
    pushed = json.loads(row["body"])
    head = scene.http.get(scene.path(f"pulls/{number}")).json()["head"]["sha"]
    assert (row["type"], pushed["is_force_push"], pushed["commit_ids"]) == ("pull_push", False, [head])


def test_a_push_shows_in_the_head_at_once_and_then_in_the_timeline(scene: Scene) -> None:
    number = scene.pull()
    sha = scene.ground.push(scene.repo, int(number), by=scene.ana)
    assert scene.http.get(scene.path(f"pulls/{number}")).json()["head"]["sha"] == sha
    rows = eventually(lambda: [row for row in timeline(scene, number) if row["type"] == "pull_push"][1:])
    assert json.loads(rows[0]["body"])["commit_ids"] == [sha] and rows[0]["user"]["login"] == scene.ana


def test_a_timeline_without_news_is_null(scene: Scene) -> None:
    number = scene.pull()
    newest = timeline(scene, number)[-1]["updated_at"]
    for asked in ({"since": later(newest, 60)}, {"page": 9, "limit": 50}):
        answer = scene.http.get(scene.path(f"issues/{number}/timeline"), params=asked)
        assert answer.status_code == 200 and answer.json() is None


def test_plain_comments_come_all_at_once_whatever_page_is_asked_for(scene: Scene) -> None:
    number = scene.pull()
    made = [
        scene.http.post(scene.path(f"issues/{number}/comments"), json={"body": f"{n}"}).json()["id"] for n in range(3)
    ]
    for asked in ({}, {"page": 1, "limit": 1}, {"page": 5, "limit": 1}):
        answer = scene.http.get(scene.path(f"issues/{number}/comments"), params=asked)
        assert [row["id"] for row in answer.json()] == made == sorted(made)


def test_an_edited_comment_moves_its_own_stamp_and_not_the_pulls(scene: Scene) -> None:
    number = scene.pull()
    comment = scene.http.post(scene.path(f"issues/{number}/comments"), json={"body": "first"}).json()
    (before,) = rows_of(scene)
    edited = scene.http.patch(scene.path(f"issues/comments/{comment['id']}"), json={"body": "second"})
    assert edited.status_code == 200
    (row,) = [row for row in timeline(scene, number) if row["id"] == comment["id"]]
    assert row["body"] == "second"
    assert rows_of(scene)[0]["updated_at"] == before["updated_at"]


@pytest.mark.parametrize("words", ["Looks good.", "Two\r\nlines, and a blank at the end \r\n", "```\n<x>\n```"])
def test_a_posted_comment_keeps_its_hidden_marker(scene: Scene, words: str) -> None:
    number = scene.pull()
    body = f"{words}\n\n{MARKER}"
    posted = scene.http.post(scene.path(f"issues/{number}/comments"), json={"body": body})
    assert posted.status_code == 201 and posted.json()["user"]["login"] == scene.bot
    (comment,) = scene.http.get(scene.path(f"issues/{number}/comments")).json()
    (row,) = [row for row in timeline(scene, number) if row["type"] == "comment"]
    assert posted.json()["body"] == comment["body"] == row["body"] == body
    assert posted.json()["id"] == comment["id"] == row["id"]


def test_an_empty_comment_is_refused(scene: Scene) -> None:
    assert scene.http.post(scene.path(f"issues/{scene.pull()}/comments"), json={"body": ""}).status_code == 422


def test_a_review_shows_in_the_timeline_and_its_remarks_do_not(scene: Scene) -> None:
    number = scene.pull()
    (changed, *_) = scene.http.get(scene.path(f"pulls/{number}/files")).json()
    remarks = [{"path": changed["filename"], "new_position": line, "body": f"line {line}"} for line in (3, 1, 2)]
    sent = {"event": "REQUEST_CHANGES", "body": "Not yet.", "comments": remarks}
    review = scene.http.post(scene.path(f"pulls/{number}/reviews"), json=sent)
    assert review.status_code == 200 and review.json()["state"] == "REQUEST_CHANGES"
    assert review.json()["comments_count"] == 3
    (row,) = [row for row in timeline(scene, number) if row["type"] == "review"]
    assert (row["review_id"], row["body"]) == (review.json()["id"], "Not yet.")
    assert not [row for row in timeline(scene, number) if row["type"] == "code"]
    inline = scene.http.get(scene.path(f"pulls/{number}/reviews/{review.json()['id']}/comments")).json()
    assert [each["position"] for each in sorted(inline, key=lambda each: each["id"])] == [3, 1, 2]
    assert all(each["pull_request_review_id"] == review.json()["id"] for each in inline)
    assert all(each["id"] < row["id"] for each in inline), "remarks of a review are older than its row"


def test_an_unknown_word_as_verdict_makes_a_pending_review_that_others_do_not_see(scene: Scene) -> None:
    number = scene.pull()
    made = scene.http.post(scene.path(f"pulls/{number}/reviews"), json={"event": "APPROVE", "body": "x"})
    assert (made.status_code, made.json()["state"]) == (200, "PENDING")
    assert scene.as_ana().get(scene.path(f"pulls/{number}/reviews")).json() in ([], None)
    assert scene.http.delete(scene.path(f"pulls/{number}/reviews/{made.json()['id']}")).status_code == 204


def test_what_is_not_there_is_404_but_a_timeline_is_500(scene: Scene) -> None:
    scene.pull()
    statuses = {
        rest: scene.http.get(scene.path(rest)).status_code for rest in ("issues/99", "pulls/99", "pulls/99/reviews")
    }
    assert set(statuses.values()) == {404}
    assert scene.http.get(scene.path("issues/99/timeline")).status_code in (404, 500)
    assert scene.http.get(f"/repos/{scene.owner}/{fresh('none')}").status_code == 404


def test_permissions_are_told_to_the_owner_and_refused_to_a_writer(scene: Scene) -> None:
    reader, admin, stranger = fresh("reader"), fresh("admin"), fresh("stranger")
    repo = scene.ground.repo(
        f"{scene.owner}/{fresh('rights')}", collaborators={scene.bot: "write", reader: "read", admin: "admin"}
    )
    scene.ground.token(stranger)
    asking = scene.client(scene.ground.token(scene.owner, scopes="all"))
    told = {
        login: asking.get(f"/repos/{repo}/collaborators/{login}/permission").json()["permission"]
        for login in (reader, scene.bot, admin, scene.owner, stranger)
    }
    assert told == {reader: "read", scene.bot: "write", admin: "admin", scene.owner: "owner", stranger: "read"}
    assert scene.http.get(f"/repos/{repo}/collaborators/{admin}/permission").status_code == 403
    assignable = {person["login"] for person in scene.http.get(f"/repos/{repo}/assignees").json()}
    assert assignable == {scene.bot, admin, scene.owner}


def test_an_old_name_redirects_with_its_query_for_every_method(scene: Scene) -> None:
    number, renamed = scene.pull(), fresh("renamed")
    scene.ground.rename(scene.repo, renamed)
    for method in ("GET", "POST"):
        answer = scene.http.request(method, scene.path(f"issues/{number}/comments?since=2020-01-01T00:00:00Z"))
        assert answer.status_code in (301, 307)
        assert answer.headers["Location"].startswith("/")
        assert f"/{renamed}/issues/{number}/comments?since=" in answer.headers["Location"]
    assert scene.http.get(f"/repos/{scene.owner}/{renamed}").json()["full_name"] == f"{scene.owner}/{renamed}"


def test_a_diff_is_plain_text(scene: Scene) -> None:
    answer = scene.http.get(scene.path(f"pulls/{scene.pull()}.diff"))
    assert answer.status_code == 200 and answer.text.startswith("diff --git ")
    assert answer.headers["Content-Type"].startswith("text/plain")
