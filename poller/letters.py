"""The rows of the outbox: laid there, claimed, changed, ended, and tried anew.

A row in somebody's hands has an owner and a date; statements about it name both, so that whoever was taken for dead
changes nothing any more.  Must not know the forge.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from poller.posting import Post, Review
from poller.replies import NOTICE, marked, marks_in, told_later
from poller.tables import outbox as table
from poller.threads import Thread
from sessions import dates, leases, registry
from sessions.decoding import decoder

_AFTER_ANOTHER = "a part before it could not be posted"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A post that was given up.  `place` is `owner/repo#N`; `mend`: what brings it there after all, in words."""

    place: str
    turn_id: int
    error: str
    mend: str


def put(
    conn: sa.Connection,
    *,
    forge: str,
    ref: str,
    repo: str,
    number: int,
    turn_id: int,
    bodies: Sequence[str],
    now: float,
    review: Review | None = None,
    thread: Thread | None = None,
) -> None:
    """Lay a turn's words into the outbox, part by part; what lies there already stays as it is.

    With `review` the first of them are a review's, and what follows are comments behind it; with `thread` the first
    goes there."""
    there = set(conn.scalars(sa.select(table.c.part).where(table.c.turn_id == turn_id)))
    for nth, body in enumerate(bodies):
        _, part = marks_in(body)[-1]
        if part not in there:
            _insert(
                conn, forge=forge, ref=ref, repo=repo, number=number, turn_id=turn_id, part=part, body=body,
                review=_written(review, thread) if nth == 0 else "", state="waiting", not_before=now, created_at=now,
            )  # fmt: skip


def notices(conn: sa.Connection, turn_id: int) -> int:
    """How often a turn has said why there is no answer: each time that it ran, perhaps."""
    mine = (table.c.turn_id == turn_id, _is_notice())
    return int(conn.scalar(sa.select(sa.func.count()).where(*mine)) or 0)


def waiting(conn: sa.Connection) -> int:
    """How many posts have not reached the forge."""
    return int(conn.scalar(sa.select(sa.func.count()).where(table.c.state.in_(("held", "waiting")))) or 0)


def readdress(conn: sa.Connection, *, ref: str, repo: str) -> None:
    """A repository is called otherwise now: under its old name may be another one."""
    conn.execute(
        table.update().where(table.c.ref == ref, table.c.state.in_(("held", "waiting", "failed"))).values(repo=repo)
    )


def hold(conn: sa.Connection, *, turn_id: int) -> None:
    """The turn's words wait until `let_go`."""
    mine = (table.c.turn_id == turn_id, table.c.state == "waiting")
    conn.execute(table.update().where(*mine).values(state="held"))


def let_go(conn: sa.Connection, *, turn_id: int, said: str, now: float) -> None:
    """What the turn's words waited for is over, and this is to be `said` of it."""
    held = (table.c.turn_id == turn_id, table.c.state == "held")
    for row in conn.execute(sa.select(table.c.id, table.c.body).where(*held)).all():
        values = {"body": told_later(row.body, said), "state": "waiting", "not_before": now}
        conn.execute(table.update().where(table.c.id == row.id).values(**values))


def supersede(conn: sa.Connection, *, ref: str, part: str, turn_id: int) -> None:
    """What earlier turns were still to say under this name would now undo what this one says."""
    mine = (table.c.ref == ref, table.c.part == part, table.c.turn_id < turn_id, table.c.owner == "")
    values = {"state": "dropped", "error": "a later turn has said more"}
    conn.execute(table.update().where(*mine, table.c.state.in_(("held", "waiting"))).values(**values))


def is_told(conn: sa.Connection, *, ref: str, part: str) -> bool:
    """Was anything of this name said on the pull, or is it to be said?"""
    mine = (table.c.ref == ref, table.c.part == part)
    return conn.execute(sa.select(table.c.id).where(*mine).limit(1)).first() is not None


def unposted(conn: sa.Connection, turn_id: int) -> list[str]:
    """What a turn has said and the forge has not got yet, in words."""
    unsent = (table.c.turn_id == turn_id, table.c.state.in_(("held", "waiting")))
    found = []
    for row in conn.execute(sa.select(table).where(*unsent).order_by(table.c.id)):
        if row.state == "held":
            found.append(f"part {row.part}, not before its commits are pushed")
            continue
        tried = f" after {row.attempts} attempts: {row.error}" if row.error else ""
        found.append(f"part {row.part}, not yet{tried}")
    return found


