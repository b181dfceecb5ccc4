"""How pulls stand with us beside what the forge knows of them: forks let in, pulls ignored, turns without a person.

Knows two tables.  Must not decide anything: it writes what the deciders said, inside the caller's transaction.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from poller import store
from poller.deltas.events import place_of
from poller.tables import consent, standing


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`approved`: heads that somebody trusted has let an agent work on; `asked`: consent was asked for since the last.
    `unattended`: turns since a trusted person asked for anything; `ignored_by`: "" = it is not ignored."""

    approved: frozenset[str] = frozenset()
    asked: bool = False
    unattended: int = 0
    ignored_by: str = ""


def of(conn: sa.Connection, forge: str, ref: str) -> Standing:
    """Of the pull with this identity; blank for one that nothing was said of."""
    repo_id, number = place_of(ref)
    c = standing.c
    mine = (c.forge == forge, c.repo_id == repo_id, c.number == number)
    row = conn.execute(sa.select(c.asked, c.unattended, c.ignored_by).where(*mine)).mappings().one_or_none()
    return Standing(approved=_approved(conn, forge, repo_id, number), **(row or {}))


def change(conn: sa.Connection, forge: str, ref: str, **values: Any) -> None:
    """Write down some of it."""
    repo_id, number = place_of(ref)
    c = standing.c
    mine = (c.forge == forge, c.repo_id == repo_id, c.number == number)
    if not conn.execute(standing.update().where(*mine).values(**values)).rowcount:
        blank = {"asked": False, "unattended": 0, "ignored_by": ""}
        place = {"forge": forge, "repo_id": repo_id, "number": number}
        conn.execute(standing.insert().values(**place, **blank | values))


def attended(conn: sa.Connection, forge: str, ref: str) -> None:
    """A person who is trusted has asked for something."""
    repo_id, number = place_of(ref)
    c = standing.c
    mine = (c.forge == forge, c.repo_id == repo_id, c.number == number, c.unattended > 0)
    conn.execute(standing.update().where(*mine).values(unattended=0))


def approve(conn: sa.Connection, forge: str, ref: str, *, head: str, login: str, event_id: str) -> None:
    """This person lets an agent work on this head."""
    repo_id, number = place_of(ref)
    place = {"forge": forge, "repo_id": repo_id, "number": number, "head_sha": head}
    store.upsert(conn, consent, place, {"login": login, "event_id": event_id})
    change(conn, forge, ref, asked=False)


def is_approved(conn: sa.Connection, forge: str, ref: str, head: str) -> bool:
    """Has somebody trusted let an agent work on exactly this head?"""
    return head in _approved(conn, forge, *place_of(ref))


def _approved(conn: sa.Connection, forge: str, repo_id: int, number: int) -> frozenset[str]:
    c = consent.c
    mine = (c.forge == forge, c.repo_id == repo_id, c.number == number)
    return frozenset(conn.scalars(sa.select(c.head_sha).where(*mine)))
