"""The daemon: cycles by the clock, turns by worker threads, until it is told to stop.

Knows APScheduler and signals.  The durable time is in the database: a tick that is missed is only a later look.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
from types import FrameType

from poller.app import App
from poller.cycle import Busy
from poller.forge.errors import ForgeError
from poller.inventory import NothingToWatch
from sessions.database import DatabaseError
from sessions.logs import fields

log = logging.getLogger(__name__)

#: Seconds between two looks for due turns, due posts and for bottles whose grace time is over.
TURNS, POSTS, HOUSEKEEPING = 2.0, 10.0, 3600.0
#: Seconds that whatever is under way gets to end by itself when we are told to stop.
PARTING = 4.0


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
        scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        every = float(self._app.config.poll.every)
        scheduler.add_job(self._guarded, "interval", (self._cycle,), seconds=every, jitter=every / 10, id="cycle")
        scheduler.add_job(self._guarded, "interval", (self._post,), seconds=POSTS, id="outbox")
        scheduler.add_job(
            self._guarded, "interval", (self._put_in_order,), seconds=HOUSEKEEPING, jitter=60, id="housekeeping"
        )
        worker = threading.Thread(target=self._guarded, args=(self._work,), name="turns")
        worker.start()
        scheduler.start()
        log.info("watching", extra=fields(forge=self._app.config.forge, every=f"{every:.0f}s"))
        try:
            self._stop.wait()
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

    def _first_cycle(self) -> None:
        try:
            self._app.cycle.run()
        except Busy as busy:
            log.warning("%s; waiting for my turn", busy)
        except ForgeError as trouble:
            if trouble.exit_code == 4:
                raise
            log.error("%s; trying again in %s", trouble, f"{self._app.config.poll.every:.0f}s")

    def _cycle(self) -> None:
        try:
            self._app.cycle.run()
        except Busy as busy:
            log.debug("%s", busy)
        except (ForgeError, NothingToWatch, DatabaseError) as trouble:
            log.error("cycle failed: %s", trouble)
        else:
            self._wake.set()
            self._app.dispatcher.nudge()

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
