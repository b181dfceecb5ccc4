"""PostgreSQL: how a server is reached, what it may take its time for, whose clock counts, what its failures mean.

Knows psycopg, which is imported only where a config names such a server.  Must not know tables.  A URL is shown without
its password, wherever in it that stands.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from sessions import processes
from sessions.logs import hide
from sessions.sqlite import READ_ONLY
from sessions.trouble import DatabaseError, Said

#: Any number, as long as every bottlepost takes the same: "bott".
_LOCK = 0x626F7474
#: Connections that are kept, and how many more there may be for a moment: servers allow a hundred in all, by default.
_KEPT, _MORE = 3, 13
#: Seconds: to reach the server, for one statement, until another writer is done.
_CONNECT, _STATEMENT, _WRITER = 10, 60, 30
#: Seconds that a transaction may stand still: a reader does so while the forge is read.  A writer that does (its
#: process was stopped) holds up everybody, and is thrown out before the others lose their patience.
_READER_IDLES, _WRITER_IDLES = 6 * 3600, 20
_CLOCK = "bottlepost_clock"

_SET_UP = """
SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),
       set_config('idle_in_transaction_session_timeout', %s, false), extract(epoch FROM clock_timestamp())::float8
"""
#: One writer at a time: it sees everything that was committed before, as on SQLite.
_BEGIN = """
SELECT set_config('idle_in_transaction_session_timeout', %s, true), pg_advisory_xact_lock(%s),
       extract(epoch FROM clock_timestamp())::float8
"""


class Clock:
    """The server's, in epoch seconds: the same for all machines, whatever their own ones say.

    Every connection and every writer brings its time along; in between ours counts the seconds."""

    def __init__(self) -> None:
        self._ahead: float | None = None

    def heard(self, moment: float) -> None:
        ahead = moment - _steady()
        # The word was on its way for a while: of two the one that says more is nearer to the truth.
        if self._ahead is None or ahead > self._ahead or self._ahead - ahead > 1.0:
            self._ahead = ahead

    def __call__(self) -> float:
        return time.time() if self._ahead is None else self._ahead + _steady()


def _steady() -> float:
    """Counts also while the machine sleeps, and nobody sets it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def url_of(text: str) -> sa.URL:
    """Raises `DatabaseError`, without a word of the text."""
    expected = "expected postgresql://user@host/name"
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        raise DatabaseError(f"database: not a URL; {expected}") from None
    if "@" in (url.host or ""):
        raise DatabaseError(f"database: an @ in the password is written %40; {expected}")
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str):
            hide(secret)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def shown(url: sa.URL) -> str:
    """As people may see it."""
    host = url.host or url.query.get("host") or "localhost"
    user = url.username or url.query.get("user") or ""
    where = host if isinstance(host, str) else ",".join(host)
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{'@' if user else ''}{where}{port}/{url.database or ''}"


def engine_of(url: sa.URL) -> sa.Engine:
    """Nothing is reached yet.  Raises `DatabaseError` where the driver is missing."""
    if url.drivername != "postgresql+psycopg":
        raise DatabaseError(f"database: {url.drivername}:// is not supported; expected postgresql://…")
    try:
        engine = sa.create_engine(
            url, connect_args=_how(url.query), isolation_level="READ COMMITTED",
            pool_pre_ping=True, pool_size=_KEPT, max_overflow=_MORE, pool_use_lifo=True,
        )  # fmt: skip
    except ImportError as error:
        mend = "pip install '.[postgres]' in bottlepost's checkout, or write `database: null`"
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else "finds no libpq"
        raise DatabaseError(f"database: {shown(url)} needs psycopg, which {found}; {mend}") from None
    clock = Clock()
    engine.update_execution_options(**{_CLOCK: clock})
    sa.event.listen(engine, "connect", lambda raw, _record: _set_up(raw, clock))
    sa.event.listen(engine, "begin", lambda conn: _begin(conn, clock))
    sa.event.listen(engine, "before_cursor_execute", _sayable, retval=True)
    return engine


def clock_of(engine: sa.Engine) -> Clock | None:
    found = engine.get_execution_options().get(_CLOCK)
    return found if isinstance(found, Clock) else None


