"""What is done beside words: once, in its order, and without harm to anything else where it cannot be done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from poller import deeds, doing, tables
from poller.forge import errors
from sessions import places, processes
from sessions import tables as session_tables
from sessions.database import begin, reading
from sessions.sources import Made, Pushed, Unpushable
from tests.poller.desk import Desk
from tests.poller.turned import Turned

MADE = Made(mirror="1-a", branch="reviewer-abcde/turn-1", commit="c" * 40, start="a" * 40)


class Workbench(Turned):
    """A pull with a turn, and deeds to be done about it.  `pushes` says what comes of the next pushes."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.comment = self.pull.comment("hello", by="ana")
        desk.told()
        self.pushes: list[Pushed | Unpushable] = []
        self.deeds = doing.Deeds(
            desk.engine, desk.questions, forge=desk.config.forge, pusher=self._push, now=lambda: desk.now()
        )
        with begin(desk.engine) as conn:
            conn.execute(tables.deed.delete())

    def _push(self, wanted: deeds.Push, repo: str, number: int) -> Pushed:
        assert (wanted.branch, repo, number) == ("feature-1", "acme/api", self.pull.number)
        end = self.pushes.pop(0)
        if isinstance(end, Unpushable):
            raise end
        return end

    def react(self, content: str = "rocket") -> None:
        with begin(self.desk.engine) as conn:
            deeds.react(
                conn, self.comment.id, content, forge=self.desk.config.forge, ref=self.ref, turn_id=self.turn.id,
                now=self.desk.now(),
            )  # fmt: skip

    def put(self, told: deeds.Push | deeds.Status, *, turn: int = 0) -> None:
        with begin(self.desk.engine) as conn:
            deeds.put(
                conn, told, forge=self.desk.config.forge, ref=self.ref, turn_id=turn or self.turn.id,
                now=self.desk.now(),
            )  # fmt: skip

    def status(self, state: deeds.State, *, turn: int = 0) -> None:
        told = deeds.Status(sha=self.pull.head_sha, context="c", state=state, description="", url="")
        self.put(told, turn=turn)

    @property
    def set(self) -> list[object]:
        """The statuses that the head was given."""
        return [one["status"] for one in self.desk.repo.statuses.get(self.pull.head_sha, [])]

    def flush(self, *, later: int = 0, quick: bool = False) -> int:
        self.pass_time(later)
        return self.deeds.flush(quick=quick)

    @property
    def states(self) -> list[str]:
        with reading(self.desk.engine) as conn:
            return list(conn.scalars(sa.select(tables.deed.c.state).order_by(tables.deed.c.id)))


@pytest.fixture
def bench(desk: Desk) -> Workbench:
    return Workbench(desk)


def test_what_was_noted_twice_is_done_once(bench: Workbench) -> None:
    bench.react()
    bench.react()
    assert (bench.flush(), bench.flush()) == (1, 0)
    assert [(target, content) for target, _, content, *_ in bench.pull.reactions] == [(bench.comment.id, "rocket")]


def test_a_comment_that_is_gone_or_locked_is_left_alone(bench: Workbench) -> None:
    bench.react()
    bench.pull.delete_comment(bench.comment, by="ana")
    assert bench.flush() == 0
    assert bench.states == ["failed"]
    assert bench.noted[0].startswith("reaction not made: not found")


def test_what_passes_is_tried_again_but_not_for_ever(bench: Workbench) -> None:
    bench.react()
    bench.desk.world.fault("POST .*/reactions", status=500, times=None)
    for _ in range(8):
        bench.flush(later=3600)
    assert bench.states == ["failed"]


def test_trouble_with_one_deed_stops_no_other(bench: Workbench) -> None:
    bench.desk.world.fault("POST .*/statuses", status=500, times=None)
    bench.status("pending")
    bench.react()
    assert bench.flush() == 1
    assert bench.states == ["waiting", "done"]


def test_of_a_commits_statuses_only_the_newest_is_still_set(bench: Workbench) -> None:
    bench.desk.world.fault("POST .*/statuses", status=500)
    bench.status("success")
    bench.flush()
    bench.status("pending", turn=bench.turn.id + 1)
    assert bench.flush() == 1
    bench.flush(later=700)
    assert (bench.set, bench.states) == (["pending"], ["dropped", "open"])


