"""Reviews with remarks on lines: posted once and whole, though the forge keeps what it has of one that was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from poller import letters, outbox, replies, tables
from poller.forge import errors
from poller.posting import Remark, Review
from sessions.database import begin
from tests.poller.desk import Desk
from tests.poller.turned import Turned

HERE = Remark(path="README.md", line=1, body="why this?")


class Table(Turned):
    """A pull with a finished turn of which a review lies in the outbox."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.outbox = outbox.Outbox(
            desk.engine, desk.questions, forge=desk.config.forge, now=lambda: desk.now(), nap=lambda _: None
        )

    def put(self, *texts: str, review: Review) -> None:
        bodies = [f"{text}\n\n{replies.marker(self.turn.id, nth)}" for nth, text in enumerate(texts, start=1)]
        with begin(self.desk.engine) as conn:
            letters.put(
                conn, forge=self.desk.config.forge, ref=self.ref, repo="acme/api", number=self.pull.number,
                turn_id=self.turn.id, bodies=bodies, now=self.desk.now(), review=review,
            )  # fmt: skip

    def flush(self, *, later: int = 0) -> int:
        self.pass_time(later)
        return self.outbox.flush()

    @property
    def reviews(self) -> list[tuple[str, str, list[str]]]:
        """State, first line and remarks of each of the bot's."""
        mine = [one for one in self.pull.reviews if one.user is not None and one.user.login == "bot"]
        return [(one.state, one.body.partition("\n")[0], [row.body for row in one.comments]) for one in mine]


@pytest.fixture
def table(versioned_desk: Desk) -> Table:
    return Table(versioned_desk)


def test_a_review_is_posted_with_its_remarks_and_what_follows_behind_it(table: Table) -> None:
    table.put("looks good", "and a word more", review=Review(event="APPROVED", remarks=(HERE,)))
    assert table.flush() == 2
    assert table.reviews == [("APPROVED", "looks good", ["why this?"])]
    assert [row.body.partition("\n")[0] for row in table.pull.comments if row.type == "comment"] == ["and a word more"]
    assert table.noted[0].startswith("review ") and table.noted[1].startswith("comment ")


def test_a_review_whose_receipt_was_lost_is_found_by_its_mark(table: Table) -> None:
    table.put("looks good", review=Review(remarks=(HERE,)))
    table.desk.world.fault("POST .*/reviews", drop_after_accept=True)
    assert (table.flush(), table.flush(later=10)) == (0, 1)
    assert table.reviews == [("COMMENT", "looks good", ["why this?"])]


def test_a_review_that_was_taken_though_the_forge_failed_is_not_said_again_in_a_comment(table: Table) -> None:
    table.put("looks good", review=Review())
    questions, tries = table.desk.questions, list[int]()
    real = questions.post_review

    def failing(repo: str, number: int, review: Mapping[str, Any]) -> int:
        tries.append(1)
        if len(tries) == 2:
            real(repo, number, review)
        raise errors.error_of(500, where="POST reviews")

    questions.post_review = failing  # type: ignore[method-assign]
    assert (table.flush(), table.flush(later=60), len(tries)) == (0, 1, 2)
    assert table.reviews == [("COMMENT", "looks good", [])]
    assert [row for row in table.pull.comments if row.type == "comment" and row.user.login == "bot"] == []


def test_what_a_cut_left_pending_is_removed_and_the_review_begun_again(table: Table) -> None:
    table.put("looks good", review=Review(remarks=(HERE,)))
    me = table.desk.world.user("bot")
    table.pull.start_review(by=me, commit_id=table.pull.head_sha).add_inline("README.md", 1, "why this?")
    assert table.reviews[0][0] == "PENDING"
    assert table.flush() == 1
    assert table.reviews == [("COMMENT", "looks good", ["why this?"])], "once each"


def test_whoever_was_slow_to_read_the_diff_has_lost_it_to_somebody_else(table: Table) -> None:
    table.put("looks good", review=Review(remarks=(HERE,), fit=True))
    real = table.desk.questions.diff

    def slow(repo: str, number: int, *, limit: int) -> tuple[str, bool]:
        with begin(table.desk.engine) as conn:
            conn.execute(tables.outbox.update().values(owner="somebody", lease_until=table.desk.now() + 100))
        return real(repo, number, limit=limit)

    table.desk.questions.diff = slow  # type: ignore[method-assign]
    assert (table.flush(), table.reviews) == (0, [])


def test_somebody_elses_pending_review_is_left_alone(table: Table) -> None:
    table.pull.start_review(by=table.desk.world.user("ana"), commit_id=table.pull.head_sha)
    table.put("looks good", review=Review(remarks=(HERE,)))
    table.flush()
    assert [one.state for one in table.pull.reviews] == ["PENDING", "COMMENT"]


def test_remarks_that_the_forge_does_not_take_go_into_the_text(table: Table) -> None:
    table.put("see below", review=Review(commit="0" * 40, remarks=(HERE,)))
    assert table.flush() == 0, "a 500 may be anything, once"
    assert table.flush(later=60) == 1
    ((state, _, remarks),) = table.reviews
    assert (state, remarks) == ("COMMENT", [])
    (review,) = (one for one in table.pull.reviews if one.user is not None and one.user.login == "bot")
    assert "> `README.md`, line 1\n\nwhy this?" in review.body
    assert replies.has_marker(review.body, table.turn.id, 1)


@pytest.mark.parametrize("why", ["closed", "own"])
def test_a_verdict_that_may_not_be_given_becomes_a_comment(table: Table, why: str) -> None:
    if why == "closed":
        table.pull.close(by="ana")
    else:
        table.pull.author = table.desk.world.user("bot")
    table.put("no", review=Review(event="REQUEST_CHANGES", remarks=(HERE,)))
    assert table.flush() == 1
    assert table.reviews == [("COMMENT", "no", ["why this?"])]


def test_a_review_of_a_deleted_pull_is_dropped(table: Table) -> None:
    table.put("hm", review=Review(remarks=(HERE,)))
    table.pull.delete(by="ana")
    assert table.flush() == 0
    assert table.noted == ("dropped: the pull is gone",)
