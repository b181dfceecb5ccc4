"""What a turn needs before it can run: a conversation that can be resumed, the errand's words, and the code.

Knows errands, the workspace and the conversation's record.  Must not know rows, leases or bottles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from sessions import generations, lifecycle, state, transcript
from sessions.logs import fields
from sessions.sources import Checkout, Source, Unfetchable
from sessions.terms import Terms
from sessions.turns import Dropped, Mode, NotNow, Outcome, Ready, Session, Turn

log = logging.getLogger("sessions.worker")


class Interrupted(Exception):
    """Raised while the code is fetched: the turn is not to begin now; `asked` is why it is not to begin at all."""

    def __init__(self, asked: str = "") -> None:
        super().__init__(asked)
        self.asked = asked


def foreseen(root: Path, session: Session) -> lifecycle.Opening:
    """How the session's conversation would be gone on with; nothing is touched."""
    return _looked(root, session)[1]


def opening(root: Path, session: Session, *, beat: Callable[[], object] = lambda: None) -> lifecycle.Opening:
    """How to go on with the session's conversation; its record is put right for that.

    `beat` is called before anything is moved: what it raises keeps a record as it is that is not ours any more."""
    bottle = state.bottle(root, session.identity)
    found, plan = _looked(root, session)
    if plan.set_aside or plan.restore:
        beat()
    if plan.set_aside:
        transcript.set_aside(found)
    if plan.restore and not generations.restore(bottle, session.claude_session):
        return lifecycle.Opening(
            mode="fresh", renew=True, why="its transcript is damaged, and no copy could be put back"
        )
    return plan


def _looked(root: Path, session: Session) -> tuple[transcript.Transcript, lifecycle.Opening]:
    bottle = state.bottle(root, session.identity)
    found = transcript.look(state.config_dir(bottle), session.claude_session)
    copy = generations.good(bottle, session.claude_session)
    size = copy.stat().st_size if copy is not None else 0
    if copy is not None and found.record is not None and found.condition == "sound" and found.size >= size:
        is_damaged = not generations.begins(found.record, copy) and not transcript.is_readable(found.record)
        found = msgspec.structs.replace(found, condition="damaged") if is_damaged else found
    return found, lifecycle.opening(found.condition, session, size=found.size, good=size)


def keep(root: Path, session: Session, outcome: Outcome, *, claude_session: str, note: str) -> None:
    """After a good end: a copy of the conversation's record, or (`note`) a loud word.  Failing it fails no turn."""
    if note:
        log.error("this session cannot be resumed: %s", note)
    if note or outcome.kind not in ("done", "limited"):
        return
    try:
        kept = generations.keep(state.bottle(root, session.identity), claude_session)
    except OSError as error:
        log.error("no copy of the transcript could be kept", extra=fields(reason=error.strerror))
    else:
        if not kept and session.backend != "command":  # somebody else's runner may keep it elsewhere
            log.error(
                "no copy of the transcript could be kept",
                extra=fields(reason="it is not there, not sound, or too large"),
            )


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
        return NotNow(reason="it was interrupted while its code was fetched", at=terms.clock(), patient=True)
