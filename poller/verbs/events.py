"""`poll events`: the event log, oldest first, once or for as long as somebody listens."""

from __future__ import annotations

import re
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec
import sqlalchemy as sa

from poller import eventlog
from poller.app import database_at_hand, has_no_database, open_tables
from poller.config import Config
from poller.deltas.events import Event
from poller.halves import stamp_of
from poller.kinds import kinds_named
from poller.search import Search, Wanted, newest
from poller.verbs.screen import event_line
from poller.verbs.since import begin_of
from sessions.database import reading
from sessions.shell import UsageError

#: Seconds between two looks for what is new.
TICK = 1.0


class _Stopped(BaseException):
    """Told to stop; the argument is the exit code."""


def wanted(*, pull: str | None, kinds: list[str], actors: list[str], since: str | None, now: float) -> Wanted:
    """What the words of the call ask for.  Raises `UsageError`."""
    asked = list[tuple[str, str]]()
    for kind in kinds:
        try:
            asked += kinds_named(kind)
        except ValueError as mend:
            raise UsageError(f"--kind {kind}: the log knows no such event; {mend}") from None
    for actor in actors:
        if not re.fullmatch(r"[^@\s]+", actor):
            raise UsageError(f"--actor {actor}: expected a login, without @ and spaces")
    moment = stamp_of(begin_of(since, now=now)) if since is not None else None
    return Wanted(key=pull, since=moment, kinds=tuple(asked), actors=tuple(actors))


def whole_key(key: str, config: Config) -> str:
    """`acme/api#7` is enough where there is one forge."""
    return key if key.startswith(f"{config.forge}/") else f"{config.forge}/{key}"


def known_pull(conn: sa.Connection, key: str, config: Config) -> str:
    """The identity of the pull that somebody names.  Raises `UsageError`."""
    ref = eventlog.pull_named(conn, whole_key(key, config))
    if ref is None:
        raise UsageError(f"{key}: no such pull in the log; expected owner/repo#N")
    return ref


def _whole(wanted: Wanted, config: Config) -> Wanted:
    return wanted if wanted.key is None else msgspec.structs.replace(wanted, key=whole_key(wanted.key, config))


def events(config: Config, wanted: Wanted, *, limit: int | None, as_lines: bool) -> int:
    """Print what is wanted of the log as it is now; with `limit` the newest so many."""
    with database_at_hand(config) as engine:
        if wanted.key is not None:
            with reading(engine) as conn:
                known_pull(conn, wanted.key, config)
        for line in Listener(engine, _whole(wanted, config), limit=limit).lines():
            _show(line, as_lines=as_lines)
    return 0


def follow(config: Config, wanted: Wanted, *, limit: int | None, as_lines: bool) -> int:
    """The same, and then whatever any process commits, until a signal: 0 after SIGTERM, 130 after SIGINT."""
    try:
        with _signals_stop():
            while has_no_database(config):
                _nap()
            engine = open_tables(config)
            try:
                listener = Listener(engine, _whole(wanted, config), limit=limit)
                while True:
                    for line in listener.lines():
                        _show(line, as_lines=as_lines)
                        sys.stdout.flush()
                    _nap()
                    listener.look_again()
            finally:
                engine.dispose()
    except _Stopped as stopped:
        return int(stopped.args[0])


class Listener:
    """Goes through the log without holding it: whoever reads slowly, or not at all, keeps nobody from writing."""

    def __init__(self, engine: sa.Engine, wanted: Wanted, *, limit: int | None = None) -> None:
        self._engine, self._wanted = engine, wanted
        with reading(engine) as conn:
            self._until = newest(conn)
            self._search = Search(conn, wanted)
            self._after = self._search.beginning(conn, until=self._until, limit=limit)

    def pages(self) -> Iterator[list[bytes]]:
        """The events that were there at the last look, some at a time, each as the contract's JSON object."""
        while self._after < self._until:
            with reading(self._engine) as conn:
                found = self._search.page(conn, after=self._after, until=self._until)
            self._after = found[-1].seq if found else self._until
            yield [line for _, line in found]

    def lines(self) -> Iterator[bytes]:
        """The same one by one."""
        return (line for page in self.pages() for line in page)

    def look_again(self) -> None:
        """What has been committed since the last look is there now."""
        with reading(self._engine) as conn:
            now = newest(conn)
            if now > self._until:
                self._until, self._search = now, Search(conn, self._wanted)


def _show(line: bytes, *, as_lines: bool) -> None:
    sys.stdout.write((line.decode() if as_lines else event_line(Event.from_json(line))) + "\n")


def _nap() -> None:
    """A second, or less if the reader of our output goes away: then there is nobody to wait for."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    if output.poll(TICK * 1000):
        raise BrokenPipeError


@contextmanager
def _signals_stop() -> Iterator[None]:
    def stop(number: int, _frame: FrameType | None) -> None:
        raise _Stopped(130 if number == signal.SIGINT else 0)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
