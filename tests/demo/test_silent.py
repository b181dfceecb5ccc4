"""What no webhook tells is told by the world's other log, and shows where a real server shows it."""

from __future__ import annotations

from typing import Any

import pytest

from poller.demo.pulls import Pull
from poller.demo.world import World
from tests.demo.recorded import VERSIONS, asking
from tests.demo.stage import WRITERS, a_pull, a_world, stamps

OLD, STABLE, NEXT = VERSIONS
FORGEJO = "forgejo-11"


def told(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    return [(one["event_type"], one["action"], one["about"]) for one in world.silent]


def later(pull: Pull) -> tuple[int, int]:
    """Half a minute goes by; the pull's stamp and how many rows it has."""
    pull.world.clock.advance(seconds=30)
    return pull.updated, len(pull.rows)


def test_dismissals_and_their_end_have_no_webhook() -> None:
    pull = a_pull()
    review = pull.review(by="ben", event="APPROVED")
    webhooks = len(pull.world.webhooks)
    review.dismiss(by="rex")
    review.undismiss(by="rex")
    review.undismiss(by="rex")
    review.delete()
    names = [(name, action) for name, action, _ in told(pull.world)]
    assert names == [("pull_request_review_dismissal", action) for action in ("dismissed", "undismissed", "deleted")]
    assert len(pull.world.webhooks) == webhooks


def test_a_pending_review_that_is_deleted_was_never_there() -> None:
    pull = a_pull()
    pull.start_review(by="ben", inline=[("app.txt", 5, "hm")]).delete()
    assert told(pull.world) == []


def test_a_thread_is_resolved_once_however_often_that_is_said() -> None:
    pull = a_pull()
    remark = pull.review(by="ben", inline=[("app.txt", 5, "why?")]).comments[0]
    before = later(pull)
    remark.resolve(by="ana")
    remark.resolve(by="ben")
    with asking(pull.world) as client:
        (shown,) = client.get(f"/repos/acme/api/pulls/1/reviews/{pull.reviews[0].id}/comments").json()
    assert shown["resolver"]["login"] == "ana"
    remark.unresolve(by="ben")
    remark.unresolve(by="ben")
    assert [action for _, action, _ in told(pull.world)] == ["resolved", "unresolved"]
    assert (pull.updated, len(pull.rows)) == before


def test_what_a_pull_loses_with_an_object_or_a_right_has_no_stamp_no_row_and_no_webhook() -> None:
    pull = a_pull(labels=["bug"], milestone="v1", assignees=["ben"])
    before, webhooks = later(pull), len(pull.world.webhooks)
    pull.repo.collaborator("ben", None)
    pull.repo.delete_milestone("v1")
    assert (pull.updated, len(pull.rows)) == before
    pull.repo.delete_label("bug")
    assert pull.updated == before[0]
    assert [(name, action) for name, action, _ in told(pull.world)] == [
        ("pull_request_assign", "unassigned"),
        ("pull_request_milestone", "demilestoned"),
        ("pull_request_label", "label_updated"),
    ]
    assert len(pull.world.webhooks) == webhooks


def test_the_row_of_a_milestone_that_is_deleted_shows_none() -> None:
    pull = a_pull(milestone="v1")
    pull.repo.delete_milestone("v1")
    with asking(pull.world) as client:
        (row,) = [one for one in client.get("/repos/acme/api/issues/1/timeline").json() if one["type"] == "milestone"]
    assert (row["milestone"], row["old_milestone"]) == (None, None)


def test_a_renamed_label_shows_its_new_name_in_old_rows() -> None:
    pull = a_pull(labels=["bug"])
    before = later(pull)
    pull.repo.rename_label("bug", "defect")
    with asking(pull.world) as client:
        rows = client.get("/repos/acme/api/issues/1/timeline").json()
        shown = client.get("/repos/acme/api/issues/1").json()["labels"]
    assert [one["label"]["name"] for one in rows if one["label"]] == [one["name"] for one in shown] == ["defect"]
    assert ((pull.updated, len(pull.rows)), told(pull.world)) == (before, [])


@pytest.mark.parametrize(("version", "moved"), [(OLD, True), (STABLE, False), (NEXT, False), (FORGEJO, True)])
def test_the_same_text_again_is_a_new_stamp_in_old_versions_only(version: str, moved: bool) -> None:
    pull = a_pull(version)
    comment = pull.comment("same", by="ana")
    webhooks = len(pull.world.webhooks)
    pull.world.clock.advance(seconds=30)
    comment.edit("same")
    assert (comment.updated > comment.created, len(pull.world.webhooks)) == (moved, webhooks)


def test_a_file_attached_to_a_comment_moves_its_stamp_and_to_a_pull_the_pulls() -> None:
    pull = a_pull()
    comment = pull.comment("see", by="ana")
    before = later(pull)
    pull.attach("a.png", to=comment)
    assert ((pull.updated, len(pull.rows)), comment.updated) == (before, comment.created + 30)
    pull.attach("b.png")
    with asking(pull.world) as client:
        assert [one["name"] for one in client.get("/repos/acme/api/issues/1/comments").json()[0]["assets"]] == ["a.png"]
        assert [one["name"] for one in client.get("/repos/acme/api/issues/1").json()["assets"]] == ["b.png"]
    assert (pull.updated, len(pull.rows)) == (comment.updated, before[1])


def test_pins_and_deadlines_are_rows_and_stamps() -> None:
    pull = a_pull()
    pull.pin(by="ana")
    pull.pin(by="ana")
    pull.deadline(pull.world.now() + 86_400, by="ana")
    pull.deadline(None, by="ana")
    assert stamps(pull)[1:] == ["pin", "unpin", "added_deadline", "removed_deadline"]
    assert len(pull.world.webhooks) == 1


@pytest.mark.parametrize(("version", "kept"), [(OLD, True), (STABLE, False), (NEXT, False), (FORGEJO, True)])
def test_the_row_of_a_review_can_go_without_its_review(version: str, kept: bool) -> None:
    pull = a_pull(version)
    review = pull.review(by="ben", body="look")
    assert review.row is not None
    with asking(pull.world) as client:
        assert client.delete(f"/repos/acme/api/issues/comments/{review.row.id}").status_code == 204
        assert [one["body"] for one in client.get("/repos/acme/api/pulls/1/reviews").json()] == ["look"]
        assert client.get(f"/repos/acme/api/pulls/1/reviews/{review.id}").status_code == 200
    assert ("review" in stamps(pull)) is kept


def test_a_repository_that_moves_or_goes_is_told_once_each() -> None:
    world = a_world()
    pull = world.repo("cleo/tools", collaborators=WRITERS).open_pull(by="ana")
    pull.repo.rename("kit")
    world.rename_user("cleo", "clea")
    with asking(world) as client:
        for name in ("cleo/tools", "cleo/kit"):
            answer = client.get(f"/repos/{name}/pulls/1")
            assert (answer.status_code, answer.headers["Location"]) == (301, "/api/v1/repos/clea/kit/pulls/1")
        pull.repo.delete()
        assert client.get("/repos/cleo/tools").status_code == 404
        assert client.get(f"/repositories/{pull.repo.id}").status_code == 404
    assert [(action, about["from"], about.get("to")) for _, action, about in told(world)] == [
        ("renamed", "cleo/tools", "cleo/kit"),
        ("renamed", "cleo/kit", "clea/kit"),
        ("gone", "clea/kit", None),
    ]
    assert {one["number"] for one in world.silent} == {None}


@pytest.mark.parametrize(("version", "silent"), [(OLD, True), (STABLE, False), (NEXT, False), (FORGEJO, True)])
def test_a_deleted_pull_has_a_webhook_from_1_25_on(version: str, silent: bool) -> None:
    pull = a_pull(version)
    pull.delete(by="root1")
    assert [action for _, action, _ in told(pull.world)] == ["deleted"] * silent
    assert [one["action"] for one in pull.world.webhooks] == ["opened"] + ["deleted"] * (not silent)


def test_an_imported_pull_has_its_old_times_and_no_webhook() -> None:
    world = a_world()
    pull = world.repo("acme/api", collaborators=WRITERS).import_pull(by="ana", made="2026-11-01T00:00:00Z")
    assert (world.webhooks, [one["action"] for one in world.silent]) == ([], ["opened"])
    with asking(world) as client:
        assert client.get("/repos/issues/search?type=pulls&since=2026-11-02T00:00:00Z").json() == []
        (row,) = client.get("/repos/acme/api/issues/1/timeline").json()
    assert row["created_at"] == "2026-11-01T00:00:00Z"
    assert pull.created == pull.updated < world.now()


@pytest.mark.parametrize(("version", "heeded"), [(STABLE, False), (FORGEJO, True)])
def test_an_admin_may_say_when_an_edit_was_where_that_is_allowed(version: str, heeded: bool) -> None:
    pull = a_pull(version)
    pull.repo.collaborator("rex", "admin")
    sent = {"title": "Backdated", "updated_at": "2026-11-01T00:00:00Z"}
    with asking(pull.world, "ana") as writer, asking(pull.world, "rex") as admin:
        assert writer.patch("/repos/acme/api/pulls/1", json=sent).status_code == 201
        assert writer.get("/repos/acme/api/issues/1").json()["updated_at"] == "2026-11-21T07:00:00Z"
        assert admin.patch("/repos/acme/api/pulls/1", json=sent | {"title": "Again"}).status_code == 201
        shown = admin.get("/repos/acme/api/issues/1").json()
    assert (shown["title"], shown["updated_at"] == sent["updated_at"]) == ("Again", heeded)


def test_both_logs_count_on_in_the_order_of_happening() -> None:
    pull = a_pull()
    review = pull.review(by="ben", event="APPROVED")
    review.dismiss(by="rex")
    pull.comment("why?", by="ben")
    order = [one["action"] for one in sorted([*pull.world.webhooks, *pull.world.silent], key=lambda one: one["nth"])]
    assert order == ["opened", "reviewed", "dismissed", "created"]


def test_pages_are_as_long_as_the_server_is_set_to() -> None:
    pull = a_pull()
    pull.world.max_items = 2
    for number in range(3):
        pull.repo.open_pull(by="ana", title=f"another {number}")
    with asking(pull.world) as client:
        assert client.get("/settings/api").json()["max_response_items"] == 2
        assert len(client.get("/repos/issues/search?type=pulls&limit=50").json()) == 2
        assert [len(client.get(f"/repos/acme/api/pulls?page={page}").json()) for page in (1, 2, 3)] == [2, 2, 0]


def test_the_refs_of_pulls_come_at_once_and_a_repository_without_pulls_has_no_answer() -> None:
    pull = a_pull()
    pull.world.repo("acme/empty", collaborators=WRITERS).open_issue(by="ana")
    for number in range(60):
        pull.repo.open_pull(by="ana", title=f"another {number}")
    with asking(pull.world) as client:
        refs = client.get("/repos/acme/api/git/refs/pull?limit=5&page=2").json()
        assert len(refs) == 61
        assert refs[0]["ref"] == "refs/pull/1/head"
        assert client.get("/repos/acme/empty/git/refs/pull").status_code == 404


@pytest.mark.parametrize(("version", "rows"), [(OLD, 40), (STABLE, 40), (NEXT, 30), (FORGEJO, 40)])
def test_a_repositorys_comments_are_paged_from_1_26_on(version: str, rows: int) -> None:
    pull = a_pull(version)
    for number in range(40):
        pull.comment(f"c{number}", by="ana")
    issue = pull.repo.open_issue(by="ana")
    pull.world.clock.advance(seconds=30)
    issue.comment("elsewhere", by="ana")
    pull.comments[0].edit("edited")
    with asking(pull.world) as client:
        plain = client.get("/repos/acme/api/issues/comments?before=2026-11-21T07:00:00Z")
        assert (len(plain.json()), plain.headers["X-Total-Count"]) == (min(rows, 39), "39")
        found = client.get("/repos/acme/api/issues/comments?since=2026-11-21T07:00:30Z&page=1&limit=50").json()
    links = [(one["body"], bool(one["pull_request_url"]), bool(one["issue_url"])) for one in found]
    assert links == [("edited", True, False), ("elsewhere", False, True)]


def test_a_row_is_probed_by_its_id() -> None:
    pull = a_pull()
    comment = pull.comment("c", by="ana")
    review = pull.review(by="ben", body="r", inline=[("app.txt", 5, "i")])
    assert review.row is not None
    ids = [comment.id, review.row.id, review.comments[0].id, 999]
    with asking(pull.world) as client:
        codes = [client.get(f"/repos/acme/api/issues/comments/{one}").status_code for one in ids]
        assert codes == [200, 204, 204, 404]
        comment.delete()
        review.delete()
        codes = [client.get(f"/repos/acme/api/issues/comments/{one}").status_code for one in ids]
        assert codes == [404, 404, 404, 404]
        assert client.get(f"/repos/acme/api/pulls/1/reviews/{review.id}").status_code == 404


@pytest.mark.parametrize(
    ("lie", "said", "total"), [("empty", [], "0"), ("null", None, "2"), ("short", ["Add five"], "2")]
)
def test_an_answer_can_hold_less_than_there_is(lie: str, said: list[str] | None, total: str) -> None:
    pull = a_pull()
    pull.repo.open_pull(by="ana")
    pull.world.fault("GET /repos/issues/search", lie=lie)
    with asking(pull.world) as client:
        answer = client.get("/repos/issues/search?type=pulls")
        shown = answer.json() and [one["title"] for one in answer.json()]
        assert (answer.status_code, shown, answer.headers["X-Total-Count"]) == (200, [] if said == [] else said, total)
        assert len(client.get("/repos/issues/search?type=pulls").json()) == 2


def test_a_forgejo_shows_pushes_without_commits_and_the_live_head_in_its_list() -> None:
    pull = a_pull(FORGEJO)
    pull.push_without_own_commits(by="ana")
    pull.close(by="ana")
    moved = pull.push(by="ana")
    assert stamps(pull) == ["pull_push", "pull_push", "close"]
    with asking(pull.world) as client:
        assert client.get("/version").json() == {"version": "11.0.1+gitea-1.22.0"}
        assert client.get("/repos/acme/api/pulls?state=all").json()[0]["head"]["sha"] == moved
        assert client.get("/repos/acme/api/git/refs/pull").json()[0]["object"]["sha"] != moved
