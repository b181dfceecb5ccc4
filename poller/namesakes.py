"""Whom the logins in the config mean: an account is its id, and a login that it gives up may be anybody's tomorrow.

Knows one table.  Must not know what anybody may do.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from poller import store
from poller.tables import person as table


def known(conn: sa.Connection, forge: str) -> dict[str, int]:
    """Login (in lower case) → id of the account that had it when it was looked for first."""
    rows = conn.execute(sa.select(table.c.login, table.c.user_id).where(table.c.forge == forge))
    return {row.login: row.user_id for row in rows}


def save(conn: sa.Connection, forge: str, login: str, user_id: int) -> None:
    """From now on this login means this account."""
    store.upsert(conn, table, {"forge": forge, "login": login}, {"user_id": user_id})


def forget(conn: sa.Connection, forge: str, *, but: Collection[str]) -> None:
    """Who leaves the config and comes back is looked for anew."""
    gone = known(conn, forge).keys() - set(but)
    if gone:
        conn.execute(table.delete().where(table.c.forge == forge, table.c.login.in_(gone)))
