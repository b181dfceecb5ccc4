"""SQL of cursors, known pulls and permissions; that of the event log is in `eventlog`.

Knows the poller's tables.  Must not decide anything: it writes what the deciders said, inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import tables
from poller.deltas.events import Actor
from poller.deltas.pulls import Known
from poller.deltas.repositories import Repository
from sessions.decoding import decoder

#: How many places one statement asks for: SQLite and PostgreSQL both bound the number of parameters.
CHUNK = 200


class Forge(msgspec.Struct, frozen=True, kw_only=True):
    """What we remember of one forge.  `cursor`: largest `updated_at` of finished cycles, `None` before the first."""

    forge: str
    cursor: str | None = None
    bot: Actor | None = None
    token_mark: str = ""
    patterns_mark: str = ""
    version: str = ""
    page: int = 50
    paged: bool | None = None
    asked_at: float = 0.0
    success_at: float | None = None
    error: str = ""
    error_at: float | None = None
    pruned_at: float = 0.0
    owner: str = ""
    quiet_until: float = 0.0
    credit: float = 0.0
    owed: float = 0.0
    credit_at: float = 0.0
    requests: int = 0
    swept: int = 0
    counted_from: float = 0.0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A remembered pull with the schedule of its next look."""

    repo_id: int
    number: int
    repo: str
    boundary: str
    known: Known | None
    due_at: str | None
    errors: int
    error: str


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """`allowed` is `None` when the forge would not say."""

    allowed: bool | None
    why: str
    asked_at: float


# -- the forge ------------------------------------------------------------------------------------------------------


def forge(conn: sa.Connection, name: str) -> Forge:
    """What is known of a forge; blank before the first cycle."""
    row = conn.execute(sa.select(tables.forge).where(tables.forge.c.forge == name)).mappings().one_or_none()
    if row is None:
        return Forge(forge=name)
    values = dict(row)
    bot_id, login = values.pop("bot_id"), values.pop("bot_login")
    return Forge(**values, bot=Actor(bot_id, login) if bot_id is not None else None)


def save_forge(conn: sa.Connection, name: str, **values: Any) -> None:
    """Change some columns of a forge's row (`bot` as an `Actor`)."""
    if "bot" in values:
        bot = values.pop("bot")
        values |= {"bot_id": bot.id, "bot_login": bot.login}
    upsert(conn, tables.forge, {"forge": name}, values)


def watches(conn: sa.Connection, name: str) -> dict[str, str]:
    """Pattern → since when it is watched."""
    rows = conn.execute(sa.select(tables.watch.c.pattern, tables.watch.c.since).where(tables.watch.c.forge == name))
    return {row.pattern: row.since for row in rows}


def save_watches(conn: sa.Connection, name: str, since: Mapping[str, str]) -> None:
    """Exactly these patterns from now on: one that leaves the config and comes back begins anew."""
    conn.execute(tables.watch.delete().where(tables.watch.c.forge == name))
    for pattern, moment in since.items():
        conn.execute(tables.watch.insert().values(forge=name, pattern=pattern, since=moment))


def save_repositories(conn: sa.Connection, name: str, found: Mapping[str, tuple[int | None, str]], now: float) -> None:
    """The inventory: name → (repository id, what is wrong with it)."""
    conn.execute(tables.repository.delete().where(tables.repository.c.forge == name))
    for repo, (repo_id, error) in found.items():
        values = {"forge": name, "name": repo, "repo_id": repo_id, "error": error, "checked_at": now}
        conn.execute(tables.repository.insert().values(**values))


def repositories_under(conn: sa.Connection, name: str, prefix: str) -> dict[str, tuple[int | None, str]]:
    """What the last inventory found of the names that begin with `owner/`."""
    table = tables.repository
    mine = (table.c.forge == name, table.c.name.istartswith(prefix, autoescape=True), table.c.repo_id.is_not(None))
    return {row.name: (row.repo_id, row.error) for row in conn.execute(sa.select(table).where(*mine))}


def repository_ids(conn: sa.Connection, name: str, wanted: Iterable[int]) -> set[int]:
    """Which of these repository ids the config names, under whatever name: renames keep a repository watched."""
    table = tables.repository
    ids = list(wanted)
    return set(conn.scalars(sa.select(table.c.repo_id).where(table.c.forge == name, table.c.repo_id.in_(ids))))


def troubled_repositories(conn: sa.Connection, name: str) -> dict[str, str]:
    """Configured repositories that cannot be read, with the reason."""
    table = tables.repository
    rows = conn.execute(sa.select(table.c.name, table.c.error).where(table.c.forge == name, table.c.error != ""))
    return {row.name: row.error for row in rows}


def known_repositories(conn: sa.Connection, name: str, wanted: Iterable[int] | None = None) -> dict[int, Repository]:
    """What is remembered of these repositories, by id; of all of them if none are named."""
    table, columns = tables.known_repository, Repository.__struct_fields__
    query = sa.select(table).where(table.c.forge == name)
    todo = None if wanted is None else sorted(wanted)
    found = dict[int, Repository]()
    for start in range(0, len(todo) if todo is not None else 1, CHUNK):
        some = query if todo is None else query.where(table.c.repo_id.in_(todo[start : start + CHUNK]))
        for row in conn.execute(some).mappings():
            found[row["repo_id"]] = Repository(**{field: row[field] for field in columns})
    return found


def save_known_repository(conn: sa.Connection, name: str, one: Repository) -> None:
    """Remember what a repository is called, and whether it is there."""
    values = msgspec.structs.asdict(one)
    upsert(conn, tables.known_repository, {"forge": name, "repo_id": values.pop("repo_id")}, values)


# -- pulls ----------------------------------------------------------------------------------------------------------


