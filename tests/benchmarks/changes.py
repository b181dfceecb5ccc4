"""Requests that a changed pull costs: when it is seen, and once more when it has settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from poller.demo.pulls import Pull
from tests.benchmarks.stage import Row, Stage

PULLS = 5
#: Seconds: longer than a call takes to start, so that a pull is not settled when it is first seen.
OVERLAP = 5
ACTS: dict[str, Callable[[Pull], object]] = {
    "its first comment ever": lambda pull: pull.comment("hello", by="ana"),
    "a comment": lambda pull: pull.comment("hello again", by="ana"),
    "a push": lambda pull: pull.push(by="ana"),
    "a review with two remarks": lambda pull: pull.review(
        by="ana", event="REQUEST_CHANGES", body="no", inline=[(path_of(pull), 1, "a"), (path_of(pull), 2, "b")]
    ),
    "a label": lambda pull: pull.label(by="ana", add=["bug"]),
    "an edited title": lambda pull: pull.edit(by="ana", title=f"{pull.title}!"),
    "a merge": lambda pull: pull.merge(by="ana"),
}


def rows(directory: Path, *, rounds: int) -> Iterator[Row]:
    seen_in_all = settled_in_all = 0
    with Stage(directory / "changes", repos=PULLS, overlap=f"{OVERLAP}s") as stage:
        stage.settle()
        for what, act in ACTS.items():
            seen = len(stage.requests_for(act, *stage.pulls))
            time.sleep(OVERLAP + 1)
            settled = len(stage.requests_for(act=lambda pull: None))
            seen_in_all, settled_in_all = seen_in_all + seen, settled_in_all + settled
            yield Row(
                f"requests per pull with {what}", f"{seen / PULLS:.1f}", f"settling {settled / PULLS:.1f}", aim="≤ 3"
            )
    changes = PULLS * len(ACTS)
    settling = f"settling {settled_in_all / changes:.1f}"
    yield Row("requests per changed pull, all of these", f"{seen_in_all / changes:.1f}", settling, aim="≤ 3")


def path_of(pull: Pull) -> str:
    """A file that the pull changes."""
    history = pull.world.history
    new, old = history[pull.head_sha].files, history[pull.merge_base].files
    return next(path for path in new if new[path] != old.get(path))
