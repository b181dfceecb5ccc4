"""Told to go: in order within seconds, whatever hangs; told twice: at once."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from poller.leaving import WITHIN
from poller.notify import Notify
from poller.scheduling import mind_the_clock, put_to_rest

#: A process that hangs where Python calls no handler: in a database that somebody has locked.
_HANGS = """
import signal, sqlite3, sys
from poller import leaving
leaving._WORDS = 20.0  # somebody takes them, however slowly
with leaving.Leaving({signal.SIGTERM: 0, signal.SIGINT: 130}, last_words="bye"):
    database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
    print("ready", flush=True)
    database.execute("BEGIN IMMEDIATE")
"""


def hanging(place: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", _HANGS, str(place)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def locked(tmp_path: Path) -> Any:
    database = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    yield tmp_path / "x.db"
    database.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_what_hangs_in_a_locked_database_ends_within_seconds(locked: Path, number: signal.Signals, code: int) -> None:
    with hanging(locked) as process:
        began = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code
        assert WITHIN - 0.5 < time.monotonic() - began < 30, "the database would have kept it a minute"
        assert said.endswith("bye\n")


def test_told_twice_it_ends_at_once(locked: Path) -> None:
    with hanging(locked) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)  # two of a kind at the same moment are one
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130


class _Slow(MemoryJobStore):
    """The scheduler's thread is at the jobs when it is told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def get_due_jobs(self, now: Any) -> Any:
        found = super().get_due_jobs(now)
        if found:
            self.asked.set()
            self.go_on.wait(20)
        return found


def test_a_scheduler_that_is_at_its_jobs_is_put_to_rest_without_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    bugs: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", bugs.append)
    store = _Slow()
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": store})
    scheduler.add_job(int, "date")
    scheduler.start()
    assert store.asked.wait(20)
    rest = threading.Thread(target=put_to_rest, args=(scheduler,))
    rest.start()
    deadline = time.monotonic() + 20
    while scheduler.running and scheduler.state == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    store.go_on.set()
    rest.join(20)
    assert bugs == [] and not scheduler.running


def test_a_job_that_has_just_ended_is_not_minded() -> None:
    from datetime import UTC, datetime, timedelta

    class Gone:
        id, next_run_time = "cycle", datetime.now(UTC) + timedelta(days=400)

        def modify(self, **_: object) -> None:
            scheduler.modify_job("cycle", next_run_time=None)

    class Seen:
        def get_jobs(self) -> list[Gone]:
            return [Gone()]

    scheduler = BackgroundScheduler(timezone="UTC")
    mind_the_clock(Seen(), {"cycle": 1.0}, now=datetime.now(UTC))


# -- what a service manager is told --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_manager_is_told_by_its_socket(tmp_path: Path, is_abstract: bool) -> None:
    place = f"@bottlepost-{tmp_path.name}-{id(tmp_path)}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + place[1:] if is_abstract else place)
        manager.settimeout(10)
        notify = Notify({"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, pid=7)
        assert notify.every == 15.0
        notify.ready()
        notify.alive()
        notify.stopping("two turns\nREADY=1")
        notify.patience(60)
        heard = [manager.recv(4096).decode() for _ in range(5)]
        notify.reloaded()
        assert manager.recv(4096).decode().startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(4096) == b"READY=1"
    assert heard == [
        "READY=1",
        "WATCHDOG=1",
        "STOPPING=1",
        "STATUS=two turns\\nREADY=1",
        "EXTEND_TIMEOUT_USEC=60000000",
    ]


@pytest.mark.parametrize(
    "environ",
    [{}, {"NOTIFY_SOCKET": "/nobody/there"}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"WATCHDOG_USEC": "x"},
     {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)  # fmt: skip
def test_without_a_manager_nothing_is_said(environ: dict[str, str]) -> None:
    notify = Notify(environ, pid=7)
    notify.ready()
    notify.stopping("now")
    assert notify.every is None
