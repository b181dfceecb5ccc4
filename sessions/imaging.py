"""`bottle build` and `bottle commit`: the images that bottles are started from, made by a person.

Knows the registry and the images.  Must not know the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sessions import registry, state
from sessions.bottles import EngineError
from sessions.byhand import Refused, unknown
from sessions.config import Agent, Settings
from sessions.database import reading

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.turns import Session


class Failed(Exception):
    """The engine did not do it.  One line: what, and the mend."""

    exit_code = 1


def build(*, base: str | None, tag: str, environ: Mapping[str, str], say: Callable[[str], None]) -> str:
    """The image that agents use when the config names no other; its tag.  Raises `Failed`."""
    from sessions.bottles import images

    try:
        built = images.build_common(environ, base=base, tag=tag, say=say)
    except EngineError as error:
        raise Failed(str(error)) from None
    say(f"claude in it: {built.claude or 'fetched by the build'}")
    return built.tag


def build_own(
    db: sa.Engine, settings: Settings, identity: str, *, environ: Mapping[str, str], say: Callable[[str], None]
) -> str:
    """The image of a bottle's own Dockerfile; its tag.  Raises `Refused`, `Failed`."""
    from sessions.bottles import images

    _known(db, settings, identity)
    bottle = state.bottle(settings.state, identity)
    try:
        built = images.build_own(environ, bottle, say=say)
    except EngineError as error:
        raise Failed(str(error)) from None
    if built is None:
        raise Refused(f"bottle {identity} has no Dockerfile of its own; write {bottle / 'Dockerfile'} first")
    return built.tag


def commit(db: sa.Engine, settings: Settings, identity: str, *, environ: Mapping[str, str]) -> tuple[str, str]:
    """The bottle's file system as an image that its next launch boots; its tag, and what is to be known about it.

    Raises `Refused`, `Failed`."""
    from sessions.bottles import holdings

    session = _known(db, settings, identity)
    if session.backend != "docker":
        raise Refused(f"bottle {identity} is no container but a {session.backend}: it has no file system of its own")
    agent = settings.agents.get(session.agent, Agent())
    try:
        tag = holdings.freeze(environ, state.bottle(settings.state, identity), agent)
    except EngineError as error:
        raise Failed(str(error)) from None
    note = ""
    if agent.read_only:
        note = (
            f"agent {session.agent} can write into its mounts only, which are kept anyway: the image is what it "
            "boots now; with `read_only: false` what it installs is frozen, too"
        )
    return tag, note


def _known(db: sa.Engine, settings: Settings, identity: str) -> Session:
    with reading(db) as conn:
        session = registry.session_of(conn, identity) if state.is_identity(identity) else None
    if session is None or session.removed_at is not None:
        raise unknown(identity, settings.state)
    return session
