"""The daemon: cycles by the clock, turns by worker threads, until it is told to stop.

Knows APScheduler and signals.  The durable time is in the database: a tick that is missed is only a later look.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

from poller.app import App
from poller.cycle import Busy, Report
from poller.forge.errors import ForgeError
from poller.inventory import NothingToWatch
from poller.pace import Pace
from sessions.database import DatabaseError
from sessions.logs import fields

log = logging.getLogger(__name__)

#: Seconds between two looks for due turns, due posts and for bottles whose grace time is over.
TURNS, POSTS, HOUSEKEEPING = 2.0, 10.0, 3600.0
#: Seconds that whatever is under way gets to end by itself when we are told to stop.
PARTING = 4.0
#: Seconds between two looks whether the wall clock was put back.
MINDING = 20.0


class _Stopped(BaseException):
    """Told to stop in the middle of the first cycle."""


class Daemon:
    """`run` returns the exit code: 0 after SIGTERM, 130 after SIGINT; a bug in any thread is raised there."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stop = threading.Event()
        self._wake = threading.Event()  # a cycle has found something: do not finish the nap
        self._code = 0
        self._bug: BaseException | None = None
        self._is_first = False
        self._busy = 0
        self._quiet = threading.Condition()
        self._pace = Pace(moved_at=time.monotonic())
        self._scheduler: Any = None
        self._delay = 0.0

    def run(self) -> int:
        """Until a signal.  A first cycle that finds the token refused or nothing to watch ends it at once."""
        from apscheduler.schedulers.background import BackgroundScheduler

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        try:
            self._is_first = True
            self._first_cycle()
        except _Stopped:
            return self._code
        finally:
            self._is_first = False
        scheduler = self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._plan()
        scheduler.add_job(self._guarded, "interval", (self._post,), seconds=POSTS, id="outbox")
        scheduler.add_job(
            self._guarded, "interval", (self._put_in_order,), seconds=HOUSEKEEPING, jitter=60, id="housekeeping"
        )
        worker = threading.Thread(target=self._guarded, args=(self._work,), name="turns")
        worker.start()
        scheduler.start()
        log.info("watching", extra=fields(forge=self._app.config.forge, every=f"{self._every:.0f}s"))
        try:
            while not self._stop.wait(MINDING):
                longest = {"cycle": self._delay, "outbox": POSTS, "housekeeping": HOUSEKEEPING + 60}
                mind_the_clock(scheduler, longest, now=datetime.now(UTC))
        finally:
            self._stop.set()
            self._wake.set()
            scheduler.shutdown(wait=False)
            in_time = self._is_quiet_within(PARTING)
        if self._bug is not None:
            raise self._bug
        if not in_time:
            # A request hangs.  Nothing is half written, and the lease of a dead process is free at once.
            log.warning("stopped in the middle of a request; the next start begins where the last whole cycle ended")
            logging.shutdown()
            os._exit(self._code)
        log.info("stopped; bottles that still run are adopted by the next start")
        return self._code

    def _told_to_stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            os._exit(130)  # asked twice: bottles are detached, and the database is never half written
        self._code = 130 if number == signal.SIGINT else 0
        self._stop.set()
        self._wake.set()
        if self._is_first:
            raise _Stopped

    def _is_quiet_within(self, seconds: float) -> bool:
        with self._quiet:
            return self._quiet.wait_for(lambda: self._busy == 0, timeout=seconds)

    # -- cycles -------------------------------------------------------------------------------------------------

    @property
    def _every(self) -> float:
        return float(self._app.config.poll.every)

    def _first_cycle(self) -> None:
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
        moved = bool(report.told) or report.pulls_changed > 0
        self._pace = self._pace.succeeded(moved=moved, now=time.monotonic())
        self._delay = self._next_delay()

    def _failed(self, trouble: ForgeError | NothingToWatch | DatabaseError) -> None:
        asked = None
        if isinstance(trouble, ForgeError):
            asked = trouble.retry_after
            self._app.courtesy.heard(trouble)  # turns and posts wait as well, also where another process was told
        self._pace = self._pace.failed(asked=asked)
        self._delay = self._next_delay()
        again = f"trying again in {self._delay:.0f}s"
        log.error("cycle failed: %s; %s", trouble, again, extra=fields(failures=self._pace.failures))

    def _next_delay(self) -> float:
        return self._pace.delay(every=self._every, now=time.monotonic(), jitter=random.uniform(-1, 1))  # noqa: S311

    def _plan(self) -> None:
        """One cycle is planned when the one before it is over: they never overlap, and none is skipped."""
        moment = datetime.now(UTC) + timedelta(seconds=self._delay)
        self._scheduler.add_job(
            self._guarded, "date", (self._cycle,), run_date=moment, id="cycle", replace_existing=True, max_instances=2
        )  # fmt: skip

    # -- the rest -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._app.turns(wait=True, stop=self._stop)
            except DatabaseError as trouble:
                log.error("turns: %s", trouble)
            self._wake.wait(TURNS * random.uniform(0.9, 1.1))  # noqa: S311
            self._wake.clear()

    def _post(self) -> None:
        try:
            self._app.post()
        except DatabaseError as trouble:
            log.error("outbox: %s", trouble)

    def _put_in_order(self) -> None:
        try:
            self._app.put_in_order()
        except DatabaseError as trouble:
            log.error("housekeeping: %s", trouble)

    def _guarded(self, job: object) -> None:
        """A bug stops the process loudly instead of being one more log line of the scheduler."""
        assert callable(job)
        with self._quiet:
            self._busy += 1
        try:
            job()
        except BaseException as bug:
            self._bug = self._bug or bug
            self._stop.set()
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()


def mind_the_clock(scheduler: Any, longest: Mapping[str, float], *, now: datetime) -> None:
    """Run at once what is planned further off than it can have been: the wall clock was put back.

    The scheduler goes by that clock, and would wait for hours.  `longest`: seconds that each job may lie ahead.
    """
    for job in scheduler.get_jobs():
        if job.next_run_time - now > timedelta(seconds=longest[job.id] + MINDING):
            log.warning("the clock was put back: not waiting for it", extra=fields(job=job.id))
            job.modify(next_run_time=now)
