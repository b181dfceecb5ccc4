"""What writing to the world answers, and what it leaves behind."""

from __future__ import annotations

import httpx
import pytest

from poller.demo.pulls import Pull
from poller.demo.world import World
from tests.demo.recorded import VERSIONS, asking

GOOD = {"path": "app.txt", "body": "good", "new_position": 5}
BAD = {"path": "app.txt", "body": "bad", "new_position": 4000}


def a_pull(version: str = "1.25.4") -> Pull:
    people = {"ana": "write", "bot": "write"}
    return World(version=version).repo("acme/api", private=True, collaborators=people).open_pull(by="ana")


def post_review(client: httpx.Client, event: str, *comments: dict[str, object], **more: object) -> httpx.Response:
    sent = {"event": event, "body": "b", "comments": list(comments)} | more
    return client.post("/repos/acme/api/pulls/1/reviews", json=sent)


@pytest.mark.parametrize("version", VERSIONS)
def test_githubs_approve_makes_a_pending_review(version: str) -> None:
    pull = a_pull(version)
    with asking(pull.world) as client:
        assert post_review(client, "APPROVE").json()["state"] == "PENDING"
        assert post_review(client, "APPROVE").json()["id"] == pull.reviews[0].id
        assert client.delete(f"/repos/acme/api/pulls/1/reviews/{pull.reviews[0].id}").status_code == 204
    assert pull.reviews == []


def test_retries_of_a_review_that_failed_half_way_double_its_remarks() -> None:
    pull = a_pull("1.26-dev")
    with asking(pull.world) as client:
        assert [post_review(client, "COMMENT", GOOD, BAD).status_code for _ in range(2)] == [500, 500]
        assert [review.state for review in pull.reviews] == ["PENDING"]
        assert post_review(client, "COMMENT", GOOD).json()["comments_count"] == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_commit_blocks_every_later_review_with_remarks(version: str) -> None:
    pull = a_pull(version)
    with asking(pull.world) as client:
        assert post_review(client, "COMMENT", GOOD, commit_id="f" * 40).status_code == 500
        assert post_review(client, "COMMENT", GOOD).status_code == 500
        assert client.delete(f"/repos/acme/api/pulls/1/reviews/{pull.reviews[0].id}").status_code == 204
        assert post_review(client, "COMMENT", GOOD).status_code == 200


def test_a_comment_by_http_is_a_comment_of_the_world() -> None:
    pull = a_pull()
    with asking(pull.world) as client:
        made = client.post("/repos/acme/api/issues/1/comments", json={"body": "<!-- x -->\r\nhé"}).json()
    assert [(row.id, row.body, row.user.login) for row in pull.comments] == [(made["id"], "<!-- x -->\r\nhé", "bot")]


def test_reactions_and_statuses_move_nothing() -> None:
    pull = a_pull()
    updated, rows = pull.updated, len(pull.rows)
    with asking(pull.world) as client:
        path = "/repos/acme/api/issues/1/reactions"
        codes = [client.post(path, json={"content": content}).status_code for content in ("eyes", "eyes", "nonsense")]
        assert codes == [201, 200, 403]
        made = client.post(f"/repos/acme/api/statuses/{pull.head_sha}", json={"state": "purple", "context": "bottle"})
        assert made.status_code == 201
        shown = client.get(f"/repos/acme/api/commits/{pull.head_ref}/status").json()
        assert [one["status"] for one in shown["statuses"]] == ["purple"]
    assert (pull.updated, len(pull.rows)) == (updated, rows)


def test_a_patch_answers_201_and_reopening_by_it_leaves_the_ref() -> None:
    pull = a_pull()
    kept = pull.head_sha
    with asking(pull.world) as client:
        assert client.patch("/repos/acme/api/pulls/1", json={"state": "closed", "title": "New"}).status_code == 201
        moved = pull.push(by="ana")
        assert client.patch("/repos/acme/api/issues/1", json={"state": "open"}).status_code == 201
        assert (pull.ref_sha, pull.head_sha) == (kept, moved)
    assert [row.type for row in pull.rows] == ["pull_push", "change_title", "close", "reopen"]


def test_a_pull_is_opened_and_merged_by_http() -> None:
    pull = a_pull()
    pull.repo.branch("topic")
    pull.repo.push(by="bot", branch="topic")
    with asking(pull.world) as client:
        sent = {"title": "T", "head": "topic", "base": "main", "body": "b"}
        made = client.post("/repos/acme/api/pulls", json=sent)
        assert (made.status_code, made.json()["number"]) == (201, 2)
        assert client.post("/repos/acme/api/pulls", json=sent).status_code == 409
        assert client.post("/repos/acme/api/pulls/2/merge", json={"Do": "squash"}).status_code == 200
        assert client.get("/repos/acme/api/pulls/2").json()["merged"] is True


def test_the_diff_is_one_that_git_would_write() -> None:
    pull = a_pull()
    pull.push(by="ana", files={"new.py": "print('hi')\n", "README.md": "# Another\n"})
    with asking(pull.world) as client:
        text = client.get("/repos/acme/api/pulls/1.diff").text
    assert "diff --git a/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n" in text
    assert "-# A project" in text


def test_a_reply_goes_into_the_thread_of_a_remark_that_its_author_may_see() -> None:
    pull = a_pull("1.27-dev")
    plain = pull.comment("hello", by="ana")
    (remark,) = pull.review(by="ana", inline=[("README.md", -1, "why?")]).comments
    hidden = pull.start_review(by="ana").add_inline("README.md", 1, "not yet")
    other = pull.repo.open_pull(by="ana")

    def replied(number: int, row: int, body: str = "so") -> httpx.Response:
        return client.post(f"/repos/acme/api/pulls/{number}/comments/{row}/replies", json={"body": body})

    with asking(pull.world) as client:
        made = replied(1, remark.id)
        assert made.status_code == 201
        told = made.json()
        assert (told["pull_request_review_id"], told["original_position"]) == (remark.review and remark.review.id, 1)
        refused = [
            replied(1, plain.id),
            replied(1, remark.id, ""),
            replied(1, hidden.id),
            replied(other.number, remark.id),
        ]
        assert [one.status_code for one in refused] == [400, 422, 404, 404]
        assert [one.json()["message"] != "" for one in refused] == [True] * 4, (
            "unlike what a route says that is lacking"
        )


def test_forgejo_takes_remarks_into_anybodys_review() -> None:
    pull = a_pull("forgejo-11")
    review = pull.review(by="ana", inline=[("README.md", -1, "why?")])
    with asking(pull.world) as client:
        there = f"/repos/acme/api/pulls/1/reviews/{review.id}/comments"
        made = client.post(there, json={"path": "README.md", "old_position": 1, "new_position": 0, "body": "so"})
        assert made.status_code == 200
        assert [one["body"] for one in sorted(client.get(there).json(), key=lambda one: one["id"])] == ["why?", "so"]


@pytest.mark.parametrize("version", VERSIONS)
def test_older_ones_can_do_neither(version: str) -> None:
    pull = a_pull(version)
    review = pull.review(by="ana", inline=[("README.md", 1, "why?")])
    with asking(pull.world) as client:
        sent = {"path": "README.md", "new_position": 1, "body": "so"}
        there = [f"comments/{review.comments[0].id}/replies", f"reviews/{review.id}/comments"]
        answers = [client.post(f"/repos/acme/api/pulls/1/{one}", json=sent) for one in there]
    assert [(one.status_code, "json" in one.headers["Content-Type"]) for one in answers] == [(404, False), (405, False)]
