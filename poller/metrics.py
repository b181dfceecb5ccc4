"""What the poller is doing, in numbers for Prometheus, and its health for whoever only wants a yes or a no.

Every figure is read from the database when it is asked for: it counts what all processes did, and survives restarts.
Knows figures and the library's families; must not know HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from poller import search
from poller.config import Config
from poller.health import health
from sessions import __version__, ledger, registry
from sessions.database import reading

PREFIX = "bottlepost"


class Figures(Collector):
    """Of one config's forge and database."""

    def __init__(
        self, engine: sa.Engine, config: Callable[[], Config], *, now: Callable[[], float] = time.time
    ) -> None:
        self._engine, self._config, self._now = engine, config, now

    def page(self) -> bytes:
        """The exposition, as text."""
        into = CollectorRegistry(auto_describe=False)
        into.register(self)
        return generate_latest(into)

    def is_healthy(self) -> bool:
        """As `poll status` has it."""
        with reading(self._engine) as conn:
            return bool(health(conn, self._config(), now=self._now())["healthy"])

    def describe(self) -> list[Metric]:
        """Nothing is looked up merely because somebody registers us."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._now()
        with reading(self._engine) as conn:
            counts, events, used = registry.counts(conn), search.newest(conn), ledger.runs(conn)
            found = health(conn, self._config(), now=now, counts=counts)
        info = GaugeMetricFamily(f"{PREFIX}_info", "What runs here.", labels=["version", "forge", "forge_version"])
        info.add_metric([__version__, found["forge"], found["version"] or ""], 1)
        yield info
        yield _gauge("healthy", "1 if `poll status` would say so.", float(found["healthy"]))
        yield _gauge("problems", "How many things keep it from being healthy.", len(found["problems"]))
        if found["age_seconds"] is not None:
            yield _gauge("last_success_age_seconds", "Since the last successful cycle.", found["age_seconds"])
        if found["lag_seconds"] is not None:
            yield _gauge("event_lag_seconds", "From a happening to its sight.", found["lag_seconds"])
        yield _counter("requests", "Requests to the forge.", found["requests"]["sent"])
        yield _counter("sweep_requests", "Of these, by sweeps.", found["requests"]["by_sweeps"])
        yield _counter("events", "Events that were logged.", events)
        states = {"waiting": counts.waiting, "running": counts.running}
        turns = GaugeMetricFamily(f"{PREFIX}_turns", "Turns that are not over.", labels=["state"])
        for state, number in states.items():
            turns.add_metric([state], number)
        yield turns
        waited = now - counts.oldest if counts.oldest is not None else 0.0
        yield _gauge("oldest_waiting_turn_seconds", "How long the oldest waiting turn has waited.", waited)
        yield from _of_runs(used)
        yield from _of_caps(found["caps"])
        yield _gauge("sessions", "Live sessions.", found["sessions"])
        yield _gauge("unsent_posts", "Posts that have not reached the forge.", found["outbox"])
        yield _gauge("pauses", "What people have paused.", len(found["held"]))
        yield _gauge("refused_agents", "Agents that the model's service refuses.", len(found["paused"]))
        yield _gauge("overdue_sweeps", "Sweeps that are late.", found["sweeps"]["overdue"])


def _of_caps(caps: list[dict[str, Any]]) -> Iterator[Metric]:
    limit = GaugeMetricFamily(f"{PREFIX}_cap_usd", "What a day or a month may cost, US dollars.", labels=["of"])
    used = GaugeMetricFamily(f"{PREFIX}_cap_used_usd", "What of that is spent or reserved.", labels=["of"])
    for cap in caps:
        limit.add_metric([cap["of"]], cap["cap_usd"])
        used.add_metric([cap["of"]], cap["spent_usd"] + cap["reserved_usd"])
    return iter((limit, used))


def _of_runs(used: list[ledger.Runs]) -> Iterator[Metric]:
    runs = CounterMetricFamily(f"{PREFIX}_runs", "Runs of agents that ended.", labels=["agent", "what", "outcome"])
    cost = CounterMetricFamily(f"{PREFIX}_cost_usd", "US dollars, as the runs told.", labels=["agent"])
    tokens = CounterMetricFamily(f"{PREFIX}_tokens", "Tokens.", labels=["agent", "kind"])
    usd, many = dict[str, float](), dict[tuple[str, str], int]()
    for one in used:
        runs.add_metric([one.agent, one.what, one.kind], one.count)
        usd[one.agent] = usd.get(one.agent, 0.0) + one.usd
        for kind in one.usage.__struct_fields__:
            place = (one.agent, kind)
            many[place] = many.get(place, 0) + getattr(one.usage, kind)
    for agent, dollars in usd.items():
        cost.add_metric([agent], dollars)
    for (agent, kind), number in many.items():
        tokens.add_metric([agent, kind], number)
    return iter((runs, cost, tokens))


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)
