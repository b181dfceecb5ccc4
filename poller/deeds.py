"""The rows of what is done at the forge beside words: reactions, commit statuses, pushes.

Each is noted before it is tried.  A row in somebody's hands has an owner and a date; statements about it name both.
Must not know the forge.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from poller import tables
from poller.deltas.events import place_of
from sessions import dates, leases, places
from sessions import tables as session_tables
from sessions.decoding import decoder
from sessions.sources import Made, Unpushable
from sessions.turns import JOINED

What = Literal["react", "status", "push"]
#: Seconds that anything may lie ahead: what lies further was dated by a clock that was put back since.
LONGEST = 7200.0
#: Characters of a status' description.
DESCRIPTION = 140
#: The reaction that says that somebody was heard; another follows when his turn is over.
SEEN = "eyes"
State = Literal["pending", "success", "failure"]
table = tables.deed


class React(msgspec.Struct, frozen=True, kw_only=True):
    """A reaction on a comment, as the forge names it: eyes, rocket, confused."""

    comment_id: int
    content: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A commit's status under the name `context`."""

    sha: str
    context: str
    state: State
    description: str
    url: str


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """Commits to go to a branch of the pull's own repository.  `status`: what their tip is to have then, too."""

    made: Made
    branch: str
    agent: str
    status: Status | None = None


class NotThere(Unpushable):
    """The forge shows no such pull or branch; which is believed when it still says so some minutes later."""


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One row.  `told` is a `React`, a `Status` or a `Push`; `attempts` counts this one."""

    id: int
    turn_id: int
    what: What
    told: bytes
    ref: str
    attempts: int
    created_at: float
    lease_until: float


def put(conn: sa.Connection, told: React | Status | Push, *, forge: str, ref: str, turn_id: int, now: float) -> None:
    """To be done.  A push that the turn has noted already stays as it is; anything else is noted anew, behind what was
    noted since: a turn that runs again ends again.  Of the statuses that a commit was to have, only the newest may."""
    what = {React: "react", Status: "status", Push: "push"}[type(told)]
    place = _place(told, ref)
    mine = (table.c.turn_id == turn_id, table.c.ref == ref, table.c.what == what, table.c.place == place)
    if what != "push":
        conn.execute(table.delete().where(*mine))
    if isinstance(told, React) and told.content != SEEN:  # which needs no end any more
        seen = (table.c.turn_id == turn_id, table.c.state == "open", table.c.place == f"{told.comment_id} {SEEN}")
        conn.execute(table.update().where(*seen).values(state="done"))
    if what == "status":  # one that is in somebody's hands is waited for
        older = (table.c.forge == forge, table.c.what == what, _slot(table.c.place) == _slot(sa.literal(place)))
        unheld = (*older, table.c.state == "waiting", table.c.owner == "")
        conn.execute(table.update().where(*unheld).values(state="dropped", error="the commit has a newer one"))
        conn.execute(table.update().where(*older, table.c.state == "open").values(state="done"))
    if conn.execute(sa.select(table.c.id).where(*mine)).first() is None:
        conn.execute(
            table.insert().values(
                turn_id=turn_id, what=what, place=place, told=msgspec.json.encode(told), forge=forge, ref=ref,
                state="waiting", not_before=now, created_at=now,
            )
        )  # fmt: skip


def react(
    conn: sa.Connection, comment_id: int, content: str, *, forge: str, ref: str, now: float, turn_id: int = 0
) -> None:
    """React to a comment, once."""
    told = React(comment_id=comment_id, content=content)
    put(conn, told, forge=forge, ref=ref, turn_id=turn_id, now=now)


def heard(conn: sa.Connection, turn_id: int) -> list[int]:
    """Comments whose authors were shown that the turn has them; the log does not know those of reviews' own words."""
    mine = (table.c.turn_id == turn_id, table.c.what == "react", table.c.place.endswith(f" {SEEN}"))
    return [int(place.partition(" ")[0]) for place in conn.scalars(sa.select(table.c.place).where(*mine))]


def is_newer_noted(conn: sa.Connection, deed: Deed) -> bool:
    """Is the commit to have, or has it, a status that was noted after this one?"""
    c = table.c
    mine = conn.execute(sa.select(c.forge, c.place).where(c.id == deed.id)).one_or_none()
    if mine is None:
        return True
    newer = (c.id > deed.id, c.what == "status", c.forge == mine.forge, _slot(c.place) == _slot(sa.literal(mine.place)))
    return conn.execute(sa.select(c.id).where(*newer).limit(1)).first() is not None


def forget(conn: sa.Connection, *, before: float) -> None:
    """Remove what was over long ago."""
    conn.execute(table.delete().where(table.c.state != "waiting", table.c.created_at < before))


