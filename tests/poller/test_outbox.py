"""Words reach the forge once, whatever happens on the way."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from poller import outbox, replies, tables
from poller.deltas.events import pull_ref
from poller.demo.pulls import Pull
from sessions import processes, registry
from sessions.database import begin, reading
from tests.poller.desk import Desk


class Post:
    """A pull with a finished turn, whose words lie in the outbox."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.told()
        self.pull: Pull = desk.repo.open_pull(by="ana")
        desk.told()
        with reading(desk.engine) as conn:
            (self.turn,) = registry.turns(conn)
        self.outbox = outbox.Outbox(desk.engine, desk.questions, forge=desk.config.forge, now=lambda: desk.now())

    def put(self, *texts: str) -> None:
        bodies = [f"{text}\n\n{replies.marker(self.turn.id, nth)}" for nth, text in enumerate(texts, start=1)]
        ref = pull_ref(self.desk.config.forge, self.desk.repo.id, self.pull.number)
        with begin(self.desk.engine) as conn:
            outbox.put(
                conn, forge=self.desk.config.forge, ref=ref, repo="acme/api", number=self.pull.number,
                turn_id=self.turn.id, bodies=bodies, now=self.desk.now(),
            )  # fmt: skip

    def flush(self, *, later: float = 0) -> int:
        self.desk.world.clock.advance(seconds=int(later))
        return self.outbox.flush()

    @property
    def said(self) -> list[str]:
        return [row.body.partition("\n")[0] for row in self.pull.comments if row.user.login == "bot"]

    @property
    def states(self) -> list[str]:
        with reading(self.desk.engine) as conn:
            return list(conn.scalars(sa.select(tables.outbox.c.state).order_by(tables.outbox.c.id)))

    @property
    def noted(self) -> tuple[str, ...]:
        with reading(self.desk.engine) as conn:
            turn = registry.turn(conn, self.turn.id)
        assert turn is not None
        return turn.posted


@pytest.fixture
def post(desk: Desk) -> Post:
    return Post(desk)


def test_what_is_due_is_posted_and_noted_with_its_turn(post: Post) -> None:
    post.put("hello")
    assert (post.flush(), post.flush()) == (1, 0)
    assert post.said == ["hello"]
    assert post.noted == (f"comment {post.pull.comments[-1].id}",)


def test_words_that_lie_there_already_are_not_laid_there_again(post: Post) -> None:
    post.put("hello")
    post.put("hello, but otherwise")
    post.flush()
    assert post.said == ["hello"]


def test_an_answer_whose_receipt_was_lost_is_found_by_its_marker(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", drop_after_accept=True)
    assert post.flush() == 0
    assert post.flush(later=10) == 1
    assert post.said == ["hello"]


def test_a_comment_that_was_edited_by_hand_meanwhile_is_still_found(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", drop_after_accept=True)
    post.flush()
    (made,) = post.pull.comments
    post.pull.edit_comment(made, f"Mended. {made.body.partition(chr(10))[2]} And more.", by="ana")
    post.flush(later=10)
    assert len(post.pull.comments) == 1


def test_a_marker_in_somebody_elses_comment_suppresses_nothing(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", status=502)
    post.flush()
    post.pull.comment(f"haha {replies.marker(post.turn.id, 1)}", by="mallory")
    post.flush(later=10)
    assert post.said == ["hello"]


def test_an_attempt_is_counted_before_it_is_made(post: Post) -> None:
    post.put("hello")
    counted: list[int] = []
    real = post.desk.questions.post_comment

    def die(*_: object) -> None:
        with reading(post.desk.engine) as conn:
            counted.extend(conn.scalars(sa.select(tables.outbox.c.attempts)))
        raise KeyboardInterrupt

    post.desk.questions.post_comment = die  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        post.flush()
    post.desk.questions.post_comment = real  # type: ignore[method-assign]
    assert counted == [1]


def test_parts_are_posted_in_their_order_even_if_the_first_has_trouble(post: Post) -> None:
    post.put("one", "two")
    post.desk.world.fault("POST .*/comments", status=500)
    assert post.flush() == 0
    assert post.flush(later=10) == 2
    assert post.said == ["one", "two"]


@pytest.mark.parametrize("status", [403, 404, 413, 422, 423])
def test_what_the_forge_turns_down_for_good_is_given_up_and_shown(post: Post, status: int) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", status=status, times=None)
    post.flush()
    assert post.states == ["failed"]
    assert post.noted[0].startswith("failed: ")
    assert post.flush(later=100_000) == 0


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 429, "retry_after": 60}, {"status": 401}, {"html": True}]
)
def test_what_passes_is_tried_again_later(post: Post, fault: dict[str, object]) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", **fault)
    assert post.flush() == 0
    assert post.states == ["waiting"]
    assert post.flush(later=3700) == 1
    assert post.said == ["hello"]


def test_patience_has_an_end(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", status=500, times=None)
    for _ in range(outbox.ATTEMPTS):
        assert post.states == ["waiting"]
        post.flush(later=3700)
    assert post.states == ["failed"]


def test_words_for_a_deleted_pull_are_dropped_though_the_forge_says_500(post: Post) -> None:
    post.put("hello")
    post.pull.delete(by="ana")
    post.flush()
    assert post.states == ["dropped"]


def test_what_another_process_is_posting_is_left_to_it_until_it_dies_or_its_time_is_over(post: Post) -> None:
    post.put("hello")
    elsewhere = str(processes.me()).replace(str(processes.me().host), "elsewhere")
    with begin(post.desk.engine) as conn:
        conn.execute(
            tables.outbox.update().values(owner=elsewhere, lease_until=post.desk.now() + outbox.LEASE, attempts=1)
        )
    assert post.flush() == 0
    assert post.flush(later=outbox.LEASE + 1) == 1


def test_one_pulls_trouble_does_not_stop_the_others(post: Post) -> None:
    post.put("hello")
    other = post.desk.repo.open_pull(by="ana")
    with begin(post.desk.engine) as conn:
        turn = registry.add_turn(conn, ref="g|1|2", key="other", agent="reviewer", why="", now=post.desk.now())
        outbox.put(
            conn, forge=post.desk.config.forge, ref="g|1|2", repo="acme/api", number=other.number, turn_id=turn,
            bodies=[f"there\n\n{replies.marker(turn, 1)}"], now=post.desk.now(),
        )  # fmt: skip
    post.desk.world.fault(f"POST /repos/acme/api/issues/{post.pull.number}/comments", status=423)
    assert post.flush() == 1
    assert [row.body.partition("\n")[0] for row in other.comments] == ["there"]
