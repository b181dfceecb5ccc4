"""Another config for a daemon that runs: the file is taken as a whole, or not at all, and a line says which.

Knows the file and what an `App` is made of.  Must not know the scheduler or signals.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from poller.app import App
from poller.config import Config, load
from poller.runnable import check_agents
from sessions.config import ConfigError
from sessions.database import DatabaseError
from sessions.logs import fields

log = logging.getLogger(__name__)

#: What a running daemon is built upon: changed, it wants a restart.
FOUNDATIONS = ("url", "state", "database")
_Signature = tuple[int, int, int]


class Renewal:
    """Looks at the config file; `opened` makes an app of a config, and may refuse it with `ConfigError`."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], opened: Callable[[Config], App]) -> None:
        self._config, self._environ, self._opened = config, environ, opened
        self._asked = threading.Event()
        self._taken = self._seen = self._signature()

    def ask(self) -> None:
        """Somebody wants the file to be read now, changed or not."""
        self._asked.set()

    def look(self) -> App | None:
        """The app of another config, if there is one to take over.

        A file that has changed is read when it has been the same at two looks: an editor may still be writing."""
        found, seen = self._signature(), self._seen
        self._seen = found
        is_asked = self._asked.is_set()
        if not is_asked and (found == self._taken or found != seen):
            return None
        self._asked.clear()
        self._taken = found
        try:
            return self._renewed(is_asked)
        except (ConfigError, DatabaseError) as wrong:
            log.error("config not reloaded, the one before stays: %s", wrong)
            return None

    def _renewed(self, is_asked: bool) -> App | None:
        new = load(self._config.path, environ=self._environ)
        check_agents(new)
        changed = changes(self._config, new)
        if rebuilt := [name for name in changed if name in FOUNDATIONS]:
            keys = " and ".join({"url": "gitea.url"}.get(name, name) for name in rebuilt)
            raise ConfigError(f"{new.path}: {keys} changed, expected to stay while `poll` runs; restart it")
        if not changed:
            log.log(logging.INFO if is_asked else logging.DEBUG, "config read again: nothing has changed")
            return None
        app = self._opened(new)
        self._config = new
        log.info("config reloaded", extra=fields(file=new.path, changed=", ".join(changed)))
        return app

    def _signature(self) -> _Signature | None:
        """Tells another file, or another content of it."""
        try:
            found = self._config.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def changes(old: Config, new: Config) -> list[str]:
    """The keys under which something is other than it was; never their values."""
    names = [name for name in ("url", "state", "database", "ca_file", "poll", "trust", "limits", "repos")
             if getattr(old, name) != getattr(new, name)]  # fmt: skip
    if old.token.reveal() != new.token.reveal() or old.token_file != new.token_file:
        names.append("token")
    agents = {*old.agents, *new.agents}
    return names + sorted(f"agents.{name}" for name in agents if old.agents.get(name) != new.agents.get(name))


class Either(threading.Event):
    """Set when it was set itself, or when the other one is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


class Hand:
    """The app at hand.  One that was replaced is closed when nobody uses it any more."""

    def __init__(self, app: App) -> None:
        self._app, self._first = app, app
        self._users = Counter[int]()
        self._lock = threading.Lock()

    @property
    def app(self) -> App:
        """For a moment: what is to last takes `using`."""
        return self._app

    @contextmanager
    def using(self) -> Iterator[App]:
        """The app as it is now, open to the end of the body."""
        with self._lock:
            app = self._app
            self._users[id(app)] += 1
        try:
            yield app
        finally:
            with self._lock:
                self._users[id(app)] -= 1
                is_over = app is not self._app and not self._users[id(app)]
            if is_over:
                self._close(app)

    def take(self, app: App) -> None:
        """Whoever begins something from now on uses this one."""
        with self._lock:
            old, self._app = self._app, app
            is_over = not self._users[id(old)]
        if is_over:
            self._close(old)

    def __enter__(self) -> Hand:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._app)

    def _close(self, app: App) -> None:
        """The first one is its maker's to close: whoever reads the database beside us has that one's engine."""
        if app is not self._first:
            app.close()
