"""The real store, people, two processes that die anywhere, agents that end anyhow, and time: the promises hold.

- a question is answered at most once at any moment, and exactly once when all is over (unless its pull was closed);
- no bottle ever runs twice at the same time, and no turn that had answered is launched again;
- a launch after one that was cut off says that it is a repeat;
- whoever lost a turn to somebody else neither finishes nor posts it;
- the bot answers nothing that it said itself, and nothing is left running.

`BOTTLEPOST_MACHINE_EXAMPLES=500` plays more histories; `BOTTLEPOST_MACHINE_SEED=N` others.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from poller import letters
from poller.config import load
from poller.demo.pulls import Pull
from poller.demo.world import World
from poller.forge.errors import ForgeError
from poller.replies import marks_in
from sessions import registry
from sessions.database import reading
from tests.chaos.reckoning import tokens_answered
from tests.faults.bodies import Body, watch_files, watch_no_more
from tests.faults.cellar import Cellar

CONFIG = """\
gitea: {{url: "{url}", token: "{token}"}}
repos: [acme/api]
state: state
poll: {{start: 24h, sweep: 3650d}}
trust: {{who: [ana, ben], forks: never}}
limits: {{parallel: 2}}
agents: {{reviewer: {{backend: process, checkout: false, on: [mentioned, synchronized]}}}}
"""
EXAMPLES = int(os.environ.get("BOTTLEPOST_MACHINE_EXAMPLES", "25"))
SEED = int(os.environ.get("BOTTLEPOST_MACHINE_SEED", "1"))
TRIES = 2
deaths = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["statement", "statement", "commit", "question", "post", "bottle", "file"]),
              st.integers(0, 25)),
)  # fmt: skip


class Bot(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self._place = tempfile.TemporaryDirectory()
        place = Path(self._place.name)
        self.world = World()
        self.world.clock.set("2026-11-21T07:00:00Z")
        for login in ("bot", "ana", "ben"):
            self.world.user(login)
        self.repo = self.world.repo(
            "acme/api", private=True, collaborators={"bot": "write", "ana": "write", "ben": "write"}
        )
        self.server = self.world.serve()
        token = self.world.token("bot", scopes="read:user,write:issue,write:repository")
        path = place / "config.yaml"
        path.write_text(CONFIG.format(url=self.server.url, token=token))
        self.config = load(path, environ={})
        self.asked: dict[str, Pull] = {}
        self.closed: set[int] = set()
        self.killed: Counter[int] = Counter()
        self.current: Body | None = None
        self.cellar = Cellar(self.step)
        self.bodies = [
            Body(self.config, self.cellar, now=lambda: float(self.world.clock.now()), at_hand=self.take)
            for _ in range(2)
        ]
        watch_files(self.config.state / "state", self.step)
        self.pulls = [self.repo.open_pull(by="ana") for _ in range(2)]
        assert self.bodies[0].does(self.bodies[0].cycle.run)

    def step(self, what: str) -> None:
        if self.current is not None:
            self.current.fate.step(what)

    def take(self, body: Body) -> None:
        self.current = body

    def free(self, which: int) -> Body:
        """One that does nothing; there always is one that can."""
        body = self.bodies[which]
        return body if not body.is_busy else self.bodies[1 - which]

    # -- people and time -----------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), by=st.sampled_from(["ana", "ben"]))
    def ask(self, which: int, by: str) -> None:
        token = f"tok-{len(self.asked) + 1}"
        self.asked[token] = self.pulls[which]
        self.pulls[which].comment(f"@bot what of {token}?", by=by)
        self.world.clock.advance(seconds=1)

    @rule(which=st.integers(0, 1))
    def push(self, which: int) -> None:
        if self.pulls[which].state == "open":
            self.pulls[which].push(by="ana")

    @precondition(lambda self: len(self.asked) > 6)
    @rule(which=st.integers(0, 1))
    def close_and_open_another(self, which: int) -> None:
        self.pulls[which].close(by="ana")
        self.closed.add(self.pulls[which].number)
        self.pulls[which] = self.repo.open_pull(by="ana")

    @rule(seconds=st.sampled_from([1, 31, 61, 125, 700]))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(seconds=seconds)

    @precondition(lambda self: self.cellar.running)
    @rule(which=st.integers(0, 5), how=st.sampled_from(["done", "done", "killed", "cut"]))
    def an_agent_ends(self, which: int, how: str) -> None:
        run = self.cellar.running[which % len(self.cellar.running)]
        if how != "done" and self.killed[run.turn] >= TRIES:
            how = "done"  # it would be given up, as it should
        self.killed[run.turn] += how != "done"
        self.cellar.end(run, how)

    # -- the bot -------------------------------------------------------------------------------------------------

    @precondition(lambda self: not all(body.is_busy for body in self.bodies))
    @rule(which=st.integers(0, 1), death=deaths)
    def poll(self, which: int, death: tuple[str, int] | None) -> None:
        body = self.free(which)
        body.does(body.cycle.run, death=death)

    @precondition(lambda self: not all(body.is_busy for body in self.bodies))
    @rule(which=st.integers(0, 1), death=deaths)
    def work(self, which: int, death: tuple[str, int] | None) -> None:
        body = self.free(which)
        body.does(body.work, death=death)

    @precondition(lambda self: not any(body.is_busy for body in self.bodies))
    @rule(which=st.integers(0, 1))
    def work_slowly(self, which: int) -> None:
        self.bodies[which].work_slowly()

    @precondition(lambda self: any(body.is_busy for body in self.bodies))
    @rule(dies=st.sampled_from([False, False, True]))
    def the_slow_one_goes_on(self, dies: bool) -> None:
        body = next(body for body in self.bodies if body.is_busy)
        body.goes_on(dies=dies)

    @precondition(lambda self: not all(body.is_busy for body in self.bodies))
    @rule(which=st.integers(0, 1), death=deaths, fault=st.sampled_from([None, None, "drop_after_accept", "cut"]))
    def post(self, which: int, death: tuple[str, int] | None, fault: str | None) -> None:
        body = self.free(which)
        if fault is not None:
            self.world.fault("POST …/comments", **{fault: True})
        body.does(body.outbox.flush, death=death)
        self.world.faults.clear()

    # -- the promises --------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_done_twice(self) -> None:
        if not hasattr(self, "cellar"):
            return
        assert not self.cellar.wrong
        said = [row.body for pull in self.repo.pulls.values() for row in pull.comments if row.user.login == "bot"]
        marks = Counter(mark for body in said for mark in marks_in(body))
        assert [mark for mark, times in marks.items() if times > 1] == []
        answered = Counter(token for body in said for token in tokens_answered(body))
        assert [token for token, times in answered.items() if times > 1] == []
        self.answered = answered

    def teardown(self) -> None:
        if not hasattr(self, "bodies"):
            return
        try:
            self.come_to_rest()
        finally:
            watch_no_more(self.config.state / "state")
            for body in self.bodies:
                while body.is_busy:
                    body.goes_on(dies=True)
                body.end()
            self.server.close()
            self._place.cleanup()

    def come_to_rest(self) -> None:
        """The agents end, the slow one is done, and plain calls follow; then everything is answered."""
        for body in self.bodies:
            for _ in range(20):
                for run in self.cellar.running:
                    self.cellar.end(run, "done")
                if not body.is_busy:
                    break
                body.goes_on(dies=False)
        body = self.bodies[0]
        for _ in range(12):
            self.world.clock.advance(seconds=700)
            for what in (body.cycle.run, body.work, body.outbox.flush):
                try:
                    assert body.does(what)
                except ForgeError as trouble:
                    raise AssertionError("nothing is wrong with the forge") from trouble
            for run in self.cellar.running:
                self.cellar.end(run, "done")
        self.nothing_is_done_twice()
        with reading(body.engine) as conn:
            turns, waiting = registry.turns(conn), letters.waiting(conn)
        assert [turn for turn in turns if turn.state in ("waiting", "running", "failed")] == []
        assert (waiting, self.cellar.running) == (0, [])
        owed = {token for token, pull in self.asked.items() if pull.number not in self.closed}
        assert owed - self.answered.keys() == set(), "lost"


@pytest.mark.timeout(900)
def test_whatever_dies_each_question_is_answered_once() -> None:
    run_state_machine_as_test(
        seed(SEED)(Bot),
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=30, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False, phases=[Phase.generate],
        ),
    )  # fmt: skip
