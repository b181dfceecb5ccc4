"""`poll`: the daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from poller.app import App, check_agents
from poller.config import Config
from poller.daemon import CODES, Daemon
from poller.leaving import Leaving
from poller.notify import Notify
from poller.verbs.screen import Screen
from sessions.shell import UsageError


def forever(config: Config, *, drain: bool, metrics: str | None = None) -> int:
    """Until SIGTERM or SIGINT; with `drain` then until the turns that run have ended.

    `metrics`: where its figures and its health are served."""
    check_agents(config)
    with (
        Leaving(CODES, patient=drain) as leaving,
        Screen() as screen,
        App(config, progress=screen.reading, on_turn=screen.turn) as app,
        served(app, metrics),
    ):
        return Daemon(app, leaving, drain=drain, notify=Notify(os.environ)).run()


@contextmanager
def served(app: App, metrics: str | None) -> Iterator[None]:
    """`/metrics` and `/healthz`, if they are wanted."""
    if metrics is None:
        yield
        return
    if find_spec("prometheus_client") is None:
        raise UsageError("--metrics: its library is missing; pip install '.[metrics]' in bottlepost's checkout")
    from poller.metrics import Figures
    from poller.watchpost import address_of, watchpost

    with watchpost(address_of(metrics), Figures(app.engine, lambda: app.config, now=app.clock)):
        yield
