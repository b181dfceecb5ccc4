"""`poll simulate`: which logged events another config would have dispatched, and what that would have cost."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from poller import simulate
from poller.amounts import counted
from poller.app import database_at_hand
from poller.config import Config
from poller.simulate import Change, Simulated, Tally
from poller.verbs.screen import event_line
from poller.verbs.since import begin_of
from sessions.database import reading
from sessions.logs import escaped
from sessions.shell import UsageError


def simulated(config: Config, *, since: str, as_json: bool) -> int:
    """0; the log is that of the state directory (or the database) which this config names."""
    now = time.time()
    begin = begin_of(since, now=now)
    tally, told = Tally(config.agents), list[dict[str, Any]]()
    with database_at_hand(config) as engine, reading(engine) as conn:
        if simulate.is_blank(conn, config.forge):
            raise UsageError(
                f"{config.path}: nothing of {config.forge} is logged in {config.state}; write the `gitea.url`, `state` "
                "and `database` of the config that runs"
            )
        for change in simulate.changes(conn, config, since=begin, now=now, tally=tally):
            if as_json:
                told.append(_row(change))
            else:
                _say(change)
        sums = tally.simulated(conn, since=begin)
    if as_json:
        print(json.dumps({"changes": told, **msgspec.to_builtins(sums)}, ensure_ascii=False))
    else:
        _say_sums(sums)
    return 0


def _row(change: Change) -> dict[str, Any]:
    return {"event": change.event.as_dict(), "more": change.more, "less": change.less}


def _say(change: Change) -> None:
    print(event_line(change.event))
    for agent, why in change.more.items():
        print(escaped(f"    + {agent}: {why}"))
    for agent, why in change.less.items():
        print(escaped(f"    - {agent}: {why}"))


def _say_sums(sums: Simulated) -> None:
    print(f"of {sums.events} events; nothing was written, nobody was asked")
    for agent in sorted({*sums.was, *sums.would}):
        turns = sums.turns.get(agent, 0.0)
        about = f", about {counted(round(turns), 'run')}" if turns else ""
        print(f"  {agent}: {sums.would.get(agent, 0)} would have woken it{about}; {sums.was.get(agent, 0)} did")
    print(f"  cost: about ${sums.cost_would:.2f} instead of ${sums.cost_was:.2f}, by what runs cost in that time")
    if sums.unknown:
        print(f"  {sums.unknown} events are counted as refused, because {simulate.UNKNOWN}")