def failures(conn: sa.Connection, since: float) -> list[Failure]:
    """Posts that were given up since then, a line for each turn."""
    given_up = (table.c.state == "failed", table.c.ended_at >= since)
    rows = conn.execute(sa.select(table).where(*given_up).order_by(table.c.id.desc()))
    last = {row.turn_id: row for row in rows}
    return [
        Failure(place=f"{row.repo}#{row.number}", turn_id=turn_id, error=row.error, mend=mend(conn, turn_id))
        for turn_id, row in last.items()
    ]


def mend(conn: sa.Connection, turn_id: int) -> str:
    """What can be done about a post of this turn that was given up."""
    turn = registry.turn(conn, turn_id)
    if turn is None:  # somebody's command was answered, or a notice given
        return "the command can be given again"
    runs = turn.state in ("failed", "dropped")
    return f"`poll retry {turn_id}` {'runs the turn again' if runs else 'posts it'}"


def retry(conn: sa.Connection, turn_id: int, *, now: float) -> int:
    """Let what was given up of a turn be posted after all; how many posts that is."""
    # Not as a first attempt: the one that failed may have been heard all the same.
    values = {"state": "waiting", "attempts": 1, "not_before": now, "error": "", "ended_at": 0.0}
    return conn.execute(table.update().where(*_given_up(turn_id)).values(**values)).rowcount


def run_again(conn: sa.Connection, turn_id: int, *, now: float) -> int | None:
    """Let a turn run again; the number of the turn that does it, `None` for one that cannot.

    What it has not yet said of its failure, or could not say, is of no use any more."""
    number = registry.retry(conn, turn_id, now=now)
    if number is not None:
        is_stale = sa.and_(table.c.state == "waiting", table.c.owner == "", _is_notice())
        unsaid = sa.or_(table.c.state == "failed", is_stale)
        mine = (table.c.turn_id == turn_id, unsaid)
        conn.execute(table.update().where(*mine).values(state="dropped", error="the turn runs again"))
    return number


def is_due(conn: sa.Connection, forge: str, but: set[int], *, now: float, longest: float) -> bool:
    """Is there anything to claim?"""
    return conn.execute(_due(forge, but, now=now, longest=longest).limit(1)).first() is not None


def claim(
    conn: sa.Connection, forge: str, but: set[int], *, owner: str, now: float, lease: float, longest: float
) -> Post | None:
    """The next due post, now `owner`'s for `lease` seconds, its attempt counted.  A part waits for those before it.

    `longest`: seconds that anything may lie ahead; what lies further was dated by a clock that was put back since."""
    for row in conn.execute(_due(forge, but, now=now, longest=longest)):
        is_free = leases.is_free(row.owner, row.lease_until, now, longest=2 * lease)
        if not is_free or (row.review and _is_reviewed(conn, row, now)):
            continue
        held = {"owner": owner, "lease_until": now + lease, "attempts": row.attempts + 1, "tried_at": now}
        conn.execute(table.update().where(table.c.id == row.id).values(**held))
        turn = registry.turn(conn, row.turn_id)
        review, thread = _read(row.review)
        return Post(
            id=row.id, turn_id=row.turn_id, part=row.part, ref=row.ref, repo=row.repo, number=row.number, body=row.body,
            review=review, thread=thread, attempts=row.attempts + 1,
            created_at=row.created_at, tried_at=row.tried_at, asked_at=row.asked_at, lease_until=now + lease,
            bottle=turn.identity if turn is not None else "",
        )  # fmt: skip
    return None


def change(conn: sa.Connection, post: Post, *, held_by: str, **values: Any) -> bool:
    """Change a row that is still in our hands; false when it is in others'."""
    held = (table.c.id == post.id, table.c.state == "waiting", table.c.owner == held_by)
    mine = (*held, table.c.lease_until == post.lease_until)
    return bool(conn.execute(table.update().where(*mine).values(**values)).rowcount)


def give_back(conn: sa.Connection, post: Post, *, owner: str, **values: Any) -> bool:
    """Change it, and let go of it."""
    return change(conn, post, held_by=owner, owner="", lease_until=0.0, **values)


