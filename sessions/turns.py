"""The nouns of this room: sessions, turns, what came of a turn, and what a caller brings to one.

Knows shapes only.  Must not know SQL, files, processes or the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from sessions import dates

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessions.config import Agent
    from sessions.sources import Fetch, Made

#: How the reason of a turn begins whose events another one has.
JOINED = "joined turn "

Mode = Literal["fresh", "resume"]
TurnState = Literal["waiting", "running", "done", "failed", "dropped"]
Kind = Literal[
    "done",
    "not_found",  # the conversation is not there (and nothing else)
    "limited",  # the turn's own limit of turns, money or minutes; the session can be resumed
    "refused",  # login, credit or quota: nothing works until somebody or some time mends it
    "overloaded",  # the API is down or busy: later, same session
    "too_long",  # the conversation does not fit any more
    "unreadable",  # it ended well but what it said cannot be read
    "interrupted",  # killed or cut off; the prompt may or may not have been heard
    "engine",  # it could not be started: not the session's fault
    "failed",
]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens.  `cache_read` and `cache_write` are not part of `input`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def cached(self) -> float | None:
        """The part of what the model was sent that came from its cache; `None`: nothing was sent."""
        sent = self.input + self.cache_read + self.cache_write
        return self.cache_read / sent if sent else None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The registry entry of one (ref, agent): one bottle, one conversation."""

    id: int
    ref: str
    key: str
    agent: str
    identity: str
    claude_session: str
    backend: str
    #: Relative to the bottle's state directory for a process, a path in the guest for a container.
    cwd: str
    turns: int = 0
    agent_turns: int = 0
    cost_usd: float = 0.0
    usage: Usage = Usage()
    claude_total: float = 0.0
    context_tokens: int = 0
    transcript_bytes: int = 0
    note: str = ""
    #: Of the present conversation: dispatches that ended in it, since when (epoch seconds), and why it was begun, if it
    #: is not the bottle's first.
    conversation_turns: int = 0
    conversation_at: float = 0.0
    begun_why: str = ""
    #: What the last hand-over said, and the turn from which on it knows nothing.
    summary: str = ""
    summary_turn: int = 0
    #: Its agent is paused: nothing of it is started before then.
    paused_until: float | None = None
    paused_why: str = ""
    created_at: float = 0.0
    used_at: float = 0.0
    closed_at: float | None = None
    closed_why: str = ""
    removed_at: float | None = None
    #: Which state directory has its bottle, where several share a database; "" = the only one there is.
    place: str = ""
    running: bool = False

    def state(self, now: float) -> Literal["idle", "running", "paused"]:
        if self.running:
            return "running"
        is_paused = self.paused_until is not None and dates.is_to_come(self.paused_until, now=now)
        return "paused" if is_paused else "idle"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One errand of an agent.  `attempts` are the runs begun before this moment, since it last was asked for."""

    id: int
    ref: str
    key: str
    agent: str
    state: TurnState
    why: str
    #: What it is about, in order of arrival.
    events: tuple[str, ...] = ()
    #: What its last prompt really named.
    told: tuple[str, ...] = ()
    session_id: int | None = None
    identity: str = ""
    claude_session: str = ""
    mode: Mode | None = None
    by_hand: bool = False
    attempts: int = 0
    launches: int = 0
    #: Workers that died with it before its launch, or failed by a bug to prepare it or to record its end.
    deaths: int = 0
    renewed: bool = False
    #: Hand-overs that were launched for it, and whether its last launch is one.
    handovers: int = 0
    handing_over: bool = False
    #: Why the conversation did not simply go on with its last launch, "" when it did, or when it was the first.
    surprise: str = ""
    not_before: float = 0.0
    created_at: float = 0.0
    started_at: float | None = None
    deadline: float | None = None
    ended_at: float | None = None
    exit: int | None = None
    #: Of the last outcome, "" before there is one.  After "overloaded" or "refused" the last prompt is still in the
    #: conversation and is sent again by itself; after "interrupted" it may never have been heard.
    kind: str = ""
    reason: str = ""
    #: It waits for that reason, and nothing is wrong with it.
    patient: bool = False
    answer: str = ""
    cost_usd: float = 0.0
    #: What its next (or present) launch may cost; counts only while it runs.
    reserved: float = 0.0
    usage: Usage = Usage()
    posted: tuple[str, ...] = ()
    stop_asked: str = ""
    owner: str = ""
    fence: int = 0
    lease_until: float = 0.0

    @property
    def is_repeat(self) -> bool:
        """An earlier run may have done something of which no answer tells; also one before it was asked for again."""
        return self.attempts > 0 or (self.kind != "done" and self.launches > int(self.renewed))

    @property
    def directory(self) -> str:
        """Name under the bottle's `turns/`: one for every launch."""
        name, many = (f"{self.id}-handover", self.handovers) if self.handing_over else (str(self.id), self.launches)
        return name if many <= 1 else f"{name}-{many}"

    def next_directory(self, handover: bool) -> str:
        """The name that the next launch is going to have."""
        many = {"handovers": self.handovers + 1} if handover else {"launches": self.launches + 1}
        return msgspec.structs.replace(self, handing_over=handover, **many).directory


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one launch, as far as its output tells."""

    kind: Kind
    #: The agent's words; "" unless `kind` is "done".
    text: str = ""
    #: The same by the schema that was asked for (JSON), "" without one.
    structured: str = ""
    #: What it had said last when it was ended by a limit.
    so_far: str = ""
    #: Which limit: of model calls, of money, of time.
    limit: Literal["", "turns", "usd", "minutes"] = ""
    #: One line for people, "" when all is well.
    reason: str = ""
    exit: int | None = None
    claude_session: str = ""
    #: Of the conversation so far (US dollars); `None` when the run did not say.
    total_usd: float | None = None
    #: Of this run; `first`: of its first request to the model.
    usage: Usage = Usage()
    first: Usage = Usage()
    agent_turns: int = 0
    context_tokens: int = 0
    #: Epoch seconds at which a refusal ends, when it was said.
    resets_at: float | None = None
    #: The result object as the agent printed it (JSON), b"" without one.
    result: bytes = b""
    #: Set by the runner: what this turn cost, after the conversation's earlier total is taken off; what the agent has
    #: committed, and why that could not be had.
    cost_usd: float = 0.0
    made: Made | None = None
    unmade: str = ""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend needs to start one run, and to find it again later.  Paths are of this process's life only."""

    identity: str
    #: The bottle's state directory, and the launch's own one under it.
    bottle: Path
    directory: Path
    cwd: str
    argv: tuple[str, ...] = ()
    #: Names and values from the caller's environment that the agent may see.
    env: Mapping[str, str] = {}
    mode: Mode = "fresh"
    claude_session: str = ""
    #: What the turn is about, as people write it, and who runs it.
    key: str = ""
    agent: str = ""
    #: The agent as the config has it now; `None` when it is no longer there.
    settings: Agent | None = None
    #: The kind (TERM) of the terminal at which a person talks with the agent; "" = nobody is there.
    terminal: str = ""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The turn can be run.  `events` are those that the prompt really names; `schema`: of the answer (JSON), if any."""

    prompt: str
    events: tuple[str, ...] = ()
    schema: str = ""


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing left to do: the turn ends as dropped."""

    reason: str


