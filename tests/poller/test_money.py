"""Nothing is begun that could cost more than it may; what is reserved counts, and so does what was spent before."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from poller import money, tables
from poller.deltas.events import pull_ref
from poller.health import health
from poller.money import Purse
from sessions import claims, ledger, registry
from sessions import tables as session_tables
from sessions.config import Agent, AgentLimits, Limits
from sessions.database import begin, open_database, reading
from sessions.turns import NotNow, Outcome, Turn
from tests.poller.house import House

FORGE = "gitea.example.com"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
AGENTS = {"reviewer": Agent(backend="process", limits=AgentLimits(usd=1.0))}


class Till:
    """A database with turns, and a purse."""

    def __init__(self, engine: sa.Engine, **limits: float | None) -> None:
        self.engine, self.now = engine, NOON
        self.limits = Limits(**{"usd_per_day": None, **limits})  # type: ignore[arg-type]
        self.purse = Purse(self.limits, AGENTS, forge=FORGE, now=lambda: self.now)
        self.count = itertools.count(1)

    def enqueue(self, number: int, *, repo: int = 1) -> None:
        ref, key = pull_ref(FORGE, repo, number), f"{FORGE}/acme/api{repo}#{number}"
        with begin(self.engine) as conn:
            event = f"e{next(self.count)}"
            registry.enqueue(conn, ref=ref, key=key, agent="reviewer", event_id=event, why="opened", now=self.now)

    def claim(self, *, parallel: int = 9) -> Turn | None:
        with begin(self.engine) as conn:
            turn = claims.claim(
                conn, owner="me", now=self.now, lease=60, limit_parallel=parallel, agents=AGENTS,
                afford=self.purse.afford,
            )  # fmt: skip
            if turn is None:
                return None
            session = registry.session(conn, ref=turn.ref, agent=turn.agent) or registry.add_session(
                conn, ref=turn.ref, key=turn.key, agent=turn.agent, identity=f"reviewer-{turn.id:05}",
                backend="process", cwd="work", now=self.now,
            )  # fmt: skip
            return claims.belongs_to(conn, turn, session)

    def end(self, turn: Turn, usd: float) -> None:
        outcome = Outcome(kind="done", text="x", cost_usd=usd)
        with begin(self.engine) as conn:
            ledger.enter(conn, turn, outcome, now=self.now)
            claims.drop(conn, turn, reason="", now=self.now)

    def spend(self, usd: float, *, number: int = 1, repo: int = 1) -> None:
        self.enqueue(number, repo=repo)
        turn = self.claim()
        assert turn is not None
        self.end(turn, usd)

    def posts(self) -> list[str]:
        with reading(self.engine) as conn:
            return list(conn.scalars(sa.select(tables.outbox.c.body).order_by(tables.outbox.c.id)))


@pytest.fixture
def engine(any_house: House) -> sa.Engine:
    return any_house.app.engine


def test_what_runs_is_reserved_until_it_ends(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_day=2.5)
    for number in (1, 2, 3):
        till.enqueue(number)
    first, second = till.claim(), till.claim()
    assert first is not None and second is not None and first.reserved == 1.0
    assert till.claim() is None
    assert till.posts() == [], "it only has to wait for the others to end"
    till.end(first, 0.1)
    assert till.claim() is not None


def test_at_the_cap_one_comment_says_so_and_the_next_day_goes_on(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_day=1.5)
    till.spend(0.8)
    till.enqueue(2)
    for _ in range(3):
        assert till.claim() is None
        till.now += money.AGAIN
    [post] = till.posts()
    assert "a turn may cost $1.00, and of the $1.50 for" in post and "(limits.usd_per_day) $0.80 are spent" in post
    assert "I wait until 2026-11-22 00:00 UTC" in post and "part=cap-day-" in post
    till.now = ledger.day_of(NOON) + ledger.DAY
    assert till.claim() is not None


def test_whoever_waits_for_money_is_shown_and_is_no_trouble(any_house: House) -> None:
    till = Till(any_house.app.engine, usd_per_day=1.5)
    till.spend(0.8)
    till.enqueue(2)
    assert till.claim() is None
    with reading(any_house.app.engine) as conn:
        found = health(conn, any_house.app.config, now=till.now)
    assert not [problem for problem in found["problems"] if "turn" in problem]
    [one] = found["patient"]
    assert one["turn"] == 2 and one["reason"].startswith("a turn may cost $1.00")


def test_a_turn_that_is_dearer_than_a_whole_cap_gets_the_cap(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_pull=0.4)
    till.enqueue(1)
    turn = till.claim()
    assert turn is not None and turn.reserved == 0.4
    till.end(turn, 0.01)
    till.enqueue(1)
    assert till.claim() is None
    assert "one pull request" in till.posts()[0] and "I wait until the operator raises it" in till.posts()[0]


def test_a_full_pull_or_repository_does_not_hold_up_another(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_pull=1.5, usd_per_repository=2.2)
    till.spend(1.0, number=1)
    till.enqueue(1)
    till.enqueue(12)
    other = till.claim()
    assert other is not None and other.ref == pull_ref(FORGE, 1, 12)
    till.end(other, 0.9)
    till.enqueue(13)
    till.enqueue(1, repo=11)
    third = till.claim()
    assert third is not None and third.ref == pull_ref(FORGE, 11, 1), "11 is another repository than 1"
    assert [post.partition("limits.")[2].partition(")")[0] for post in till.posts()] == [
        "usd_per_pull", "usd_per_repository",
    ]  # fmt: skip


def test_a_month_is_the_calendars(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_month=1.5)
    till.now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()
    till.spend(0.8)
    till.enqueue(2)
    assert till.claim() is None
    till.now = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert till.claim() is not None


def test_who_is_not_to_answer_is_silent_about_money_too(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_day=1.0)
    agents = {"reviewer": Agent(backend="process", reply="none", limits=AgentLimits(usd=1.0))}
    till.spend(0.5)
    till.purse = Purse(till.limits, agents, forge=FORGE, now=lambda: till.now)
    till.enqueue(2)
    assert till.claim() is None and till.posts() == []


def test_workers_who_know_nothing_of_each_other_do_not_spend_the_same_twice(any_house: House) -> None:
    till = Till(any_house.app.engine, usd_per_day=3.0)
    for number in range(1, 11):
        till.enqueue(number)
    claimed: list[Turn] = []

    def work() -> None:
        own = Till(open_database(any_house.database, ()), usd_per_day=3.0)
        while (turn := own.claim()) is not None:
            claimed.append(turn)
        own.engine.dispose()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(turn.reserved for turn in claimed) == 3.0


def test_a_second_launch_of_a_turn_has_only_what_the_first_one_left(engine: sa.Engine) -> None:
    till = Till(engine, usd_per_day=1.2)
    till.enqueue(1)
    turn = till.claim()
    assert turn is not None
    with begin(engine) as conn:
        assert till.purse.afford(conn, turn) == 1.0, "its own reservation is its own"
        conn.execute(session_tables.run.insert().values(**_run(turn, 0.5)))
        assert isinstance(till.purse.afford(conn, turn), NotNow)


def _run(turn: Turn, usd: float) -> dict[str, object]:
    about = {"turn_id": turn.id, "session_id": turn.session_id, "ref": turn.ref, "agent": turn.agent, "at": NOON}
    used = {"cost_usd": usd, "input": 0, "output": 0, "cache_read": 0, "cache_write": 0}
    return {"what": "handover", "kind": "done", **about, **used}


def test_at_the_cap_the_pull_is_told_and_after_a_restart_with_more_money_it_goes_on(house: House) -> None:
    house.configure(limits={"usd_per_pull": 0.02}).agent(limits={"usd": 0.02})
    pull = house.repo.open_pull(by="ana")
    house.once()
    pull.comment("@bot more?", by="ana")
    house.once()
    house.once()
    assert [turn.state for turn in house.turns()] == ["done", "waiting"]
    assert sum("part=cap-pull" in words for words in house.said(pull)) == 1
    pull.comment("@bot status", by="ana")
    house.once()
    assert "one pull request" in house.said(pull)[-1]
    house.configure(limits={"usd_per_pull": 1.0})
    house.once(later=money.AGAIN)
    assert [turn.state for turn in house.turns()] == ["done", "done"]


def test_a_cap_of_millions_is_told_like_any_other(house: House) -> None:
    house.configure(limits={"usd_per_pull": 2e6, "usd_per_day": None}).agent(limits={"usd": 1.0})
    pull = house.repo.open_pull(by="ana")
    house.once()
    with begin(house.app.engine) as conn:
        [turn] = registry.turns(conn)
        conn.execute(session_tables.run.insert().values(**_run(turn, 2e6)))
    pull.comment("@bot more?", by="ana")
    house.once()
    assert sum("part=cap-pull-2000000.00 " in words for words in house.said(pull)) == 1