#: A reader's transaction sees one moment, as on SQLite.
READER: Mapping[str, Any] = {READ_ONLY: True, "isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _how(given: Mapping[str, Any]) -> dict[str, Any]:
    """How to connect, as far as the URL does not say it."""
    wanted = {
        "connect_timeout": _CONNECT,
        "application_name": f"bottlepost {os.getpid()} {processes.host()}"[:63],
        # A machine that vanishes says nothing: nobody is to wait for it for ever.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
    # Poolers that hand a connection to another client after each transaction know nothing of prepared statements.
    return {"prepare_threshold": None} | {name: value for name, value in wanted.items() if name not in given}


def _set_up(raw: Any, clock: Clock) -> None:
    clock.heard(raw.execute(_SET_UP, (f"{_STATEMENT}s", f"{_WRITER}s", f"{_READER_IDLES}s")).fetchone()[-1])
    raw.commit()


def _begin(conn: sa.Connection, clock: Clock) -> None:
    if not conn.get_execution_options().get(READ_ONLY):
        clock.heard(conn.exec_driver_sql(_BEGIN, (f"{_WRITER_IDLES}s", _LOCK)).one()[-1])


def unbounded(conn: sa.Connection) -> None:
    """What this transaction does may take long: tables are rebuilt."""
    conn.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _sayable(_conn: Any, _cursor: Any, statement: str, given: Any, _context: Any, _many: bool) -> tuple[str, Any]:
    """A text cannot hold a NUL there, and whatever an agent or a stranger wrote may."""
    if isinstance(given, list):
        return statement, [_without_nul(one) for one in given]
    return statement, _without_nul(given)


def _without_nul(given: Any) -> Any:
    if not isinstance(given, dict) or not any(isinstance(value, str) and "\0" in value for value in given.values()):
        return given
    return {name: value.replace("\0", "\ufffd") if isinstance(value, str) else value for name, value in given.items()}


# -- what its failures mean -----------------------------------------------------------------------------------------

_AGAIN = "nothing is lost, try again"
_AWAY = f"check that the server runs and can be reached; {_AGAIN}"
_LOGIN = "check user and password of `database` in the config"
_MISSING = "make it (createdb), or name another one under `database` in the config"
_CROWDED = "raise the server's max_connections, or let fewer processes run; " + _AGAIN

#: SQLSTATE, or the beginning of one → (mend, passing).  The longest that fits counts.
_STATES: dict[str, tuple[str, bool]] = {
    "28": (_LOGIN, False),
    "3D000": (_MISSING, False),
    "42501": ("let this user make and change tables there: GRANT CREATE ON SCHEMA …, or another user", False),
    "25006": ("name the primary server under `database`: this one only reads", False),
    "53100": ("make room on the server's disk", True),
    "53300": (_CROWDED, True),
    "53": ("the server lacks memory or room; " + _AGAIN, True),
    "55P03": ("another process has been writing for long; " + _AGAIN, True),
    "57014": ("the server is slow, or a statement was cancelled there; " + _AGAIN, True),
    "57P": ("the server is stopping or starting; " + _AGAIN, True),
    "25P03": ("this process stood still for too long; " + _AGAIN, True),
    "40": ("transactions met; " + _AGAIN, True),
    "08": (_AWAY, True),
    "58": ("look into the server's log", True),
    "XX": ("look into the server's log; restore a copy if data is damaged", False),
}
#: The same of failures to connect, which come without a SQLSTATE: words of the server's or of libpq.
_WORDS: dict[str, tuple[str, bool]] = {
    "too many c": (_CROWDED, True),
    "connection slots": (_CROWDED, True),
    "password": (_LOGIN, False),
    "authentication failed": (_LOGIN, False),
    "role ": (_LOGIN, False),
    "no pg_hba.conf entry": ("let the server accept this user from this machine (pg_hba.conf)", False),
    "database ": (_MISSING, False),
    "starting up": ("the server is starting; " + _AGAIN, True),
    "shutting down": ("the server is stopping; " + _AGAIN, True),
    "recovery mode": ("the server is recovering; " + _AGAIN, True),
    "invalid connection option": ("mend what follows ? in `database` in the config", False),
    "certificate": ("mend what sslmode and sslrootcert in `database` ask for", False),
}


def is_outside(error: BaseException | None) -> bool:
    """Did the world break, and not a statement of ours?"""
    return _state_of(error) is not None


def said(error: BaseException | None) -> Said:
    """The server's own words on one line, with the mend."""
    words = " ".join(str(error).split())[:500] or "the connection was lost"
    if known := _state_of(error):
        return Said(what=words, mend=known[0], passing=known[1])
    _, _, fatal = words.partition("FATAL: ")
    for word, (mend, passing) in _WORDS.items():
        if word in (fatal or words):
            return Said(what=words, mend=mend, passing=passing)
    return Said(what=words, mend=_AWAY, passing=True)


def _state_of(error: BaseException | None) -> tuple[str, bool] | None:
    state = getattr(error, "sqlstate", None) or ""
    fitting = (_STATES.get(state[:length]) for length in range(len(state), 1, -1))
    return next((one for one in fitting if one is not None), None)
