"""`poll`: the daemon."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from poller.app import App
from poller.config import Config
from poller.daemon import CODES, Daemon
from poller.leaving import Leaving
from poller.notify import Notify
from poller.renewal import Hand, Renewal
from poller.runnable import check_agents
from poller.verbs.screen import Screen
from sessions.shell import UsageError

#: As malloc.h has it.
_M_ARENA_MAX = -8


def forever(config: Config, *, drain: bool, metrics: str | None = None) -> int:
    """Until SIGTERM or SIGINT; with `drain` then until the turns that run have ended.

    `metrics`: where its figures and its health are served."""
    check_agents(config)
    keep_few_arenas()
    with Leaving(CODES, patient=drain) as leaving, Screen() as screen:

        def opened(new: Config) -> App:
            return App(new, progress=screen.reading, on_turn=screen.turn)

        with opened(config) as app, Hand(app) as hand, served(hand, metrics):
            renewal = Renewal(config, environ=os.environ, opened=opened)
            signal.signal(signal.SIGHUP, lambda _number, _frame: renewal.ask())
            return Daemon(hand, leaving, renewal=renewal, drain=drain, notify=Notify(os.environ)).run()


def keep_few_arenas() -> None:
    """Or memory would grow for hours: glibc lets every new thread have a heap of its own, up to eight a processor, and
    each keeps its holes (mallopt(3), M_ARENA_MAX).  Where there is another C library, nothing happens."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


@contextmanager
def served(hand: Hand, metrics: str | None) -> Iterator[None]:
    """`/metrics` and `/healthz`, if they are wanted."""
    if metrics is None:
        yield
        return
    if find_spec("prometheus_client") is None:
        raise UsageError("--metrics: its library is missing; pip install '.[metrics]' in bottlepost's checkout")
    from poller.metrics import Figures
    from poller.watchpost import address_of, watchpost

    figures = Figures(hand.app.engine, lambda: hand.app.config, now=hand.app.clock)
    with watchpost(address_of(metrics), figures):
        yield