def left_open(conn: sa.Connection, forge: str) -> list[tuple[Deed, str]]:
    """What says "pending" of turns which are over, each with what to say in its place: statuses, and the first
    reactions of turns that were dropped (of others their end takes care)."""
    turn, c = session_tables.turn, table.c
    joined = table.join(turn, turn.c.id == c.turn_id)
    is_dropped = sa.and_(turn.c.state == "dropped", ~turn.c.reason.startswith(JOINED))
    is_over = sa.case((c.what == "react", is_dropped), else_=turn.c.state.not_in(("waiting", "running")))
    query = sa.select(table, turn.c.state.label("end"), turn.c.reason).select_from(joined)
    found = []
    for row in conn.execute(query.where(c.forge == forge, c.state == "open", is_over)).mappings():
        why = f": {row['reason']}" if row["reason"] else ""
        said = f"turn {row['turn_id']} {row['end']}{why}" if row["end"] != "done" else "it went on with another commit"
        found.append((Deed(**{name: row[name] for name in Deed.__struct_fields__}), said[:DESCRIPTION]))
    return found


def is_due(conn: sa.Connection, forge: str, but: set[int], *, now: float, quick: bool, here: str = "") -> bool:
    """Is there anything to claim?"""
    rows = conn.execute(_due(forge, but, now=now, quick=quick)).mappings()
    return any(not _is_anothers(conn, row, here, now=now) for row in rows)


def claim(
    conn: sa.Connection, forge: str, but: set[int], *, owner: str, now: float, lease: float, quick: bool, here: str = ""
) -> Deed | None:
    """The next due deed, now `owner`'s for `lease` seconds, its try counted.  `quick`: no push.

    `here`: the name of the own state directory, "" = there is no other: commits can be pushed only where they are, so
    a push waits for its place as long as that is heard of.

    What was put off longest ago comes first: nobody's trouble is tried again before everybody's turn has come."""
    order = (table.c.not_before, table.c.id)
    for row in conn.execute(_due(forge, but, now=now, quick=quick).order_by(*order)).mappings():
        is_free = leases.is_free(row["owner"], row["lease_until"], now, longest=2 * lease)
        if not is_free or _is_anothers(conn, row, here, now=now):
            continue
        held = {"attempts": row["attempts"] + 1, "lease_until": now + lease}
        conn.execute(table.update().where(table.c.id == row["id"]).values(owner=owner, **held))
        return Deed(**{name: row[name] for name in Deed.__struct_fields__} | held)
    return None


def note(conn: sa.Connection, deed: Deed, state: str, error: str = "", *, owner: str, **values: Any) -> bool:
    """What came of it; false: somebody else has taken it over meanwhile, and what he notes counts."""
    mine = (table.c.id == deed.id, table.c.owner == owner, table.c.lease_until == deed.lease_until)
    told = {"state": state, "owner": "", "lease_until": 0.0, "error": error, **values}
    return bool(conn.execute(table.update().where(*mine).values(**told)).rowcount)


def _is_anothers(conn: sa.Connection, row: sa.RowMapping, here: str, *, now: float) -> bool:
    """Is it a push from a place that is at work, and not ours?"""
    if not here or row["what"] != "push":
        return False
    place = decoder(Push).decode(row["told"]).made.place
    return place not in ("", here) and places.is_there(conn, place, now=now)


def _slot(place: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Of a status' place: all but the state.  Of what is in one slot the last counts."""
    return sa.func.rtrim(place, ascii_lowercase)


def _place(told: React | Status | Push, ref: str) -> str:
    """What tells it from others of the turn; of a status, also what it has in common with those of other turns."""
    match told:
        case React():
            return f"{told.comment_id} {told.content}"
        case Status():
            return f"{place_of(ref)[0]} {told.sha} {told.context} {told.state}"
        case Push():
            return told.branch


def _due(forge: str, but: set[int], *, now: float, quick: bool) -> sa.Select[Any]:
    """Pushes of one pull keep their order, reactions that of one turn, statuses that of one commit."""
    earlier, c = table.alias(), table.c
    is_alike = sa.or_(
        sa.and_(c.what == "push", earlier.c.ref == c.ref),
        sa.and_(c.what == "react", earlier.c.ref == c.ref, earlier.c.turn_id == c.turn_id),
        sa.and_(c.what == "status", earlier.c.forge == c.forge, _slot(earlier.c.place) == _slot(c.place)),
    )
    before = sa.exists().where(
        earlier.c.what == c.what, earlier.c.id < c.id, earlier.c.state == "waiting", is_alike
    )  # fmt: skip
    is_quick = c.what != "push" if quick else sa.true()
    is_time = dates.is_time(c.not_before, now=now, longest=LONGEST)
    mine = (c.state == "waiting", c.forge == forge, is_time, c.id.not_in(but), ~before, is_quick)
    return sa.select(table).where(*mine)