@pytest.mark.parametrize("later", [0, 1])
def test_a_newer_status_waits_for_the_older_one_that_somebody_is_setting(bench: Workbench, later: int) -> None:
    """Of the same turn, or of a later one."""
    bench.status("success")
    real = bench.desk.questions.post_status

    def slow(*args: object, **named: object) -> None:
        bench.desk.questions.post_status = real  # type: ignore[method-assign]
        bench.status("pending", turn=bench.turn.id + later)
        other = doing.Deeds(
            bench.desk.engine, bench.desk.questions, forge=bench.desk.config.forge, pusher=bench._push,
            now=lambda: bench.desk.now(),
        )  # fmt: skip
        assert other.flush() == 0, "what is being set may land later"
        raise errors.error_of(500, where="POST")

    bench.desk.questions.post_status = slow  # type: ignore[method-assign, assignment]
    assert bench.flush() == 1
    assert (bench.set, bench.states) == (["pending"], ["dropped", "open"])


def test_a_status_whose_end_was_noted_while_it_was_being_set_stays_ended(bench: Workbench) -> None:
    bench.status("pending")
    real = bench.desk.questions.post_status

    def slow(*args: Any, **named: Any) -> None:
        bench.desk.questions.post_status = real  # type: ignore[method-assign]
        bench.status("success")
        real(*args, **named)

    bench.desk.questions.post_status = slow  # type: ignore[method-assign]
    assert bench.flush() == 2
    assert bench.flush() == 0
    assert (bench.set, bench.states) == (["pending", "success"], ["done", "done"])


@pytest.mark.parametrize(("reason", "shown"), [("joined turn 9", ["eyes"]), ("told to stop", ["eyes", "confused"])])
def test_who_asked_sees_the_end_of_a_dropped_turn_but_not_of_one_that_goes_on_in_another(
    bench: Workbench, reason: str, shown: list[str]
) -> None:
    bench.react("eyes")
    assert bench.flush() == 1
    with begin(bench.desk.engine) as conn:
        row = session_tables.turn.update().where(session_tables.turn.c.id == bench.turn.id)
        conn.execute(row.values(state="dropped", reason=reason))
    bench.flush()
    assert [content for at, _, content, _ in bench.pull.reactions if at == bench.comment.id] == shown


def test_commits_are_pushed_by_the_machine_that_has_them(bench: Workbench) -> None:
    """Two machines on one database: only a mirror that has the commits can push them."""
    desk, forge = bench.desk, bench.desk.config.forge
    made = msgspec.structs.replace(MADE, place="there")
    bench.put(deeds.Push(made=made, branch="feature-1", agent="reviewer"))
    with begin(desk.engine) as conn:
        places.tell(conn, "there", now=desk.now())

    def at(place: str) -> doing.Deeds:
        return doing.Deeds(
            desk.engine, desk.questions, forge=forge, pusher=bench._push, now=lambda: desk.now(), place=lambda: place
        )

    assert at("here").flush() == 0 and bench.states == ["waiting"]
    bench.pass_time(int(places.AWAY) + 1)
    bench.pushes = [Unpushable("they are in the state directory of another machine")]
    assert at("here").flush() == 0 and bench.states == ["waiting"], "it may come back"
    bench.pass_time(3600)
    bench.pushes = [Pushed(state="pushed", commit="c" * 40, many=1)]
    assert at("there").flush() == 1 and bench.states == ["done"]


def test_a_push_that_may_take_its_time_is_not_begun_where_somebody_waits(bench: Workbench) -> None:
    bench.put(deeds.Push(made=MADE, branch="feature-1", agent="reviewer"))
    bench.react()
    assert bench.flush(quick=True) == 1
    assert bench.states == ["waiting", "done"]
    bench.pushes = [Pushed(state="pushed", commit="d" * 40, many=1)]
    assert bench.flush() == 1
    assert bench.noted == (f"push {'d' * 40}",)


def test_a_push_that_cannot_be_made_for_long_is_given_up_with_its_reason(bench: Workbench) -> None:
    bench.put(deeds.Push(made=MADE, branch="feature-1", agent="reviewer"))
    bench.pushes = [Unpushable("the forge is away")] * 40
    for _ in range(12):
        bench.flush(later=3600)
    assert bench.states == ["waiting"], "whoever minds the forge has a day"
    for _ in range(12):
        bench.flush(later=3600)
    assert bench.states == ["done"]
    assert bench.noted == ("not pushed: the forge is away",)


