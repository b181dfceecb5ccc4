"""A bottle that nobody has had yet.  Knows rows and names; makes no directory: its first launch does."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from sessions import registry, state
from sessions.bottles import cwd_of
from sessions.turns import Session


def new_session(
    conn: sa.Connection, *, state: Path, agent: str, backend: str, now: float, ref: str = "", key: str = ""
) -> Session:
    """A bottle that nobody has had yet, and its session.  Without a `ref` it is its own: `bottle/<identity>`."""
    identity = _unused_identity(conn, state, agent)
    own = f"bottle/{identity}"
    return registry.add_session(
        conn,
        ref=ref or own,
        key=key or own,
        agent=agent,
        identity=identity,
        backend=backend,
        cwd=cwd_of(backend),
        now=now,
    )


def _unused_identity(conn: sa.Connection, root: Path, agent: str) -> str:
    while True:
        identity = state.new_identity(agent)
        if registry.session_of(conn, identity) is None and not state.bottle(root, identity).exists():
            return identity
