"""When the daemon looks next, and how long everybody leaves a forge alone that has asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from hypothesis import given
from hypothesis import strategies as st

from poller.forge import errors
from poller.pace import Pace
from poller.quiet import quiet_until, wants_quiet
from poller.scheduling import MINDING, mind_the_clock

NOW = 10_000.0


def after(*, idle: float = 0.0, failures: int = 0, asked: float | None = None) -> Pace:
    pace = Pace(moved_at=NOW - idle)
    for _ in range(failures):
        pace = pace.failed(asked=asked)
    return pace


@pytest.mark.parametrize(
    ("pace", "every", "seconds"),
    [
        (after(), 30, 30),
        (after(idle=1800), 30, 30),
        (after(idle=2700), 30, 45),
        (after(idle=3600), 30, 60),
        (after(idle=900_000), 30, 60),
        (after(idle=-5), 30, 30),
        (after(failures=1), 30, 30),
        (after(failures=2), 30, 60),
        (after(failures=3), 30, 120),
        (after(failures=6), 30, 900),
        (after(failures=10_000), 30, 900),
        (after(failures=2, idle=900_000), 30, 60),
        (after(failures=9), 3600, 3600),
        (after(failures=1, asked=600), 30, 600),
        (after(failures=7, asked=600), 30, 600),
        (after(failures=7, asked=5), 30, 30),
        (after(failures=1, asked=5000), 30, 5000),
    ],
)
def test_the_next_look(pace: Pace, every: float, seconds: float) -> None:
    assert pace.delay(every=every, now=NOW, jitter=0) == seconds


def test_the_first_success_ends_all_patience() -> None:
    pace = after(failures=8, asked=600).succeeded(moved=False, now=NOW)
    assert pace.delay(every=30, now=NOW, jitter=0) == 30


def test_any_change_ends_the_stretching_at_once() -> None:
    slow = after(idle=7200)
    assert slow.succeeded(moved=False, now=NOW).delay(every=30, now=NOW, jitter=0) == 60
    assert slow.succeeded(moved=True, now=NOW).delay(every=30, now=NOW, jitter=0) == 30


@given(
    idle=st.floats(0, 1e6),
    failures=st.integers(0, 60),
    asked=st.none() | st.floats(0, 3600),
    every=st.floats(1, 86_400),
    jitter=st.floats(-1, 1),
)
def test_jitter_is_a_tenth_and_no_promise_is_broken_by_it(
    idle: float, failures: int, asked: float | None, every: float, jitter: float
) -> None:
    pace = after(idle=idle, failures=failures, asked=asked)
    plain, found = (pace.delay(every=every, now=NOW, jitter=swing) for swing in (0, jitter))
    assert 0.899 * plain <= found <= 1.101 * plain
    if failures and asked is not None:
        assert found >= asked, "not earlier than the forge has asked"
    elif failures:
        assert found <= 1.1 * max(900, every) + 0.001
    else:
        assert 0.899 * every <= found <= 2 * every


# -- quiet that outlives a process ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (errors.error_of(429, where="GET /", retry_after=600), 600),
        (errors.error_of(503, where="GET /", retry_after=600), 600),
        (errors.error_of(503, where="GET /", retry_after=600, page="an HTML page"), 600),
        (errors.error_of(429, where="GET /", retry_after=86_400), 3600),
        (errors.error_of(429, where="GET /", retry_after=10), None),
        (errors.error_of(429, where="GET /"), None),
        (errors.error_of(500, where="GET /"), None),
        (errors.error_of(401, where="GET /"), None),
        (errors.unreachable("no such host", where="GET /", url="https://x"), None),
        (errors.patience(300, where="GET /"), 300),
        (ValueError("x"), None),
    ],
)
def test_which_failures_ask_to_be_left_alone(failure: Exception, seconds: float | None) -> None:
    assert quiet_until(failure, now=NOW) == (0.0 if seconds is None else NOW + seconds)


@pytest.mark.parametrize(
    ("until", "left"),
    [(0.0, None), (NOW - 1, None), (NOW, None), (NOW + 60, 60), (NOW + 3600, 3600), (NOW + 3601, None)],
)
def test_quiet_is_kept_until_it_is_over_or_the_clock_was_wrong(until: float, left: float | None) -> None:
    found = wants_quiet(until, now=NOW, forge="gitea.example.com")
    if left is None:
        assert found is None
        return
    assert found is not None and found.retry_after == left and found.exit_code == 3
    assert quiet_until(found, now=NOW) == until, "what is raised for it makes it no longer"


# -- the wall clock -------------------------------------------------------------------------------------------------


@pytest.fixture
def scheduler() -> Iterator[Any]:
    made = BackgroundScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None})
    made.start()
    yield made
    made.shutdown()


def test_a_clock_that_was_put_back_keeps_nobody_waiting(scheduler: Any) -> None:
    ran, now = threading.Event(), datetime.now(UTC)
    scheduler.add_job(ran.set, "date", run_date=now + timedelta(days=1), id="cycle")
    mind_the_clock(scheduler, {"cycle": 30.0}, now=now)
    assert ran.wait(20)
    deadline = time.monotonic() + 20
    while scheduler.get_jobs() and time.monotonic() < deadline:  # it is still putting its own things in order
        time.sleep(0.01)


def test_what_is_planned_as_usual_is_left_alone(scheduler: Any) -> None:
    now = datetime.now(UTC)
    planned = now + timedelta(seconds=3600 + MINDING - 1)
    scheduler.add_job(print, "date", run_date=planned, id="cycle")
    mind_the_clock(scheduler, {"cycle": 3600.0}, now=now)
    assert scheduler.get_job("cycle").next_run_time == planned
