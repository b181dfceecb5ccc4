"""`python -m tests.faults [fresh] [resumed] [--doors http write …] [--share 1/4]`: each step goes wrong, in each way.

Prints what is wrong as it is found; the exit code is 1 if anything is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults import scene
from tests.faults.doors import FAULTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("turns", nargs="*", metavar="fresh|resumed")
    parser.add_argument("--doors", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose printed line has this in it")
    parser.add_argument("--share", default="1/1")
    asked = parser.parse_args()
    nth, of = (int(part) for part in asked.share.split("/"))
    wrong = 0
    for turns in asked.turns or ("fresh", "resumed"):
        with tempfile.TemporaryDirectory(prefix="faults-") as place:
            found = scene.play(
                Path(place), fresh=turns == "fresh", nth=nth - 1, of=of, doors=asked.doors, only=asked.only, say=_say
            )
        print(f"{turns}: {len(found)} wrong", flush=True)
        wrong += len(found)
    return 1 if wrong else 0


def _say(case: scene.Case, said: list[str]) -> None:
    print(f"{case}{'' if said else ': well'}", flush=True)
    for line in said:
        print(f"    {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
