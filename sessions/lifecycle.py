"""How a turn starts, and what each end means for the turn and for its session.

Pure: values in, values out, `now` is an argument.  Must not know files, SQL, processes or what Claude printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sessions import resets
from sessions.turns import Kind, Mode, Outcome, Session, Turn

if TYPE_CHECKING:
    from sessions.config import AgentLimits

#: Tries before a turn has failed for good.  What is nobody's fault, and passes, gets more patience; what a repetition
#: would only pay for again gets none.
_TRIES: dict[Kind, int] = {
    "failed": 3,
    "unreadable": 3,
    "interrupted": 3,
    "not_found": 3,
    "too_long": 1,
    "overloaded": 8,
    "engine": 8,
    "limited": 1,
}
_BACKOFF = (30.0, 120.0, 480.0)
_OVERLOAD_BACKOFF = (60.0, 120.0, 240.0, 480.0, 900.0, 1800.0)
#: A refusal without a date (login, credit) is looked at again after this; one whose date is over already, after that.
_REFUSED_FOR, _REFUSED_AT_LEAST = 900.0, 60.0
#: No quota is longer than a week: a later date was misread.
_REFUSED_AT_MOST = 8 * 86_400.0
#: Workers that may die with a turn before its launch, or over its end: so many without a pause, so many at most.
_UNLUCKY, _DEATHS = 4, 10
#: Hand-overs launched for one turn, before it goes on without one.
_HANDOVERS = 3
#: Tokens of context below which it is not worth a word what they cost.
_SMALL = 4_000

_LOST = "the agent did not find its conversation any more"
_TOO_LONG = "the conversation had become too long"

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
    #: That has happened: nobody has spoken in the new one yet.
    renewed: bool = False
    #: What is said is not the turn's own, but a request to hand over.
    is_handover: bool = False

    @property
    def surprise(self) -> str:
        """Why the agent does not simply go on, where people would expect that it does."""
        return self.why if self.renew or self.restore or self.renewed or self.is_handover else ""


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
    if condition == "stub" and session.conversation_turns:
        return Opening(mode="fresh", renew=True, set_aside=True, why="its transcript lost its words; it is kept aside")
    if condition == "stub":
        # Both --resume and --session-id would fail: the file is there, and there is nothing in it.
        return Opening(mode="fresh", set_aside=True, why="a first run was cut off before its message was written")
    if session.backend == "command" and session.conversation_turns and not session.transcript_bytes:
        # Somebody else's runner keeps it where we never saw it; if it has lost it, it will say so.
        return Opening(mode="resume", why="")
    if session.transcript_bytes:
        return Opening(mode="fresh", renew=True, why="its transcript is gone")
    return anew(session) if session.begun_why else Opening(mode="fresh", why="first turn of this session")


def anew(session: Session) -> Opening:
    """The session was given another conversation, which begins now."""
    return Opening(mode="fresh", why=session.begun_why, renewed=True)


def handing_over(why: str) -> Opening:
    """The old conversation is to end with a hand-over, for this reason."""
    return Opening(mode="resume", why=why, is_handover=True)


def rotation(session: Session, turn: Turn, limits: AgentLimits, *, now: float) -> str:
    """Why this turn is to begin in a new conversation, after a hand-over from the old one; "" = it goes on.

    Not for what a person asks for by hand, and not between two tries of a turn, of which the old one knows already."""
    if turn.by_hand or turn.attempts or not session.conversation_turns:
        return ""
    if session.context_tokens > limits.rotate_tokens:
        return f"the conversation had grown to {session.context_tokens:,} tokens"
    if limits.rotate_turns is not None and session.conversation_turns >= limits.rotate_turns:
        return f"the conversation had gone on for {session.conversation_turns} turns"
    age = now - session.conversation_at
    if limits.rotate_after is not None and age >= limits.rotate_after:
        days = age / 86_400
        return f"the conversation was {f'{days:.0f} days' if days >= 2 else f'{age / 3600:.0f} hours'} old"
    return ""


def announcement(opening: Opening, session: Session) -> str:
    """The log's line about how a turn starts."""
    verb = "resuming" if opening.mode == "resume" else "starting"
    verb = "asking for a hand-over of" if opening.is_handover else verb
    return f"{verb} session {session.claude_session}" + (f": {opening.why}" if opening.why else "")


