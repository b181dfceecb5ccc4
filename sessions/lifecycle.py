"""How a turn starts, and what each end means for the turn and for its session.

Pure: values in, values out, `now` is an argument.  Must not know files, SQL, processes or what Claude printed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sessions.turns import Kind, Mode, Outcome, Session, Turn

#: Tries before a turn has failed for good.  What is nobody's fault, and passes, gets more patience; what a repetition
#: would only pay for again gets none.
_TRIES: dict[Kind, int] = {
    "failed": 3,
    "unreadable": 3,
    "interrupted": 3,
    "not_found": 3,
    "too_long": 3,
    "overloaded": 8,
    "engine": 8,
    "limited": 1,
}
_BACKOFF = (30.0, 120.0, 480.0)
_OVERLOAD_BACKOFF = (60.0, 120.0, 240.0, 480.0, 900.0, 1800.0)
#: A refusal without a date (login, credit) is looked at again after this.
_REFUSED_FOR = 900.0

#: Files that a killed first run left: `stub` has no complete message of ours, `damaged` is not a transcript at all.
Condition = Literal["absent", "stub", "damaged", "sound"]


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """How to go on with a conversation."""

    mode: Mode
    why: str
    #: Another conversation id first.
    renew: bool = False
    #: Move what is in the way out of it (never delete: it may be all there is).
    set_aside: bool = False
    #: Put back the last good copy of the record.
    restore: bool = False

    @property
    def surprise(self) -> str:
        """Why the agent does not simply go on, where people would expect that it does."""
        return self.why if self.renew or self.restore else ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an outcome does.  "renew" = once more, now, afresh; the others are states of the turn."""

    turn: Literal["done", "failed", "dropped", "waiting", "renew"]
    reason: str = ""
    not_before: float = 0.0
    paused_until: float | None = None
    paused_why: str = ""
    #: Not "" = the conversation cannot be resumed, and why.
    note: str = ""


def opening(condition: Condition, session: Session, *, size: int = 0, good: int = 0) -> Opening:
    """Fresh or resumed.  Only a transcript with a complete message of ours can be resumed, and then it must be.

    `size`: bytes of the record; `good`: of the last good copy of it, 0 = there is none.  A record only ever grows."""
    if session.note:
        return Opening(mode="fresh", renew=True, why=session.note)
    if good > size or (good and condition != "sound"):
        what = {"absent": "was gone", "sound": "had lost its end"}.get(condition, "was damaged")
        why = f"its transcript {what}; the last good copy of it was put back"
        return Opening(mode="resume", restore=True, set_aside=condition != "absent", why=why)
    if condition == "sound":
        return Opening(mode="resume", why="")
    if condition == "damaged":
        return Opening(mode="fresh", renew=True, set_aside=True, why="its transcript is damaged; it is kept aside")
    if condition == "stub" and session.turns:
        return Opening(mode="fresh", renew=True, set_aside=True, why="its transcript lost its words; it is kept aside")
    if condition == "stub":
        # Both --resume and --session-id would fail: the file is there, and there is nothing in it.
        return Opening(mode="fresh", set_aside=True, why="a first run was cut off before its message was written")
    if session.backend == "command" and session.turns and not session.transcript_bytes:
        # Somebody else's runner keeps it where we never saw it; if it has lost it, it will say so.
        return Opening(mode="resume", why="")
    if session.transcript_bytes:
        return Opening(mode="fresh", renew=True, why="its transcript is gone")
    return Opening(mode="fresh", why="first turn of this session")


def announcement(opening: Opening, session: Session) -> str:
    """The log's line about how a turn starts."""
    verb = "resuming" if opening.mode == "resume" else "starting"
    return f"{verb} session {session.claude_session}" + (f": {opening.why}" if opening.why else "")


def after(outcome: Outcome, turn: Turn, session: Session, *, now: float, tries: int | None = None) -> Verdict:
    """What `outcome` means.  `turn.attempts` counts this run too.  `tries`: at most so many, whatever the kind."""
    reason = outcome.reason
    if outcome.kind == "done":
        return Verdict(turn="done")
    if turn.stop_asked:
        return Verdict(turn="dropped", reason=turn.stop_asked)
    if outcome.kind == "not_found" and turn.mode == "resume" and not turn.renewed:
        return Verdict(turn="renew", reason=reason)
    note = session.note
    if outcome.kind == "too_long":
        note = "the conversation had become too long"
    if outcome.kind == "refused":
        until = outcome.resets_at if outcome.resets_at is not None else now + _REFUSED_FOR
        state: Literal["waiting", "failed"] = "waiting" if tries is None or turn.attempts < tries else "failed"
        return Verdict(turn=state, reason=reason, not_before=until, paused_until=until, paused_why=reason, note=note)
    allowed = _TRIES[outcome.kind] if tries is None else min(tries, _TRIES[outcome.kind])
    if turn.attempts >= allowed:
        return Verdict(turn="failed", reason=reason, note=note)
    # Cut off without an exit code (a reboot, a crash): whatever did it is over, there is nothing to wait for.
    cut_off = outcome.kind == "interrupted" and outcome.exit is None
    pause = 0.0 if cut_off else backoff(outcome.kind, turn.attempts)
    return Verdict(turn="waiting", reason=reason, not_before=now + pause, note=note)


def backoff(kind: Kind, attempts: int) -> float:
    """Seconds to wait after the `attempts`-th try ended like this."""
    steps = _OVERLOAD_BACKOFF if kind == "overloaded" else _BACKOFF
    return steps[min(max(attempts, 1), len(steps)) - 1]


def spent(total: float | None, before: float) -> float:
    """What one run cost.  Claude counts per conversation, older versions per run: a smaller total is the run's own."""
    if total is None:
        return 0.0
    return total - before if total >= before else total


def kept(outcome: Outcome, backend: str, *, bytes_before: int, bytes_after: int) -> str:
    """Why the conversation that was just held cannot be resumed, or "" when it was written down."""
    if outcome.kind not in ("done", "limited") or bytes_after > bytes_before:
        return ""
    if backend == "command" and not bytes_before and not bytes_after:
        return ""  # somebody else's runner keeps it elsewhere
    return "the last turn was not written to its transcript (is the bottle's config directory writable, the disk full?)"
