"""An answer to a remark on a line stands in its thread where the forge has a call for it, else by itself, and once."""

from __future__ import annotations

import pytest

from poller import letters, outbox, posting, replies
from poller.demo.state import Row
from poller.forge.threads import LACKING
from poller.posting import Post
from poller.threads import Thread
from sessions import registry
from sessions.database import begin, reading
from tests.poller.desk import Desk
from tests.poller.turned import Turned

#: Gitea's call and Forgejo's; and those that have neither.
ABLE, UNABLE = ["1.27-dev", "forgejo-11"], ["1.22.6", "1.25.4", "1.26-dev"]
QUOTE = "> `README.md`, line 1: why?"


class Table(Turned):
    """A pull with a remark of ana's, and a finished turn whose answer to it lies in the outbox."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.remark: Row = self.pull.review(by="ana", inline=[("README.md", 1, "why?")]).comments[0]
        assert self.remark.review is not None
        self.thread = Thread(comment_id=self.remark.id, review_id=self.remark.review.id, quote=QUOTE)
        self.outbox = self.new_outbox()
        self.put()

    def new_outbox(self) -> outbox.Outbox:
        desk = self.desk
        return outbox.Outbox(
            desk.engine, desk.questions, forge=desk.config.forge, now=lambda: desk.now(), nap=lambda _: None
        )

    def put(self) -> None:
        with begin(self.desk.engine) as conn:
            letters.put(
                conn, forge=self.desk.config.forge, ref=self.ref, repo="acme/api", number=self.pull.number,
                turn_id=self.turn.id, bodies=[f"Because.\n\n{replies.marker(self.turn.id, 1)}"], now=self.desk.now(),
                thread=self.thread,
            )  # fmt: skip

    def flush(self, *, later: int = 0) -> int:
        self.pass_time(later)
        return self.outbox.flush()

    @property
    def said(self) -> list[tuple[str, str, int, str]]:
        """Kind, path, line and first line of all that the bot has said, wherever it stands."""
        mine = [row for row in self.pull.rows if row.user.login == "bot" and row.type in ("code", "comment")]
        return [(row.type, row.path, row.line, row.body.partition("\n")[0]) for row in mine]

    def calls(self, since: int = 0) -> list[str]:
        """What was posted, by the end of its path."""
        posts = [one for one in self.desk.world.requests[since:] if one.method == "POST"]
        return [one.path.rpartition("/")[2] for one in posts]


IN_THREAD = [("code", "README.md", 1, "Because.")]
BY_ITSELF = [("comment", "", 0, QUOTE)]


@pytest.fixture
def table(versioned_desk: Desk) -> Table:
    return Table(versioned_desk)


def on(*versions: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("version", versions)


@on(*ABLE)
def test_it_stands_in_the_thread_and_quotes_nothing(table: Table) -> None:
    assert table.flush() == 1
    assert table.said == IN_THREAD
    assert table.pull.rows[-1].review is table.remark.review
    assert table.noted == (f"comment {table.pull.rows[-1].id}",)
    table.desk.told()
    with reading(table.desk.engine) as conn:
        assert [one.id for one in registry.turns(conn)] == [table.turn.id], "the bot's own words wake nobody"


@on(*UNABLE)
def test_where_the_forge_has_no_such_call_it_quotes_by_itself(table: Table) -> None:
    assert table.flush() == 1
    assert table.said == BY_ITSELF
    assert replies.has_marker(table.pull.comments[-1].body, table.turn.id, 1)


@on("1.25.4")
def test_what_the_forge_lacks_is_asked_for_once_in_a_while(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    questions = table.desk.questions
    monkeypatch.setattr(questions._threads, "_clock", lambda: clock[0])

    def answered() -> list[str]:
        begun = len(table.desk.world.requests)
        place = (table.pull.number, table.remark.id, review.id)
        assert questions.say_in_thread("acme/api", *place, "so", is_ours=lambda: True) is None
        return table.calls(begun)

    review = table.remark.review
    assert review is not None
    assert answered() == ["replies", "comments"]
    assert answered() == []
    clock[0] = LACKING + 1
    assert answered() == ["replies", "comments"]


@on(*ABLE)
def test_an_answer_whose_receipt_was_lost_is_found_in_its_thread(table: Table) -> None:
    table.desk.world.fault("POST .*/(replies|comments)", drop_after_accept=True)
    assert table.flush() == 0
    table.outbox = table.new_outbox()
    assert table.flush(later=10) == 1
    assert table.said == IN_THREAD


@on(*ABLE, "1.25.4")
def test_one_that_was_killed_between_post_and_note_is_found_by_the_next(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(table.outbox, "_note", die)
    with pytest.raises(KeyboardInterrupt):
        table.flush()
    once = table.said
    assert len(once) == 1
    table.outbox = table.new_outbox()
    assert table.flush(later=int(outbox.LEASE) + 1) == 1
    assert table.said == once


@on(*UNABLE)
def test_a_quoting_one_whose_receipt_was_lost_is_found_as_well(table: Table) -> None:
    table.desk.world.fault("POST .*/issues/.*/comments", drop_after_accept=True)
    assert table.flush() == 0
    assert table.flush(later=10) == 1
    assert table.said == BY_ITSELF


@on(*ABLE)
@pytest.mark.parametrize("gone", ["remark", "review"])
def test_where_the_remark_is_gone_it_quotes_by_itself(table: Table, gone: str) -> None:
    if gone == "review":
        assert table.remark.review is not None
        table.remark.review.delete(by="ana")
    else:
        table.pull.rows.remove(table.remark)
    assert table.flush() == 1
    assert table.said == BY_ITSELF


@on(*ABLE)
def test_what_no_thread_takes_quotes_by_itself(table: Table) -> None:
    table.desk.world.fault("POST .*/pulls/.*/(replies|comments)", status=403)
    assert table.flush() == 1
    assert table.said == BY_ITSELF


@on(*ABLE)
def test_a_forge_that_fails_over_a_thread_twice_is_told_it_by_itself(table: Table) -> None:
    table.desk.world.fault("POST .*/pulls/.*/(replies|comments)", status=500, times=None)
    assert table.flush() == 0, "a 500 may be anything, once"
    assert table.flush(later=60) == 1
    assert table.said == BY_ITSELF


@on("1.27-dev")
def test_what_was_taken_in_spite_of_a_failure_is_not_said_again(table: Table) -> None:
    table.desk.world.fault("POST .*/pulls/.*/replies", status=500)
    assert table.flush() == 0
    table.pull.reply(table.remark, f"Because.\n\n{replies.marker(table.turn.id, 1)}", by="bot")
    assert table.flush(later=60) == 1
    assert table.said == IN_THREAD


@on(*ABLE)
def test_a_marker_in_somebody_elses_reply_suppresses_nothing(table: Table) -> None:
    table.desk.world.fault("POST .*/pulls/.*/(replies|comments)", status=502)
    table.flush()
    table.pull.reply(table.remark, f"haha {replies.marker(table.turn.id, 1)}", by="mallory")
    assert table.flush(later=10) == 1
    assert table.said == IN_THREAD


@on(*ABLE, "1.25.4")
def test_what_somebody_else_has_taken_over_meanwhile_is_left_to_him(table: Table) -> None:
    post = Post(
        id=1, turn_id=table.turn.id, part="1", ref=table.ref, repo="acme/api", number=table.pull.number, body="so",
        review=None, attempts=1, created_at=0.0, tried_at=0.0, asked_at="", lease_until=0.0, thread=table.thread,
    )  # fmt: skip
    assert posting.sent(table.desk.questions, post, "acme/api", bot=0, is_ours=lambda: False) is None
    assert table.said == [] and table.calls() == []
