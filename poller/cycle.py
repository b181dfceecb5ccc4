"""One cycle of the poller: what moved since the cursor, then what is due to be swept.

The pipeline: it calls things in their order and decides nothing.  Each half reads the forge, decides, and commits
memory, events and turns in one transaction: a cycle that is killed at any statement leaves the old state or the new
one, and a sweep that fails takes nothing back of what moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import store
from poller.config import Config
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.errors import Forbidden, ForgeError
from poller.forge.questions import Progress
from poller.halves import Halves
from poller.quiet import quiet_until, wants_quiet
from poller.record import Told
from sessions import leases
from sessions.database import begin, reading

#: Seconds for which the poller's lease is good; renewed while a long cycle goes on.
LEASE = 300.0
RENEW = 60.0


class Busy(Exception):
    """Another poller holds the lease."""

    exit_code = 5


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a cycle did.  `errors` are one-line texts about single repositories and pulls."""

    cursor: str
    requests: int
    pulls_changed: int
    told: list[Told]
    errors: list[str]


class Cycle:
    """Cycles of one config against one forge; `now` is the clock (epoch seconds, UTC)."""

    def __init__(
        self,
        config: Config,
        engine: sa.Engine,
        client: Client,
        *,
        control: Callable[[], Control],
        now: Callable[[], float] = time.time,
        progress: Progress | None = None,
    ) -> None:
        self._config, self._engine, self._client = config, engine, client
        self._control, self._now, self._progress = control, now, progress
        self._lease: leases.Lease | None = None
        self._renewed = 0.0

    @property
    def lease_name(self) -> str:
        """One poller per forge at a time."""
        return f"poll {self._config.forge}"

    def run(self) -> Report:
        """One cycle.  Raises `Busy`, `ForgeError`, `NothingToWatch` or `DatabaseError`: then nothing was changed."""
        self._mind_quiet()
        with self._leased():
            halves = self._halves(dry=False)
            try:
                return self._run(halves)
            except Exception as failure:
                self._note_failure(failure, sent=halves.uncounted)
                if isinstance(failure, ForgeError) and failure.exit_code == 1:
                    failure.exit_code = 4 if isinstance(failure, Forbidden) else 3  # it was not one thing's trouble
                raise

    def rehearse(self) -> Report:
        """The same without lease, and without writing anything: for `--dry-run`."""
        self._mind_quiet()
        return self._run(self._halves(dry=True))

    def _mind_quiet(self) -> None:
        """Raises `RateLimited` as long as the forge wants to be left alone; what it has said stays the last error."""
        with reading(self._engine) as conn:
            until = store.forge(conn, self._config.forge).quiet_until
        if (patience := wants_quiet(until, now=self._now(), forge=self._config.forge)) is not None:
            raise patience

    # -- the lease ----------------------------------------------------------------------------------------------

    @contextmanager
    def _leased(self) -> Iterator[None]:
        with begin(self._engine) as conn:
            self._lease = leases.take(conn, self.lease_name, now=self._now(), ttl=LEASE)
            holder = leases.held(conn, self.lease_name, now=self._now())
        if self._lease is None:
            raise Busy(f"another poller ({holder.owner if holder else 'just now'}) is reading {self._config.forge}")
        self._renewed = self._now()
        try:
            yield
        finally:
            lease, self._lease = self._lease, None
            if lease is not None:
                with begin(self._engine) as conn:
                    leases.release(conn, lease)

    def _on_progress(self, done: int, total: int) -> None:
        if self._lease is not None and self._now() - self._renewed > RENEW:
            with begin(self._engine) as conn:
                self._keep(conn)
        if self._progress is not None:
            self._progress(done, total)

    def _keep(self, conn: sa.Connection) -> None:
        """Only who still holds the lease may write."""
        if self._lease is None:
            return
        kept = leases.renew(conn, self._lease, now=self._now(), ttl=LEASE)
        if kept is None:
            self._lease = None
            raise Busy(f"another poller took over {self._config.forge} while this one was slow")
        self._lease, self._renewed = kept, self._now()

    def _note_failure(self, failure: Exception, *, sent: int) -> None:
        if not isinstance(failure, Busy):
            now = self._now()
            noted: dict[str, Any] = {"error": str(failure)[:500], "error_at": now}
            if until := quiet_until(failure, now=now):
                noted["quiet_until"] = until
            with begin(self._engine) as conn:
                forge = store.forge(conn, self._config.forge)
                noted |= {"requests": forge.requests + sent, "counted_from": forge.counted_from or now}
                store.save_forge(conn, self._config.forge, **noted)

    # -- the cycle ----------------------------------------------------------------------------------------------

    def _halves(self, *, dry: bool) -> Halves:
        return Halves(
            self._config, self._engine, self._client, control=self._control, progress=self._on_progress,
            keep=None if dry else self._keep, now=self._now(),
        )  # fmt: skip

    def _run(self, halves: Halves) -> Report:
        sent = self._client.requests
        moved = halves.moved()
        swept = halves.swept(moved)
        troubles = moved.troubles | swept.troubles
        return Report(
            cursor=moved.cursor,
            requests=self._client.requests - sent,
            pulls_changed=moved.changed + swept.changed,
            told=[*moved.told, *swept.told],
            errors=[f"{name}: {error}" for name, error in sorted(troubles.items())],
        )