class NotNow(msgspec.Struct, frozen=True, kw_only=True):
    """Back to waiting until `at` (epoch seconds); no attempt is counted.  `patient`: nothing is wrong with that."""

    reason: str
    at: float
    patient: bool = False


class Errand(Protocol):
    """What the caller brings to a turn."""

    def prepare(self, turn: Turn, session: Session, mode: Mode, fetch: Fetch) -> Ready | Dropped | NotNow:
        """The words for the agent; with `fetch` the code is put into its working directory, if that is wanted.

        Called right before a launch, outside any transaction, perhaps from several threads at once (for different
        turns); and again with "fresh" when the conversation turned out to be lost.  `turn.is_repeat` tells of earlier
        runs, `turn.kind` how the last one ended.  Let through what `fetch` raises; else raise only for bugs.
        """
        ...

    def settled(self, conn: Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        """Called inside the transaction that records an outcome: what is to follow from it is written here.

        `turn.state` is what became of the turn: "done", "failed" (for good), "dropped" (stopped), or "waiting" (it
        will be tried again at `turn.not_before`; usually nothing is to be said yet).  `session` is as it is now.
        """
        ...


#: Asked inside the transaction that claims a turn: the dollars that its launch may cost, now reserved, or not now
#: (at this very moment: when others have ended).
#: What others have reserved is in `ledger.reserved`; what it says to people is written in the same transaction.
Afford = Callable[["Connection", Turn], float | NotNow]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Something to show to whoever waits."""

    what: Literal["started", "adopted", "running", "ended"]
    turn: Turn
    session: Session
    elapsed: float = 0.0
    outcome: Outcome | None = None


OnProgress = Callable[[Progress], None]


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What one `run_due` did.  `failed` counts tries that failed, also those that will be repeated."""

    started: int = 0
    adopted: int = 0
    done: int = 0
    failed: int = 0
    #: Turns that wait (for their time, or for a free place) at its end.
    waiting: int = 0
