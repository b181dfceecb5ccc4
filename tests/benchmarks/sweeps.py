"""What the sweeps cost: requests a minute at the default settings, while the world's clock runs fast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from poller.demo.pulls import Pull
from tests.poller.desk import Desk

HOUR = 3600
EVERY = 30


def rows(directory: Path, *, rounds: int) -> Iterator[tuple[str, str, str, str, str]]:
    """1,000 repositories with 200 open pulls: the first hour, a busy one and a quiet one a day later."""
    del rounds  # requests are counted, not timed
    desk = Desk(directory / "sweeps")
    try:
        pulls = _filled(desk, repos=1000, pulls=200)
        desk.world.clock.advance(seconds=HOUR)
        desk.set_up(repos="['acme/*']")
        yield _row("the first hour", _an_hour(desk), aim="≤ 30")
        for pull in pulls[::4]:
            pull.comment("once a day", by="ana")
        yield _row("an hour in which 50 pulls move", _an_hour(desk), aim="≤ 30")
        for _ in range(600):
            desk.world.clock.advance(seconds=120)
            desk.cycle()
        yield _row("a quiet hour, most of a day later", _an_hour(desk), aim="≤ 30")
    finally:
        desk.close()


def _filled(desk: Desk, *, repos: int, pulls: int) -> list[Pull]:
    made = []
    for number in range(repos):
        repo = desk.world.repo(f"acme/r{number}", private=True, collaborators={"bot": "write", "ana": "write"})
        if number < pulls:
            made.append(repo.open_pull(by="ana"))
    return made


def _an_hour(desk: Desk) -> list[int]:
    """Requests in each minute of an hour."""
    minutes = []
    for _ in range(HOUR // 60):
        desk.world.reset_requests()
        for _ in range(60 // EVERY):
            desk.world.clock.advance(seconds=EVERY - 2)
            desk.cycle()
        minutes.append(len(desk.world.requests))
    return minutes


def _row(what: str, minutes: list[int], *, aim: str) -> tuple[str, str, str, str, str]:
    mean = sum(minutes) / len(minutes)
    return f"requests a minute, {what}", f"{mean:.1f}, at most {max(minutes)}", "", "", aim
