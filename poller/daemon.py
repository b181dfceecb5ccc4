"""The daemon: cycles by the clock, turns by worker threads, until it is told to stop.

Knows APScheduler.  The durable time is in the database: a tick that is missed is only a later look.
"""

from __future__ import annotations

import contextlib
import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from poller.app import App
from poller.cycle import Busy, Report
from poller.forge.errors import ForgeError
from poller.inventory import NothingToWatch
from poller.leaving import Leaving
from poller.notify import Notify
from poller.pace import Pace
from poller.renewal import Either, Hand, Renewal
from poller.scheduling import MINDING, mind_the_clock, put_to_rest
from sessions.database import DatabaseError
from sessions.logs import fields

log = logging.getLogger(__name__)

#: Seconds between two looks for due turns, due posts and for bottles whose grace time is over.
TURNS, POSTS, HOUSEKEEPING = 2.0, 10.0, 3600.0
#: Seconds between two looks at the config file.
RENEWALS = 2.0
#: Seconds after the stop in which a post may still be begun; that whatever is under way gets to end after a bug.
LAST_POSTS, PARTING = 2.0, 4.0
#: Seconds for which a manager is asked to be patient, and between two such requests.
PATIENT, ASKING = 60.0, 10.0
#: What SIGTERM and SIGINT end it with.
CODES = {signal.SIGTERM: 0, signal.SIGINT: 130}


