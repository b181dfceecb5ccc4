"""What a turn needs before it can run: the errand's words, and the code that they are about.

Knows errands and the workspace.  Must not know rows, leases or bottles.
"""

from __future__ import annotations

from collections.abc import Callable

from sessions import state
from sessions.sources import Checkout, Source, Unfetchable
from sessions.terms import Terms
from sessions.turns import Dropped, Mode, NotNow, Outcome, Ready, Session, Turn


class Interrupted(Exception):
    """Raised while the code is fetched: the turn is not to begin now; `asked` is why it is not to begin at all."""

    def __init__(self, asked: str = "") -> None:
        super().__init__(asked)
        self.asked = asked


def ready(
    terms: Terms, turn: Turn, session: Session, mode: Mode, *, tick: Callable[[], None]
) -> Ready | Dropped | NotNow | Outcome:
    """What the errand says; an `Outcome` when its code cannot be had.  `tick` is called about every second."""

    def fetch(source: Source) -> Checkout:
        from sessions import workspace  # whoever needs no code need not load it

        bottle = state.bottle(terms.state, session.identity)
        return workspace.checkout(
            source, state=terms.state, bottle=bottle, turn=turn.id, environ=terms.environ, tick=tick
        )

    try:
        return terms.errand.prepare(turn, session, mode, fetch)
    except Unfetchable as trouble:
        return Outcome(kind="engine", reason=str(trouble))
    except Interrupted as end:
        if end.asked:
            return Dropped(reason=end.asked)
        return NotNow(reason="it was interrupted while its code was fetched", at=terms.clock())
