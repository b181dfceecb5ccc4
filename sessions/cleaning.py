"""`bottle cleanup`: what could go, and that it goes.

Looks at everything of this state directory: bottles of sessions, and what nobody owns (state, containers, mirrors, what
an interrupted call left).  What does not bear our mark is not even listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from sessions import files, housekeeping, registry, state, strays
from sessions.bottles import EngineError
from sessions.database import reading

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sessions.config import Agent
    from sessions.turns import Session

What = Literal["bottle", "state", "container", "mirror", "leftover"]

#: Names that a call gives to what it has not finished, under the bottles' directory.
_UNFINISHED = (".removing-*", ".importing-*")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could go.  `fate`: "remove" it, "orphan" (remove it, nobody owns it), or why it is kept."""

    what: What
    #: A bottle's identity, or the name of what has none.
    name: str
    key: str = ""
    fate: Literal["remove", "running", "preserved", "orphan"]
    why: str

    @property
    def goes(self) -> bool:
        return self.fate in ("remove", "orphan")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    candidates: tuple[Candidate, ...] = ()
    #: Identities that were named, and are not there.
    unknown: tuple[str, ...] = ()
    #: Why not everything could be looked at, "" when it could.
    trouble: str = ""


def look(
    engine: sa.Engine,
    root: Path,
    identities: Sequence[str],
    *,
    orphans: bool,
    now: float,
    environ: Mapping[str, str],
    agents: Mapping[str, Agent],
) -> Found:
    """What a cleanup would do: to these identities, or (without any) to all; what nobody owns on request."""
    with reading(engine) as conn:
        known = {one.identity: one for one in registry.sessions(conn, all=True)}
    there = state.identities(root)
    found = [_bottle(known[name], named=bool(identities)) for name in identities or there if name in known]
    trouble = ""
    if orphans:
        from sessions.bottles.holdings import strangers

        ownerless = [name for name in there if name not in known and (not identities or name in identities)]
        found += [_state(root, name) for name in ownerless]
        if not identities:
            found += [*_leftovers(root, now), *_mirrors(root)]
        try:
            if "docker" in {*(one.backend for one in known.values()), *(one.backend for one in agents.values())}:
                found += [
                    one
                    for one in _containers(engine, root, environ, now=now)
                    if not identities or one.key in identities
                ]
                trouble = strangers(environ, root)
        except EngineError as error:
            trouble = f"containers were not looked for: {error}"
    seen = {one.key if one.what == "container" else one.name for one in found}
    return Found(
        candidates=tuple(found), unknown=tuple(name for name in identities if name not in seen), trouble=trouble
    )


def clean(
    engine: sa.Engine,
    root: Path,
    going: Sequence[Candidate],
    *,
    now: float,
    environ: Mapping[str, str],
    agents: Mapping[str, Agent],
) -> list[str]:
    """Do it; the names of what really went.  Each is looked at again first."""
    gone = []
    for one in going:
        match one.what:
            case "bottle":
                went = _remove_bottle(engine, root, one.name, now=now, environ=environ, agents=agents)
            case "state":
                went = strays.remove_state(engine, root, one.name, environ=environ)
            case "leftover":
                went = files.remove(state.bottles(root) / one.name)
            case "container":
                went = _remove_container(engine, root, one.name, environ=environ)
            case "mirror":
                went = _remove_mirror(root, one.name)
        gone += [one.name] if went else []
    return gone


def _bottle(session: Session, *, named: bool) -> Candidate:
    fate: Literal["remove", "running", "preserved"] = "remove"
    why = (
        f"closed: {session.closed_why}" if session.closed_at is not None else "asked for; it can be resumed until then"
    )
    if session.running:
        fate, why = "running", f"a turn of it runs (`bottle log {session.identity}` shows it)"
    elif session.closed_at is None and not named:
        fate, why = "preserved", f"it can be resumed; `bottle cleanup {session.identity}` removes it all the same"
    return Candidate(what="bottle", name=session.identity, key=session.key, fate=fate, why=why)


def _state(root: Path, name: str) -> Candidate:
    place = state.bottle(root, name)
    metadata = state.read_metadata(place)
    of = f" (of agent {metadata.agent_name})" if metadata is not None and metadata.agent_name else ""
    return Candidate(what="state", name=name, fate="orphan", why=f"no session knows {place}{of}")


def _leftovers(root: Path, now: float) -> Iterator[Candidate]:
    for pattern in _UNFINISHED:
        for path in sorted(state.bottles(root).glob(pattern)):
            if now - path.lstat().st_mtime > housekeeping.YOUNG:
                yield Candidate(what="leftover", name=path.name, fate="orphan", why="an interrupted call left it")


def _mirrors(root: Path) -> list[Candidate]:
    if not (root / "mirrors").is_dir():
        return []
    from sessions import workspace

    why = "no bottle needs it; it is fetched again when one does"
    return [Candidate(what="mirror", name=name, fate="orphan", why=why) for name in workspace.unused(root)]


def _containers(engine: sa.Engine, root: Path, environ: Mapping[str, str], *, now: float) -> Iterator[Candidate]:
    """Of this state directory, by their labels, and of no turn and no bottle."""
    from sessions.bottles import holdings

    if not root.is_dir():
        return
    old = (one for one in holdings.held(environ, root) if now - one.created > housekeeping.YOUNG)
    for one in housekeeping.stray(engine, old):
        yield Candidate(
            what="container", name=f"{one.identity}/{one.turn}", key=one.identity, fate="orphan",
            why="it runs, and no turn knows it" if one.running else "its bottle is gone",
        )  # fmt: skip


def _remove_bottle(
    engine: sa.Engine, root: Path, name: str, *, now: float, environ: Mapping[str, str], agents: Mapping[str, Agent]
) -> bool:
    with reading(engine) as conn:
        session = registry.session_of(conn, name)
    if session is None:
        return False
    why = session.closed_why or housekeeping.CLEANED
    return housekeeping.remove(engine, root, session, now=now, why=why, environ=environ, agents=agents)


def _remove_container(engine: sa.Engine, root: Path, name: str, *, environ: Mapping[str, str]) -> bool:
    from sessions.bottles import holdings

    try:
        named = (one for one in holdings.held(environ, root) if f"{one.identity}/{one.turn}" == name)
        for one in housekeeping.stray(engine, named):
            holdings.drop(environ, one)
            return True
    except EngineError:
        return False
    return False


def _remove_mirror(root: Path, name: str) -> bool:
    from sessions import workspace

    workspace.remove_unused(root)
    return name not in workspace.mirrors_of(root)
