"""`poll doctor --live`: one turn of a throw-away bottle, to see an answer come out.

Knows how a person's turn is run.  Leaves nothing behind: its state is a temporary directory.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from poller.checks import Check, fail, ok
from poller.config import Config
from sessions.config import Settings

TASK = "This is a test of the installation. Use no tools. Answer with the one word: ready"


def live_turn(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """Each agent answers once; costs a little."""
    from sessions import state
    from sessions.bottles import EngineError, bottle_for
    from sessions.byhand import Refused, Terminal

    for name in config.agents:
        with tempfile.TemporaryDirectory(prefix="bottlepost-doctor-") as directory:
            settings = Settings(state=Path(directory), database=None, limits=config.limits, agents=config.agents)
            began = time.monotonic()
            try:
                ended = Terminal(settings, environ=environ, stop=threading.Event()).run(name, TASK)
            except Refused as refused:
                what, _, mend = str(refused).partition("; ")
                yield fail(f"live {name}", what, mend or "see the message")
                continue
            took = time.monotonic() - began
            with contextlib.suppress(EngineError):  # what it leaves, housekeeping of no state directory would find
                place = state.bottle(settings.state, ended.session.identity)
                bottle_for(ended.session.backend, environ=environ).destroy(place, config.agents[name])
            outcome = ended.outcome
            if outcome is None or outcome.kind != "done":
                why = ended.turn.reason if outcome is None else outcome.reason
                yield fail(f"live {name}", why or "no answer", f"try: bottle run {name} hello")
            else:
                words = " ".join(outcome.text.split())[:60]
                yield ok(f"live {name}", f"answered {words!r} in {took:.1f} s for ${outcome.cost_usd:.2f}")
