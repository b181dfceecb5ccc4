"""`bottle resume`: a person goes on with an agent's conversation, at a terminal, in the same bottle.

For everybody else it is a turn like any other, so that no other one runs meanwhile.  Knows rows, launches and what is
to be seen beforehand.  Must not know the command line, or how a bottle meets a terminal.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sessions import (
    byhand,
    claims,
    claude,
    files,
    lifecycle,
    preparing,
    registry,
    runs,
    spending,
    state,
    tables,
    terminal,
    transcript,
)
from sessions.bottles import EngineError, bottle_for
from sessions.bottles.attended import attend, to_run
from sessions.byhand import LEASE, Refused
from sessions.database import DatabaseError, begin, clock_of, database_of, is_absent, open_database, reading, rehearsing
from sessions.logs import bound, hide, is_secret, redacted
from sessions.turns import Launch, Outcome, Session, Turn

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.config import Agent, Settings

log = logging.getLogger("sessions.resuming")

#: So long an agent may go on whose terminal nobody holds any more; then whoever adopts the turn ends it.
_MINUTES_ALONE = 60.0
_MOST_SETTINGS = 16 * 1024 * 1024


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a resume would launch."""

    identity: str
    key: str
    agent: str
    claude_session: str
    backend: str
    state_directory: str
    #: `None` where a bottle is no container.
    image: str | None
    #: The bottle's own, if it has one.
    dockerfile: str | None
    #: Where the agent works: a path in the guest for a container.
    cwd: str
    argv: tuple[str, ...]
    #: Names of variables that pass from the caller's environment; those that are not set there.
    env: tuple[str, ...]
    missing_env: tuple[str, ...]
    #: Why it cannot be started now, "" when it can.
    trouble: str = ""


class Visited(msgspec.Struct, frozen=True, kw_only=True):
    """How it went.  `closed`: why the bottle was put away meanwhile."""

    exit: int
    turn: Turn
    session: Session
    closed: str = ""


def plan(settings: Settings, identity: str, claude_session: str | None, *, environ: Mapping[str, str]) -> Plan:
    """What would be launched; nothing is written.  Raises `Refused`, `DatabaseError`."""
    where = database_of(settings.state, settings.database)
    engine = open_database(":memory:" if is_absent(where) else where, [tables.COMPONENT])
    try:
        with rehearsing(engine) as conn:
            session = byhand.known(conn, settings, identity, claude_session, now=time.time())
            agent = byhand.agent_of(settings, session.agent)
            turn = byhand.enter(conn, session, why="bottle resume", now=time.time())
    finally:
        engine.dispose()
    launch = _launch(settings.state, turn, session, agent=agent, environ=environ)
    argv, image, trouble = to_run(launch, session.backend, agent, environ=environ)
    own = launch.bottle / "Dockerfile"
    here = state.work(launch.bottle, session.cwd)
    return Plan(
        identity=identity,
        key=session.key,
        agent=session.agent,
        claude_session=session.claude_session,
        backend=session.backend,
        state_directory=str(launch.bottle),
        image=image,
        dockerfile=str(own) if session.backend == "docker" and own.exists() else None,
        cwd=session.cwd if session.backend == "docker" else str(here),
        argv=tuple(_without_secrets(argv, environ)),
        env=agent.env,
        missing_env=tuple(name for name in agent.env if name not in environ),
        trouble=trouble,
    )


def resume(settings: Settings, identity: str, claude_session: str | None, *, environ: Mapping[str, str]) -> Visited:
    """At this terminal, to the agent's end.  Main thread only.  Raises `Refused`, `DatabaseError`, `Failed`."""
    if not terminal.is_there():
        byhand.check_bottle(settings, identity)  # the next command needs it, too
        raise Refused(
            f"bottle resume {identity}: stdin and stdout are no terminal; without one: "
            f"bottle run-resume {identity} --claude-session ID TASK"
        )
    with byhand.opened(settings) as engine:
        byhand.collect_left(engine, settings, identity, environ=environ)
        now, here = clock_of(engine)(), byhand.place_of(engine, settings)
        with begin(engine) as conn:
            session = byhand.known(conn, settings, identity, claude_session, now=now)
            agent = byhand.agent_of(settings, session.agent)
            byhand.check(session.backend, agent, environ=environ)
            turn = byhand.enter(conn, session, why="bottle resume", now=now, here=here)
        with bound(pull=turn.key, turn=turn.id, bottle=identity):
            log.info("resuming session %s at the terminal (%s)", session.claude_session, session.backend)
            return Visit(engine, settings, turn, session).run(agent, environ=environ)


class Failed(Exception):
    """It could not be started, or its end was not seen.  One line with the mend."""

    exit_code = 1


