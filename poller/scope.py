"""What is watched, and since when.

Knows the patterns of the config and when the watching of each began.  Must not know the forge.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from poller import store
from poller.config import Config
from poller.deltas.diff import NEVER
from poller.deltas.watch import P, Placed, Watched
from poller.inventory import Inventory, NothingToWatch
from poller.scalars import start_of, start_trouble

#: So many owners are asked for one by one.
FEW = 10


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """The patterns of this cycle.  `new` ones (in lower case) begin with it, at `start`."""

    config: Config
    start: str
    new: frozenset[str]
    all_patterns: frozenset[str]
    known: dict[str, str]

    @classmethod
    def of(cls, config: Config, conn: sa.Connection, *, now: float, all_known: bool) -> Watching:
        """`all_known`: `repos` is as it was in the last cycle, so that ten thousand patterns need not be compared.

        Raises `NothingToWatch` when something is new, and its beginning still to come: until then all would be lost."""
        patterns = frozenset(pattern.lower() for pattern in config.wanted)
        known = {} if all_known else store.watches(conn, config.forge)
        new = frozenset() if all_known else patterns - known.keys()
        if new and (wrong := start_trouble(config.poll.start, now=now)):
            raise NothingToWatch(f"{config.path}: poll.start: {wrong}")
        moment = datetime.fromtimestamp(start_of(config.poll.start, now=now), UTC)
        return cls(
            config=config,
            start=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            new=new,
            all_patterns=patterns,
            known=known,
        )

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose open pulls a baseline reads; none: everybody's, because there are too many to ask one by one."""
        owners = {pattern.partition("/")[0] for pattern in self.new}
        return tuple(sorted(owners)) if len(owners) <= FEW else ()

    def all_owners(self, watched: Iterable[Placed]) -> tuple[str, ...]:
        """Of whom to ask for pulls: everybody named, and whoever has got what was once theirs; none: too many."""
        owners = {pattern.partition("/")[0] for pattern in self.all_patterns}
        owners |= {one.repo.partition("/")[0].lower() for one in watched}
        return tuple(sorted(owners)) if len(owners) <= FEW else ()

    def since(self, cursor: str | None) -> str:
        """From where a cycle reads: what is new begins at `start`, however far the others have been read."""
        return min(cursor or self.start, self.start) if self.new else cursor or self.start

    def is_new(self, repo: str) -> bool:
        """Does the watching of this repository begin now?"""
        mine = self._patterns_of(repo)
        return bool(mine) and mine <= self.new

    def boundary(self, repo: str, conn: sa.Connection) -> str:
        """What is older on a pull that nobody remembers is history."""
        if self.is_new(repo):
            return NEVER if self.config.poll.start == "now" else self.start
        known = self.known or store.watches(conn, self.config.forge)
        moments = [known[pattern] for pattern in self._patterns_of(repo) if pattern in known]
        return min(moments or known.values(), default=self.start)  # renamed: as long as anything is watched

    def watched(self, rows: list[P], conn: sa.Connection, taken: Inventory | None) -> list[P]:
        """Only what the config names: a search brings strangers' public repositories too, a memory former ones."""
        return watched(self.config, rows, conn, taken)

    def filter(self, conn: sa.Connection, taken: Inventory | None) -> Watched:
        """The same, for somebody who knows neither database nor inventory."""

        def watched(found: list[P], /) -> list[P]:
            return self.watched(found, conn, taken)

        return watched

    def save(self, conn: sa.Connection, *, forge_now: str) -> None:
        """The new patterns begin at `start`, by the earlier of our clock and the forge's."""
        begin = min(self.start, forge_now)
        since = {pattern: self.known.get(pattern, begin) for pattern in self.all_patterns}
        store.save_watches(conn, self.config.forge, since)

    def _patterns_of(self, repo: str) -> frozenset[str]:
        name = repo.lower()
        return frozenset({name, f"{name.partition('/')[0]}/*"}) & self.all_patterns


def watched(config: Config, rows: list[P], conn: sa.Connection, taken: Inventory | None = None) -> list[P]:
    """Those whose repository the config names.  `taken`: an inventory that is newer than the one we remember."""
    rows = [row for row in rows if not config.watchlist.excludes(row.repo)]
    others = {row.repo_id for row in rows if not config.watches(row.repo)}
    if not others:
        return rows
    # Named under a former name: a rename is no reason to stop watching.
    if taken is not None:  # what the last inventory knew may have left the config with this one
        renamed = others & {repo_id for repo_id, _ in taken.repositories.values()}
    else:
        renamed = store.repository_ids(conn, config.forge, others)
    return [row for row in rows if row.repo_id not in others or row.repo_id in renamed]
