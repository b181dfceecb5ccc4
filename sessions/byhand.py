"""A turn that a person asks for at a terminal: the same database, registry and bottles, no forge.

Knows how such a turn is entered and who waits for it.  Must not know the command line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import sqlalchemy as sa

from sessions import claims, claude, processes, registry, state, transcript
from sessions import tables as t
from sessions.bottles import EngineError, bottle_for, cwd_of
from sessions.config import Agent, Settings
from sessions.database import begin, database_of, open_database
from sessions.dispatcher import Dispatcher, new_session
from sessions.sources import Fetch
from sessions.turns import Dropped, Mode, OnProgress, Outcome, Ready, Session, Turn

_LEASE = 60.0


class Refused(Exception):
    """It cannot be done as asked; nothing was touched.  One line: what, where, the mend."""

    exit_code = 2


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
        """A new bottle, a new conversation.  Raises `Refused`, `DatabaseError`."""
        settings = self._ready(agent)
        backend = settings.backend
        self._check(backend, settings)
        engine = _open(self._settings)
        try:
            now = time.time()
            with begin(engine) as conn:
                session = new_session(conn, state=self._settings.state, agent=agent, backend=backend, now=now)
                turn = _enter(conn, session, why="bottle run", now=now)
            return self._see_through(engine, Task(task), turn, session, on_progress=on_progress)
        finally:
            engine.dispose()

    def run_resume(
        self, identity: str, *, claude_session: str, task: str, on_progress: OnProgress | None = None
    ) -> Ended:
        """The same bottle, the same conversation.  Raises `Refused`, `DatabaseError`."""
        if not claude.is_session_id(claude_session):
            raise Refused(f"--claude-session: {claude_session!r} is no session id; `bottle show {identity}` prints it")
        engine = _open(self._settings)
        try:
            now = time.time()
            with begin(engine) as conn:
                session = self._known(conn, identity, claude_session, now=now)
                self._check(session.backend, self._ready(session.agent))
                self._has(session, claude_session)
                turn = _enter(conn, session, why="bottle run-resume", now=now)
            errand = Task(task, only=claude_session)
            return self._see_through(engine, errand, turn, session, on_progress=on_progress)
        finally:
            engine.dispose()

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
            lease=_LEASE,
            tries=1,
        )
        after, session, outcome = dispatcher.run_one(turn, session, stop=self._stop, on_progress=on_progress)
        return Ended(turn=after, session=session, outcome=outcome)

    def _ready(self, name: str) -> Agent:
        agent = self._settings.agents.get(name)
        if agent is None:
            known = ", ".join(self._settings.agents) or "none"
            raise Refused(f"agent {name!r} is not in the config; it has: {known}")
        return agent

    def _check(self, backend: str, agent: Agent) -> None:
        try:
            bottle_for(backend, environ=self._environ).check(agent)
        except EngineError as error:
            raise Refused(str(error)) from None

    def _known(self, conn: sa.Connection, identity: str, claude_session: str, *, now: float) -> Session:
        """The session with this bottle; from the bottle's own metadata if the database has never heard of it."""
        place = state.bottle(self._settings.state, identity)
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
        if session is None or session.removed_at is not None:
            raise unknown(identity, self._settings.state)
        if session.claude_session != claude_session:
            values = {"claude_session": claude_session, "claude_total": 0.0, "transcript_bytes": 0, "note": ""}
            conn.execute(t.session.update().where(t.session.c.id == session.id).values(**values))
            session = msgspec.structs.replace(session, **values)
        return session

    def _has(self, session: Session, claude_session: str) -> None:
        place = state.bottle(self._settings.state, session.identity)
        found = transcript.look(state.config_dir(place), claude_session)
        if found.condition != "sound":
            there = sorted({path.stem for path in state.config_dir(place).glob("projects/*/*.jsonl")})
            raise Refused(
                f"bottle {session.identity} has no conversation {claude_session} that can be resumed "
                f"({found.condition}); it has: {', '.join(there) or 'none'}"
            )


def unknown(identity: str, root: Path) -> Refused:
    if identity in state.identities(root):
        return Refused(f"no session knows bottle {identity!r}, but its state is there; add --orphans to remove it")
    return Refused(
        f"no bottle {identity!r}: its state would be in {state.bottle(root, identity)}; "
        "`bottle list --all` shows those there are, `bottle run AGENT TASK` starts one"
    )


def _open(settings: Settings) -> sa.Engine:
    return open_database(database_of(settings.state, settings.database), [t.COMPONENT])


def _enter(conn: sa.Connection, session: Session, *, why: str, now: float) -> Turn:
    """A turn that is ours from its first moment: nobody else knows what it is to do."""
    running = registry.turns(conn, ref=session.ref, state="running")
    if running:
        raise Refused(
            f"turn {running[0].id} of {session.key} is running; wait for its end (`bottle log {session.key}`)"
        )
    number = registry.add_turn(
        conn, ref=session.ref, key=session.key, agent=session.agent, why=why, now=now, by_hand=True
    )
    turn = claims.hold(conn, number, owner=str(processes.me()), now=now, lease=_LEASE, anew=True)
    return claims.belongs_to(conn, turn, session)
