"""The log against the truth: whatever people, network and kernel do, nothing is missed, made up or told twice."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.poller.deltas.acts import MOVES, SILENT, Move
from tests.poller.machine.comparison import COLLAPSES, Comparison
from tests.poller.machine.stage import Poll, Stage, Trouble

PULLS = 4

USUAL = [name for name in MOVES if name not in ("merge", "pause", "noise")]
QUIET = [name for name in SILENT if name != "delete pull"]
moves = st.builds(
    Move,
    what=st.sampled_from([*USUAL * 2, *QUIET * 2, "merge", "delete pull"]),
    who=st.integers(0, 2),
    pick=st.integers(0, 14),
    wait=st.sampled_from([0, 0, 1, 1, 2, 3]),
)
deeds = st.tuples(st.integers(0, PULLS - 1), moves)

PLACES = (
    "GET ", "GET /repos/issues/search", "GET …/timeline", r"GET …/reviews(\?|$)", "GET …/reviews/", r"GET …/pulls/\d+$",
    r"GET …/issues/\d+$", "GET …/git/refs", "GET …/issues/comments",
)  # fmt: skip
#: What passes when it is asked again, what takes longer, and what is made up.
TROUBLES = (
    ({"status": 500}, 1), ({"status": 502}, 4), ({"status": 429, "retry_after": 0}, 1),
    ({"status": 429, "retry_after": 60}, 1), ({"status": 404}, 1), ({"cut": True}, 1), ({"drop_after_accept": True}, 2),
    ({"html": True}, 1), ({"delay": 0.02}, 3), ({"delay": 0.4}, 1), ({"lie": "empty"}, 1), ({"lie": "null"}, 1),
    ({"lie": "short"}, 1),
)  # fmt: skip
troubles = st.builds(
    lambda what, where: Trouble(what=dict(what[0]), where=where, times=what[1]),
    st.sampled_from(TROUBLES),
    st.sampled_from(PLACES),
)


class Forge(RuleBasedStateMachine):
    """People act on some pulls in two repositories; a poller looks now and then, and much befalls it."""

    version: str
    table: Counter[str]

    @initialize(lag=st.sampled_from([0, 0, 1, 2]), page=st.sampled_from([50, 3]))
    def begin(self, lag: int, page: int) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="machine-")
        self.stage = Stage(Path(self._place.name), version=self.version, lag=lag, page=page)
        self.baseline = self.stage.happened
        self.diary: list[str] = []

    def do(self, which: int, move: Move) -> None:
        there = [play for play in self.stage.plays if not play.is_gone]
        if not there:
            return
        play = there[which % len(there)]
        if play.do(move):
            self.diary.append(f"{self.stage.world.clock.text()} {play.repo.name}#{play.pull.number} {move}")
            if threading.current_thread() is threading.main_thread():
                self.write_up()

    def write_up(self) -> None:
        """Hypothesis takes notes from its own thread only."""
        note("\n".join(self.diary))
        self.diary.clear()

    @rule(some=st.lists(deeds, min_size=2, max_size=10))
    def act(self, some: list[tuple[int, Move]]) -> None:
        for which, move in some:
            self.do(which, move)

    @rule(which=st.integers(0, PULLS - 1), some=st.lists(moves, min_size=2, max_size=10))
    def act_on_one(self, which: int, some: list[Move]) -> None:
        for move in some:
            self.do(which, move)

    @precondition(lambda self: sum(not play.is_gone for play in self.stage.plays) < PULLS)
    @rule(where=st.integers(0, 1), pick=st.integers(0, 11))
    def open(self, where: int, pick: int) -> None:
        self.stage.world.clock.advance(seconds=1)
        there = [repo for repo in self.stage.repos if not repo.deleted]
        play = self.stage.open(there[where % len(there)], pick=pick)
        note(f"{self.stage.world.clock.text()} {play.repo.name}#{play.pull.number} opened")

    @rule()
    def poll(self) -> None:
        note(f"{self.stage.world.clock.text()} poll")
        assert self.is_well(self.stage.poll())

    @rule(some=st.lists(st.tuples(deeds, st.integers(0, 3)), min_size=2, max_size=8))
    def poll_while_others_act(self, some: list[tuple[tuple[int, Move], int]]) -> None:
        left, patience = list(some), some[0][1]

        def happens() -> None:
            nonlocal patience
            with self.stage.world.mutex:
                patience -= 1
                if patience < 0 and left:
                    (which, move), _ = left.pop(0)
                    patience = left[0][1] if left else 0
                    self.do(which, move)

        poll = self.stage.poll(happens=happens)
        self.write_up()
        assert self.is_well(poll)

    def is_well(self, poll: Poll) -> bool:
        """It ended well, or kept the silence that the forge had asked for."""
        return poll.done or poll.at < self.stage.quiet_until

    @rule(trouble=troubles)
    def poll_in_trouble(self, trouble: Trouble) -> None:
        self.stage.poll(trouble=trouble)

    @rule(kind=st.sampled_from(["question", "statement", "statement", "commit"]), nth=st.integers(0, 30))
    def poll_and_die(self, kind: str, nth: int) -> None:
        self.stage.poll(death=(kind, nth % 3 if kind == "commit" else nth))

    @rule(where=st.integers(0, 1), pick=st.integers(0, 9))
    def move_the_repository(self, where: int, pick: int) -> None:
        """It gets another name; or, seldom and not both of them, it is deleted."""
        there = [repo for repo in self.stage.repos if not repo.deleted]
        repo = there[where % len(there)]
        if pick == 9 and len(there) > 1:
            repo.delete()
        else:
            repo.rename(f"{repo.name[:3]}{pick}")

    @rule()
    def wait(self) -> None:
        self.stage.world.clock.advance(seconds=400)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            if sys.exception() is None:
                self.compare()
        finally:
            self.stage.close()
            self._place.cleanup()

    def compare(self) -> None:
        """Everybody is quiet, the poller reads to the end, and then both logs are laid side by side."""
        stage = self.stage
        stage.world.clock.advance(seconds=3)
        stage.world.catch_up()
        for seconds in (100, 5000, 400, 400, 400):
            assert self.is_well(stage.poll())
            stage.world.clock.advance(seconds=seconds)
        last = stage.poll()
        assert (last.told, last.unread) == ([], frozenset()), "it does not come to rest"
        happened = sorted([*stage.world.webhooks, *stage.world.silent], key=lambda one: one["nth"])
        comparison = Comparison(happened, stage.polls, baseline=self.baseline)
        comparison.check()
        for name, times in comparison.counts.items():
            if times:
                event(f"collapse: {name}", payload=times)
        self.table.update(comparison.counts)
        self.table["happenings"] += len(happened) - self.baseline
        self.table["events"] += sum(len(poll.told) for poll in stage.polls)
        self.table["polls"] += len(stage.polls)


def compare_both_logs(version: str, *, examples: int = 15, steps: int = 14) -> None:
    table = Counter[str]()
    machine = type("Forge", (Forge,), {"version": version, "table": table})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate, Phase.shrink],
        ),
    )  # fmt: skip
    print(f"\n{version}: " + ", ".join(f"{times} × {name}" for name, times in sorted(table.items()) if times))
    assert {name for name in table if table[name]} <= {*COLLAPSES, "happenings", "events", "polls"}
    assert table["happenings"] and table["events"], "nothing was compared"


# Shrinking what fails may take its time.
pytestmark = pytest.mark.timeout(900)


class TestOld:
    def test_every_webhook_has_its_event_and_every_event_its_cause(self) -> None:
        compare_both_logs("1.22.6")


class TestStable:
    def test_every_webhook_has_its_event_and_every_event_its_cause(self) -> None:
        compare_both_logs("1.25.4")


class TestNext:
    def test_every_webhook_has_its_event_and_every_event_its_cause(self) -> None:
        compare_both_logs("1.26-dev")


class TestForgejo:
    def test_every_webhook_has_its_event_and_every_event_its_cause(self) -> None:
        compare_both_logs("forgejo-11")
