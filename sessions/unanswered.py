"""How long an engine that does not answer may keep a turn that is to end.

Since when it has not is a note beside the launch's directory, out of the agent's reach: whoever adopts the turn goes by
it.  Must not know engines, rows, or what becomes of the turn.
"""

from __future__ import annotations

from sessions import files, state
from sessions.turns import Launch

#: Seconds for which a run's end is asked for in vain: of one that is over its time, of one that somebody wants to stop.
OVERDUE, ASKED = 3600.0, 300.0


def is_too_long(launch: Launch, *, asked: bool, now: float) -> bool:
    """Whether it is time to do without the engine; the first call for a launch only notes when that was."""
    note = launch.directory.with_name(f"{launch.directory.name}.unanswered")
    since = _moment(files.tail(note, 32))
    if since is None or since > now:  # of a clock that was put back since
        state.make(note.parent, bottle=launch.bottle)
        state.write(note, f"{now:.0f}\n")
        return False
    return now - since >= (ASKED if asked else OVERDUE)


def _moment(said: bytes) -> float | None:
    try:
        return float(said)
    except ValueError:
        return None
