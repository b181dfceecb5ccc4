"""Who is killed, and when.

Knows processes and chance.  Must not know what becomes of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections import Counter, deque
from collections.abc import Callable

from poller.demo.faults import Fault
from sessions.bottles import EngineError
from tests.chaos.nursery import Child
from tests.chaos.realm import Realm, Run

#: Tries that a turn has; the last one is left alone, or it would be given up, as it should.
MOST_PER_TURN = 2
#: Questions without an answer, beyond which nobody asks any more for now.
PATIENCE = 12
#: Seconds after a backoff of the first failed try.
BACKOFF = 31


class Strikes:
    """`mode`: once, daemon or both; `span`: seconds, the usual length of a call, or more: the machine may have been
    busy when it was measured, and what calls really take is looked at again and again."""

    def __init__(self, realm: Realm, *, mode: str, span: float) -> None:
        self._realm, self._random, self._mode, self._span = realm, realm.random, mode, span
        self._longest = span
        self.kills: Counter[str] = Counter()
        self._of_turn: Counter[int] = Counter()
        self._struck = 0
        self._begun: list[Child] = []
        self._lengths = deque[float](maxlen=12)

    def run(self, kills: int, *, until: float) -> None:
        """So many, or until then (`time.monotonic()`)."""
        while self.kills.total() < kills and time.monotonic() < until:
            self._people()
            self._measure()
            self._calls()
            time.sleep(self._random.uniform(0, self._span))
            self._strike()
            self._struck += 1
            if self._struck % 8 == 0:
                self._realm.pass_time(BACKOFF)

    def _people(self) -> None:
        realm = self._realm
        answered = sum(body.count("tok-") for _, body in realm.answers())
        if len(realm.asked) - answered < PATIENCE:
            for _ in range(self._random.choice((0, 1, 1, 2))):
                realm.ask()
        if self._random.random() < 0.05:
            realm.work.push(self._random.choice(realm.pulls))

    def _measure(self) -> None:
        """Of calls that ended by themselves, those that had most to do."""
        begun, self._begun = self._begun, []
        for child in begun:
            if (code := child.code) is None:
                self._begun.append(child)
            elif code >= 0:
                self._lengths.append(child.seconds)
        if len(self._lengths) == self._lengths.maxlen:
            self._span = min(self._longest, sorted(self._lengths)[-3])

    def _calls(self) -> None:
        """As many as there should be."""
        living = self._realm.living()
        daemons = [one for one in living if "--once" not in one.args]
        anew = self._random.random() < 0.03
        if self._mode != "once" and not daemons:
            self._realm.start(anew=anew)
        if self._mode != "daemon":
            wanted = self._random.choice((1, 1, 2, 3) if self._mode == "once" else (0, 1, 1, 2))
            for _ in range(wanted - (len(living) - len(daemons))):
                more = ["--no-wait"] if self._random.random() < 0.25 else []
                self._begun.append(self._realm.start("--once", *more, anew=anew))

    # -- the strike ----------------------------------------------------------------------------------------------

    def _strike(self) -> None:
        dice = self._random.random()
        if dice < 0.40:
            self._one_poller()
        elif dice < 0.55:
            self._at_a_request()
        elif dice < 0.63:
            self._all_pollers()
        elif dice < 0.93:
            self._agents(self._random.choice(("agent", "agent", "keeper", "run")), most=1)
        else:
            self._all_pollers()
            self._agents("run", most=99)

    def _one_poller(self) -> None:
        living = self._realm.living()
        if living:
            self.kills["poller"] += self._random.choice(living).kill()

    def _all_pollers(self) -> None:
        self.kills["poller"] += sum([child.kill() for child in self._realm.living()])

    def _at_a_request(self) -> None:
        """When the forge has heard it and before it is answered; the post above all."""
        posts, world = self._realm.work.posts, self._realm.world
        where = self._random.choice((posts, posts, "POST ", "GET …/timeline", "GET …/comments", "GET "))
        hit = _Hit(match=Fault.of(where).match, strikes_now=self._all_pollers)
        with world.mutex:
            world.faults.append(hit)
        if where == posts:
            self._realm.work.at_push = lambda: hit.strikes(posts)
        deadline = time.monotonic() + 2 * self._span
        while not hit.struck and time.monotonic() < deadline:
            time.sleep(0.01)
        with world.mutex:
            world.faults.remove(hit)
        self._realm.work.at_push = lambda: None

    def _agents(self, what: str, *, most: int) -> None:
        if self._realm.setting.backend == "docker":
            self._containers(most)
            return
        deadline, runs = time.monotonic() + self._span, list[Run]()
        while not runs and time.monotonic() < deadline:
            runs = [run for run in self._realm.runs() if self._of_turn[run.turn] < MOST_PER_TURN]
            time.sleep(self._random.uniform(0, 0.1) * self._span)
        self._random.shuffle(runs)
        for run in runs[:most]:
            if self._kill(run, what):
                self._of_turn[run.turn] += 1
                self.kills[what] += 1

    def _containers(self, most: int) -> None:
        from sessions.bottles import engine, holdings

        environ = self._realm.setting.environ
        running = [one for one in holdings.held(environ, self._realm.state) if one.running]
        running = [one for one in running if self._of_turn[int(one.turn.partition("-")[0])] < MOST_PER_TURN]
        for one in running[:most]:
            with contextlib.suppress(EngineError), engine.connected(environ) as client:
                client.containers.get(one.id).kill()
                self._of_turn[int(one.turn.partition("-")[0])] += 1
                self.kills["container"] += 1

    def _kill(self, run: Run, what: str) -> bool:
        pids = {"agent": run.others, "keeper": (run.keeper,), "run": (run.keeper, *run.others)}[what]
        done = False
        for pid in pids:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    done = True
        return done


class _Hit(Fault):
    """A fault that kills who asks, and lets the request be done."""

    def __init__(self, *, match: re.Pattern[str], strikes_now: Callable[[], None]) -> None:
        super().__init__(match=match)
        self._now = strikes_now

    def strikes(self, line: str) -> bool:
        if super().strikes(line):
            self._now()
        return False
