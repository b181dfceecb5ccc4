"""Rows, stamps and counters that come, go, lag and lie as on real servers."""

from __future__ import annotations

import json

import pytest

from tests.demo.recorded import VERSIONS, asking
from tests.demo.stage import a_pull, stamps

OLD, STABLE, NEXT = VERSIONS


@pytest.mark.parametrize(("version", "left"), [(OLD, 3), (STABLE, 1), (NEXT, 1)])
def test_a_base_change_rewrites_the_pushes(version: str, left: int) -> None:
    pull = a_pull(version)
    pull.push(by="ana")
    pull.push(by="ben")
    pull.repo.branch("develop")
    head = pull.head_sha
    pull.edit(base="develop", by="cat")
    pushes = [row for row in pull.rows if row.type == "pull_push"]
    assert len(pushes) == left
    assert pull.head_sha == head
    assert json.loads(pushes[-1].body)["commit_ids"][-1] == head


@pytest.mark.parametrize(("version", "flags"), [(STABLE, [False, False, True]), (NEXT, [False, True])])
def test_a_force_push_deletes_older_rows_from_1_26_on(version: str, flags: list[bool]) -> None:
    pull = a_pull(version)
    pull.push(by="ana")
    old = pull.head_sha
    new = pull.force_push(by="ana")
    bodies = [json.loads(row.body) for row in pull.rows if row.type == "pull_push"]
    assert [body["is_force_push"] for body in bodies] == flags
    assert bodies[-1]["commit_ids"] == [old, new]


@pytest.mark.parametrize(("version", "shown"), [(OLD, True), (STABLE, False), (NEXT, False)])
def test_a_push_without_own_commits_shows_in_the_head_alone(version: str, shown: bool) -> None:
    pull = a_pull(version)
    before = (pull.updated, len(pull.rows), pull.head_sha)
    pull.world.clock.advance(seconds=5)
    pull.push_without_own_commits(by="ana")
    assert pull.head_sha != before[2]
    assert (pull.updated > before[0], len(pull.rows) > before[1]) == (shown, shown)
    assert pull.world.webhooks[-1]["event_type"] == "pull_request_sync"


def test_a_deleted_label_takes_its_rows_along() -> None:
    pull = a_pull(labels=["bug", "ui"])
    updated = pull.updated
    pull.world.clock.advance(seconds=5)
    pull.repo.delete_label("bug")
    assert [row.label.name for row in pull.rows if row.label] == ["ui"]
    assert ([label.name for label in pull.labels], pull.updated) == (["ui"], updated)


def test_a_deleted_review_takes_others_replies_along() -> None:
    pull = a_pull()
    review = pull.review(by="ben", body="r", inline=[("app.txt", 5, "why?")])
    review.reply(review.comments[0], "because", by="ana")
    review.delete()
    assert stamps(pull) == ["pull_push"]


def test_a_late_review_has_an_old_id_and_date_and_a_new_row() -> None:
    pull = a_pull()
    pending = pull.start_review(by="ben", inline=[("app.txt", 5, "hm")])
    pull.world.clock.advance(seconds=60)
    later = pull.review(by="bot", body="quick")
    with asking(pull.world) as client:
        assert [one["id"] for one in client.get("/repos/acme/api/pulls/1/reviews").json()] == [later.id]
        assert client.get("/repos/acme/api/pulls/1/reviews").headers["X-Total-Count"] == "2"
        pending.submit(body="at last")
        rows = client.get("/repos/acme/api/pulls/1/reviews").json()
        timeline = client.get("/repos/acme/api/issues/1/timeline").json()
    assert [row["body"] for row in rows] == ["at last", "quick"]
    assert rows[0]["submitted_at"] == "2026-11-21T07:00:00Z"
    assert rows[0]["updated_at"] == "2026-11-21T07:01:00Z"
    assert [row["review_id"] for row in timeline[-2:]] == [later.id, pending.id]


def test_an_inline_reply_moves_the_stamp_and_shows_in_no_timeline() -> None:
    pull = a_pull()
    review = pull.review(by="ben", body="r", inline=[("app.txt", 5, "why?")])
    pull.world.clock.advance(seconds=60)
    review.reply(review.comments[0], "because", by="ana")
    with asking(pull.world) as client:
        assert client.get("/repos/acme/api/issues/1/timeline?since=2026-11-21T07:01:00Z").json() is None
        assert len(client.get("/repos/issues/search?type=pulls&since=2026-11-21T07:01:00Z").json()) == 1
        assert client.get("/repos/acme/api/pulls/1/reviews").json()[0]["comments_count"] == 2


def test_a_reference_from_where_the_bot_cannot_read_only_moves_the_stamp() -> None:
    pull = a_pull()
    secret = pull.world.repo("acme/secret", private=True)
    pull.world.clock.advance(seconds=60)
    pull.reference(by="acme", source=secret)
    with asking(pull.world) as client:
        assert client.get("/repos/acme/api/issues/1/timeline?since=2026-11-21T07:01:00Z").json() is None
        assert len(client.get("/repos/issues/search?type=pulls&since=2026-11-21T07:01:00Z").json()) == 1


