"""`python -m tests.benchmarks [idle|history|changes|crowd|sweeps|turns …] [--rounds N]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import changes, containers, crowd, history, idle, sweeps, turns

PARTS = {
    "idle": idle.rows,
    "history": history.rows,
    "changes": changes.rows,
    "crowd": crowd.rows,
    "sweeps": sweeps.rows,
    "turns": turns.rows,
    "containers": containers.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="runs per figure; medians are shown")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    table = Table("what", "found", "beside", "ratio", "aim")
    # Into a pipe, too, a row is to be one line.
    console = Console(width=None if sys.stdout.isatty() else 190)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        for name in asked.parts or PARTS:
            with console.status(f"{name} …"):
                for row in PARTS[name](Path(directory), rounds=asked.rounds):
                    table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