def test_days_without_a_forge_cost_nothing_and_end_in_no_stampede(bench: Workbench) -> None:
    bench.put(deeds.Push(made=MADE, branch="feature-1", agent="reviewer"))
    bench.status("pending")
    for content in ("eyes", "rocket", "confused"):
        bench.react(content)
    down = bench.desk.world.fault("/", status=502, times=None)
    asked = []
    for _ in range(40):
        bench.desk.world.reset_requests()
        bench.flush(later=60)
        asked.append(len(bench.desk.world.requests))
    assert max(asked) <= 3, "one deed tries it for all"
    assert sum(asked[:10]) > sum(asked[10:]), "ever more rarely"
    bench.flush(later=3 * 86_400)
    with reading(bench.desk.engine) as conn:
        assert set(conn.scalars(sa.select(tables.deed.c.attempts))) == {0}
    bench.desk.world.faults.remove(down)
    bench.pushes = [Pushed(state="pushed", commit="d" * 40, many=1)]
    assert bench.flush(later=3600) == 5
    assert set(bench.states) == {"done", "open"}


def test_when_the_forge_is_read_again_what_was_put_off_for_its_absence_is_done(bench: Workbench) -> None:
    bench.react()
    down = bench.desk.world.fault("/", status=502, times=None)
    for _ in range(8):
        assert bench.flush(later=900) == 0
    bench.desk.world.faults.remove(down)
    assert bench.flush(later=1) == 0
    bench.deeds.forge_is_back()
    assert bench.flush() == 1


def test_a_gateway_that_answers_writers_only_does_not_keep_one_trouble_before_the_others(bench: Workbench) -> None:
    bench.desk.world.fault("POST .*/statuses", status=502, times=None)
    bench.status("pending")
    bench.react()
    assert bench.flush() == 0
    assert bench.flush(later=1) == 1
    assert bench.states == ["waiting", "done"]


def test_one_404_of_a_repository_drops_nothing(bench: Workbench) -> None:
    bench.put(deeds.Push(made=MADE, branch="feature-1", agent="reviewer"))
    bench.pushes = [Pushed(state="pushed", commit="d" * 40, many=1)]
    bench.desk.world.fault("/repositories/", status=404, times=None)
    assert bench.flush() == 1


def test_a_push_waits_for_a_repository_that_was_taken_away_and_says_so_when_it_never_returns(bench: Workbench) -> None:
    bench.put(deeds.Push(made=MADE, branch="feature-1", agent="reviewer"))
    taken = bench.desk.world.fault("/repos", status=404, times=None)
    assert (bench.flush(), bench.states) == (0, ["waiting"])
    bench.flush(later=6 * 86_400)
    assert bench.states == ["waiting"]
    bench.flush(later=86_400)
    assert (bench.states, taken.struck) == (["done"], 6)
    assert bench.noted == ("not pushed: its repository is gone, or was taken from the bot",)


def test_that_a_branch_is_gone_is_believed_when_the_forge_still_says_so(bench: Workbench) -> None:
    bench.put(deeds.Push(made=MADE, branch="feature-1", agent="reviewer"))
    bench.pushes = [deeds.NotThere("its branch is gone")] * 4
    for _ in range(3):
        bench.flush(later=600)
    assert bench.noted == ()
    bench.flush(later=600)
    assert bench.noted == ("not pushed: its branch is gone",)


def test_a_scope_that_the_token_lacks_is_waited_for(bench: Workbench) -> None:
    real = bench.desk.questions.post_status

    def refused(*args: object, **named: object) -> None:
        raise errors.error_of(403, where="POST", message="required=[write:repository], token scope=write:issue")

    bench.desk.questions.post_status = refused  # type: ignore[method-assign, assignment]
    bench.status("success")
    for _ in range(22):
        bench.flush(later=3600)
    assert bench.states == ["waiting"]
    bench.desk.questions.post_status = real  # type: ignore[method-assign]
    assert bench.flush(later=3600) == 1


def test_a_date_from_a_clock_that_was_put_back_keeps_no_deed_waiting(bench: Workbench) -> None:
    bench.react()
    elsewhere = str(processes.me()).replace(str(processes.me().host), "elsewhere")
    far = bench.desk.now() + 365 * 86_400
    with begin(bench.desk.engine) as conn:
        conn.execute(tables.deed.update().values(not_before=far, owner=elsewhere, lease_until=far))
    assert bench.flush() == 1
