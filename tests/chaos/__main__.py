"""`python -m tests.chaos --kills N --seed S`: kill it anywhere, and count.

Several worlds side by side, each with a forge, a database and `poll` processes of its own, until all kills are done;
then each comes to rest by plain calls, and what was asked is compared with what was answered.  The exit code is 1 when
anything was lost, doubled or left behind; the directory of such a world is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.chaos import scenes
from tests.chaos.nursery import ROOT
from tests.chaos.reckoning import Bill
from tests.chaos.works import WORKS

#: Kills of one world: then a new one begins, whose logs are short.
PER_WORLD = 120


def main() -> int:
    asked = _arguments()
    if asked.calm:
        from tests.chaos import calm

        return calm.run(asked.calm, seed=asked.seed)
    if asked.one:
        bill = scenes.play(scenes.Scene(**{name: getattr(asked, name) for name in scenes.Scene.__struct_fields__}),
                           kills=asked.kills, seed=asked.seed, seconds=asked.seconds, place=asked.place)  # fmt: skip
        sys.stdout.buffer.write(msgspec.json.encode(bill) + b"\n")
        return 0
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        database: Callable[[], str] = lambda: asked.database  # noqa: E731
        if asked.database == "postgres":
            from tests.postgres import serving

            database = stack.enter_context(serving()).database
        bill, failed = _all(asked, database)
    bill.seconds = time.monotonic() - began
    _print(bill, asked)
    for line in failed:
        print(line)
    return 0 if bill.is_clean and not failed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", metavar="sqlite|postgres|URL", default="sqlite", help="a URL: for one world")
    parser.add_argument("--backend", choices=("process", "docker"), default="process")
    parser.add_argument("--mode", choices=("once", "daemon", "both"), default="both")
    parser.add_argument("--agent", choices=("scripted", "claude"), default="scripted")
    parser.add_argument("--machines", type=int, default=1, help="that share a PostgreSQL server")
    parser.add_argument("--work", choices=tuple(WORKS), default="words", help="what agents answer with")
    parser.add_argument("--worlds", type=int, default=os.cpu_count() or 1, help="at the same time")
    parser.add_argument("--seconds", type=float, default=3600.0, help="after so long nobody is killed any more")
    parser.add_argument("--place", type=Path, default=None, help="where the worlds lie (default: a temporary place)")
    parser.add_argument("--calm", type=float, metavar="MINUTES", help="kill nobody: watch a daemon's memory under load")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _all(asked: argparse.Namespace, database: Callable[[], str]) -> tuple[Bill, list[str]]:
    """Worlds with seeds of their own, some at a time, each in a process of its own."""
    place = asked.place or Path(tempfile.mkdtemp(prefix="chaos-"))
    left, seed, bill = asked.kills, asked.seed * 1000, Bill()
    running: dict[subprocess.Popen[bytes], tuple[int, int, Path]] = {}
    failed: list[str] = []
    until = time.monotonic() + asked.seconds
    while left > 0 or running:
        while left > 0 and len(running) < asked.worlds and time.monotonic() < until:
            kills = min(left, PER_WORLD)
            left, seed = left - kills, seed + 1
            there = place / f"world-{seed}"
            running[_world(asked, database(), kills, seed, there)] = (seed, kills, there)
        if not running:
            break
        time.sleep(0.1)
        for process in [one for one in running if one.poll() is not None]:
            seed_of, kills, there = running.pop(process)
            assert process.stdout is not None
            said = process.stdout.read()
            process.stdout.close()
            found = msgspec.json.decode(said, type=Bill) if process.returncode == 0 else None
            if found is not None:
                bill += found
            if found is None or not found.is_clean:
                again = f"--one --kills {kills} --seed {seed_of}"
                failed.append(f"world {seed_of} is kept in {there}; play it again: {_command(asked)} {again}")
            else:
                shutil.rmtree(there, ignore_errors=True)
    if not failed and asked.place is None:
        shutil.rmtree(place, ignore_errors=True)
    return bill, failed


def _command(asked: argparse.Namespace) -> str:
    chosen = {name: getattr(asked, name) for name in scenes.Scene.__struct_fields__}
    return "python -m tests.chaos " + " ".join(f"--{name} {value}" for name, value in chosen.items())


def _world(asked: argparse.Namespace, database: str, kills: int, seed: int, there: Path) -> subprocess.Popen[bytes]:
    there.parent.mkdir(parents=True, exist_ok=True)
    words = [*_command(asked).split()[1:], "--database", database, "--one", "--kills", str(kills)]
    words += ["--seed", str(seed), "--seconds", str(asked.seconds), "--place", str(there)]
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE)


def _print(bill: Bill, asked: argparse.Namespace) -> None:
    kinds = ", ".join(f"{count} {what}" for what, count in sorted(bill.kills.items()))
    print(f"{_command(asked)} --kills {asked.kills} --seed {asked.seed}")
    print(f"kills          {sum(bill.kills.values())} ({kinds})")
    print(f"questions      {bill.asked}, answered {bill.answered}")
    print(f"turns          {bill.turns} done in {bill.launches} launches, {bill.given_up} given up and retried by hand")
    print(f"re-attempts    {bill.re_attempts}")
    for name in ("lost", "doubled_turns", "doubled_posts", "unsaid", "orphans", "bugs"):
        found = getattr(bill, name)
        print(f"{name.replace('_', ' '):14} {len(found)}")
        for line in found[:20]:
            print(f"    {line}")
    print(f"time           {bill.seconds:.0f} s, {sum(bill.kills.values()) / max(bill.seconds, 0.1) * 60:.0f} a minute")


if __name__ == "__main__":
    sys.exit(main())
