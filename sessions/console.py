"""What `bottle` says to whoever runs a turn by hand, and how Ctrl-C reaches the agent.

Knows the terminal.  Must not know verbs or SQL.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sessions.logs import escaped

if TYPE_CHECKING:
    from pathlib import Path

    from sessions.byhand import Ended, Terminal
    from sessions.cleaning import Candidate
    from sessions.config import Settings
    from sessions.resuming import Plan, Visited
    from sessions.shell import Common
    from sessions.turns import OnProgress, Progress


def task_text(given: str) -> str:
    """What the agent is to do; `-` = stdin."""
    from sessions.byhand import Refused

    text = sys.stdin.buffer.read().decode("utf-8", "replace") if given == "-" else given
    if not text.strip():
        raise Refused("TASK is empty: say what the agent is to do, or - to read it from stdin")
    return text


@contextmanager
def terminal(settings: Settings) -> Iterator[tuple[Terminal, OnProgress | None, threading.Event]]:
    """Ctrl-C and SIGTERM set the event: the agent's run is ended in order, and then we are."""
    from sessions.byhand import Terminal

    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield Terminal(settings, environ=os.environ, stop=stop), _elapsed if sys.stderr.isatty() else None, stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_result(ended: Ended, *, root: Path, as_json: bool, options: str) -> bool:
    """The result on stdout, what went wrong and how to go on by hand on stderr; whether all went well."""
    from sessions import byhand, showing

    said = showing.result_object(ended)
    sys.stdout.write(f"{json.dumps(said) if as_json else said.get('result') or ''}\n")
    is_well = ended.outcome is not None and ended.outcome.kind == "done"
    if not is_well:
        why = ended.turn.reason if ended.outcome is None else ended.outcome.reason
        complain(f"turn {ended.turn.id} failed: {why}")
    session = ended.session
    if byhand.is_kept(root, session):
        resume = f"bottle run-resume {session.identity} --claude-session {session.claude_session}{options} TASK"
        sys.stderr.write(f"to go on by hand: bottle resume {session.identity}{options}, or: {resume}\n")
    return is_well


def say_plan(plan: Plan, *, as_json: bool) -> int:
    """What a resume would launch; 2 when it could not."""
    from sessions import showing

    found = showing.plan_object(plan)
    sys.stdout.write(f"{json.dumps(found) if as_json else showing.plan_text(found)}\n")
    if plan.trouble:
        complain(f"bottle {plan.identity} cannot be resumed now: {plan.trouble}")
    return 2 if plan.trouble else 0


def say_visited(visited: Visited, *, options: str) -> None:
    session = visited.session
    with contextlib.suppress(OSError):  # the window may have been closed
        if visited.closed:
            complain(f"{session.key} was put away meanwhile ({visited.closed}); bottle {session.identity} goes with it")
        sys.stderr.write(f"to go on: bottle resume {session.identity}{options}\n")


def say_made(options: Common, *, notes: Sequence[str] = (), **made: str) -> None:
    """What a call has made: for people the first of it, and what is to be known about it on stderr."""
    for line in notes:
        complain(line)
    sys.stdout.write(
        f"{json.dumps({**made, 'notes': list(notes)}) if options.as_json else next(iter(made.values()))}\n"
    )


def say_candidates(candidates: Sequence[Candidate]) -> None:
    """What a cleanup has found."""
    from sessions import showing

    if candidates:
        sys.stdout.write(f"{showing.candidates_table(candidates)}\n")
        sys.stdout.flush()  # before anybody is asked, and before what takes long
    else:
        sys.stderr.write("nothing to clean up\n")


def complain(words: object) -> None:
    sys.stderr.write(f"bottle: {words}\n")


def agreed(number: int, *, yes: bool, ask: bool) -> bool:
    """Whether so many may be removed; without `ask` (and without somebody to ask) not unless it was said before."""
    if yes:
        return True
    if ask and sys.stdin.isatty():
        sys.stderr.write(f"remove {number}? [y/N]: ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    sys.stderr.write("nothing removed: say --yes to remove those\n")
    return False


def note(words: str) -> None:
    """A line of something that takes long."""
    line = escaped(" ".join(words.split()))
    sys.stderr.write(f"{line if len(line) <= 160 else line[:159] + '…'}\n")


def _elapsed(progress: Progress) -> None:
    """A running turn shows how long it has been running; its line goes when it ends."""
    shown = f"{progress.session.identity} runs, {progress.elapsed:.0f} s" if progress.what == "running" else ""
    sys.stderr.write(f"\r\x1b[K{shown}")
    sys.stderr.flush()
