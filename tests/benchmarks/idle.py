"""An idle `poll --once`, beside a script that makes the same one request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.stage import Row, Stage, Watch, ratio, shown

SIZES: list[tuple[int, Watch]] = [
    (10, "named one by one"),
    (1_000, "named one by one"),
    (10_000, "named one by one"),
    (1_000, "as owner/*"),
]


def rows(directory: Path, *, rounds: int) -> Iterator[Row]:
    for size, watch in SIZES:
        with Stage(directory / f"{size} {watch}", repos=size, watch=watch) as stage:
            calls = stage.settle()
            requests: list[int] = []
            ours: list[float] = []
            bare: list[float] = []
            for _ in range(rounds):  # by turns: what slows the machine down slows both down
                call = stage.poll()
                ours.append(call.seconds)
                requests.append(call.result["requests"])
                bare.append(stage.bare().seconds)
            what = f"idle, {size:,} repositories {watch}"
            yield Row(f"{what}: requests", f"{max(requests)}", aim="1")
            yield Row(f"{what}: wall time", shown(ours), f"bare request {shown(bare)}", ratio(ours, bare), "≤ 3")
            yield Row(f"{what}: peak memory", f"{stage.peak():.0f} MB", aim="< 100 MB")
            yield Row(f"{what}: calls until it was idle", f"{calls}")
