"""What is held back by people: a pull, a repository, an owner's everything, or all, until somebody lifts it.

Events are kept and join turns as ever; waiting turns of what is paused are not begun, a running one goes on.  Knows the
table of pauses, and turns by their refs and keys.  Must not know who may pause, nor what was paused by the model's
service: that is `sessions.pauses`.
"""

from __future__ import annotations

import re

import msgspec
import sqlalchemy as sa

from poller import store, tables
from poller.deltas.events import pull_ref
from sessions import tables as session_tables

_NAME = r"[A-Za-z0-9._-]+"
_turn = session_tables.turn.c


class Scope(msgspec.Struct, frozen=True):
    """What one pause covers.

    `place`: how the refs (with a `|` behind them) or the keys (in lower case) of what it covers begin.  A repository
    and a pull are known by id, and stay paused when they are renamed; an owner is a name.
    """

    forge: str
    place: str
    name: str

    @property
    def is_everything(self) -> bool:
        return self.place == f"{self.forge}|"


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """`by`: a login, or "" for whoever called `poll pause`; `since`: epoch seconds; `name`: as it is called now."""

    scope: Scope
    name: str
    reason: str
    by: str
    since: float

    @property
    def is_operators(self) -> bool:
        """Nobody on the forge may lift or replace it."""
        return not self.by

    @property
    def told(self) -> str:
        """`paused (acme/api, by ana): release week`."""
        return f"paused ({self.name}{f', by {self.by}' if self.by else ''}): {self.reason}"


def everything(forge: str) -> Scope:
    return Scope(forge, f"{forge}|", "everything")


def owners(forge: str, owner: str) -> Scope:
    return Scope(forge, f"{forge}/{owner}/".lower(), owner)


def repository(forge: str, repo_id: int, name: str) -> Scope:
    return Scope(forge, pull_ref(forge, repo_id, None), name)


def pull(forge: str, repo_id: int, number: int, name: str) -> Scope:
    """`name`: of its repository."""
    return Scope(forge, f"{pull_ref(forge, repo_id, number)}|", f"{name}#{number}")


def scope_named(conn: sa.Connection, forge: str, text: str | None) -> Scope:
    """What somebody means by `acme`, `acme/api` or `acme/api#7`.  Raises `ValueError`; its text says what is wrong."""
    if text is None:
        return everything(forge)
    parts = re.fullmatch(rf"({_NAME})(?:/({_NAME})(?:#([1-9]\d{{0,17}}))?)?", text.removeprefix(f"{forge}/"))
    if parts is None:
        raise ValueError("expected owner, owner/repo or owner/repo#N, or nothing at all for everything")
    owner, repo, number = parts.groups()
    if repo is None:
        return owners(forge, owner)
    found = _repository_named(conn, forge, f"{owner}/{repo}")
    if found is None:
        raise ValueError(f"no repository {owner}/{repo} is known; check the name, or let a cycle find it: poll --once")
    repo_id, name = found
    return repository(forge, repo_id, name) if number is None else pull(forge, repo_id, int(number), name)


def pause(conn: sa.Connection, scope: Scope, *, reason: str, by: str = "", now: float) -> Pause | None:
    """Hold it back from now on; what held the same back before, if anything did.  The operator's stays as it is when
    somebody else pauses the same."""
    before = _own(conn, scope)
    if before is not None and before.is_operators and by:
        return before
    values = {"forge": scope.forge, "name": scope.name, "reason": reason, "by": by, "since": now}
    store.upsert(conn, tables.pause, {"place": scope.place}, values)
    return before


def unpause(conn: sa.Connection, scope: Scope, *, by: str = "") -> Pause | None:
    """Lift this pause, and no other; what it was, `None` if there was none that may be lifted `by` this login."""
    before = _own(conn, scope)
    if before is None or (before.is_operators and by):
        return None
    conn.execute(tables.pause.delete().where(tables.pause.c.place == scope.place))
    return before


def pauses(conn: sa.Connection, forge: str) -> list[Pause]:
    """All of a forge, the oldest first."""
    return _read(conn, tables.pause.c.forge == forge)


