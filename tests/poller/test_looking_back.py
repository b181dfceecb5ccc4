"""What verbs, metrics and reports read, on both databases: the same rows give the same answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from poller import eventlog, pauses, store, tables
from poller.app import COMPONENTS, App
from poller.config import Config, load
from poller.deltas.events import Actor, Event, PullFacts, Subject, pull_ref
from poller.halves import stamp_of
from poller.health import health
from poller.metrics import Figures
from poller.reporting import charts
from poller.reporting.facts import Stretch, gathered
from poller.reporting.page import page_of
from poller.simulate import Tally, changes
from poller.waiting import NOTHING, obstacles
from sessions import again, claims, places, processes, registry
from sessions import pauses as refusals
from sessions import tables as session_tables
from sessions.database import begin, is_shared, open_database, reading
from sessions.founding import new_session

FORGE = "gitea.example.com"
NOW = float(int(time.time()))


@pytest.fixture
def engine(database: Path | str) -> Iterator[sa.Engine]:
    """Two pulls of `acme/api`, one of `acmeplus/api`; each has an event and a waiting turn."""
    made = open_database(database, COMPONENTS)
    with begin(made) as conn:
        store.save_forge(conn, FORGE, bot=Actor(9, "bot"), cursor=stamp_of(NOW), success_at=NOW, counted_from=NOW - 60)
        for repo_id, name in ((1, "acme/api"), (12, "acmeplus/api")):
            values = {"forge": FORGE, "repo_id": repo_id, "name": name}
            conn.execute(tables.known_repository.insert().values(**values))
        for number, (repo_id, repo, pull) in enumerate(
            [(1, "acme/api", 7), (1, "acme/api", 70), (12, "acmeplus/api", 7)]
        ):
            event = happened(number, repo, repo_id, pull)
            eventlog.add_events(conn, [event])
            registry.enqueue(
                conn, ref=event.ref, key=event.key, agent="reviewer", event_id=event.id, why="mentioned", now=NOW
            )
    yield made
    made.dispose()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"gitea: {{url: 'https://{FORGE}', token: t0ken-of-the-bot}}\nrepos: [acme/api]\nstate: state\n"
        "trust: {who: [ana], forks: always}\nagents: {reviewer: {backend: process, on: [commented]}}\n"
    )
    return load(file, environ={})


def happened(nth: int, repo: str, repo_id: int, number: int) -> Event:
    facts = PullFacts(title="<b>&", state="open", draft=False, merged=False, head_sha="a", head_ref="b", base_ref="c",
                      html_url="javascript:alert(1)")  # fmt: skip
    return Event(
        id=f"e{nth}", event="pull_request_comment", action="created", forge=FORGE, repo=repo, repo_id=repo_id,
        number=number, at=stamp_of(NOW - 100), seen_at=stamp_of(NOW - 90 + nth), actor=Actor(3, "ana"),
        subject=Subject(comment_id=nth, body="hello"), pull=facts,
    )  # fmt: skip


def claimable(engine: sa.Engine) -> list[str]:
    """Keys of the turns that would be begun, without the forge."""
    with begin(engine) as conn:
        asked = sa.select(session_tables.turn.c.key).where(~pauses.holds_back()).order_by(session_tables.turn.c.id)
        found = [key.removeprefix(f"{FORGE}/") for key in conn.scalars(asked)]
        first = claims.due(conn, now=NOW, agents=["reviewer"], unless=pauses.holds_back())
        assert (first is None) == (not found)
    return found


@pytest.mark.parametrize(
    ("place", "left"),
    [
        (None, []),
        ("acme", ["acmeplus/api#7"]),
        ("Acme/API", ["acmeplus/api#7"]),
        (f"{FORGE}/acme/api#7", ["acme/api#70", "acmeplus/api#7"]),
        ("acmeplus/api#7", ["acme/api#7", "acme/api#70"]),
        ("acme/api#8", ["acme/api#7", "acme/api#70", "acmeplus/api#7"]),
    ],
)
def test_a_pause_holds_back_what_its_name_means(engine: sa.Engine, place: str | None, left: list[str]) -> None:
    with begin(engine) as conn:
        scope = pauses.scope_named(conn, FORGE, place)
        assert pauses.pause(conn, scope, reason="why", by="ana", now=NOW) is None
        held = [key for number, key in ((7, "acme/api#7"), (70, "acme/api#70"))
                if pauses.paused(conn, ref=pull_ref(FORGE, 1, number), key=f"{FORGE}/{key}")]  # fmt: skip
        waiting = pauses.turns_within(conn, scope)["waiting"]
    assert claimable(engine) == left
    assert waiting == 3 - len(left)
    assert not set(held) & set(left)
    with begin(engine) as conn:
        assert pauses.unpause(conn, scope) == pauses.Pause(
            scope=scope, name=scope.name, reason="why", by="ana", since=NOW
        )
    assert len(claimable(engine)) == 3


def test_another_forge_in_the_same_database_is_none_of_its_business(engine: sa.Engine) -> None:
    with begin(engine) as conn:
        pauses.pause(conn, pauses.everything("gitea.example"), reason="r", now=NOW)
        pauses.pause(conn, pauses.owners(f"{FORGE}/acme", "api"), reason="r", now=NOW)
        assert pauses.pauses(conn, FORGE) == []
    assert len(claimable(engine)) == 3


def test_a_date_from_a_clock_that_was_put_back_is_not_told_as_one_to_wait_for(
    engine: sa.Engine, config: Config
) -> None:
    far = NOW + 30 * 86_400
    with begin(engine) as conn:
        conn.execute(session_tables.turn.update().values(not_before=far, reason="it failed"))
        refusals.pause(conn, "reviewer", until=far, why="quota", now=NOW)
        [turn, *_] = registry.turns(conn, state="waiting")
        assert obstacles(conn, turn, config, now=NOW) == [NOTHING]
        assert any("reviewer is to be tried again" in told for told in health(conn, config, now=NOW)["problems"])
    with App(config, engine=engine, clock=lambda: NOW) as app:
        assert len(app.due_turns()) == 3


def test_a_turn_whose_bottle_is_on_another_machine_waits_for_that_one(engine: sa.Engine, config: Config) -> None:
    with begin(engine) as conn:
        [turn, *_] = registry.turns(conn, state="waiting")
        session = new_session(
            conn, state=config.state, agent="reviewer", backend="process", now=NOW, ref=turn.ref, key=turn.key
        )
        places.settle(conn, session, "another")
        assert obstacles(conn, turn, config, now=NOW) == [NOTHING], "nobody has heard of it"
        places.tell(conn, "another", now=NOW)
        told = obstacles(conn, turn, config, now=NOW)
        if not is_shared(engine):
            assert told == [NOTHING], "it is a copy of a state directory, and there is no other machine"
            return
        assert told == [
            f"the machine that has its bottle ({processes.host()}): another runs it only when nothing has been heard "
            "of that one for 10 minutes"
        ]
        assert obstacles(conn, turn, config, now=NOW + places.AWAY) == [NOTHING]
        places.settle(conn, session, places.name_of(config.state))
        places.tell(conn, places.name_of(config.state), now=NOW)
        assert obstacles(conn, turn, config, now=NOW) == [NOTHING]


def test_what_a_turn_waits_for_is_told_and_else_that_it_is_nothing(engine: sa.Engine, config: Config) -> None:
    with begin(engine) as conn:
        [turn, *_] = registry.turns(conn, state="waiting")
        assert obstacles(conn, turn, config, now=NOW) == [NOTHING]
        pauses.pause(conn, pauses.owners(FORGE, "acme"), reason="release", by="olga", now=NOW)
        store.save_forge(conn, FORGE, quiet_until=NOW + 60)
        conn.execute(session_tables.turn.update().values(not_before=NOW + 9, reason="it failed"))
        [turn, *_] = registry.turns(conn, state="waiting")
        told = obstacles(conn, turn, config, now=NOW)
        assert health(conn, config, now=NOW)["left_alone_until"] == stamp_of(NOW + 60)
    assert told == [
        "paused (acme, by olga): release", f"its time, {stamp_of(NOW + 9)}: it failed",
        f"the forge, which wants to be left alone until {stamp_of(NOW + 60)}",
    ]  # fmt: skip


def test_an_event_that_is_fed_again_leaves_the_turn_that_had_it(engine: sa.Engine) -> None:
    about = {"ref": pull_ref(FORGE, 1, 7), "key": f"{FORGE}/acme/api#7", "agent": "reviewer", "event_id": "e0"}
    with begin(engine) as conn:
        assert again.feed(conn, **about, why="mentioned", now=NOW) is None, "it waits already"
        conn.execute(session_tables.turn.update().values(state="done"))
        number = again.feed(conn, **about, why="mentioned", now=NOW)
        assert again.had(conn, agent="reviewer", event_id="e0") == again.Had(number or 0, "waiting")
        assert [turn.events for turn in registry.turns(conn, ref=about["ref"])] == [(), ("e0",)]
        assert again.had(conn, agent="other", event_id="e0") is None


def test_figures_page_and_simulation_come_of_the_same_rows(engine: sa.Engine, config: Config) -> None:
    figures = Figures(engine, lambda: config, now=lambda: NOW)
    assert b'bottlepost_turns{state="waiting"} 3.0' in figures.page() and figures.is_healthy()
    tally = Tally(config.agents)
    with reading(engine) as conn:
        assert health(conn, config, now=NOW)["lag_seconds"] == 11
        facts = gathered(conn, config, since=NOW - 3600, now=NOW)
        found = list(changes(conn, config, since=NOW - 3600, now=NOW, tally=tally))
    lanes = {lane.key: (len(lane.marks), len(lane.turns)) for lane in facts.lanes}
    assert lanes == dict.fromkeys(("acme/api#7", "acme/api#70", "acmeplus/api#7"), (1, 1))
    page = page_of(facts)
    assert page.count('<rect class="words"') == 3 and page.count('<rect class="waiting"') == 3
    assert "javascript:" not in page
    assert (tally.events, tally.would, len(found)) == (3, {"reviewer": 2}, 2), "of acmeplus/api nothing is watched"


def test_a_cap_that_leaves_nothing_is_what_a_turn_waits_for(engine: sa.Engine, config: Config) -> None:
    poor = msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, usd_per_day=3.0))
    with begin(engine) as conn:
        [turn, other, _] = registry.turns(conn, state="waiting")
        conn.execute(session_tables.turn.update().where(session_tables.turn.c.id == other.id).values(
            state="running", reserved=2.0))  # fmt: skip
        [told] = obstacles(conn, turn, poor, now=NOW)
    assert "usd_per_day" in told
    page = Figures(engine, lambda: poor, now=lambda: NOW).page()
    assert b'bottlepost_cap_used_usd{of="day"} 2.0' in page and b'bottlepost_cap_usd{of="day"} 3.0' in page


def test_a_drawing_stays_small_however_many_turns_there_were() -> None:
    turns = [
        Stretch(turn=nth, agent="a", state="done", mode="fresh", reason="", created=float(nth),
                started=float(nth), ended=nth + 10.0, cost_usd=0.0)
        for nth in range(2 * charts.DOTS + 1)
    ]  # fmt: skip
    drawn = charts.durations(turns, since=0.0, until=7000.0)
    assert len(drawn.boxes) <= charts.DOTS and drawn.about.endswith("the middle one 10 s; one dot for 3 of them")
    assert charts.durations([], since=0.0, until=1.0).about == "no turn has ended"
    assert [charts.nice(most) for most in (0.0, 0.07, 1.0, 3.38, 51.0)] == [1.0, 0.1, 1.0, 5.0, 100.0]