class Daemon:
    """`run` returns the exit code: 0 after SIGTERM, 130 after SIGINT; a bug in any thread is raised there.

    `leaving` says when to stop, `renewal` whether there is another config.  `drain`: turns that run then are waited
    for."""

    def __init__(
        self, hand: Hand, leaving: Leaving, *, renewal: Renewal, drain: bool = False, notify: Notify | None = None
    ) -> None:
        self._hand, self._renewal, self._leaving, self._drain = hand, renewal, leaving, drain
        self._notify = notify or Notify({})
        self._stop = leaving.stop
        self._leave = Either(self._stop)  # turns are to be left: to the next start, or to the next config
        self._wake = threading.Event()  # a cycle has found something: do not finish the nap
        self._first_done = threading.Event()
        self._bug: BaseException | None = None
        self._busy = 0
        self._quiet = threading.Condition()
        self._pace = Pace(moved_at=time.monotonic())
        self._scheduler: Any = None
        self._delay = 0.0

    @property
    def _app(self) -> App:
        return self._hand.app

    def run(self) -> int:
        """Until a signal.  A first cycle that finds the token refused or nothing to watch ends it at once."""
        if not self._has_begun():
            return self._leaving.code
        worker = threading.Thread(target=self._guarded, args=(self._work,), name="turns", daemon=True)
        scheduler = self._scheduled()
        worker.start()
        scheduler.start()
        log.info("watching", extra=fields(forge=self._app.config.forge, every=f"{self._every:.0f}s"))
        self._notify.ready()
        try:
            self._watch(worker)
        finally:
            self._end(worker)
        if self._bug is not None:
            raise self._bug
        log.info("stopped; bottles that still run are adopted by the next start")
        return self._leaving.code

    def _has_begun(self) -> bool:
        """The first cycle, in a thread: this one is to hear signals.  False when it was told to stop meanwhile."""
        if self._stop.is_set():
            return False
        threading.Thread(target=self._guarded, args=(self._first_cycle,), name="first", daemon=True).start()
        self._notify.status(f"reading {self._app.config.forge} for the first time")
        asked = -ASKING
        while not self._first_done.wait(0.2):
            if self._stop.is_set():
                self._leaving.hurry()
            if time.monotonic() - asked > ASKING:
                asked = time.monotonic()
                self._notify.patience(PATIENT)
        if self._bug is not None:
            raise self._bug
        return not self._stop.is_set()

    def _scheduled(self) -> Any:
        from apscheduler.schedulers.background import BackgroundScheduler

        scheduler = self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._plan()
        scheduler.add_job(self._guarded, "interval", (self._post,), seconds=POSTS, id="outbox")
        scheduler.add_job(self._guarded, "interval", (self._renew,), seconds=RENEWALS, id="config")
        scheduler.add_job(
            self._guarded, "interval", (self._put_in_order,), seconds=HOUSEKEEPING, jitter=60, id="housekeeping"
        )
        return scheduler

    def _watch(self, worker: threading.Thread) -> None:
        nap = min(MINDING, self._notify.every or MINDING)
        minded = time.monotonic()
        while not self._stop.wait(nap):
            if worker.is_alive() and self._scheduler.running:
                self._notify.alive()
            if time.monotonic() - minded >= MINDING - nap / 2:
                minded = time.monotonic()
                longest = {"cycle": self._delay, "outbox": POSTS, "housekeeping": HOUSEKEEPING + 60, "config": RENEWALS}
                mind_the_clock(self._scheduler, longest, now=datetime.now(UTC))

    def _end(self, worker: threading.Thread) -> None:
        """In order, if that can be had in time: who told us to stop sees to it that it ends either way."""
        self._stop.set()
        self._wake.set()
        put_to_rest(self._scheduler)
        self._notify.stopping("waiting for the turns that run" if self._drain else "stopping")
        while self._drain and worker.is_alive() and self._bug is None:
            self._notify.patience(PATIENT)
            self._notify.alive()
            worker.join(ASKING)
        if self._bug is not None:
            self._wait_for_quiet(PARTING)
            return
        self._leaving.hurry()
        self._guarded(self._post_the_last)
        self._wait_for_quiet(3600)  # if something hangs, our end is seen to

    def _wait_for_quiet(self, seconds: float) -> None:
        with self._quiet:
            self._quiet.wait_for(lambda: self._busy == 0, timeout=seconds)

    # -- cycles -------------------------------------------------------------------------------------------------

    @property
    def _every(self) -> float:
        return float(self._app.config.poll.every)

    def _first_cycle(self) -> None:
        try:
            self._first_look()
        finally:
            self._first_done.set()

    def _first_look(self) -> None:
        try:
            self._succeeded(self._app.cycle.run())
        except Busy as busy:
            log.warning("%s; waiting for my turn", busy)
            self._delay = self._next_delay()
        except ForgeError as trouble:
            if trouble.exit_code == 4:
                raise
            self._failed(trouble)

    def _cycle(self) -> None:
        try:
            self._succeeded(self._app.cycle.run())
        except Busy as busy:
            log.debug("%s", busy)
            self._delay = self._next_delay()
        except (ForgeError, NothingToWatch, DatabaseError) as trouble:
            self._failed(trouble)
        else:
            self._wake.set()
            self._app.dispatcher.nudge()
        self._plan()

    def _succeeded(self, report: Report) -> None:
        if self._pace.failures:
            log.info("cycles succeed again", extra=fields(failures=self._pace.failures))
        self._app.deeds.forge_is_back()
        moved = bool(report.told) or report.pulls_changed > 0
        self._pace = self._pace.succeeded(moved=moved, now=time.monotonic())
        self._delay = self._next_delay()
        self._notify.status(f"watching {self._app.config.forge}, last looked at {datetime.now(UTC):%H:%M:%S}Z")

    def _failed(self, trouble: ForgeError | NothingToWatch | DatabaseError) -> None:
        asked = None
        if isinstance(trouble, ForgeError):
            asked = trouble.retry_after
            self._app.courtesy.heard(trouble)  # turns and posts wait as well, also where another process was told
        self._pace = self._pace.failed(asked=asked)
        self._delay = self._next_delay()
        again = f"trying again in {self._delay:.0f}s"
        log.error("cycle failed: %s; %s", trouble, again, extra=fields(failures=self._pace.failures))
        self._notify.status(f"cycle failed: {trouble}; {again}")

    def _next_delay(self) -> float:
        return self._pace.delay(every=self._every, now=time.monotonic(), jitter=random.uniform(-1, 1))  # noqa: S311

    def _plan(self) -> None:
        """One cycle is planned when the one before it is over: they never overlap, and none is skipped."""
        moment = datetime.now(UTC) + timedelta(seconds=self._delay)
        self._scheduler.add_job(
            self._guarded, "date", (self._cycle,), run_date=moment, id="cycle", replace_existing=True, max_instances=2
        )

    # -- the rest -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._leave.clear()
            if self._stop.is_set():
                return
            try:
                with self._hand.using() as app:
                    app.turns(wait=True, stop=self._leave, drain=self._drain)
            except DatabaseError as trouble:
                log.error("turns: %s", trouble)
            self._wake.wait(TURNS * random.uniform(0.9, 1.1))  # noqa: S311
            self._wake.clear()

    def _post(self) -> None:
        try:
            self._app.post()
        except DatabaseError as trouble:
            log.error("outbox: %s", trouble)

    def _post_the_last(self) -> None:
        """What is due by now; what a turn has said was posted when it ended."""
        try:
            self._app.post(until=time.monotonic() + LAST_POSTS)
        except DatabaseError as trouble:
            log.error("outbox: %s", trouble)

    def _put_in_order(self) -> None:
        try:
            self._app.put_in_order()
        except DatabaseError as trouble:
            log.error("housekeeping: %s", trouble)

    def _renew(self) -> None:
        """Another config, if there is one: a cycle at once, and turns that run go on under it."""
        if (app := self._renewal.look()) is not None:
            self._hand.take(app)
            self._notify.reloaded()
            self._leave.set()
            self._wake.set()
            self._delay = 0.0
            self._plan()

    def _guarded(self, job: Callable[[], None]) -> None:
        """A bug stops the process loudly instead of being one more log line of the scheduler."""
        with self._quiet:
            self._busy += 1
        try:
            with self._hand.using() if job != self._work else contextlib.nullcontext():
                job()
        except BaseException as bug:
            self._bug = self._bug or bug
            self._stop.set()
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()
