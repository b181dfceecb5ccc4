"""Which questions a pull raises, over HTTP: as few as its change needs, as many as its traps need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest

from poller.demo.pulls import Pull
from poller.demo.state import Row
from poller.demo.world import World
from poller.forge.questions import Questions
from poller.forge.timeline import BARREN
from tests.poller.deltas.readers import Interruptible, Reader

VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]
WRITERS = {"ana": "write", "ben": "write", "bot": "write"}


class Watched:
    """One pull with a thread, known to a reader and quiet."""

    def __init__(self, world: World, client: Interruptible) -> None:
        self.world, self.client, questions = world, client, Questions(client)
        repo = world.repo("acme/api", private=True, collaborators=WRITERS)
        repo.branch("develop")
        self.pull = repo.open_pull(by="ana")
        self.reader = Reader(questions, repo_id=repo.id, cursor=world.clock.text())
        self.later()
        self.reader.poll()
        self.pull.comment("hello", by="ana")
        self.later()
        self.reader.poll()

    def reviewed(self) -> Row:
        review = self.pull.review(by="ben", inline=[("app.txt", 5, "why?")])
        self.settle()
        return review.comments[0]

    def settle(self) -> None:
        self.later(400)
        self.reader.poll()

    def later(self, seconds: int = 5) -> None:
        self.world.clock.advance(seconds=seconds)

    def asked(self, act: Callable[[Pull], object]) -> list[str]:
        """What is asked about the pull after an act."""
        self.settle()
        act(self.pull)
        self.later()
        self.world.reset_requests()
        self.reader.poll()
        paths = [request.path.removeprefix("/repos/acme/api/") for request in self.world.requests]
        return [path.partition("/")[2] for path in paths if path != "/repos/issues/search"]

    def told(self) -> list[str]:
        """What one look tells."""
        before = len(self.reader.told)
        self.reader.poll()
        return [one.action for one in self.reader.told[before:]]


@pytest.fixture(params=VERSIONS)
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    world = World(version=request.param)
    world.clock.set("2026-11-21T07:00:00Z")
    with world.serve() as server, closing(Interruptible(server.url, world.token("bot"))) as client:
        yield Watched(world, client)


@pytest.mark.parametrize(
    ("act", "beside"),
    [
        (lambda pull: pull.comment("again", by="ana"), []),
        (lambda pull: pull.label(add=["bug"], by="ana"), []),
        (lambda pull: pull.edit(title="Other", by="ana"), []),
        (lambda pull: pull.edit(body="other", by="ana"), []),
        (lambda pull: pull.close(by="ana"), ["1"]),
        (lambda pull: pull.push(by="ana"), ["1"]),
        (lambda pull: pull.edit(base="develop", by="ana"), ["1"]),
    ],
    ids=["comment", "label", "title", "description", "close", "push", "base"],
)
def test_a_change_that_the_row_or_its_step_explains_asks_for_little(
    watched: Watched, act: Callable[[Pull], object], beside: list[str]
) -> None:
    reviews = ["1/reviews"] if watched.reader.paged else []  # a server that pages may hide a review's row
    assert watched.asked(act) == ["1/timeline", *reviews, *beside]


def test_a_bump_that_nothing_explains_asks_for_everything(watched: Watched) -> None:
    # A server that pages may hide what it was stamped for behind rows that are not shown: so it is read on.
    further = ["1/timeline"] * BARREN if watched.reader.paged else []
    assert watched.asked(lambda pull: pull.bump()) == ["1/timeline", "1/reviews", *further, "1"]
    assert watched.asked(lambda pull: None) == []


def test_a_reply_is_found_in_its_review_and_needs_no_look_at_the_head(watched: Watched) -> None:
    row = watched.reviewed()
    review = row.review
    assert review is not None
    asked = watched.asked(lambda pull: pull.reply(row, "because", by="ana"))
    assert asked == ["1/timeline", "1/reviews", f"1/reviews/{review.id}/comments"]


def test_a_review_that_did_not_move_is_not_opened_again(watched: Watched) -> None:
    watched.reviewed()
    assert watched.asked(lambda pull: pull.comment("again", by="ana")) == ["1/timeline", "1/reviews"]


def test_what_happened_after_the_search_was_answered_is_told_with_the_state_of_then(watched: Watched) -> None:
    watched.pull.label(add=["bug"], by="ana")
    watched.later()
    requests = iter(range(99))

    def after_the_search() -> None:
        if next(requests) == 1:
            watched.later()
            watched.pull.clear_labels(by="ben")

    with watched.client.interrupted(after_the_search):
        assert watched.told() == ["label_updated", "label_cleared"]
    cleared = watched.reader.told[-1]
    assert (cleared.action, cleared.subject.removed, cleared.subject.labels) == ("label_cleared", ["bug"], [])


@pytest.mark.parametrize("remarks", [3, 49, 110])
def test_rows_behind_the_remarks_of_a_review_are_found(watched: Watched, remarks: int) -> None:
    for number in range(9):
        watched.pull.comment(f"{number}", by="ana")
    watched.pull.review(by="ben", body="much", inline=[("app.txt", 5, "why?")] * remarks)
    watched.pull.comment("the last one", by="ana")
    watched.later()
    assert watched.told() == [*["created"] * 9, "reviewed", "created"]
    watched.pull.comment("one more", by="ana")
    watched.later()
    assert watched.told() == ["created"]


def test_a_row_that_becomes_visible_with_an_older_stamp_is_found(watched: Watched) -> None:
    watched.settle()
    watched.later(100)
    watched.pull.comment("in time", by="ana")
    watched.later()
    assert watched.told() == ["created"]
    late = watched.pull.comment("its transaction took long", by="ben")
    late.created = late.updated = watched.world.now() - 120
    watched.later()
    assert watched.told() == ["created"]


def test_a_pull_is_the_same_in_the_search_and_by_itself(watched: Watched) -> None:
    watched.pull.label(add=["bug", "ui"], by="ana")
    watched.pull.assign("ana", "ben", by="ana")
    watched.pull.milestone("v1", by="ana")
    watched.pull.close(by="ana")
    questions, place = watched.reader.questions, (watched.pull.repo.id, 1)
    assert questions.issue("acme/api", *place) == questions.search().rows[place]


def test_a_memory_survives_being_written_down(watched: Watched) -> None:
    watched.reviewed()
    known = watched.reader.places[watched.pull.repo.id, 1].known
    assert known is not None
    assert msgspec.json.decode(msgspec.json.encode(known), type=type(known)) == known
