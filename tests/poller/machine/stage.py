"""A world with several pulls, a poller with a real database, and everything that can befall a poll.

Knows how a poll is made to fail, to die or to be overtaken, and what the world looked like when it began and ended.
Must not know what is expected of its events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from poller import tables
from poller.config import load
from poller.cycle import Cycle
from poller.deltas.events import Event
from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.forge import errors
from poller.forge.client import Answer, Client
from poller.forge.courtesy import Courtesy
from sessions import processes
from sessions import tables as session_tables
from tests.poller.deltas.plays import Play
from tests.poller.desk import Desk

WRITERS = {"ana": "write", "ben": "write", "cyd": "write", "bot": "write"}
LABELS = ("bug", "ui", "api")
CONFIG = """\
gitea: {{url: "{url}", token: "{token}"}}
repos: [acme/*]
state: state
poll: {{sweep: 0s}}
trust: {{who: [ana, ben, cyd], forks: never}}
agents: {{reviewer: {{backend: process, on: [opened, synchronized, mentioned]}}}}
"""
#: Seconds that a hasty client waits for an answer.
HASTE = 0.25
Spot = tuple[int, int]


class Killed(BaseException):
    """The poller's process ends here: nobody may catch it, nothing of it is done any more."""


class Fate:
    """When the poller dies: at the n-th question, statement or commit from now on (`None`: not at all)."""

    def __init__(self) -> None:
        self.at: str | None = None
        self._left = 0
        self.is_dead = False
        self.written = False
        self.commits = 0
        self._guard = threading.Lock()

    def decree(self, at: str | None, nth: int) -> None:
        self.at, self._left, self.is_dead, self.written, self.commits = at, nth, False, False, 0

    def step(self, kind: str) -> None:
        with self._guard:
            if kind == self.at and not self.is_dead:
                self._left -= 1
                self.is_dead = self._left < 0
            if self.is_dead:
                raise Killed(f"at a {kind}")

    def on_statement(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.step("statement")
        word, _, rest = statement.lstrip().partition(" ")
        if word in ("INSERT", "UPDATE", "DELETE") and "lease" not in rest[:40]:
            self.written = True

    def on_commit(self, _conn: Any) -> None:
        self.step("commit")
        self.commits += self.written
        self.written = False

    def on_rollback(self, _conn: Any) -> None:
        self.written = False


class MortalClient(Client):
    """Real requests, before each of which the poller may die, or something may happen on the forge."""

    fate: Fate
    happens: Callable[[], None] | None = None

    def get(self, path: str, kind: Any, params: Mapping[str, str | int] | None = None) -> Answer:
        self.fate.step("question")
        if self.happens is not None:
            self.happens()
        return super().get(path, kind, params)


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What the forge shows of one pull at one moment."""

    rows: frozenset[int]
    #: rows of the milestone that name none: it was taken off, or has been deleted since
    nameless: frozenset[int]
    body: str
    texts: dict[int, str]
    threads: dict[int, int | None]
    #: review → whether it is dismissed
    reviews: dict[int, bool]
    labels: frozenset[str]
    milestone: str | None
    assignees: frozenset[int]
    head: str
    state: str
    updated: int


class Poll(msgspec.Struct, kw_only=True):
    """One poll: how much had happened when it began and when it ended, what was to be seen all the while."""

    begin: int
    end: int
    at: int
    #: it ended well, and its events are in the log
    done: bool
    #: nothing went wrong on the way: it cannot have overlooked what was to be seen
    honest: bool
    #: an answer was made up
    lied: bool
    first: dict[Spot, Sight]
    last: dict[Spot, Sight]
    names: dict[int, str]
    #: pulls whose exact lists were asked for
    thorough: frozenset[Spot] = frozenset()
    #: pulls that could not be read, or were left in peace because of that
    unread: frozenset[Spot] = frozenset()
    told: list[Event] = []


class Trouble(NamedTuple):
    """What goes wrong on the way, where and how often."""

    what: dict[str, Any]
    where: str
    times: int


class Stage(Desk):
    """Two repositories of one organisation, each with a pull of which the poller has taken its baseline."""

    def __init__(self, place: Path, *, version: str, lag: int, page: int) -> None:
        self.fate = Fate()
        super().__init__(place, version=version)
        self.world.max_items = page
        self.polls: list[Poll] = []
        self.plays: list[Play] = []
        self._seq = 0
        #: until then the forge has asked for patience
        self.quiet_until = 0
        for login in WRITERS:
            self.world.user(login)
        self.repos = [self._repository(f"acme/{name}") for name in ("api", "web")]
        for repo in self.repos:
            pull = self.open(repo, pick=1).pull
            pull.comment("said before the poller came", by="ben")
            pull.review(by="ben", body="judged before", inline=[("app.txt", 5, "this"), ("app.txt", 6, "and that")])
        self.world.push_lag = lag
        self.world.clock.advance(seconds=4000)
        for kind in ("before_cursor_execute", "commit", "rollback"):
            heeded = {"before_cursor_execute": self.fate.on_statement, "commit": self.fate.on_commit}
            sa.event.listen(self.engine, kind, heeded.get(kind, self.fate.on_rollback))
        self.poll()

    def _repository(self, name: str) -> Repo:
        repo = self.world.repo(name, private=True)
        for login, right in WRITERS.items():
            repo.collaborator(login, right)
        repo.branch("develop")
        for label in LABELS:
            repo.label(label)
        return repo

    def set_up(self, **_: str) -> None:
        path = self.place / "config.yaml"
        path.write_text(CONFIG.format(url=self.url, token=self.token))
        self.config = load(path, environ={})
        self.courtesy = Courtesy(clock=lambda: self.now())
        self._patient = self._open.enter_context(MortalClient(self.url, self.token, courtesy=self.courtesy))
        self._hasty = self._open.enter_context(
            MortalClient(self.url, self.token, courtesy=self.courtesy, timeout=HASTE)
        )
        self._patient.fate = self._hasty.fate = self.fate
        self.client = self._patient
        self._control = None

    def open(self, repo: Repo, *, pick: int) -> Play:
        play = Play(self.world, repo)
        play.open(pick=pick)
        self.plays.append(play)
        return play

    @property
    def happened(self) -> int:
        """How much has happened so far: the number of the newest entry of both logs."""
        return len(self.world.webhooks) + len(self.world.silent)

    # -- polls --------------------------------------------------------------------------------------------------

    def poll(
        self,
        *,
        happens: Callable[[], None] | None = None,
        trouble: Trouble | None = None,
        death: tuple[str, int] | None = None,
    ) -> Poll:
        """One cycle of a new process.  Whatever befalls it, it leaves the old state or the new one."""
        before = self._dump()
        self.world.reset_requests()
        made = Poll(
            begin=self.happened, end=0, at=self.world.clock.now(), done=False,
            honest=trouble is None, lied=trouble is not None and bool({"lie", "status"} & trouble.what.keys()),
            first=self._sights(), last={}, names=self._names(),
        )  # fmt: skip
        if trouble is not None:
            self.world.fault(trouble.where, times=trouble.times, **trouble.what)
        hasty = trouble is not None and trouble.what.get("delay", 0) > HASTE
        client = self._hasty if hasty else self._patient
        client.happens = happens
        self.fate.decree(*(death or (None, 0)))
        errored = False
        try:
            Cycle(self.config, self.engine, client, control=self.control, now=lambda: self.now()).run()
        except (errors.ForgeError, Killed) as end:
            errored = isinstance(end, errors.ForgeError)
        finally:
            client.happens = None
            self.world.faults.clear()
        died = self.fate.is_dead
        made.done = not errored and (not died or self.fate.commits > 0)
        made.honest = made.honest and not died
        if trouble is not None:
            self.quiet_until = max(self.quiet_until, made.at + trouble.what.get("retry_after", 0))
        self._bury()
        made.end, made.last = self.happened, self._sights()
        if not made.done:
            assert self._dump(but=("forge",) if errored else ()) == {
                name: rows for name, rows in before.items() if not errored or name != "forge"
            }, "a poll that came to nothing has left something"
        made.told, made.unread, made.thorough = self._logged(), self._unread(), self._asked_for(made.names)
        self.polls.append(made)
        return made

    def _bury(self) -> None:
        """The dead process does not hold its lease: whoever comes next can see that it is dead."""
        self.fate.decree(None, 0)
        dead = str(msgspec.structs.replace(processes.me(), pid=2**22 + 1))
        lease = session_tables.lease
        with self.engine.begin() as conn:
            conn.execute(lease.update().where(lease.c.owner == str(processes.me())).values(owner=dead))

    def _logged(self) -> list[Event]:
        """The events that came into the log since the last poll."""
        table = tables.event
        with self.engine.connect() as conn:
            query = sa.select(table.c.seq, table.c.line).where(table.c.seq > self._seq).order_by(table.c.seq)
            rows = conn.execute(query).all()
        self._seq = rows[-1].seq if rows else self._seq
        return [Event.from_json(row.line) for row in rows]

    def _unread(self) -> frozenset[Spot]:
        table = tables.pull
        with self.engine.connect() as conn:
            return frozenset(
                (row.repo_id, row.number)
                for row in conn.execute(sa.select(table.c.repo_id, table.c.number).where(table.c.errors > 0))
            )

    def _asked_for(self, names: Mapping[int, str]) -> frozenset[Spot]:
        """Pulls of whose comments this poll has read the whole list."""
        by_name = {name: repo_id for repo_id, name in names.items()}
        found = set[Spot]()
        for request in self.world.requests:
            match request.path.split("/")[1:]:
                case ["repos", owner, name, "issues", number, "comments"] if request.status == 200:
                    found.add((by_name[f"{owner}/{name}"], int(number)))
        return frozenset(found)

    def _dump(self, but: tuple[str, ...] = ()) -> dict[str, list[Any]]:
        """Everything that the poller keeps, but for the lease."""
        every = [*tables.metadata.sorted_tables, *session_tables.metadata.sorted_tables]
        kept = [table for table in every if table.name not in ("lease", *but)]
        with self.engine.connect() as conn:
            return {table.name: sorted(map(tuple, conn.execute(sa.select(table))), key=repr) for table in kept}

    def due(self) -> bool:
        """Is anything still to be looked at again?"""
        with self.engine.connect() as conn:
            return bool(conn.scalar(sa.select(sa.func.count()).where(tables.pull.c.due_at.is_not(None))))

    # -- what there is to be seen -------------------------------------------------------------------------------

    def _names(self) -> dict[int, str]:
        return {repo.id: repo.full_name for repo in self.world.repos_by_id.values() if repo.owner.login != "bot"}

    def _sights(self) -> dict[Spot, Sight]:
        with self.world.mutex:
            self.world.catch_up()
            there = [play.pull for play in self.plays if not play.is_gone]
            return {(pull.repo.id, pull.number): _sight(pull) for pull in there}


def _sight(pull: Pull) -> Sight:
    shown = [one for one in pull.reviews if one.state not in ("PENDING", "REQUEST_REVIEW")]
    rows = [row for row in pull.rows if row.type != "code" or row.review in shown]
    return Sight(
        rows=frozenset(row.id for row in rows),
        nameless=frozenset(row.id for row in rows if row.type == "milestone" and row.milestone is None),
        body=pull.body,
        texts={row.id: row.body for row in rows if row.type in ("comment", "review", "code")},
        threads={row.id: row.resolver.id if row.resolver else None for row in rows if row.type == "code"},
        reviews={one.id: one.dismissed for one in shown},
        labels=frozenset(one.name for one in pull.labels),
        milestone=pull.current_milestone.title if pull.current_milestone else None,
        assignees=frozenset(one.id for one in pull.assignees),
        head=pull.head_sha,
        state=pull.state,
        updated=pull.updated,
    )