def mark_sent(conn: sa.Connection, post: Post, number: int) -> bool:
    """It is on the forge, whoever holds it by now; false when that was known."""
    values = {"state": "sent", "comment_id": number, "error": "", "owner": "", "lease_until": 0.0}
    unsent = (table.c.id == post.id, table.c.state != "sent")
    return bool(conn.execute(table.update().where(*unsent).values(**values)).rowcount)


def end(
    conn: sa.Connection, post: Post, *, state: Literal["failed", "dropped"], error: str, owner: str, now: float
) -> bool:
    """It is given up, and with it the parts behind it: half an answer is none."""
    if not give_back(conn, post, owner=owner, state=state, error=error, ended_at=now):
        return False
    behind = (table.c.turn_id == post.turn_id, table.c.id > post.id, table.c.state == "waiting")
    why = error if state == "dropped" else _AFTER_ANOTHER
    conn.execute(table.update().where(*behind).values(state=state, error=why, ended_at=now))
    return True


def rewrite(conn: sa.Connection, post: Post, pieces: Sequence[Post], *, owner: str) -> None:
    """Another shape for a post that is in our hands; what are new parts come before those that followed it."""
    first, *others = pieces
    shape = {"body": first.body, "review": _written(first.review, first.thread), "tried_at": 0.0}
    if not give_back(conn, post, owner=owner, **shape) or not others:
        return
    old = conn.execute(sa.select(table).where(table.c.id == post.id)).mappings().one()
    parts = set(conn.scalars(sa.select(table.c.part).where(table.c.turn_id == post.turn_id)))
    behind = (table.c.turn_id == post.turn_id, table.c.id > post.id, table.c.state == "waiting")
    later = [dict(row) for row in conn.execute(sa.select(table).where(*behind).order_by(table.c.id)).mappings()]
    conn.execute(table.delete().where(*behind))
    blank = {**old, "review": "", "attempts": 0, "asked_at": ""}
    names = (name for nth in count(2) if (name := f"{post.part}.{nth}") not in parts)
    new = [
        {**blank, "part": name, "body": marked(one.body, post.turn_id, name)}
        for one, name in zip(others, names, strict=False)
    ]
    for row in [*new, *later]:
        _insert(conn, **{name: value for name, value in row.items() if name != "id"})


def _insert(conn: sa.Connection, **values: Any) -> None:
    conn.execute(table.insert().values(**values))


def _due(forge: str, but: set[int], *, now: float, longest: float) -> sa.Select[Any]:
    """What was put off longest ago first: nobody's trouble is tried again before everybody's turn has come."""
    earlier, c = table.alias(), table.c
    unsent = sa.exists().where(earlier.c.turn_id == c.turn_id, earlier.c.id < c.id, earlier.c.state == "waiting")
    is_time = dates.is_time(c.not_before, now=now, longest=longest)
    mine = (c.forge == forge, c.state == "waiting", is_time, c.id.not_in(but), ~unsent)
    return sa.select(table).where(*mine).order_by(c.not_before, c.id)


def _is_reviewed(conn: sa.Connection, row: Any, now: float) -> bool:
    """Is somebody posting another review there?  Gitea has one unfinished review for each pull and person."""
    c = table.c
    others = (c.ref == row.ref, c.review != "", c.state == "waiting", c.id != row.id, c.owner != "")
    held = conn.execute(sa.select(c.owner, c.lease_until).where(*others))
    return any(not leases.is_free(one.owner, one.lease_until, now) for one in held)


def _is_notice() -> sa.ColumnElement[bool]:
    return table.c.part.startswith(NOTICE, autoescape=True)


def _given_up(turn_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.turn_id == turn_id, table.c.state == "failed")


class _Shape(msgspec.Struct, frozen=True):
    """What a post is beside its words, as its row has it: a review's fields, or a thread."""

    thread: Thread | None = None


def _written(review: Review | None, thread: Thread | None) -> str:
    shape = _Shape(thread) if thread is not None else review
    return msgspec.json.encode(shape).decode() if shape is not None else ""


def _read(written: str) -> tuple[Review | None, Thread | None]:
    if not written:
        return None, None
    thread = decoder(_Shape).decode(written).thread
    return (None, thread) if thread is not None else (decoder(Review).decode(written), None)
