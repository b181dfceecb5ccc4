"""Words reach the forge once, whatever happens on the way."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from poller import letters, outbox, replies, tables
from poller.demo.pulls import Pull
from poller.forge import errors
from sessions import processes, registry
from sessions.database import begin, reading
from tests.poller.desk import Desk
from tests.poller.turned import Turned

DAY = 86_400


class Post(Turned):
    """A pull with a finished turn, whose words lie in the outbox."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.naps: list[float] = []
        self.outbox = outbox.Outbox(
            desk.engine, desk.questions, forge=desk.config.forge, now=lambda: desk.now(), nap=self.naps.append
        )

    def put(self, *texts: str) -> None:
        bodies = [f"{text}\n\n{replies.marker(self.turn.id, nth)}" for nth, text in enumerate(texts, start=1)]
        with begin(self.desk.engine) as conn:
            letters.put(
                conn, forge=self.desk.config.forge, ref=self.ref, repo="acme/api", number=self.pull.number,
                turn_id=self.turn.id, bodies=bodies, now=self.desk.now(),
            )  # fmt: skip

    def put_on(self, pull: Pull, text: str) -> None:
        """Another turn's words, on another pull."""
        ref = self.ref_of(pull)
        with begin(self.desk.engine) as conn:
            turn = registry.add_turn(conn, ref=ref, key="k", agent=f"a{pull.number}", why="", now=self.desk.now())
            letters.put(
                conn, forge=self.desk.config.forge, ref=ref, repo="acme/api", number=pull.number, turn_id=turn,
                bodies=[f"{text}\n\n{replies.marker(turn, 1)}"], now=self.desk.now(),
            )  # fmt: skip

    def flush(self, *, later: float = 0) -> int:
        self.pass_time(later)
        return self.outbox.flush()

    @property
    def said(self) -> list[str]:
        return [row.body.partition("\n")[0] for row in self.pull.comments if row.user.login == "bot"]

    @property
    def states(self) -> list[str]:
        with reading(self.desk.engine) as conn:
            return list(conn.scalars(sa.select(tables.outbox.c.state).order_by(tables.outbox.c.id)))


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


