"""`poll`: the daemon."""

from __future__ import annotations

from poller.app import App, check_agents
from poller.config import Config
from poller.daemon import Daemon
from poller.verbs.screen import Screen


def forever(config: Config) -> int:
    """Until SIGTERM or SIGINT."""
    check_agents(config)
    with Screen() as screen, App(config, progress=screen.reading, on_turn=screen.turn) as app:
        return Daemon(app).run()