def places(conn: sa.Connection, name: str, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Place]:
    """Memories of the pulls at these (repository id, number), as far as there are any."""
    todo, found = list(wanted), dict[tuple[int, int], Place]()
    table = tables.pull
    for start in range(0, len(todo), CHUNK):
        some = todo[start : start + CHUNK]
        there = sa.or_(*(sa.and_(table.c.repo_id == repo_id, table.c.number == number) for repo_id, number in some))
        for row in conn.execute(sa.select(table).where(table.c.forge == name, there)):
            place = _place(row)
            found[place.repo_id, place.number] = place
    return found


def due_places(conn: sa.Connection, name: str, at: str) -> list[Place]:
    """Pulls whose next look is due although their row need not have moved."""
    table = tables.pull
    query = sa.select(table).where(table.c.forge == name, table.c.due_at <= at).order_by(table.c.due_at)
    return [_place(row) for row in conn.execute(query)]


class Spotted(msgspec.Struct, frozen=True):
    """Where a pull is, and under which name its repository was last seen."""

    repo_id: int
    number: int
    repo: str


def open_spots(conn: sa.Connection, name: str) -> list[Spotted]:
    """Every pull that is remembered as open, in a repository that is still there."""
    table, homes = tables.pull, tables.known_repository
    gone = sa.select(homes.c.repo_id).where(homes.c.forge == name, homes.c.gone_at.is_not(None))
    mine = (table.c.forge == name, table.c.state == "open", table.c.known.is_not(None), table.c.repo_id.not_in(gone))
    query = sa.select(table.c.repo_id, table.c.number, table.c.repo).where(*mine)
    return [Spotted(*row) for row in conn.execute(query)]


def numbers_of(conn: sa.Connection, name: str, repo_id: int) -> list[int]:
    """Every remembered pull of a repository."""
    table = tables.pull
    return list(conn.scalars(sa.select(table.c.number).where(table.c.forge == name, table.c.repo_id == repo_id)))


def rename_pulls(conn: sa.Connection, name: str, repo_id: int, repo: str) -> None:
    """Their repository is called otherwise now; what is remembered of each follows with the next look."""
    table = tables.pull
    conn.execute(table.update().where(table.c.forge == name, table.c.repo_id == repo_id).values(repo=repo))


def nothing_due(conn: sa.Connection, name: str, repo_id: int) -> None:
    """A repository is gone: nobody is to look for its pulls."""
    table = tables.pull
    mine = (table.c.forge == name, table.c.repo_id == repo_id)
    conn.execute(table.update().where(*mine).values(due_at=None, errors=0, error=""))


def open_count(conn: sa.Connection, name: str) -> int:
    """How many there are."""
    table = tables.pull
    mine = (table.c.forge == name, table.c.state == "open")
    return conn.scalar(sa.select(sa.func.count()).select_from(table).where(*mine)) or 0


def troubled_places(conn: sa.Connection, name: str) -> list[Place]:
    """Pulls that could not be read the last time."""
    table = tables.pull
    return [_place(row) for row in conn.execute(sa.select(table).where(table.c.forge == name, table.c.errors > 0))]


def save_known(conn: sa.Connection, name: str, known: Known, *, due_at: str | None) -> None:
    """Remember a pull after a look at it."""
    row = known.row
    values = {
        "repo": row.repo,
        "state": row.state,
        "updated_at": row.updated_at,
        "due_at": due_at,
        "errors": 0,
        "error": "",
        "boundary": known.boundary,
        "known": msgspec.json.encode(known),
    }
    upsert(conn, tables.pull, {"forge": name, "repo_id": row.repo_id, "number": row.number}, values)


def save_trouble(conn: sa.Connection, name: str, place: Place) -> None:
    """Remember that a pull could not be read, and when to try again; its memory stays as it was."""
    values: dict[str, Any] = {
        "repo": place.repo,
        "boundary": place.boundary,
        "due_at": place.due_at,
        "errors": place.errors,
        "error": place.error,
    }
    if place.known is None:
        values |= {"state": "open", "updated_at": "", "known": None}
    upsert(conn, tables.pull, {"forge": name, "repo_id": place.repo_id, "number": place.number}, values)


def _place(row: Any) -> Place:
    return Place(
        repo_id=row.repo_id,
        number=row.number,
        repo=row.repo,
        boundary=row.boundary,
        known=decoder(Known).decode(row.known) if row.known is not None else None,
        due_at=row.due_at,
        errors=row.errors,
        error=row.error,
    )


# -- permissions ----------------------------------------------------------------------------------------------------


def permission(conn: sa.Connection, name: str, repo_id: int, user_id: int, *, asked: str) -> Permission | None:
    """What the forge said the last time somebody asked about this person."""
    table = tables.permission
    same = (table.c.forge == name, table.c.repo_id == repo_id, table.c.user_id == user_id, table.c.asked == asked)
    row = conn.execute(sa.select(table.c.allowed, table.c.why, table.c.asked_at).where(*same)).mappings().one_or_none()
    return Permission(**row) if row is not None else None


def save_permission(
    conn: sa.Connection, name: str, repo_id: int, user_id: int, *, asked: str, said: Permission
) -> None:
    """Remember what the forge said."""
    place = {"forge": name, "repo_id": repo_id, "user_id": user_id, "asked": asked}
    upsert(conn, tables.permission, place, msgspec.structs.asdict(said))


def upsert(conn: sa.Connection, table: sa.Table, place: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Change the row at this place, or make it.

    Write transactions are one at a time, so "update, else insert" is enough, and the same on every database.
    """
    there = [table.c[name] == value for name, value in place.items()]
    if not conn.execute(table.update().where(*there).values(**values)).rowcount:
        conn.execute(table.insert().values(**place, **values))
