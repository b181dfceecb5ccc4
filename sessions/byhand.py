"""A turn that a person asks for at a terminal: the same database, registry and bottles, no forge.

Knows how such a turn is entered and who waits for it.  Must not know the command line.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import sqlalchemy as sa

from sessions import claims, claude, places, preparing, processes, registry, state
from sessions import tables as t
from sessions.bottles import EngineError, bottle_for, cwd_of
from sessions.config import Agent, Settings
from sessions.database import begin, clock_of, database_of, is_absent, open_database, reading
from sessions.dispatcher import Dispatcher
from sessions.founding import new_session
from sessions.sources import Fetch
from sessions.turns import Dropped, Mode, OnProgress, Outcome, Ready, Session, Turn

#: Seconds for which our word is taken that we live.
LEASE = 60.0


class Refused(Exception):
    """It cannot be done as asked; nothing was touched.  One line: what, where, the mend."""

    exit_code = 2


class Lost(Exception):
    """Somebody else sees it through.  One line: what, and where its end will be found."""

    exit_code = 1


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    turn: Turn
    session: Session
    #: `None`: nothing was run; `turn.reason` says why.
    outcome: Outcome | None


class Task:
    """The errand: this text.  With `only` a conversation, that one or none."""

    def __init__(self, text: str, *, only: str | None = None) -> None:
        self._text, self._only = text, only

    def prepare(self, turn: Turn, session: Session, mode: Mode, fetch: Fetch) -> Ready | Dropped:
        if self._only is not None and mode == "fresh":
            return Dropped(reason=f"claude knows no conversation {self._only}")
        return Ready(prompt=self._text)

    def settled(self, conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        """Whoever asked is waiting, and is told."""


class Terminal:
    """Runs turns of one config for a person.  `stop` set = end the agent's run."""

    def __init__(self, settings: Settings, *, environ: Mapping[str, str], stop: threading.Event) -> None:
        self._settings, self._environ, self._stop = settings, environ, stop

    def run(self, agent: str, task: str, *, on_progress: OnProgress | None = None) -> Ended:
        """A new bottle, a new conversation.  Raises `Refused`, `Lost`, `DatabaseError`."""
        settings = agent_of(self._settings, agent)
        check(settings.backend, settings, environ=self._environ)
        with opened(self._settings) as engine:
            now = clock_of(engine)()
            here = place_of(engine, self._settings)
            with begin(engine) as conn:
                session = new_session(conn, state=self._settings.state, agent=agent, backend=settings.backend, now=now)
                turn = enter(conn, session, why="bottle run", now=now, here=here)
            return self._see_through(engine, Task(task), turn, session, on_progress=on_progress)

    def run_resume(
        self, identity: str, *, claude_session: str, task: str, on_progress: OnProgress | None = None
    ) -> Ended:
        """The same bottle, the same conversation.  Raises `Refused`, `Lost`, `DatabaseError`."""
        check_id(self._settings, identity, claude_session)
        with opened(self._settings) as engine:
            collect_left(engine, self._settings, identity, environ=self._environ)
            now, here = clock_of(engine)(), place_of(engine, self._settings)
            with begin(engine) as conn:
                session = known(conn, self._settings, identity, claude_session, now=now)
                check(session.backend, agent_of(self._settings, session.agent), environ=self._environ)
                turn = enter(conn, session, why="bottle run-resume", now=now, here=here)
            errand = Task(task, only=claude_session)
            return self._see_through(engine, errand, turn, session, on_progress=on_progress)

    def _see_through(
        self, engine: sa.Engine, errand: Task, turn: Turn, session: Session, *, on_progress: OnProgress | None
    ) -> Ended:
        dispatcher = Dispatcher(
            engine=engine,
            state=self._settings.state,
            agents=self._settings.agents,
            errand=errand,
            parallel=1,
            environ=self._environ,
            lease=LEASE,
            tries=1,
        )
        try:
            after, session, outcome = dispatcher.run_one(turn, session, stop=self._stop, on_progress=on_progress)
        except claims.LeaseLost:
            raise Lost(
                f"bottle {session.identity}: nothing was heard of this call for {LEASE:.0f} s and more, and somebody "
                f"else watches over turn {turn.id} now; `bottle log {session.identity}` shows its end"
            ) from None
        return Ended(turn=after, session=session, outcome=outcome)