def test_an_edited_review_body_shows_in_its_row_and_not_in_the_review() -> None:
    pull = a_pull()
    pull.review(by="ben", body="old").edit_body("new")
    with asking(pull.world) as client:
        assert client.get("/repos/acme/api/pulls/1/reviews").json()[0]["body"] == "old"
        assert client.get("/repos/acme/api/issues/1/timeline").json()[-1]["body"] == "new"


@pytest.mark.parametrize(("version", "asked"), [(OLD, []), (STABLE, ["ben"]), (NEXT, ["ben"])])
def test_requested_reviewers_lists_who_has_answered(version: str, asked: list[str]) -> None:
    pull = a_pull(version, reviewers=["ben"])
    pull.review(by="ben", body="done")
    with asking(pull.world) as client:
        shown = client.get("/repos/acme/api/pulls/1").json()["requested_reviewers"]
        assert [one["login"] for one in shown or []] == asked
        assert [one["state"] for one in client.get("/repos/acme/api/pulls/1/reviews").json()] == ["COMMENT"]


def test_a_verdict_with_remarks_does_not_answer_the_request() -> None:
    pull = a_pull(reviewers=["ben"])
    first = pull.review(by="ben", event="APPROVED")
    pull.request_review("ben", by="ana")
    pull.review(by="ben", event="REQUEST_CHANGES", body="no", inline=[("app.txt", 5, "this")])
    assert not first.dismissed
    assert [one.state for one in pull.reviews] == ["APPROVED", "REQUEST_REVIEW", "REQUEST_CHANGES"]


def test_the_comment_counter_lags_behind_reviews() -> None:
    pull = a_pull()
    counted = []
    for number in range(3):
        pull.review(by="ben", body=f"r{number}")
        counted.append(pull.counter)
    pull.comment("c", by="ana")
    assert [*counted, pull.counter] == [0, 0, 0, 4]


def test_the_row_of_a_push_comes_after_its_head() -> None:
    pull = a_pull()
    pull.world.push_lag = 2
    head = pull.push(by="ana")
    with asking(pull.world) as client:
        assert client.get("/repos/acme/api/pulls/1").json()["head"]["sha"] == head
        assert len(client.get("/repos/acme/api/issues/1/timeline").json()) == 1
        pull.world.clock.advance(seconds=2)
        assert len(client.get("/repos/acme/api/issues/1/timeline").json()) == 2


def test_a_push_that_is_overtaken_by_the_close_has_no_row() -> None:
    pull = a_pull()
    pull.world.push_lag = 2
    pull.push(by="ana")
    pull.close(by="ana")
    pull.world.clock.advance(seconds=2)
    pull.comment("late", by="ana")
    assert stamps(pull) == ["pull_push", "close", "comment"]


def test_the_head_moves_on_after_the_close_and_the_list_stays() -> None:
    pull = a_pull()
    kept = pull.head_sha
    pull.close(by="ana")
    moved = pull.push(by="ana")
    with asking(pull.world) as client:
        assert client.get("/repos/acme/api/pulls/1").json()["head"]["sha"] == moved
        assert client.get("/repos/acme/api/pulls?state=all").json()[0]["head"]["sha"] == kept
        assert client.get("/repos/acme/api/git/refs/pull").json()[0]["object"]["sha"] == kept


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pull_by_a_push_to_refs_for_has_a_head_without_a_branch(version: str) -> None:
    pull = a_pull(version, agit=True)
    branches = dict(pull.repo.branches)
    pushed = pull.push(by="ana")
    assert pull.repo.branches == branches
    with asking(pull.world) as client:
        detail = client.get("/repos/acme/api/pulls/1").json()
    head, base = detail["head"], detail["base"]
    assert (head["label"], head["ref"], head["sha"]) == ("", "refs/pull/1/head", pushed)
    assert head["repo_id"] == base["repo_id"] and head["repo"] == base["repo"]
    assert stamps(pull) == ["pull_push", "pull_push"]


def test_an_opening_with_extras_tells_of_each() -> None:
    pull = a_pull(labels=["bug", "ui"], milestone="v1", assignees=["ben", "bot"], reviewers=["ben"])
    told = [(one["event_type"].removeprefix("pull_request"), one["action"]) for one in pull.world.webhooks]
    assert told == [
        ("_review_request", "review_requested"),
        ("", "opened"),
        ("_label", "label_updated"),
        ("_milestone", "milestoned"),
        ("_assign", "assigned"),
        ("_assign", "assigned"),
    ]
    assert stamps(pull) == ["milestone", "label", "label", "assignees", "assignees", "pull_push", "review_request"]


def test_a_backdated_change_is_before_every_cursor() -> None:
    pull = a_pull()
    pull.close(by="ana")
    pull.backdate("2026-11-20T00:00:00Z")
    with asking(pull.world) as client:
        assert client.get("/repos/issues/search?type=pulls&state=all&since=2026-11-21T00:00:00Z").json() == []
