"""The two halves of a cycle: what moved since the cursor, and what is looked at by the clock.

Each half reads, decides and then commits in one transaction.  A sweep that fails takes nothing back of what moved.
Knows the order of things; must not know leases.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from poller import inventory, namesakes, rounds, store
from poller.config import Config
from poller.deltas.events import Actor, Event
from poller.deltas.pulls import Known
from poller.deltas.reader import Look
from poller.deltas.repositories import Changes, changes
from poller.deltas.sweep import Ground, Sweep, Swept, Unit
from poller.deltas.watch import Scope, gather
from poller.forge.client import Client
from poller.forge.control import Control
from poller.forge.questions import Progress, Questions
from poller.inventory import Inventory
from poller.judging import Judge
from poller.quiet import quiet_until
from poller.record import Record, Told, write_down
from poller.scope import Watching
from poller.store import Forge
from poller.triage import heads_told
from poller.trust import Trust
from sessions.database import begin, reading

#: So many repositories that an inventory lacks are asked for by themselves in one cycle.
DOUBTS = 50


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What the first half found, and what the second needs of it.  `now` is the forge's clock at its begin."""

    cursor: str
    now: str
    names: dict[int, str]
    paged: bool | None
    page: int
    bot: Actor
    looks: list[Look]
    told: list[Told]
    troubles: dict[str, str]
    sent: int

    @property
    def changed(self) -> int:
        """Pulls whose row was other than remembered."""
        return sum(look.moved for look in self.looks)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the second half found."""

    changed: int = 0
    told: list[Told] = []
    troubles: dict[str, str] = {}


class Halves:
    """One cycle.  `keep` renews the lease inside a transaction; `None`: a rehearsal, which writes nothing."""

    def __init__(
        self,
        config: Config,
        engine: sa.Engine,
        client: Client,
        *,
        control: Callable[[], Control],
        progress: Progress,
        keep: Callable[[sa.Connection], None] | None,
        now: float,
    ) -> None:
        self._config, self._engine, self._client, self._control = config, engine, client, control
        self._progress, self._keep, self._now = progress, keep, now
        self._counted = client.requests

    @property
    def uncounted(self) -> int:
        """Requests that were sent, and that no half has written down."""
        return self._client.requests - self._counted

    def moved(self) -> Moved:
        """The first half.  Raises `ForgeError` or `NothingToWatch`: then nothing was changed."""
        config, now = self._config, self._now
        with reading(self._engine) as conn:
            forge = store.forge(conn, config.forge)
            due = inventory.is_due(config, forge, now=now)
            watching = Watching.of(config, conn, now=now, all_known=not due)
            meant = namesakes.owners(conn, config.forge) if due else {}
        taken = inventory.taken(self._control(), config, meant=meant) if due else None
        bot = taken.bot if taken is not None else forge.bot
        assert bot is not None  # it is asked for whenever it is not known
        questions = Questions(self._client, page=taken.page if taken is not None else forge.page)
        with reading(self._engine) as conn:
            scope = self._scope(conn, watching, taken, forge, paged=forge.paged)
            gathered = gather(questions, scope)
            names, lost = gathered.names, {look.lost_repo for look in gathered.looks if look.lost_repo is not None}
            if taken is not None:
                names = taken.names | names
                lost |= self._lost(conn, questions, watching, taken)
            archived = taken.archived if taken is not None else {}
            bot = bot if taken is not None else inventory.as_called_now(self._control, bot, gathered.looks)
            changed = self._repositories(conn, names, lost, archived, at=gathered.now)
            told, trust = self._triaged(conn, changed, gathered.looks, bot, anew=taken is not None)
        cursor = new_cursor(forge.cursor, started=scope.since, now=gathered.now, newest=gathered.newest)
        troubles = {f"{place.repo}#{place.number}": place.error for place in gathered.troubles}
        sent = self.uncounted
        if self._keep is None:
            troubles |= taken.troubles if taken is not None else {}
        else:
            with begin(self._engine) as conn:
                self._keep(conn)
                record = Record(conn, config, bot, now=now)
                if not rounds.is_begun(conn, config.forge):
                    rounds.begin(conn, config.forge, config.poll, now=now)
                record.shallow(gathered.shallow)
                told = self._recorded(record, gathered.looks, changed, told)
                trust.save(conn)
                if taken is not None:
                    record.put_away_lost()
                    watching.save(conn, forge_now=gathered.now)
                    inventory.save(conn, config, taken, now=now)
                if taken is not None or changed.repositories:
                    self._save_owner(conn, watching)
                store.save_forge(
                    conn, config.forge, bot=bot, cursor=cursor, paged=gathered.paged, success_at=now, error="",
                    error_at=None, requests=forge.requests + sent, counted_from=forge.counted_from or now,
                )  # fmt: skip
                troubles |= store.troubled_repositories(conn, config.forge)
        self._counted += sent
        write_down(told, gathered.troubles)
        return Moved(
            cursor=cursor, now=gathered.now, names=gathered.names, paged=gathered.paged, bot=bot,
            page=taken.page if taken is not None else forge.page, looks=gathered.looks, told=told, troubles=troubles,
            sent=sent,
        )  # fmt: skip

    def swept(self, moved: Moved) -> Found:
        """The second half: as much of what is due as the budget pays for.  Raises what ends a first half, too."""
        config, now = self._config, self._now
        with reading(self._engine) as conn:
            forge = store.forge(conn, config.forge)
            units = rounds.due(conn, config.forge, config.poll, now=now)
            if not units:
                return Found()
            budget = rounds.Budget.now(forge, config.poll, now=now, others=moved.sent)
            units = budget.afforded(units, opened=store.open_count(conn, config.forge))
            swept = self._sweep(conn, moved, units, forge)
            changed = self._repositories(conn, swept.names, swept.lost_repos, swept.archived, at=moved.now)
            bot = inventory.as_called_now(self._control, moved.bot, swept.looks)
            told, trust = self._triaged(conn, changed, swept.looks, bot)
        spent = self.uncounted
        if self._keep is not None:
            with begin(self._engine) as conn:
                self._keep(conn)
                record = Record(conn, config, bot, now=now)
                told = self._recorded(record, swept.looks, changed, told)
                trust.save(conn)
                if changed.repositories:
                    self._save_owner(conn, Watching.of(config, conn, now=now, all_known=True))
                rounds.reckon(conn, config.forge, units, swept, config.poll, now=now, read_to=moved.now)
                store.save_forge(
                    conn, config.forge, bot=bot, credit=budget.after(spent), owed=budget.owed, credit_at=now,
                    swept=forge.swept + spent, requests=forge.requests + spent,
                    quiet_until=quiet_until(swept.stopped, now=now) if swept.stopped else forge.quiet_until,
                )  # fmt: skip
        self._counted += spent
        unread = [look.trouble for look in swept.looks if look.trouble is not None]
        write_down(told, unread)
        return Found(
            changed=sum(look.moved for look in swept.looks),
            told=told,
            troubles={f"{place.repo}#{place.number}": place.error for place in unread}
            | {f"sweep of {name}": error for name, error in rounds.failures(units, swept).items()},
        )

    def _sweep(self, conn: sa.Connection, moved: Moved, units: list[Unit], known: Forge) -> Swept:
        config = self._config
        watching = Watching.of(config, conn, now=self._now, all_known=True)
        scope = self._scope(conn, watching, None, known, paged=moved.paged)
        repositories = store.known_repositories(conn, config.forge)
        ground = Ground(
            opened=store.open_spots(conn, config.forge),
            former={key: one.name for key, one in repositories.items()},
            names=moved.names,
            owners=watching.all_owners(watching.watched(list(repositories.values()), conn, None)),
            done=frozenset(look.place for look in moved.looks if look.place is not None),
            now=self._now if self._keep is not None else 0.0,  # a rehearsal has not remembered what moved
        )
        questions = Questions(self._client, page=moved.page)
        return Sweep(questions, scope, ground, read_at=moved.now, paged=moved.paged).run(units)

    # -- what both halves do ------------------------------------------------------------------------------------

    def _scope(
        self,
        conn: sa.Connection,
        watching: Watching,
        taken: Inventory | None,
        known: Forge,
        *,
        paged: bool | None,
    ) -> Scope:
        forge = self._config.forge
        return Scope(
            forge=forge,
            seen_at=stamp_of(self._now),
            since=watching.since(known.cursor),
            overlap=self._config.poll.overlap,
            owner="" if taken is not None else known.owner,
            owners=watching.owners,
            paged=paged,
            baseline=bool(watching.new),
            watched=watching.filter(conn, taken),
            boundary=lambda repo: watching.boundary(repo, conn),
            fresh=watching.is_new,
            places=lambda places: store.places(conn, forge, places),
            due=lambda at: watching.watched(store.due_places(conn, forge, at), conn, taken),
            progress=self._progress,
        )

    def _save_owner(self, conn: sa.Connection, watching: Watching) -> None:
        """If everything is one owner's, idle cycles ask for his pulls only."""
        known = store.known_repositories(conn, self._config.forge).values()
        owners = watching.all_owners(watching.watched(list(known), conn, None))
        store.save_forge(conn, self._config.forge, owner=owners[0] if len(owners) == 1 else "")

    def _repositories(
        self,
        conn: sa.Connection,
        names: Mapping[int, str],
        lost: Collection[int],
        archived: Mapping[int, bool],
        *,
        at: str,
    ) -> Changes:
        known = store.known_repositories(conn, self._config.forge, {*names, *lost})
        return changes(
            known, names=names, lost=lost, archived=archived, forge=self._config.forge, at=at,
            seen_at=stamp_of(self._now), now=self._now,
        )  # fmt: skip

    def _lost(self, conn: sa.Connection, questions: Questions, watching: Watching, taken: Inventory) -> set[int]:
        """Repositories that an inventory lacks, and that are not to be found by their ids either."""
        known = list(store.known_repositories(conn, self._config.forge).values())
        missing = [one for one in watching.watched(known, conn, taken) if one.repo_id not in taken.names]
        here = [one for one in missing if one.gone_at is None][:DOUBTS]
        return {one.repo_id for one in here if not questions.is_there(one.name, one.repo_id)}

    def _triaged(
        self, conn: sa.Connection, changed: Changes, looks: list[Look], bot: Actor, *, anew: bool = False
    ) -> tuple[list[Told], Trust]:
        config = self._config
        trust = Trust(config.trust, forge=config.forge, bot=bot, conn=conn, control=self._control, now=self._now)
        if anew:
            trust.look_up()
        events: list[Event] = [*changed.events, *(event for look in looks for event in look.events)]
        heads = [heads_told(look.events, _told_head(look.known)) for look in looks if look.known is not None]
        judge = Judge(conn, trust, bot, config, heads=dict(ChainMap(*heads)))
        return judge.judged(events), trust

    def _recorded(self, record: Record, looks: list[Look], changed: Changes, told: list[Told]) -> list[Told]:
        record.looks(looks)
        record.repositories(changed)
        return record.events(told)


def _told_head(known: Known) -> str:
    """The head after a look; one that is only a guess may be of a push that nobody has told yet."""
    return known.head or "" if not known.head_is_guess else ""


def stamp_of(moment: float) -> str:
    """Epoch seconds as `…Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_cursor(cursor: str | None, *, started: str, now: str, newest: str) -> str:
    """The largest stamp seen, but none that is still to come: the forge's clock may have been wrong, and put back.

    Only a first run on a forge without any pull has nothing but a clock.
    """
    return min(max(cursor or "", newest) or started, now)
