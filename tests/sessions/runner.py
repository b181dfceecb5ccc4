"""A dispatcher as a process of its own, to be killed: `python -m tests.sessions.runner STATE [SECONDS OF LEASE]`."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path

import sqlalchemy as sa

from tests.sessions.stage import Stage


def _die_at(number: int, engine: sa.Engine) -> None:
    """Like kill -9, right before the n-th statement (a COMMIT counts too)."""
    left = itertools.count(1)

    def count(*_: object) -> None:
        if next(left) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(engine, "before_cursor_execute", count)
    sa.event.listen(engine, "commit", count)


def main(root: Path, lease: float) -> None:
    stage = Stage(root, dict(os.environ), database=os.environ.get("STAGE_DATABASE"))
    stage.limit(**json.loads(os.environ.get("LIMITS", "{}")))
    for turn in stage.turns():
        stage.errand.texts |= {event: event.partition("|")[2] for event in turn.events}
    more = {}
    if at := int(os.environ.get("KILLED_AT_STATEMENT", "0")):
        _die_at(at, stage.engine)
        more = {"look_again": 60.0}  # how many statements there are must not hang on how long the agent takes
    tally = stage.dispatcher(lease=lease, **more).run_due(wait=True, stop=threading.Event())
    print(tally.started, tally.adopted, tally.done, tally.failed, flush=True)
    stage.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