class Visit:
    """One turn of a person at a terminal, held from its beginning to its record."""

    def __init__(self, engine: sa.Engine, settings: Settings, turn: Turn, session: Session) -> None:
        self._engine, self._root, self._clock = engine, settings.state, clock_of(engine)
        self.turn, self.session = turn, session
        self._lost = False

    def run(self, agent: Agent, *, environ: Mapping[str, str]) -> Visited:
        config = state.config_dir(state.bottle(self._root, self.session.identity))
        before = spending.told(config, self.session.claude_session)
        state.clear_turn_directory(state.bottle(self._root, self.session.identity), str(self.turn.id))
        with begin(self._engine) as conn:
            self.turn = claims.launching(
                conn, self.turn, self.session, mode="resume", told=(), now=self._clock(), minutes=_MINUTES_ALONE
            )
        # A damaged record is put back as for any turn; that it can be gone on with was seen before.
        preparing.opening(self._root, msgspec.structs.replace(self.session, note=""))
        outcome = self._outcome(agent, environ=environ)
        after = spending.told(config, self.session.claude_session)
        size = transcript.look(config, self.session.claude_session).size
        return self._record(outcome, before, after, size=size)

    def _outcome(self, agent: Agent, *, environ: Mapping[str, str]) -> Outcome:
        backend = self.session.backend
        try:
            launch = _write_down(self._root, self.turn, self.session, agent=agent, environ=environ)
            with self._held():
                code = attend(backend, launch, environ=environ)
                bottle = bottle_for(backend, environ=environ)
                bottle.sweep(launch)
                bottle.clear(launch)
        except EngineError as error:
            return Outcome(kind="engine", reason=str(error))
        except OSError as error:
            return Outcome(kind="engine", reason=files.told(error))
        reason = "" if code == 0 else f"exit code {code}"
        return Outcome(kind="done" if code == 0 else "failed", reason=reason, exit=code)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Show that we are here, in a thread: the terminal has this one."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(LEASE / 3):
                self._beat()

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self) -> None:
        """Longer, and on: after a sleep of the machine somebody else may be watching over it, which is ours to do."""
        try:
            with begin(self._engine) as conn:
                self.turn = claims.attended(conn, self.turn, now=self._clock(), lease=LEASE, minutes=_MINUTES_ALONE)
        except DatabaseError as error:
            log.debug("heartbeat failed: %s", error)
        except claims.LeaseLost:
            self._lost = True  # it was ended, and recorded, by somebody else

    def _record(self, outcome: Outcome, before: spending.Spent, after: spending.Spent, *, size: int) -> Visited:
        cost = lifecycle.spent(after.total_usd, self.session.claude_total)
        usage = spending.between(before, after)
        if outcome.kind == "done" and not usage.output:
            # Nothing was asked of the model: no proof that it answers this agent again.
            outcome = msgspec.structs.replace(outcome, kind="interrupted")
        outcome = msgspec.structs.replace(
            outcome,
            usage=usage,
            total_usd=after.total_usd,
            context_tokens=after.context_tokens,
            cost_usd=cost,
        )
        verdict = lifecycle.Verdict(
            turn="failed" if outcome.kind == "engine" else "done", reason=outcome.reason, note=self.session.note
        )
        self._beat()
        closed = self.turn.stop_asked
        if not self._lost:
            with begin(self._engine) as conn:
                self.turn, self.session = claims.finish(
                    conn, self.turn, outcome, verdict, now=self._clock(), transcript_bytes=size
                )
        else:
            with reading(self._engine) as conn:
                self.turn = registry.turn(conn, self.turn.id) or self.turn
                self.session = registry.session_of(conn, self.session.identity) or self.session
        conversation = self.session.claude_session
        preparing.keep(self._root, self.session, outcome, claude_session=conversation, note=self.session.note)
        if outcome.kind == "engine":
            raise Failed(f"bottle {self.session.identity}: {outcome.reason}")
        return Visited(exit=outcome.exit or 0, turn=self.turn, session=self.session, closed=closed)


def _write_down(root: Path, turn: Turn, session: Session, *, agent: Agent, environ: Mapping[str, str]) -> Launch:
    """The bottle and the launch's directory, ready to start."""
    launch = _launch(root, turn, session, agent=agent, environ=environ)
    metadata = state.metadata(
        identity=session.identity, agent=session.agent, cwd=session.cwd, backend=session.backend, now=time.time()
    )
    state.prepare(launch.bottle, metadata)
    state.preserve(launch.bottle)
    state.new_turn_directory(launch.bottle, turn.directory, prompt="", argv=("claude", *launch.argv))
    _introduce(state.config_dir(launch.bottle))
    return launch


def _launch(root: Path, turn: Turn, session: Session, *, agent: Agent, environ: Mapping[str, str]) -> Launch:
    return msgspec.structs.replace(
        runs.launch_of(root, turn, session, agent=agent),
        mode="resume",
        claude_session=session.claude_session,
        argv=claude.arguments_at_terminal(claude_session=session.claude_session, model=agent.model),
        env={name: environ[name] for name in agent.env if name in environ},
        terminal=terminal.kind(),
    )


def _introduce(config_dir: Path) -> None:
    """At a terminal the CLI sends a new user to a login in the browser first (seen with 2.1.330): this one has its key
    already.  Whether the directory is to be trusted it still asks."""
    place = config_dir / ".claude.json"
    try:
        found = json.loads(files.tail(place, _MOST_SETTINGS) or b"{}")
    except (ValueError, RecursionError):
        found = {}
    if isinstance(found, dict) and not found.get("hasCompletedOnboarding"):
        state.write(place, json.dumps(found | {"hasCompletedOnboarding": True}, indent=2) + "\n")


def _without_secrets(words: tuple[str, ...], environ: Mapping[str, str]) -> Iterator[str]:
    """A runner's words may hold what the config put in from the environment."""
    for name in filter(is_secret, environ):
        hide(environ[name])
    yield from map(redacted, words)
