"""Many pulls that change between two looks: how the time, the questions and the memory of that cycle grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.stage import Row, Stage

FEW, MANY = 100, 1_000


def rows(directory: Path, *, rounds: int, few: int = FEW, many: int = MANY) -> Iterator[Row]:
    seconds, memory = {}, {}
    for size in (few, many):
        with Stage(directory / str(size), repos=many) as stage:
            stage.settle()
            for pull in stage.pulls[:size]:
                pull.comment("hello", by="ana")
                pull.push(by="ana")
            done, memory[size] = stage.watched()
            result = done.result
            if result["pulls_changed"] != size or result["events"] != 2 * size:
                raise RuntimeError(f"not every change was told: {result}")
            seconds[size] = done.seconds
            what = f"a cycle with {size:,} changed pulls"
            yield Row(f"{what}: wall time", f"{done.seconds:.1f} s", f"{1000 * done.seconds / size:.1f} ms each")
            yield Row(f"{what}: requests per pull", f"{result['requests'] / size:.2f}", aim="≤ 3.1")
            yield Row(f"{what}: peak memory", f"{memory[size]:.0f} MB")
    growth = (seconds[many] / many) / (seconds[few] / few)
    yield Row("time for each of many, to each of few", f"{growth:.2f}", aim="≤ 1.2")
