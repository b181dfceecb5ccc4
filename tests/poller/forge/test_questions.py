"""Lists are read to their end, on every version and whatever their pages look like."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from poller.demo.world import World
from poller.forge import errors
from poller.forge.client import Client
from poller.forge.questions import Questions

VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]


@contextmanager
def asking(world: World, **options: int) -> Iterator[Questions]:
    token = world.token("bot", scopes="all")
    with world.serve() as server, Client(server.url, token) as client:
        yield Questions(client, **options)


def new_world(version: str = "1.25.4") -> World:
    world = World(version=version)
    world.org("acme")
    world.repo("acme/api", private=True, collaborators={"bot": "write", "ana": "write", "ben": "write"})
    return world


@pytest.mark.parametrize("version", VERSIONS)
def test_a_search_goes_over_all_its_pages(version: str) -> None:
    world = new_world(version)
    for _ in range(123):
        world.repo("acme/api").open_pull(by="ana")
    with asking(world) as questions:
        assert len(questions.search().rows) == 123


def test_a_server_that_gives_fewer_rows_than_asked_for_is_read_to_the_end() -> None:
    world = new_world()
    for _ in range(23):
        world.repo("acme/api").open_pull(by="ana")
    with asking(world, page=5) as questions:
        assert len(questions.search().rows) == 23


def test_since_is_inclusive_and_closed_pulls_are_found_too() -> None:
    world = new_world()
    world.clock.set("2026-11-21T07:00:00Z")
    pull = world.repo("acme/api").open_pull(by="ana")
    pull.close(by="ana")
    with asking(world) as questions:
        assert len(questions.search(since="2026-11-21T07:00:00Z").rows) == 1
        assert len(questions.search(since="2026-11-21T07:00:01Z").rows) == 0


def test_a_list_whose_total_falls_while_it_is_read_is_read_again() -> None:
    world = new_world()
    pulls = [world.repo("acme/api").open_pull(by="ana") for _ in range(60)]
    with asking(world) as questions:
        pages = 0

        def progress(done: int, total: int) -> None:
            nonlocal pages
            pages += 1
            if pages == 1:
                pulls[30].delete(by="ana")

        assert len(questions.search(progress=progress).rows) == 59
        assert pages == 3  # the first of the list that moved, and both of the one that did not


def test_a_list_that_never_holds_still_is_an_error_and_not_a_part() -> None:
    world = new_world()
    pulls = [world.repo("acme/api").open_pull(by="ana") for _ in range(70)]
    with asking(world) as questions, pytest.raises(errors.ServerTrouble, match="faster"):
        questions.search(progress=lambda done, total: pulls.pop().delete(by="ana"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("inline", [0, 3, 110])
def test_rows_behind_pages_of_hidden_ones_are_found(version: str, inline: int) -> None:
    world = new_world(version)
    pull = world.repo("acme/api").open_pull(by="ana")
    for number in range(9):
        pull.comment(f"before {number}", by="ana")
    if inline:
        pull.review(by="ben", event="COMMENT", body="", inline=[("app.txt", 5, "why?")] * inline)
    pull.comment("after", by="ana")
    with asking(world) as questions:
        reading = questions.timeline("acme/api", 1, since=None, hidden=0)
        reviews = questions.reviews("acme/api", 1)
        reading.read_on(sum(review.comments_count for review in reviews))
    assert [step.body for step in reading.steps if step.kind == "comment"][-1] == "after"
    assert len(reading.steps) == 1 + 9 + (1 if inline else 0) + 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_timeline_of_many_rows_is_whole(version: str) -> None:
    world = new_world(version)
    pull = world.repo("acme/api").open_pull(by="ana")
    for number in range(130):
        pull.comment(f"{number}", by="ana")
    with asking(world) as questions:
        assert len(questions.timeline("acme/api", 1, since=None, hidden=0).steps) == 131


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_since_then_is_null_and_no_error(version: str) -> None:
    world = new_world(version)
    world.repo("acme/api").open_pull(by="ana")
    with asking(world) as questions:
        assert questions.timeline("acme/api", 1, since="2099-01-01T00:00:00Z", hidden=0).steps == ()


@pytest.mark.parametrize(("version", "paged"), [("1.22.6", False), ("1.25.4", False), ("1.26-dev", True)])
def test_whether_a_server_pages_is_tried_not_read_off_its_version(version: str, paged: bool) -> None:
    world = new_world(version)
    pull = world.repo("acme/api").open_pull(by="ana")
    pull.comment("two rows", by="ana")
    with asking(world) as questions:
        assert questions.is_paged("acme/api", 1) is paged


@pytest.mark.parametrize("version", VERSIONS)
def test_reviews_are_read_over_their_pages_though_the_total_counts_pending_ones(version: str) -> None:
    world = new_world(version)
    pull = world.repo("acme/api").open_pull(by="ana")
    for _ in range(70):
        pull.review(by="ben", event="COMMENT", body="again")
    pull.start_review(by="ben", inline=[("app.txt", 5, "thinking")])
    with asking(world) as questions:
        assert len(questions.reviews("acme/api", 1)) == 70


def test_inline_comments_come_in_the_order_of_their_ids() -> None:
    world = new_world()
    pull = world.repo("acme/api").open_pull(by="ana")
    review = pull.review(by="ben", event="COMMENT", body="", inline=[("app.txt", line, "?") for line in range(1, 9)])
    with asking(world) as questions:
        for _ in range(5):
            found = [remark.id for remark in questions.inline("acme/api", 1, review.id)]
            assert found == sorted(found)
            assert len(found) == 8


def test_a_deleted_pull_has_no_row_and_its_timeline_is_a_500() -> None:
    world = new_world()
    pull = world.repo("acme/api").open_pull(by="ana")
    repo_id = world.repo("acme/api").id
    with asking(world) as questions:
        assert questions.issue("acme/api", repo_id, 1) is not None
        pull.delete(by="ana")
        assert questions.issue("acme/api", repo_id, 1) is None
        with pytest.raises(errors.ServerTrouble):
            questions.timeline("acme/api", 1, since=None, hidden=0)


def test_all_plain_comments_come_in_one_answer() -> None:
    world = new_world()
    pull = world.repo("acme/api").open_pull(by="ana")
    for number in range(80):
        pull.comment(str(number), by="ana")
    with asking(world) as questions:
        assert len(questions.comments("acme/api", 1)) == 80


def test_a_name_from_the_forge_cannot_leave_its_place_in_the_path() -> None:
    world = new_world()
    with asking(world) as questions, pytest.raises(errors.ForgeError):
        questions.issue("acme/..%2f..%2fuser", 1, 1) or questions.heads("acme/?x=/../api", 1)


class _Nulls(BaseHTTPRequestHandler):
    """Answers every list with a row that is none."""

    def do_GET(self) -> None:
        sent = b"[null]"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Total-Count", "1")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


def test_rows_that_are_null_are_passed_over() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Nulls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}", "token") as client:
                questions = Questions(client)
                assert questions.search().rows == {}
                assert questions.timeline("acme/api", 1, since=None, hidden=0).steps == ()
                assert questions.reviews("acme/api", 1) == ()
                assert questions.inline("acme/api", 1, 1) == ()
                assert questions.comments("acme/api", 1) == ()
        finally:
            server.shutdown()
            thread.join()
