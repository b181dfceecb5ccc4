"""Whom the logins in the config mean: an account is its id, and a login that it gives up may be anybody's tomorrow.

People who may ask have their logins there; owners of what is watched have theirs with a `/` behind it, as in `repos`.
Knows one table.  Must not know what anybody may do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from poller import store
from poller.tables import person as table


def known(conn: sa.Connection, forge: str) -> dict[str, int]:
    """Login (in lower case) → id of the account that had it when it was looked for first."""
    return {login: user_id for login, user_id in _all(conn, forge).items() if not login.endswith("/")}


def owners(conn: sa.Connection, forge: str) -> dict[str, int]:
    """The same of owners that `repos` names: who had the login when the first of his repositories was found."""
    return {login[:-1]: user_id for login, user_id in _all(conn, forge).items() if login.endswith("/")}


def save_owners(conn: sa.Connection, forge: str, meant: Mapping[str, int]) -> None:
    """These are all: an owner who leaves the config and comes back is looked for anew."""
    before = owners(conn, forge)
    _remove(conn, forge, [f"{login}/" for login in before.keys() - meant.keys()])
    for login, user_id in meant.items():
        if before.get(login) != user_id:
            save(conn, forge, f"{login}/", user_id)


def _all(conn: sa.Connection, forge: str) -> dict[str, int]:
    rows = conn.execute(sa.select(table.c.login, table.c.user_id).where(table.c.forge == forge))
    return {row.login: row.user_id for row in rows}


def save(conn: sa.Connection, forge: str, login: str, user_id: int) -> None:
    """From now on this login means this account."""
    store.upsert(conn, table, {"forge": forge, "login": login}, {"user_id": user_id})


def forget(conn: sa.Connection, forge: str, *, but: Collection[str]) -> None:
    """Who leaves the config and comes back is looked for anew."""
    _remove(conn, forge, known(conn, forge).keys() - set(but))


def _remove(conn: sa.Connection, forge: str, logins: Collection[str]) -> None:
    for login in logins:
        conn.execute(table.delete().where(table.c.forge == forge, table.c.login == login))
