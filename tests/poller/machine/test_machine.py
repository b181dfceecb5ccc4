"""The log against the truth: whatever people, network and kernel do, nothing is missed, made up or told twice.

Each version plays `EXAMPLES` histories of `STEPS` steps from a fixed seed, so that all runs of the suite play the same
ones.  A failing run ends with the first that fails, and prints what befell the one pull that is at issue.  In the
environment:

- `BOTTLEPOST_MACHINE_ROUNDS=20`: so many rounds more, each from a seed of its own; a failure names its seed.
- `BOTTLEPOST_MACHINE_SEED=N`: play this seed instead of the fixed one.
- `BOTTLEPOST_MACHINE_SHRINK=SECONDS`: spend that long on making what fails smaller.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, assume, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.poller.deltas.acts import MOVES, do
from tests.poller.deltas.plays import Move
from tests.poller.deltas.silent import SILENT
from tests.poller.machine.collapses import COLLAPSES
from tests.poller.machine.comparison import Comparison, Unlike
from tests.poller.machine.stage import Poll, Spot, Stage, Trouble

PULLS = 4
EXAMPLES, STEPS = 15, 14
#: The one seed of every ordinary run.
SEED = 1

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
    #: What failed, with its story; the time (monotonic) after which nothing more is tried.
    failures: list[AssertionError]
    until: list[float]

    @initialize(lag=st.sampled_from([0, 0, 1, 2]), page=st.sampled_from([50, 3]))
    def begin(self, lag: int, page: int) -> None:
        assume(not self.until or time.monotonic() < self.until[0])
        self._place = tempfile.TemporaryDirectory(prefix="machine-")
        self.stage = Stage(Path(self._place.name), version=self.version, lag=lag, page=page)
        self.baseline = self.stage.happened
        #: what befell whom (`None`: everybody), or the number of a poll
        self.diary: list[tuple[Spot | None, str | int]] = []
        self.begun = f"{self.version}, lag {lag}, pages of {page}"

    def do(self, which: int, move: Move) -> None:
        there = [play for play in self.stage.plays if not play.is_gone]
        if not there:
            return
        play = there[which % len(there)]
        if do(play, move):
            self.write((play.repo.id, play.pull.number), f"{move.what} (who {move.who}, pick {move.pick})")

    def write(self, spot: Spot | None, what: str) -> None:
        """Into the diary, under the number of the newest entry of the truth."""
        self.diary.append((spot, f"{self.stage.world.clock.text()} [{self.stage.happened}] {what}"))

    def looked(self, **how: Any) -> Poll:
        self.diary.append((None, len(self.stage.polls)))
        return self.stage.poll(**how)

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
        self.write((play.repo.id, play.pull.number), f"opened (pick {pick})")

    @rule()
    def poll(self) -> None:
        assert self.is_well(self.looked())

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

        assert self.is_well(self.looked(happens=happens))

    def is_well(self, poll: Poll) -> bool:
        """It ended well, or kept the silence that the forge had asked for."""
        return poll.done or poll.at < self.stage.quiet_until

    @rule(trouble=troubles)
    def poll_in_trouble(self, trouble: Trouble) -> None:
        self.write(None, f"trouble: {trouble}")
        self.looked(trouble=trouble)

    @rule(kind=st.sampled_from(["question", "statement", "statement", "commit"]), nth=st.integers(0, 30))
    def poll_and_die(self, kind: str, nth: int) -> None:
        self.looked(death=(kind, nth % 3 if kind == "commit" else nth))

    @rule(where=st.integers(0, 1), pick=st.integers(0, 9))
    def move_the_repository(self, where: int, pick: int) -> None:
        """It gets another name; or, seldom and not both of them, it is deleted."""
        there = [repo for repo in self.stage.repos if not repo.deleted]
        repo = there[where % len(there)]
        if pick == 9 and len(there) > 1:
            repo.delete()
        else:
            repo.rename(f"{repo.name[:3]}{pick}")
        self.write(None, f"repository {repo.id} deleted" if repo.deleted else f"repository {repo.id}: {repo.full_name}")

    @rule()
    def wait(self) -> None:
        self.stage.world.clock.advance(seconds=400)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        failure = sys.exception()
        try:
            if failure is None:
                self.compare()
        except AssertionError as difference:
            self.fail(difference)
        finally:
            self.stage.close()
            self._place.cleanup()
        if isinstance(failure, AssertionError):
            self.fail(failure)

    def fail(self, failure: AssertionError) -> NoReturn:
        """Raise it again as a story of the pull at issue; from now on there is not much time."""
        if not self.until:
            self.until.append(time.monotonic() + SHRINK)
        spot = failure.spot if isinstance(failure, Unlike) else None
        lines = [self.begun, f"pull {spot}" if spot else "all pulls", str(failure), *story(self, spot)]
        self.failures.append(AssertionError("\n".join(lines)))
        raise self.failures[-1] from failure

    def compare(self) -> None:
        """Everybody is quiet, the poller reads to the end, and then both logs are laid side by side."""
        stage = self.stage
        stage.world.clock.advance(seconds=3)
        stage.world.catch_up()
        for seconds in (100, 5000, 400, 400, 400):
            assert self.is_well(self.looked())
            stage.world.clock.advance(seconds=seconds)
        last = self.looked()
        assert (last.told, last.unread) == ([], frozenset()), "it does not come to rest"
        happened = sorted([*stage.world.webhooks, *stage.world.silent], key=lambda one: one["nth"])
        comparison = Comparison(happened, stage.polls, baseline=self.baseline)
        comparison.check()
        self.table.update(comparison.counts)
        self.table["happenings"] += len(happened) - self.baseline
        self.table["events"] += sum(len(poll.told) for poll in stage.polls)
        self.table["polls"] += len(stage.polls)


def story(machine: Forge, spot: Spot | None) -> Iterator[str]:
    """The diary, as far as it is about this pull."""
    for whom, what in machine.diary:
        if isinstance(what, str):
            if spot is None or whom in (None, spot):
                yield f"{what}{f' on {whom}' if spot is None and whom else ''}"
        elif what < len(machine.stage.polls):
            poll = machine.stage.polls[what]
            told = [one.id.partition("/")[2] for one in poll.told if spot in (None, (one.repo_id, one.number or 0))]
            traits = {
                "failed": not poll.done, "in trouble": not poll.honest, "lied to": poll.lied,
                "thorough": spot in poll.thorough, "could not read it": spot in poll.unread,
            }  # fmt: skip
            yield " ".join([
                f"  poll {what} at {poll.at} [{poll.begin}-{poll.end}]",
                *(f"({name})" for name, holds in traits.items() if holds), *told,
            ])  # fmt: skip


def compare_both_logs(version: str) -> None:
    """The fixed seed, and as many others as the environment wants."""
    first = int(os.environ.get("BOTTLEPOST_MACHINE_SEED", SEED))
    for number in [first, *(secrets.randbits(32) for _ in range(ROUNDS))]:
        play_seed(version, number)


def play_seed(version: str, number: int) -> None:
    """One seed.  Raises the shortest failure that was found, with its story and nothing else."""
    table, failures = Counter[str](), list[AssertionError]()
    machine = type("Forge", (Forge,), {"version": version, "table": table, "failures": failures, "until": []})
    try:
        run_state_machine_as_test(
            seed(number)(machine),
            settings=settings(
                max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None,
                suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet, report_multiple_bugs=False,
                phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            ),
        )  # fmt: skip
    except Exception:
        if not failures:
            raise
    if failures:
        raise AssertionError(f"seed {number}: {min(map(str, failures), key=len)}")
    print(f"\n{version}: " + ", ".join(f"{times} × {name}" for name, times in sorted(table.items()) if times))
    assert {name for name in table if table[name]} <= {*COLLAPSES, "happenings", "events", "polls"}
    assert table["happenings"] and table["events"], "nothing was compared"


ROUNDS = int(os.environ.get("BOTTLEPOST_MACHINE_ROUNDS", "0"))
SHRINK = float(os.environ.get("BOTTLEPOST_MACHINE_SHRINK", "0"))
pytestmark = pytest.mark.timeout(300 * (1 + ROUNDS) + SHRINK)


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