def agent_of(settings: Settings, name: str) -> Agent:
    """What the config says of an agent.  Raises `Refused`."""
    agent = settings.agents.get(name)
    if agent is None:
        there = ", ".join(settings.agents) or "none"
        raise Refused(f"agent {name!r} is not in the config; it has: {there}")
    return agent


def check(backend: str, agent: Agent, *, environ: Mapping[str, str]) -> None:
    """Whether such a bottle can be started here.  Raises `Refused`."""
    try:
        bottle_for(backend, environ=environ).check(agent)
    except EngineError as error:
        raise Refused(str(error)) from None


def check_id(settings: Settings, identity: str, claude_session: str) -> None:
    """Whether it can be a conversation's id.  Raises `Refused`; of a bottle that is not there, it says that."""
    if not claude.is_session_id(claude_session):
        check_bottle(settings, identity)
        raise Refused(f"--claude-session: {claude_session!r} is no session id; `bottle show {identity}` prints it")


def check_bottle(settings: Settings, identity: str) -> None:
    """Whether there is one to go on with; makes nothing.  Raises `Refused`, `DatabaseError`."""
    if state.is_identity(identity):
        session = None
        if not is_absent(database_of(settings.state, settings.database)):
            with opened(settings) as engine, reading(engine) as conn:
                session = registry.session_of(conn, identity)
        if session is not None and session.removed_at is None:
            return
        if session is None and state.read_metadata(state.bottle(settings.state, identity)) is not None:
            return
    raise unknown(identity, settings.state)


def known(conn: sa.Connection, settings: Settings, identity: str, claude_session: str | None, *, now: float) -> Session:
    """The session with this bottle, with a conversation that can be resumed: that one, or its own.

    From the bottle's own metadata if the database has never heard of it.  Raises `Refused`."""
    place = state.bottle(settings.state, identity)
    session = registry.session_of(conn, identity) if state.is_identity(identity) else None
    metadata = state.read_metadata(place) if state.is_identity(identity) else None
    if session is None and metadata is not None:
        own = f"bottle/{identity}"
        session = registry.add_session(
            conn,
            ref=own,
            key=own,
            agent=metadata.agent_name,
            identity=identity,
            backend=metadata.backend,
            cwd=metadata.cwd or cwd_of(metadata.backend),
            now=now,
        )
        claude_session = claude_session or _only_conversation(place)
    if session is None or session.removed_at is not None:
        raise unknown(identity, settings.state)
    if claude_session is not None and session.claude_session != claude_session:
        values = {"claude_session": claude_session, "claude_total": 0.0, "transcript_bytes": 0, "note": ""}
        values |= {"context_tokens": 0, "conversation_turns": 0, "conversation_at": now, "begun_why": "named by hand"}
        conn.execute(t.session.update().where(t.session.c.id == session.id).values(**values))
        session = msgspec.structs.replace(session, **values)
    _check_conversation(settings.state, session)
    return session


def _only_conversation(place: Path) -> str:
    """Never the latest of several: it may be another one that is meant."""
    there = _conversations(place)
    if len(there) != 1:
        mend = "name one with --claude-session" if there else "`bottle run AGENT TASK` starts a new bottle"
        raise Refused(f"bottle {place.name} has {', '.join(there) or 'no conversation'} in {place}; {mend}")
    return there[0]


def _check_conversation(root: Path, session: Session) -> None:
    """Whatever is noted about it: a person may look at a conversation that no turn goes on with."""
    opening = preparing.foreseen(root, msgspec.structs.replace(session, note=""))
    if opening.mode != "resume":
        place = state.bottle(root, session.identity)
        raise Refused(
            f"bottle {session.identity} has no conversation {session.claude_session} that can be resumed in {place} "
            f"({opening.why}); it has: {', '.join(_conversations(place)) or 'none'}"
        )


