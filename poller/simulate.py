"""What a changed config would have made of the logged events, beside what was made of them.  Writes nothing.

People are judged by what is remembered of their rights; nobody is asked.  What a turn would have cost is what turns of
that agent (else of all) cost on the average in that time.  Knows the log and the ledger; must not know the forge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from poller import eventlog, store, tables
from poller.config import Config
from poller.deltas.events import Actor, Event, place_of
from poller.halves import stamp_of
from poller.record import Told
from poller.rejudging import judged_anew
from poller.search import Search, Wanted, newest
from poller.triage import Decision
from poller.trust import BY_WHOM, Trust
from sessions import ledger

UNKNOWN = "the forge would have to be asked about this person"


class Recalled(msgspec.Struct, frozen=True):
    """What is remembered of a person's right."""

    allowed: bool | None
    why: str


class Memory:
    """Stands where the forge's control plane does, and asks nobody."""

    def __init__(self, conn: sa.Connection, forge: str) -> None:
        self._conn, self._forge = conn, forge
        self._doubted: set[str] | None = None

    def user(self, login: str) -> Actor | None:
        """Whoever had this login when he was last seen."""
        c = tables.event.c
        line = self._conn.scalar(sa.select(c.line).where(c.actor == login).order_by(c.seq.desc()).limit(1))
        return Event.from_json(line).actor if line is not None else None

    def repository(self, full_name: str) -> None:
        """Whose it is was asked when it was seen first."""

    def could_be_assigned(self, full_name: str) -> list[Actor] | None:
        return [] if self.only_writers_edit(full_name) else None

    def only_writers_edit(self, full_name: str) -> bool:
        """Where an edit was never refused for its unknown author, whoever may edit may ask."""
        if self._doubted is None:
            event, decision = tables.event.c, tables.decision.c
            joined = tables.decision.join(tables.event, event.id == decision.event_id)
            is_doubt = (decision.verdict == "refuse", decision.reason.contains(BY_WHOM, autoescape=True))
            refs = self._conn.scalars(sa.select(event.ref).distinct().select_from(joined).where(*is_doubt))
            known = store.known_repositories(self._conn, self._forge, {place_of(ref)[0] for ref in refs})
            self._doubted = {one.name for one in known.values()}
        return full_name not in self._doubted

    def is_writer(self, full_name: str, login: str, *, user_id: int | None = None) -> Recalled:
        return self._recalled(full_name, user_id, "writers")

    def is_collaborator(self, full_name: str, login: str, *, user_id: int | None = None) -> Recalled:
        return self._recalled(full_name, user_id, "collaborators")

    def _recalled(self, full_name: str, user_id: int | None, asked: str) -> Recalled:
        repo, person = tables.known_repository.c, tables.permission.c
        joined = tables.permission.join(
            tables.known_repository, sa.and_(repo.repo_id == person.repo_id, repo.forge == person.forge)
        )
        here = (person.forge == self._forge, person.user_id == user_id, person.asked == asked, repo.name == full_name)
        row = self._conn.execute(sa.select(person.allowed, person.why).select_from(joined).where(*here)).first()
        return Recalled(None, UNKNOWN) if row is None else Recalled(row.allowed, row.why)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An event of which another config would have made something else; `was`, `would`: agent → why (or why not)."""

    event: Event
    more: dict[str, str]
    less: dict[str, str]


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """The sums.  `was`, `would`: agent → events it was, or would have been, woken for; `unknown`: unasked people."""

    events: int
    was: dict[str, int]
    would: dict[str, int]
    turns: dict[str, float]
    cost_was: float
    cost_would: float
    unknown: int


def changes(
    conn: sa.Connection, new: Config, *, since: float, now: float, tally: Tally
) -> Iterator[Change]:  # fmt: skip
    """Events of which something else would have become, oldest first; all of them are counted in `tally`."""
    search, until = Search(conn, Wanted(since=stamp_of(since))), newest(conn)
    bot, memory = store.forge(conn, new.forge).bot, Memory(conn, new.forge)
    trust = Trust(new.trust, forge=new.forge, bot=bot, conn=conn, control=lambda: memory, now=now)
    after = search.beginning(conn, until=until)
    while page := search.page(conn, after=after, until=until):
        after = page[-1].seq
        events = [event for _, line in page if (event := Event.from_json(line)).forge == new.forge]
        homes = store.known_repositories(conn, new.forge, {event.repo_id for event in events})
        names = {repo_id: one.name for repo_id, one in homes.items()}
        told = judged_anew(conn, [event for event in events if new.watches(event.repo)], trust, new, names=names)
        found = {one.event.id: one for one in told}
        former = eventlog.decisions_of(conn, [event.id for event in events])
        for event in events:
            change = tally.counted(event, found.get(event.id), [decision for decision, _ in former[event.id]])
            if change.more or change.less:
                yield change


class Tally:
    """Sums what `changes` goes through."""

    def __init__(self, agents: Collection[str]) -> None:
        """`agents`: of the config that is tried."""
        self._agents = agents
        self.events = self.unknown = 0
        self.was: dict[str, int] = {}
        self.would: dict[str, int] = {}

    def counted(self, event: Event, told: Told | None, former: Sequence[Decision]) -> Change:
        self.events += 1
        decisions = told.decisions if told is not None else []
        self.unknown += any(UNKNOWN in decision.reason for decision in decisions)
        was = {one.agent: one.reason for one in former if one.verdict == "wake"}
        would = {one.agent: one.reason for one in decisions if one.verdict == "wake"}
        for agent in was:
            self.was[agent] = self.was.get(agent, 0) + 1
        for agent in would:
            self.would[agent] = self.would.get(agent, 0) + 1
        reasons = {one.agent: one.reason for one in decisions}
        if told is None:
            reasons[""] = "`repos` does not name the repository"
        return Change(
            event=event,
            more={agent: why for agent, why in would.items() if agent not in was},
            less={agent: reasons.get(agent) or self._why_not(agent, reasons) for agent in was if agent not in would},
        )

    def _why_not(self, agent: str, reasons: Mapping[str, str]) -> str:
        return reasons.get("", "its `on` does not name this" if agent in self._agents else "not in the config")

    def simulated(self, conn: sa.Connection, *, since: float) -> Simulated:
        """The sums, with the ledger's money: a turn's price is the average, and turns join events as they did."""
        spent = {agent: ledger.spent_since(conn, since, agent=agent) for agent in {*self.was, *self.would}}
        total = ledger.spent_since(conn, since)
        events, runs = sum(self.was.values()), sum(one.runs for one in spent.values())
        per_event = runs / events if events else 1.0
        turns, cost = dict[str, float](), 0.0
        for agent, many in self.would.items():
            own, before = spent[agent], self.was.get(agent, 0)
            rate = own.runs / before if before and own.runs else per_event
            price = own.usd / own.runs if own.runs else (total.usd / total.runs if total.runs else 0.0)
            turns[agent] = many * rate
            cost += turns[agent] * price
        return Simulated(
            events=self.events, was=self.was, would=self.would, turns=turns, unknown=self.unknown,
            cost_was=sum(one.usd for one in spent.values()), cost_would=cost,
        )  # fmt: skip


def is_blank(conn: sa.Connection, forge: str) -> bool:
    """Has nothing ever run here?"""
    return store.forge(conn, forge).bot is None
