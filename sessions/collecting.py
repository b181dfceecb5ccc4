"""What a turn has made beside its words: the commits that are to be pushed.

Knows who may push, and the workspace.  Must not know rows, or what becomes of the commits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from sessions import state
from sessions.logs import fields, redacted
from sessions.sources import Unfetchable
from sessions.terms import Terms
from sessions.turns import Outcome, Session, Turn

log = logging.getLogger("sessions.worker")


def collected(terms: Terms, turn: Turn, session: Session, outcome: Outcome, *, tick: Callable[[], None]) -> Outcome:
    """The outcome with what the agent has committed, taken out of its hands before the next turn moves it on.

    Done again after a crash it comes to the same.  `tick` is called about every second."""
    agent = terms.agents.get(turn.agent)
    if agent is None or not agent.push or turn.by_hand or outcome.kind != "done":
        return outcome
    from sessions import workspace  # whoever pushes nothing need not load it

    bottle = state.bottle(terms.state, session.identity)
    try:
        made = workspace.made(state=terms.state, bottle=bottle, turn=turn.id, environ=terms.environ, tick=tick)
    except Unfetchable as trouble:
        log.warning("what the agent has committed cannot be had", extra=fields(reason=trouble))
        return msgspec.structs.replace(outcome, unmade=redacted(str(trouble)))
    return msgspec.structs.replace(outcome, made=made)