def _conversations(place: Path) -> list[str]:
    found = state.config_dir(place).glob("projects/*/*.jsonl")
    return sorted({path.stem for path in found if claude.is_session_id(path.stem)})


def is_kept(root: Path, session: Session) -> bool:
    """Whether what was said can be gone on with: the bottle's state is there, and the conversation in it."""
    place = state.bottle(root, session.identity)
    if session.removed_at is not None or session.note or not (place / "metadata.json").exists():
        return False
    return preparing.foreseen(root, session).mode == "resume"


def unknown(identity: str, root: Path) -> Refused:
    if identity in state.identities(root):
        return Refused(
            f"no session knows bottle {identity!r}, but its state is in {state.bottle(root, identity)}: "
            f"`bottle resume {identity}` takes it up, `bottle cleanup {identity} --orphans` removes it"
        )
    return Refused(
        f"no bottle {identity!r}: its state would be in {state.bottle(root, identity)}; "
        "`bottle list --all` shows those there are, `bottle run AGENT TASK` starts one"
    )


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[sa.Engine]:
    """The database, made if it is missing.  Raises `DatabaseError`."""
    engine = open_database(database_of(settings.state, settings.database), [t.COMPONENT])
    try:
        yield engine
    finally:
        engine.dispose()


def place_of(engine: sa.Engine, settings: Settings) -> str:
    """The name of this machine's state directory, of which the others are told; "" where there are no others."""
    return places.Presence(engine, settings.state).told(now=clock_of(engine)())


def enter(conn: sa.Connection, session: Session, *, why: str, now: float, here: str = "") -> Turn:
    """A turn that is ours from its first moment: nobody else knows what it is to do.  Raises `Refused`."""
    running = registry.turns(conn, ref=session.ref, state="running")
    if running:
        what = f"{running[0].why} of {running[0].agent}" if running[0].agent != session.agent else running[0].why
        raise Refused(
            f"bottle {session.identity}: turn {running[0].id} of {session.key} is running ({what}); "
            f"wait for its end (`bottle log {session.key}` shows it)"
        )
    number = registry.add_turn(
        conn, ref=session.ref, key=session.key, agent=session.agent, why=why, now=now, by_hand=True
    )
    turn = claims.hold(conn, number, owner=str(processes.me()), now=now, lease=LEASE, anew=True)
    if not session.place:
        places.settle(conn, session, here)
    return claims.belongs_to(conn, turn, session)


def collect_left(
    engine: sa.Engine, settings: Settings, identity: str | None = None, *, environ: Mapping[str, str]
) -> None:
    """Record the end of turns (of one bottle, or of all) that somebody began by hand here and was killed over: where
    nobody polls, nobody else does.

    What still runs is left alone, as are the poller's: their answers are to be posted."""
    now, here = clock_of(engine)(), place_of(engine, settings)

    def left(conn: sa.Connection) -> list[tuple[Turn, Session]]:
        found = [one for one in claims.orphans(conn, now=now) if one.by_hand and identity in (None, one.identity)]
        known = [(turn, registry.session_of(conn, turn.identity)) for turn in found]
        return [(turn, one) for turn, one in known if one and not places.is_elsewhere(conn, one, here, now=now)]

    with reading(engine) as conn:
        if not left(conn):
            return
    with begin(engine) as conn:
        mine = str(processes.me())
        held = [
            (claims.hold(conn, turn.id, owner=mine, now=now, lease=LEASE, anew=False), session)
            for turn, session in left(conn)
        ]
    dispatcher = Dispatcher(
        engine=engine, state=settings.state, agents=settings.agents, errand=Task(""), parallel=1, environ=environ,
        lease=LEASE, tries=1,
    )  # fmt: skip
    for turn, session in held:
        dispatcher.adopt_one(turn, session)
