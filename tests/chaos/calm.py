"""A daemon under load for a long time, with nobody killed: memory, open files and threads are to stay flat.

Knows /proc.  Must not know what the daemon does.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.chaos.nursery import Child
from tests.chaos.realm import Realm, Setting
from tests.chaos.reckoning import bill_of, come_to_rest

#: Seconds between two samples, and between two questions.
EVERY, ASKED_EVERY = 5.0, 0.7
#: Comments on a pull, after which people turn to a new one and close this.
TALK = 25
#: By how much the last quarter may be above the third.  Half of the time is warm-up: as the database grows, each of the
#: pool's five connections fills its cache of pages, 2 MB.
MEMORY, HANDLES = 1.05, 3


class Sample(NamedTuple):
    """Of one moment; `memory` in MB."""

    memory: float
    handles: int
    threads: int


def run(minutes: float, *, seed: int) -> int:
    """Print what was seen; 1 when something grows, or was not answered once."""
    place = Path(tempfile.mkdtemp(prefix="chaos-calm-"))
    with Realm(place, Setting(seconds=0.2), seed=seed) as realm:
        realm.open_pulls()
        daemon = realm.start(anew=True)
        samples = _load(realm, daemon, until=time.monotonic() + minutes * 60)
        died = daemon.code
        realm.kill_all()
        come_to_rest(realm)
        bill = bill_of(realm)
    is_flat = died is None and _compare(samples)
    print(f"{minutes:g} minutes, {bill.turns} turns, {bill.asked} questions, {bill.answered} answered; daemon: {died}")
    print(f"lost {len(bill.lost)}, doubled {len(bill.doubled_turns) + len(bill.doubled_posts)}, bugs {bill.bugs}")
    print("flat" if is_flat else "NOT flat")
    if is_flat and bill.is_clean:
        shutil.rmtree(place, ignore_errors=True)
        return 0
    print(f"see {place}")
    return 1


def _load(realm: Realm, daemon: Child, *, until: float) -> list[Sample]:
    samples, look_at, shown_at = [], 0.0, 0.0
    talk = dict.fromkeys(range(len(realm.pulls)), 0)
    while time.monotonic() < until and daemon.code is None:
        which = realm.random.randrange(len(realm.pulls))
        talk[which] += 1
        realm.ask_on(realm.pulls[which])
        if talk[which] >= TALK and _is_quiet(realm):
            realm.pulls[which].close(by="ana")
            realm.pulls[which], talk[which] = realm.open_pull(), 0
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + EVERY
            if (seen := _sample(daemon.pid)) is not None:
                samples.append(seen)
                if time.monotonic() >= shown_at:
                    shown_at = time.monotonic() + 60
                    print(f"{seen.memory:.1f} MB, {seen.handles} open files, {seen.threads} threads", flush=True)
        time.sleep(ASKED_EVERY)
        realm.pass_time(1)  # pulls that are over are to be forgotten by the search, too
    return samples


def _is_quiet(realm: Realm, *, seconds: float = 30.0) -> bool:
    """Everything is answered: a pull can be closed without losing a question."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = sum(body.count("tok-") for _, body in realm.answers())
        if said >= len(realm.asked):
            return True
        time.sleep(0.2)
    return False


def _sample(pid: int) -> Sample | None:
    here = Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in here.joinpath("status").read_text().splitlines())
        handles = sum(1 for _ in here.joinpath("fd").iterdir())
    except OSError:
        return None
    return Sample(int(status["VmRSS"].split()[0]) / 1024, handles, int(status["Threads"]))


def _compare(samples: list[Sample]) -> bool:
    quarter = max(len(samples) // 4, 1)
    before, after = samples[2 * quarter : 3 * quarter], samples[3 * quarter :]
    if not before:
        return False
    said = []
    for name in Sample._fields:
        first, last = (statistics.median(getattr(one, name) for one in some) for some in (before, after))
        highest = max(getattr(one, name) for one in samples)
        said.append((first, last))
        print(f"{name}: {first:.1f} in the third quarter, {last:.1f} in the last; at most {highest:.1f}")
    (memory, handles, threads) = said
    is_memory_flat = memory[1] <= memory[0] * MEMORY
    return is_memory_flat and handles[1] <= handles[0] + HANDLES and threads[1] <= threads[0] + HANDLES
