"""`poll --once` and its rehearsal: one cycle, the due turns, the outbox; what it did as text or as one JSON object."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from poller.amounts import counted
from poller.app import COMPONENTS, App, Once, has_no_database
from poller.config import Config
from poller.cycle import Busy, Report
from poller.forge.errors import ForgeError
from poller.inventory import NothingToWatch
from poller.leaving import Leaving
from poller.record import Told
from poller.runnable import check_agents
from poller.verbs.screen import Screen, event_line
from sessions import registry
from sessions.database import open_database, reading
from sessions.turns import Tally, Turn

_CODES = {signal.SIGTERM: 130, signal.SIGINT: 130}
_INTERRUPTED = "poll: interrupted; turns that still run go on, and the next call adopts them"


def once(config: Config, *, wait: bool, as_json: bool, drain: bool = False) -> int:
    """0 all well, 1 some turn or post failed, 130 interrupted; everything else is raised."""
    check_agents(config)
    try:
        with (
            # A cycle that is cut off has written nothing, and gives its lease back.
            Leaving(_CODES, patient=drain, interrupt=True, last_words=_INTERRUPTED) as leaving,
            Screen() as screen,
            App(config, progress=screen.reading, on_turn=screen.turn) as app,
        ):
            report = _cycle(app, app.cycle.run, as_json=as_json)
            leaving.interrupt = False
            done = app.followed_up(report, wait=wait, stop=leaving.stop, drain=drain)
    except KeyboardInterrupt:
        print("poll: interrupted; the next call begins where the last whole cycle ended", file=sys.stderr)
        return 130
    if as_json:
        print(_as_json(done))
    else:
        _say(done)
    if leaving.stop.is_set():
        print(_INTERRUPTED, file=sys.stderr)
        return 130
    return 1 if done.tally.failed or done.given_up else 0


def _cycle(app: App, cycle: Callable[[], Report], *, as_json: bool) -> Report:
    """One cycle.  A program that reads our last line is told of one that failed, too."""
    try:
        return cycle()
    except (Busy, ForgeError, NothingToWatch) as failure:
        if as_json:
            print(_as_json(app.nothing_done(str(failure))))
        raise


def _as_json(done: Once) -> str:
    return json.dumps(done.as_dict(), ensure_ascii=False, separators=(",", ":"))


def rehearse(config: Config, *, as_json: bool) -> int:
    """Read the forge, print the events and the turns that would run; write nothing, post nothing."""
    check_agents(config)
    with ExitStack() as stack:
        engine = None
        if has_no_database(config):
            # Not even the file is to appear: a first run is rehearsed in a place that goes away.
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bottlepost-")))
            engine = open_database(aside / "bottlepost.db", COMPONENTS)
        app = stack.enter_context(App(config, engine=engine))
        report = _cycle(app, app.cycle.rehearse, as_json=as_json)
        held = app.held_back([told.event for told in report.told])
        new = [told for told in report.told if told.event.ref not in held]
        turns = _would_run(report.told, new, app.due_turns())
        with reading(app.engine) as conn:
            done = Once(report=report, tally=Tally(waiting=registry.waiting(conn)), posted=0)
    if as_json:
        print(json.dumps(_rehearsal(done, turns), ensure_ascii=False, separators=(",", ":")))
        return 0
    for told in report.told:
        _say_told(told)
    events, requests = len(report.told), report.requests
    print(f"dry run: {events} events, {len(turns)} turns would run, {requests} requests; nothing written")
    for key, agent, count in turns:
        print(f"  would run {agent} on {key} for {counted(count, 'event')}")
    _complain(report)
    return 0


def _say(done: Once) -> None:
    report, tally = done.report, done.tally
    for told in report.told:
        _say_told(told)
    print(
        f"{len(report.told)} events from {report.pulls_changed} changed pulls, {report.requests} requests; turns: "
        f"{tally.started} started, {tally.adopted} adopted, {tally.done} done, {tally.failed} failed, "
        f"{tally.waiting} waiting; {done.posted} posted"
    )
    _complain(report)
    for error in done.given_up:
        print(f"not posted: {error}", file=sys.stderr)


def _complain(report: Report) -> None:
    for error in report.errors:
        print(f"not read: {error}", file=sys.stderr)


def _say_told(told: Told) -> None:
    print(event_line(told.event))
    for decision in told.decisions:
        who = f" {decision.agent}" if decision.agent else ""
        print(f"    {decision.verdict}{who}: {decision.reason}")


def _would_run(told: list[Told], free: list[Told], due: list[Turn]) -> list[tuple[str, str, int]]:
    """Key, agent and number of events of each turn: what is due already, and what the new events would wake.

    `free`: of what is new, that on pulls which nobody has paused."""
    over = {one.event.key for one in told for decision in one.decisions if decision.verdict == "close"}
    found = {(turn.key, turn.agent): len(turn.events) for turn in due if turn.key not in over}
    for one in free:
        for decision in one.decisions:
            if decision.verdict == "wake":
                place = (one.event.key, decision.agent)
                found[place] = found.get(place, 0) + 1
    return [(key, agent, events) for (key, agent), events in found.items()]


def _rehearsal(done: Once, turns: list[tuple[str, str, int]]) -> dict[str, Any]:
    """What a run tells, of which nothing was begun; and what would come of it."""
    return done.as_dict() | {
        "would_run": [{"key": key, "agent": agent, "events": events} for key, agent, events in turns],
        "log": [
            told.event.as_dict()
            | {"decisions": [{"agent": d.agent, "verdict": d.verdict, "reason": d.reason} for d in told.decisions]}
            for told in done.report.told
        ],
    }