def paused(conn: sa.Connection, *, ref: str, key: str) -> list[Pause]:
    """What holds back this pull, the oldest first."""
    return _read(conn, _covers(sa.literal(ref), sa.literal(key)))


def within(scope: Scope) -> sa.ColumnElement[bool]:
    """Of a row of the turn table: this pause would cover it."""
    is_ours = _begins(_turn.ref, sa.literal(f"{scope.forge}|"))
    place = sa.literal(scope.place)
    return sa.and_(is_ours, sa.or_(_begins(_turn.ref + "|", place), _begins(sa.func.lower(_turn.key), place)))


def turns_within(conn: sa.Connection, scope: Scope) -> dict[str, int]:
    """How many turns are `waiting` and how many are `running` in it."""
    query = sa.select(_turn.state, sa.func.count()).where(_turn.state.in_(["waiting", "running"]), within(scope))
    return {"waiting": 0, "running": 0} | {row[0]: row[1] for row in conn.execute(query.group_by(_turn.state))}


def holds_back() -> sa.ColumnElement[bool]:
    """Of a row of the turn table: somebody has paused what it is about."""
    return sa.exists().where(_covers(_turn.ref, _turn.key))


def waiting(conn: sa.Connection) -> set[int]:
    """The numbers of those waiting turns that somebody has paused."""
    return set(conn.scalars(sa.select(_turn.id).where(_turn.state == "waiting", holds_back())))


def is_known_owner(conn: sa.Connection, scope: Scope) -> bool:
    """Was any repository of this owner ever seen?"""
    c = tables.known_repository.c
    begins = _begins(sa.func.lower(c.name), sa.literal(f"{scope.name.lower()}/"))
    return conn.scalar(sa.select(c.repo_id).where(c.forge == scope.forge, begins).limit(1)) is not None


def _covers(ref: sa.ColumnElement[str], key: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Of a row of the table of pauses; forges may share a database, and one's address can begin like another's."""
    c = tables.pause.c
    return sa.and_(
        _begins(ref, c.forge + "|"), sa.or_(_begins(ref + "|", c.place), _begins(sa.func.lower(key), c.place))
    )


def _begins(text: sa.ColumnElement[str], head: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.func.substr(text, 1, sa.func.length(head)) == head


def _own(conn: sa.Connection, scope: Scope) -> Pause | None:
    return next(iter(_read(conn, tables.pause.c.place == scope.place)), None)


def _read(conn: sa.Connection, where: sa.ColumnElement[bool]) -> list[Pause]:
    c = tables.pause.c
    rows = conn.execute(sa.select(tables.pause).where(where).order_by(c.since, c.place)).all()
    return [
        Pause(
            scope=Scope(row.forge, row.place, row.name), name=_present_name(conn, row.forge, row.place, row.name),
            reason=row.reason, by=row.by, since=row.since,
        )
        for row in rows
    ]  # fmt: skip


def _repository_named(conn: sa.Connection, forge: str, full_name: str) -> tuple[int, str] | None:
    """Id and present name of the repository that people call so; one that is gone only if no other is."""
    known, listed = tables.known_repository.c, tables.repository.c
    queries = (
        sa.select(known.repo_id, known.name)
        .where(known.forge == forge, sa.func.lower(known.name) == full_name.lower())
        .order_by(known.gone_at.is_not(None)),
        sa.select(listed.repo_id, listed.name)
        .where(listed.forge == forge, sa.func.lower(listed.name) == full_name.lower(), listed.repo_id.is_not(None)),
    )  # fmt: skip
    for query in queries:
        if (row := conn.execute(query.limit(1)).first()) is not None:
            return row.repo_id, row.name
    return None


def _present_name(conn: sa.Connection, forge: str, place: str, name: str) -> str:
    repo_id, _, number = place.removeprefix(f"{forge}|").partition("|")
    if not repo_id.isdecimal():
        return name
    known = store.known_repositories(conn, forge, [int(repo_id)]).get(int(repo_id))
    if known is None:
        return name
    number = number.rstrip("|")
    return f"{known.name}#{number}" if number else known.name
