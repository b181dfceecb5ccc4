"""A long event log: what it costs a call that has nothing to do with it, and one that asks it something.

The same calls with an empty log beside: all that may be slower is what is printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.benchmarks.ballast import EVENTS_OF_PULL, fill
from tests.benchmarks.stage import Row, Stage, ratio, shown

EVENTS = 1_000_000
#: So many days did it take to come together; nothing of it is old enough to be removed.
DAYS = 150.0
PULL = "history/r07#7"
ASKED: dict[str, list[str]] = {
    "--limit 20": ["events", "--limit", "20"],
    "--pull": ["events", "--pull", PULL],
    "--kind, a common one": ["events", "--kind", "pull_request_comment", "--limit", "20"],
    "--kind, a rare one": ["events", "--kind", "pull_request_thread", "--limit", "20"],
    "--kind, one there is none of": ["events", "--kind", "pull_request_label/label_cleared"],
    "--actor, a busy one": ["events", "--actor", "person001", "--limit", "20"],
    "--actor, one there is none of": ["events", "--actor", "nobody"],
    "--actor --kind": ["events", "--actor", "person002", "--kind", "pull_request_thread", "--limit", "20"],
    "--since, an hour": ["events", "--since", "1h"],
    "--since, most of it": ["events", "--since", "140d", "--limit", "20"],
    "why": ["why", PULL],
}


def rows(
    directory: Path, *, rounds: int, events: int = EVENTS, asked: Mapping[str, list[str]] = ASKED
) -> Iterator[Row]:
    with Stage(directory / "long", repos=10) as long, Stage(directory / "short", repos=10) as short:
        for stage, many in ((long, events), (short, EVENTS_OF_PULL * 10)):
            stage.poll().result  # noqa: B018  raises if the call went wrong; now there are tables
            fill(stage.state / "bottlepost.db", forge=stage.forge, events=many, now=time.time(), days=DAYS)
            stage.settle()
        what = f"with {events:,} events"
        idle = [(long.poll(), short.poll()) for _ in range(rounds)]  # by turns: a slow machine slows both down
        slow, quick = [one.seconds for one, _ in idle], [one.seconds for _, one in idle]
        yield Row(f"{what}: idle", shown(slow), f"few events {shown(quick)}", ratio(slow, quick), "≤ 1.1")
        yield Row(f"{what}: peak memory of an idle call", f"{long.peak():.0f} MB", f"few events {short.peak():.0f} MB")
        for name, words in asked.items():
            calls = [(long.verb(*words), short.verb(*words)) for _ in range(rounds)]
            slow, quick = [one.seconds for one, _ in calls], [one.seconds for _, one in calls]
            found = f"{shown(slow)}, {calls[0][0].lines} lines"
            yield Row(f"{what}: {name}", found, f"few events {shown(quick)}", ratio(slow, quick), "≤ 1.5")
