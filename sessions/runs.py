"""A launch as files: what is written before it, and what is read after it.

Knows the state directory and the agent's settings.  Must not know rows, leases or processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sessions import claude, files, state
from sessions.turns import Launch, Session, Turn

if TYPE_CHECKING:
    from sessions.config import Agent

#: Output beyond this is not read from its beginning: the result is its last line.
_MOST_OUTPUT = 64 * 1024 * 1024
_MOST_ERRORS = 256 * 1024


class Forbidden(Exception):
    """Whoever adopted the turn has seen to it that this launch never happens."""


def launch_of(root: Path, turn: Turn, session: Session, *, agent: Agent | None = None) -> Launch:
    """Where the turn's last launch is to be found.  `agent`: as the config has it now."""
    bottle = state.bottle(root, session.identity)
    return Launch(
        identity=session.identity,
        bottle=bottle,
        directory=bottle / "turns" / turn.directory,
        cwd=session.cwd,
        mode=turn.mode or "fresh",
        claude_session=turn.claude_session,
        key=turn.key,
        agent=turn.agent,
        settings=agent,
    )


def write_down(
    root: Path,
    turn: Turn,
    session: Session,
    *,
    agent: Agent,
    prompt: str,
    environ: Mapping[str, str],
    now: float,
    schema: str = "",
) -> Launch:
    """The bottle and the launch's directory, ready to start.  Raises `Forbidden`, `OSError`."""
    launch = launch_of(root, turn, session, agent=agent)
    metadata = state.metadata(
        identity=session.identity, agent=session.agent, cwd=session.cwd, backend=session.backend, now=now
    )
    state.prepare(launch.bottle, metadata)
    # Before anything runs: whatever ends it finds the bottle marked, and only the key's end unmarks it.
    state.preserve(launch.bottle)
    argv = claude.arguments(
        mode=turn.mode or "fresh",
        claude_session=turn.claude_session,
        model=agent.model,
        turns=agent.limits.turns,
        usd=agent.limits.usd,
        schema=schema,
    )
    # Without a path: where claude is, is this machine's business.
    try:
        state.new_turn_directory(launch.bottle, turn.directory, prompt=prompt, argv=("claude", *argv))
    except FileExistsError:
        raise Forbidden(f"turn {turn.id}: its launch was forbidden by whoever adopted it") from None
    env = {name: environ[name] for name in agent.env if name in environ}
    return msgspec.structs.replace(launch, argv=argv, env=env)


def output(launch: Launch) -> tuple[bytes, bytes]:
    """What it printed, stdout and stderr."""
    directory = launch.directory
    return files.tail(directory / "out.jsonl", _MOST_OUTPUT), files.tail(directory / "err.log", _MOST_ERRORS)


def exit_code(launch: Launch) -> int | None:
    """What it ended with, if it has written that down."""
    return files.code_in(launch.directory / "exit")
