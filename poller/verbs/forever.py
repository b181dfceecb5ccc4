"""`poll`: the daemon."""

from __future__ import annotations

from poller.app import App, check_agents
from poller.config import Config
from poller.daemon import Daemon


def forever(config: Config) -> int:
    """Until SIGTERM or SIGINT."""
    check_agents(config)
    with App(config) as app:
        return Daemon(app).run()