def test_patience_has_an_end_but_not_before_a_week_is_over(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", status=500, times=None)
    for _ in range(outbox.ATTEMPTS):
        post.flush(later=3700)
    assert post.states == ["waiting"], "a forge may be away for days"
    post.flush(later=7 * DAY)
    assert post.states == ["failed"]
    with reading(post.desk.engine) as conn:
        (failure,) = letters.failures(conn, post.desk.now() - 1)
    assert (failure.place, failure.turn_id) == (f"acme/api#{post.pull.number}", post.turn.id)
    assert f"`poll retry {post.turn.id}` posts it" in post.outbox.given_up[0]


def test_what_was_given_up_is_posted_when_a_person_says_so(post: Post) -> None:
    post.put("one", "two")
    locked = post.desk.world.fault("POST .*/comments", status=403, times=None)
    post.flush()
    assert post.states == ["failed", "failed"], "half an answer is none"
    post.desk.world.faults.remove(locked)
    with begin(post.desk.engine) as conn:
        assert letters.retry(conn, post.turn.id, now=post.desk.now()) == 2
        assert letters.retry(conn, post.turn.id, now=post.desk.now()) == 0
    assert post.flush() == 2
    assert post.said == ["one", "two"]


def test_what_waits_for_a_push_is_named_with_what_waits_for_the_forge(post: Post) -> None:
    post.put("one", "two")
    with begin(post.desk.engine) as conn:
        letters.hold(conn, turn_id=post.turn.id)
        assert letters.unposted(conn, post.turn.id)[0] == "part 1, not before its commits are pushed"
        letters.let_go(conn, turn_id=post.turn.id, said="", now=post.desk.now())
        assert letters.unposted(conn, post.turn.id) == ["part 1, not yet", "part 2, not yet"]


def test_an_hour_without_a_forge_loses_nothing_and_ends_in_no_stampede(post: Post) -> None:
    post.put("hello")
    others = [post.desk.repo.open_pull(by="ana") for _ in range(5)]
    for pull in others:
        post.put_on(pull, "there")
    down = post.desk.world.fault("/", status=502, times=None)
    asked = []
    for _ in range(60):
        post.desk.world.reset_requests()
        post.flush(later=60)
        asked.append(len(post.desk.world.requests))
    assert max(asked) <= 3, "one post tries it for all"
    assert sum(asked[:20]) > sum(asked[20:]), "ever more rarely"
    post.desk.world.faults.remove(down)
    rounds = 0
    while "waiting" in post.states:
        post.flush(later=600)
        rounds += 1
    assert rounds <= 7
    assert set(post.states) == {"sent"}
    assert [len(pull.comments) for pull in [post.pull, *others]] == [1] * 6


def test_a_gateways_retry_after_is_kept_but_not_for_ever(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", status=503, retry_after=900)
    post.flush()
    assert post.flush(later=890) == 0
    post.desk.world.fault("POST .*/comments", status=503, retry_after=999_999_999)
    assert post.flush(later=11) == 0
    assert post.flush(later=3601) == 1


def test_an_answer_whose_receipt_was_lost_is_found_though_a_list_is_cut(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("POST .*/comments", drop_after_accept=True)
    post.flush()
    for _ in range(120):
        post.pull.comment("me too", by="ben")
    post.desk.world.fault("GET .*/issues/.*/comments", lie="empty")
    assert post.flush(later=10) == 1
    assert post.said == ["hello"]


def test_a_request_that_was_cut_off_a_moment_ago_may_still_be_taken(post: Post) -> None:
    post.put("hello")
    real = post.desk.questions.post_comment

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    post.desk.questions.post_comment = die  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        post.flush()
    post.desk.questions.post_comment = real  # type: ignore[method-assign]
    with begin(post.desk.engine) as conn:
        conn.execute(tables.outbox.update().values(owner=""))  # it died
    marker = replies.marker(post.turn.id, 1)

    def late(seconds: float) -> None:
        post.naps.append(seconds)
        post.pull.comment(f"hello\n\n{marker}", by="bot")

    post.outbox._nap = late
    assert post.flush(later=2) == 1
    assert post.said == ["hello"] and post.naps == [3.0]


def test_a_mark_of_an_older_databases_turn_is_not_taken_for_this_one(post: Post) -> None:
    post.pull.comment(f"long ago {replies.marker(post.turn.id, 1)}", by="bot")
    post.desk.world.clock.advance(seconds=3600)
    post.put("hello")
    post.desk.world.fault("POST .*/comments", status=502)
    post.flush()
    assert post.flush(later=60) == 1
    assert len(post.said) == 2


def test_a_repository_that_took_the_old_name_gets_none_of_it(post: Post) -> None:
    """Renamed, and nobody has polled since."""
    post.put("hello")
    post.desk.repo.rename("api-old")
    squatter = post.desk.world.repo("acme/api", private=True, collaborators={"bot": "write", "mallory": "write"})
    for _ in range(post.pull.number):
        other = squatter.open_pull(by="mallory")
    assert post.flush() == 1
    assert post.said == ["hello"] and other.comments == []


def test_words_for_a_repository_that_was_taken_away_wait_for_its_return(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("/repos", status=404, times=None)
    assert post.flush() == 0
    assert post.states == ["waiting"]
    post.desk.world.faults.clear()
    assert post.flush(later=3700) == 1


def test_words_for_a_pull_of_those_that_are_switched_off_wait_for_its_return(post: Post) -> None:
    post.put("hello")
    post.desk.repo.pulls_enabled = False
    assert post.flush() == 0
    assert post.states == ["waiting"]
    post.desk.repo.pulls_enabled = True
    assert post.flush(later=3700) == 1


def test_words_for_a_repository_that_never_returns_are_dropped(post: Post) -> None:
    post.put("hello")
    post.desk.world.fault("/repos", status=404, times=None)
    for _ in range(outbox.ATTEMPTS):
        post.flush(later=DAY)
    assert post.states == ["dropped"]


@pytest.mark.parametrize("status", [413, 422])
def test_what_is_too_long_is_posted_in_several_parts_in_their_order(post: Post, status: int) -> None:
    words = "\n".join(f"line {number} of what was to be said" for number in range(1000))
    post.put(words, "and that was all")
    real = post.desk.questions.post_comment

    def narrow(repo: str, number: int, body: str) -> object:
        if len(body) > 9_000:
            raise errors.error_of(status, where="POST", message="too long")
        return real(repo, number, body)

    post.desk.questions.post_comment = narrow  # type: ignore[method-assign, assignment]
    assert post.flush() >= 5
    lines = [line for comment in post.pull.comments for line in comment.body.splitlines() if line.startswith("line ")]
    assert lines == words.splitlines()
    assert post.said[-1] == "and that was all"
    assert all(len(comment.body) <= 9_000 for comment in post.pull.comments)
    assert set(post.states) == {"sent"}


def test_what_is_turned_down_however_short_is_given_up(post: Post) -> None:
    post.put("word " * 10_000)
    post.desk.world.fault("POST .*/comments", status=413, times=None)
    post.flush()
    assert set(post.states) == {"failed"}


def test_a_date_from_a_clock_that_was_put_back_keeps_nothing_waiting(post: Post) -> None:
    post.put("hello")
    with begin(post.desk.engine) as conn:
        conn.execute(tables.outbox.update().values(not_before=post.desk.now() + 365 * DAY))
    assert post.flush() == 1


def test_whoever_was_slow_has_lost_it_to_somebody_else(post: Post) -> None:
    post.put("hello")
    real = post.desk.questions.repository_and_date

    def slow(repo_id: int) -> object:
        with begin(post.desk.engine) as conn:
            conn.execute(tables.outbox.update().values(owner="somebody", lease_until=post.desk.now() + 100))
        return real(repo_id)

    post.desk.questions.repository_and_date = slow  # type: ignore[method-assign, assignment]
    assert post.flush() == 0
    assert post.said == [] and post.states == ["waiting"]


def test_whoever_was_slow_and_has_not_lost_it_has_the_whole_time_again(post: Post) -> None:
    """Or somebody else would take it over while it is being posted, and find nothing there yet."""
    post.put("hello")
    questions, others = post.desk.questions, list[int]()
    real_address, real_post = questions.repository_and_date, questions.post_comment
    other = outbox.Outbox(
        post.desk.engine, questions, forge=post.desk.config.forge, now=lambda: post.desk.now(), nap=post.pass_time
    )
    other._me = "elsewhere~1:boot:1:77:5"

    def slow_address(repo_id: int) -> object:
        questions.repository_and_date = real_address  # type: ignore[method-assign]
        post.pass_time(outbox.LEASE + 20)
        return real_address(repo_id)

    def slow_post(repo: str, number: int, body: str) -> object:
        questions.post_comment = real_post  # type: ignore[method-assign]
        post.pass_time(outbox.SETTLE + 2)
        others.append(other.flush())
        return real_post(repo, number, body)

    questions.repository_and_date = slow_address  # type: ignore[method-assign, assignment]
    questions.post_comment = slow_post  # type: ignore[method-assign, assignment]
    assert (post.flush(), others) == (1, [0])
    assert post.said == ["hello"] and post.states == ["sent"]


def test_nothing_is_begun_when_the_time_is_over(post: Post) -> None:
    post.put("hello")
    assert post.outbox.flush(until=time.monotonic()) == 0
    assert post.outbox.flush(until=time.monotonic() + 60) == 1


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
    post.put_on(other, "there")
    post.desk.world.fault(f"POST /repos/acme/api/issues/{post.pull.number}/comments", status=423)
    assert post.flush() == 1
    assert [row.body.partition("\n")[0] for row in other.comments] == ["there"]
