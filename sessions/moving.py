"""`bottle export` and `bottle import`: a bottle goes on living on another machine.

Its session's row goes along with its state, so that whoever polls there finds the pull's conversation.  What belongs
to the machine, or to a person, stays: logs of launches, logins, images, copies of repositories.  Knows rows and which
files matter; must not know the archive's form.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from sessions import archive, byhand, claims, claude, files, packing, places, registry, state, tables, workspace
from sessions.archive import Entry, Manifest, Unreadable
from sessions.bottles import BUILT, cwd_of
from sessions.byhand import LEASE, Lost, Refused
from sessions.database import begin, clock_of, database_of, is_absent, is_shared
from sessions.logs import is_secret
from sessions.patience import while_beating
from sessions.showing import moment
from sessions.sources import Unfetchable

if TYPE_CHECKING:
    from sessions.config import Settings
    from sessions.turns import Session, Turn

#: The rest of a bottle's directory goes along.  Launches have this machine's numbers, and hold what passed into them.
_STAYS = ("turns", "checkout/lock", "checkout/pending.json")
_STAYS_UNDER = ("checkout/old-", "checkout/next-", "checkout/quarantine-", "checkout/.")
#: In the agent's config directory: logins, keys, what it remembers of this machine's user, its caches.
_CONFIG = "transcript/.claude/"
_PERSONAL = (
    *(".credentials", ".claude.json", "backups", "cache", "debug", "history.jsonl", "ide", "sessions", "session-env"),
    *("shell-snapshots", "statsig", "telemetry"),
)
#: Shorter values are no secrets, and hiding them would destroy what they stand in.
_SHORTEST = 8
#: Columns that are this database's own.
_OURS = frozenset({"id", "removed_at", "summary_turn", "place"})


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    notes: tuple[str, ...] = ()


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    identity: str
    notes: tuple[str, ...] = ()


def export(settings: Settings, identity: str, file: Path, *, environ: Mapping[str, str]) -> Exported:
    """Write the bottle to `file`, whole or not at all.  Raises `Refused`, `Lost`, `DatabaseError`."""
    if os.path.lexists(file):
        raise Refused(f"{file} is there already, and is not overwritten; name another file behind {identity}")
    if is_absent(database_of(settings.state, settings.database)):  # nothing is made for what only looks
        raise byhand.unknown(identity, settings.state)
    with byhand.opened(settings) as engine:
        byhand.collect_left(engine, settings, identity, environ=environ)
        clock = clock_of(engine)
        with begin(engine) as conn:
            session = registry.session_of(conn, identity) if state.is_identity(identity) else None
            place = state.bottle(settings.state, identity)
            if session is None or session.removed_at is not None or not place.is_dir():
                raise byhand.unknown(identity, settings.state)
            # Held like a turn: nothing may run in it while it is read.
            turn = byhand.enter(conn, session, why="bottle export", now=clock())
            row = _row(conn, session)
        try:
            left = _write(engine, turn, row, place, file, environ=environ)
        except claims.LeaseLost:
            raise Lost(
                f"bottle {identity}: nothing was heard of this call for {LEASE:.0f} s and more, and somebody else may "
                f"have it now; nothing was exported: try again (`bottle show {identity}` says what is done with it)"
            ) from None
        finally:
            with contextlib.suppress(claims.LeaseLost), begin(engine) as conn:
                claims.drop(conn, turn, reason="no agent was run", now=clock())
    return Exported(file=str(file), notes=_notes(session, left))


def _write(
    engine: sa.Engine, turn: Turn, row: dict[str, Any], place: Path, file: Path, *, environ: Mapping[str, str]
) -> packing.Left:
    made: list[packing.Left] = []
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")

    def about(files: dict[str, Entry], directories: tuple[str, ...], links: dict[str, str]) -> Manifest:
        return Manifest(
            format=archive.FORMAT, identity=place.name, made_at=moment(time.time()) or "", session=row, files=files,
            directories=directories, links=links,
        )  # fmt: skip

    def write() -> None:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as into:
            made.append(packing.write(into, place, wanted=_goes_along, secrets=_secrets(environ), about=about))
            into.flush()
            os.fsync(into.fileno())

    def beat() -> None:
        with begin(engine) as conn:
            claims.heartbeat(conn, turn, now=clock_of(engine)(), lease=LEASE)

    try:
        workspace.settle(place)
        while_beating(write, every=LEASE / 3, beat=beat)
        beat()  # it was ours until all was read
        _name(partial, file)
    except (Unreadable, Unfetchable) as trouble:
        raise Refused(f"bottle {place.name} cannot be exported: {trouble}") from None
    except OSError as error:
        raise Refused(f"{error.filename or file}: {error.strerror}; nothing was exported") from None
    finally:
        partial.unlink(missing_ok=True)
    return made[0]


def _name(partial: Path, file: Path) -> None:
    """Give it its name, unless there is something."""
    try:
        os.link(partial, file)  # unlike a rename it overwrites nothing
    except FileExistsError:
        raise
    except OSError:  # no second name for a file, as on many a stick
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        partial.replace(file)


def take_up(settings: Settings, file: Path) -> Imported:
    """Make of `file` a bottle of this state directory, whole or not at all.  Raises `Refused`, `DatabaseError`."""
    room = state.bottles(settings.state)
    try:
        with file.open("rb") as source, archive.reading(source) as (manifest, unpack):
            row = _checked_row(manifest)
            _check_room(room, manifest)
            with byhand.opened(settings) as engine, _staging(room, manifest.identity) as staging:
                with begin(engine) as conn:  # unpacking takes long, and would be in vain
                    _refuse_taken(conn, settings.state, row)
                unpack(staging)
                _put_in_place(engine, settings.state, staging, row)
    except Unreadable as trouble:
        raise Refused(f"{file}: {trouble}; nothing was imported") from None
    except OSError as error:
        raise Refused(f"{error.filename or file}: {error.strerror}; nothing was imported") from None
    return Imported(identity=manifest.identity, notes=_next(settings, row))


def _put_in_place(engine: sa.Engine, root: Path, staging: Path, row: dict[str, Any]) -> None:
    place = state.bottle(root, row["identity"])
    metadata = state.metadata(
        identity=row["identity"], agent=row["agent"], cwd=row["cwd"], backend=row["backend"], now=time.time()
    )
    state.prepare(staging, metadata)
    row = row | {"place": places.name_of(root) if is_shared(engine) else ""}
    moved = False
    try:
        with begin(engine) as conn:
            _refuse_taken(conn, root, row)
            known = registry.session_of(conn, row["identity"])
            if known is None:
                conn.execute(tables.session.insert().values(**row))
            else:  # it lived here before, and its state was removed
                here = tables.session.c.id == known.id
                conn.execute(tables.session.update().where(here).values(**row, removed_at=None, summary_turn=0))
            # Before the commit: a session whose state is not there would be begun anew by the next event.
            staging.rename(place)
            moved = True
    except BaseException:
        if moved:
            place.rename(staging)
        raise


def _refuse_taken(conn: sa.Connection, root: Path, row: dict[str, Any]) -> None:
    """Whatever is there already stays as it is."""
    identity, place = row["identity"], state.bottle(root, row["identity"])
    session = registry.session_of(conn, identity)
    if session is not None and session.removed_at is None:
        raise Refused(
            f"bottle {identity} is here already ({place}), and is not overwritten; `bottle show {identity}` shows it, "
            f"`bottle cleanup {identity}` removes it"
        )
    if os.path.lexists(place):
        raise Refused(f"{place} is there already, though no session knows it; `bottle cleanup --orphans` removes it")
    other = registry.session(conn, ref=row["ref"], agent=row["agent"])
    if other is not None and row.get("closed_at") is None:
        raise Refused(
            f"{row['agent']} has another bottle for {row['key']} here: {other.identity}; "
            f"`bottle export {other.identity}` keeps it, `bottle cleanup {other.identity}` makes room"
        )


@contextlib.contextmanager
def _staging(room: Path, identity: str) -> Iterator[Path]:
    """Beside the bottles, under a name that none of them has."""
    for each in (room.parent, room):
        each.mkdir(mode=0o700, parents=each == room.parent, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=room, prefix=f".importing-{identity}-"))
    try:
        yield staging
    finally:
        files.remove(staging)


def _check_room(room: Path, manifest: Manifest) -> None:
    there = next(place for place in (room, *room.parents) if place.exists())
    free, needed = shutil.disk_usage(there).free, archive.size_of(manifest)
    if needed > free:
        raise Refused(f"{there}: {needed // 2**20} MiB are needed, {free // 2**20} MiB are free; nothing was imported")


# -- the session's row -------------------------------------------------------------------------------------------------


def _row(conn: sa.Connection, session: Session) -> dict[str, Any]:
    found = conn.execute(tables.session.select().where(tables.session.c.id == session.id)).mappings().one()
    return {name: value for name, value in found.items() if name not in _OURS}


def _checked_row(manifest: Manifest) -> dict[str, Any]:
    """The columns that this version has, with values that can stand in them.  Raises `Unreadable`."""
    row: dict[str, Any] = {}
    for column in tables.session.c:
        if column.name in _OURS:
            continue
        value = manifest.session.get(column.name)
        if value is None and not column.nullable:
            if column.default is None and column.server_default is None:
                raise Unreadable(f"its session has no {column.name}")
            continue
        if value is not None and not _fits(value, column.type):
            raise Unreadable(f"its session's {column.name} is {value!r:.60}")
        row[column.name] = value
    if row["identity"] != manifest.identity or not state.is_identity(manifest.identity):
        raise Unreadable(f"{manifest.identity!r:.60} is no bottle's identity")
    if row["backend"] not in BUILT or row["cwd"] != cwd_of(row["backend"]):
        raise Unreadable(f"its backend {row['backend']!r:.40} in {row['cwd']!r:.80} is none of this version")
    if not claude.is_session_id(row["claude_session"]):
        raise Unreadable(f"{row['claude_session']!r:.60} is no conversation's id")
    return row


def _fits(value: object, column: sa.types.TypeEngine[Any]) -> bool:
    kind, most = column.python_type, 40_000 if isinstance(column, sa.Text) else 4000
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, int | float):
        return kind is float or (kind is int and isinstance(value, int) and 0 <= value < 2**63)
    return isinstance(value, str) and kind is str and len(value) <= most and "\0" not in value


# -- what goes along ---------------------------------------------------------------------------------------------------


def _goes_along(path: str) -> bool:
    if path in _STAYS or path.startswith((*(f"{one}/" for one in _STAYS), *_STAYS_UNDER)):
        return False
    inside = path.removeprefix(_CONFIG)
    return inside == path or not inside.startswith(_PERSONAL)


def _secrets(environ: Mapping[str, str]) -> list[bytes]:
    """Values that an agent may have been made to print, longest first."""
    values = {environ[name] for name in environ if is_secret(name)}
    return sorted((os.fsencode(one) for one in values if len(one) >= _SHORTEST), key=len, reverse=True)


def _notes(session: Session, left: packing.Left) -> tuple[str, ...]:
    notes = [
        f"bottle {session.identity} is here still: only one of the two is to go on "
        f"(`bottle cleanup {session.identity}` removes this one)"
    ]
    if left.hidden:
        notes.append(f"a secret stood in {_some(left.hidden)}; there are stars in its place")
    if left.special:
        notes.append(f"not exported, because it is a link, a pipe or the like: {_some(left.special)}")
    if session.backend == "docker":
        notes.append("images do not go along: a Dockerfile does, what was frozen does not")
    return tuple(notes)


def _next(settings: Settings, row: dict[str, Any]) -> tuple[str, ...]:
    notes = [f"{row['key']}, agent {row['agent']}; `bottle resume {row['identity']}` goes on with it"]
    if row["agent"] not in settings.agents:
        there = ", ".join(settings.agents) or "none"
        notes.append(f"agent {row['agent']!r} is not in this config, which has: {there}; add it before you go on")
    return tuple(notes)


def _some(paths: tuple[str, ...]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
