"""What APScheduler needs beside its jobs: a clock that goes backwards, and an end without a bug.

Knows the scheduler's ways.  Must not know what its jobs do.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sessions.logs import fields

log = logging.getLogger(__name__)

#: Seconds between two looks whether the wall clock was put back.
MINDING = 20.0


def mind_the_clock(scheduler: Any, longest: Mapping[str, float], *, now: datetime) -> None:
    """Run at once what is planned further off than it can have been: the wall clock was put back.

    The scheduler goes by that clock, and would wait for hours.  `longest`: seconds that each job may lie ahead.
    """
    for job in scheduler.get_jobs():
        if job.next_run_time is not None and job.next_run_time - now > timedelta(seconds=longest[job.id] + MINDING):
            log.warning("the clock was put back: not waiting for it", extra=fields(job=job.id))
            with contextlib.suppress(_job_is_gone()):
                job.modify(next_run_time=now)


def put_to_rest(scheduler: Any) -> None:
    """Nothing is started any more; what runs is left to end.

    Not by `shutdown` alone: it would take the jobs from under the scheduler's own thread, which may be at them, and
    would be ended by a JobLookupError."""
    scheduler.pause()
    scheduler.remove_all_jobs()  # waits until that thread has let go of them
    scheduler.shutdown(wait=False)


def _job_is_gone() -> type[Exception]:
    from apscheduler.jobstores.base import JobLookupError

    found: type[Exception] = JobLookupError
    return found
