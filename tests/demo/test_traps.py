"""What a client of a real Gitea stumbles over in pages, filters and orders, it stumbles over here."""

from __future__ import annotations

import pytest

from tests.demo.recorded import VERSIONS, asking
from tests.demo.stage import a_pull, a_world

OLD, STABLE, NEXT = VERSIONS


def test_search_shows_open_pulls_only_unless_asked() -> None:
    pull = a_pull()
    pull.close(by="ana")
    with asking(pull.world) as client:
        assert client.get("/repos/issues/search?type=pulls").json() == []
        assert len(client.get("/repos/issues/search?type=pulls&state=all").json()) == 1
        assert len(client.get("/repos/issues/search?type=pulls&state=bogus").json()) == 1


@pytest.mark.parametrize(("version", "default", "most"), [(OLD, 20, 50), (STABLE, 20, 50), (NEXT, 30, 60)])
def test_search_cuts_its_answer(version: str, default: int, most: int) -> None:
    world = a_world(version)
    for _ in range(60):
        world.repo("pub/tool").open_pull(by="ana")
    with asking(world) as client:
        first = client.get("/repos/issues/search?type=pulls")
        assert len(first.json()) == default
        assert first.headers["X-Total-Count"] == "60"
        assert len(client.get("/repos/issues/search?type=pulls&limit=100").json()) == most
        assert len(client.get("/repos/issues/search?type=pulls&limit=-1").json()) == 60
        assert client.get("/repos/issues/search?type=pulls&page=9").json() == []
        numbers = [row["number"] for row in first.json()]
        assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize(("version", "shown"), [(OLD, 41), (STABLE, 41), (NEXT, 30)])
def test_a_timeline_without_a_page_is_whole_only_before_1_26(version: str, shown: int) -> None:
    pull = a_pull(version)
    for number in range(40):
        pull.comment(f"c{number}", by="ana")
    with asking(pull.world) as client:
        timeline = client.get("/repos/acme/api/issues/1/timeline")
        assert len(timeline.json()) == shown
        assert timeline.headers["X-Total-Count"] == str(shown)
        assert len(client.get("/repos/acme/api/issues/1/comments?page=2&limit=10").json()) == 40
        assert len(client.get("/repos/acme/api/issues/comments").json()) == min(shown, 40)
        assert client.get("/repos/acme/api/issues/comments").headers["X-Total-Count"] == "40"
        assert client.get("/repos/acme/api/issues/1/timeline?page=9").json() is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_page_of_hidden_rows_is_null_and_not_the_end(version: str) -> None:
    pull = a_pull(version)
    for number in range(9):
        pull.comment(f"c{number}", by="ana")
    pull.review(by="ben", body="big", inline=[("app.txt", 5, str(number)) for number in range(110)])
    pull.comment("the last one", by="ana")
    with asking(pull.world) as client:
        pages = [client.get(f"/repos/acme/api/issues/1/timeline?page={page}&limit=50") for page in (1, 2, 3, 4)]
    assert [page.json() and len(page.json()) for page in pages] == [10, None, 2, None]
    assert [page.headers["X-Total-Count"] for page in pages] == ["10", "0", "2", "0"]


def test_since_is_inclusive_and_an_empty_one_is_no_filter() -> None:
    pull = a_pull()
    with asking(pull.world) as client:

        def found(query: str) -> int:
            return len(client.get(f"/repos/issues/search?type=pulls&{query}").json())

        assert found("since=2026-11-21T07:00:00Z") == 1
        assert found("since=2026-11-21T07:00:00.9Z") == 1
        assert found("since=2026-11-21T09:00:00%2B02:00") == 1
        assert found("since=2026-11-21T07:00:01Z") == 0
        assert found("since=") == 1
        assert found("before=2026-11-21T07:00:00Z") == 1
        assert found("before=2026-11-21T06:59:59Z") == 0
        assert client.get("/repos/issues/search?since=2026-11-21T09:00:00+02:00").status_code == 422


def test_inline_comments_come_in_another_order_from_read_to_read() -> None:
    pull = a_pull()
    review = pull.review(by="ben", body="r", inline=[("app.txt", 1 + number, str(number)) for number in range(12)])
    with asking(pull.world) as client:
        orders = {
            tuple(row["id"] for row in client.get(f"/repos/acme/api/pulls/1/reviews/{review.id}/comments").json())
            for _ in range(8)
        }
    assert len(orders) > 1
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_a_second_change_in_the_same_second_leaves_the_row_as_it_was() -> None:
    pull = a_pull()
    pull.close(by="ana")
    pull.reopen(by="ana")
    with asking(pull.world) as client:
        before = client.get("/repos/issues/search?type=pulls").content
        pull.assign("ben", by="ana")
        pull.unassign("ben", by="ana")
        assert client.get("/repos/issues/search?type=pulls").content == before