def continuity(turn: Turn, session: Session, *, is_successor: bool) -> str:
    """Why the conversation of a turn that is over was new or an old one, for people; "" where there is nothing to say.

    `session`: as the turn has left it; `is_successor`: the pull has had another bottle of this agent before."""
    if turn.surprise:
        return turn.surprise
    if turn.mode == "resume":
        if session.conversation_turns > 1:
            return f"its {_nth(session.conversation_turns)} turn"
        return "this turn was begun before" if turn.attempts > 1 else ""
    if is_successor:
        return "the bottle before was put away"
    return f"{turn.agent}'s first turn here" if session.turns <= 1 else "nothing was said in it before"


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def after(outcome: Outcome, turn: Turn, session: Session, *, now: float, tries: int | None = None) -> Verdict:
    """What `outcome` means.  `turn.attempts` counts this run too.  `tries`: at most so many, whatever the kind."""
    reason = outcome.reason
    if outcome.kind == "done":
        return Verdict(turn="done")
    if turn.stop_asked:
        return Verdict(turn="dropped", reason=turn.stop_asked)
    if turn.mode == "resume" and not turn.renewed:
        if outcome.kind == "not_found":
            return Verdict(turn="renew", reason=_LOST)
        if outcome.kind == "too_long" and not turn.by_hand:
            return Verdict(turn="renew", reason=_TOO_LONG)
    note = _TOO_LONG if outcome.kind == "too_long" else session.note
    if outcome.kind == "refused":
        may_wait = not turn.by_hand and (tries is None or turn.attempts < tries)
        return _refused(outcome, "waiting" if may_wait else "failed", note=note, now=now)
    allowed = _TRIES[outcome.kind] if tries is None else min(tries, _TRIES[outcome.kind])
    if turn.attempts >= allowed or turn.by_hand:  # nobody else knows what that one is to do
        return Verdict(turn="failed", reason=reason, note=note)
    return Verdict(turn="waiting", reason=reason, not_before=now + _pause(outcome, turn.attempts), note=note)


def after_handover(outcome: Outcome, turn: Turn, session: Session, *, now: float) -> Verdict:
    """What the end of a hand-over means.  "renew" = the turn begins in a new conversation now, whatever it knows of it.

    A service that refuses or is overloaded would do the same to the turn; of any other failure people are to notice no
    more than a poorer memory."""
    if turn.stop_asked:
        return Verdict(turn="dropped", reason=turn.stop_asked)
    reason = f"the hand-over came to nothing: {outcome.reason}" if outcome.reason else ""
    if outcome.kind == "refused":
        return _refused(outcome, "waiting", note=session.note, now=now)
    if outcome.kind in ("overloaded", "engine", "interrupted") and turn.handovers < _HANDOVERS:
        pause = _pause(outcome, turn.handovers)
        return Verdict(turn="waiting", reason=reason, not_before=now + pause, note=session.note)
    return Verdict(turn="renew", reason=reason)


def _refused(outcome: Outcome, state: Literal["waiting", "failed"], *, note: str, now: float) -> Verdict:
    end = outcome.resets_at if outcome.resets_at is not None else resets.stated(outcome.reason, now=now)
    until = now + _REFUSED_FOR
    if end is not None:
        until = min(max(end, now + _REFUSED_AT_LEAST), now + _REFUSED_AT_MOST)
    why = outcome.reason
    return Verdict(turn=state, reason=why, not_before=until, paused_until=until, paused_why=why, note=note)


def _pause(outcome: Outcome, attempts: int) -> float:
    # Cut off without an exit code (a reboot, a crash): whatever did it is over, there is nothing to wait for.
    cut_off = outcome.kind == "interrupted" and outcome.exit is None
    return 0.0 if cut_off else backoff(outcome.kind, attempts)


def limit_reached(outcome: Outcome, limits: AgentLimits) -> str:
    """Which limit of the config ended the run, in words; "" if none did."""
    match outcome.limit:
        case "turns":
            return f"its {limits.turns} turns (`limits.turns`) are used up"
        case "usd":
            return f"its ${limits.usd:.2f} (`limits.usd`) are used up"
        case "minutes":
            return f"its {limits.minutes:g} minutes (`limits.minutes`) are over"
    return ""


def billed_cold(outcome: Outcome, turn: Turn, session: Session, *, now: float) -> str:
    """A warning when a resumed conversation was read again at full price, else "".  `session`: as it was before."""
    before, first = session.context_tokens, outcome.first
    if turn.mode != "resume" or before < _SMALL or first.cached is None or first.cache_read >= before / 2:
        return ""
    sent = first.input + first.cache_read + first.cache_write
    return (
        f"the resume was billed like a cold start: of {sent:,} tokens {first.cache_read:,} came from the cache, "
        f"{max(now - session.used_at, 0) / 60:,.0f} minutes after the turn before"
    )


def backoff(kind: Kind, attempts: int) -> float:
    """Seconds to wait after the `attempts`-th try ended like this."""
    steps = _OVERLOAD_BACKOFF if kind == "overloaded" else _BACKOFF
    return steps[min(max(attempts, 1), len(steps)) - 1]


def after_death(deaths: int) -> float | None:
    """Seconds until a turn is taken up again whose worker died with it (`Turn.deaths`); `None`: not any more.

    Restarts and reboots kill a few; a worker that this turn itself kills (memory, say) dies every time."""
    if deaths >= _DEATHS:
        return None
    return 0.0 if deaths < _UNLUCKY else backoff("interrupted", deaths - _UNLUCKY + 1)


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
