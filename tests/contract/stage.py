"""One pull on a ground, the people who act on it over HTTP, and a poller that watches it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from poller import eventlog
from poller.app import COMPONENTS
from poller.config import load
from poller.cycle import Cycle
from poller.deltas.events import Event
from poller.forge.client import Client
from poller.forge.control import Control
from sessions.database import open_database, reading
from tests.contract.grounds import Ground
from tests.contract.patience import fresh

#: Seconds: short, because a real server's clock cannot be set.
OVERLAP = 4
CONFIG = """\
gitea: {{url: "{url}", token: "{token}"}}
repos: ["{repo}"]
state: state
poll: {{sweep: 0s, overlap: {overlap}s}}
trust: {{who: everyone, forks: never}}
agents: {{}}
"""


class Stage:
    """`ana` wrote the pull, `ben` reviews it, `owner` administers; the bot only looks."""

    def __init__(self, ground: Ground, place: Path) -> None:
        self.ground, self._open = ground, ExitStack()
        self.ana, self.ben, self.bot, self.owner = fresh("ana"), fresh("ben"), fresh("bot"), fresh("acme")
        writers = {self.ana: "write", self.ben: "write", self.bot: "write"}
        self.repo = ground.repo(f"{self.owner}/{fresh('api')}", collaborators=writers)
        self.kept: dict[str, Any] = {}
        self.number = 0
        self._http: dict[str, httpx.Client] = {}
        token = ground.token(self.bot)
        path = place / "config.yaml"
        path.write_text(CONFIG.format(url=ground.url, token=token, repo=self.repo, overlap=OVERLAP))
        self.config = load(path, environ={})
        self.engine = open_database(place / "state" / "bottlepost.db", COMPONENTS)
        self._open.callback(self.engine.dispose)
        self.client = self._open.enter_context(Client(ground.url, token))
        self._control = self._open.enter_context(Control(ground.url, token))

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def send(self, method: str, rest: str, sent: dict[str, Any] | None = None, *, by: str) -> httpx.Response:
        """One request of a person; `{n}` is the pull's number."""
        if by not in self._http:
            headers = {"Authorization": f"token {self.ground.token(by, scopes='all')}"}
            base = f"{self.ground.url}/api/v1/repos/{self.repo}/"
            self._http[by] = self._open.enter_context(httpx.Client(base_url=base, headers=headers, timeout=30))
        return self._http[by].request(method, rest.replace("{n}", str(self.number)), json=sent)

    def do(self, method: str, rest: str, sent: dict[str, Any] | None = None, *, by: str) -> Any:
        """The same, which must succeed; its answer."""
        answer = self.send(method, rest, sent, by=by)
        assert answer.is_success, f"{method} {rest}: {answer.status_code} {answer.text[:200]}"
        return answer.json() if answer.content else None

    def poll(self) -> None:
        """One cycle, a little after what happened."""
        self.ground.pass_time(1)
        report = Cycle(self.config, self.engine, self.client, control=lambda: self._control, now=self.ground.now).run()
        assert report.errors == []

    def log(self) -> list[Event]:
        """The event log of this pull's repository."""
        with reading(self.engine) as conn:
            return eventlog.event_log(conn)


def line(event: Event) -> str:
    """An event in the words in which a delivery is told, as far as that goes."""
    return " ".join(filter(None, [event.event, event.action, _said(event)]))


def _said(event: Event) -> str:
    subject = event.subject
    match event.event:
        case "pull_request_comment":
            words = [f"#{subject.comment_id}"]
            if event.action != "deleted":
                words.append(repr(subject.body))
            if event.action == "edited":
                words.append(f"from {event.changes['body'].from_!r}")
            return " ".join(words)
        case "pull_request_review_approved" | "pull_request_review_rejected" | "pull_request_review_comment":
            return repr(subject.body)
        case "pull_request_review_request":
            return subject.reviewer.login if subject.reviewer else "None"
        case "pull_request" if event.action == "edited":
            changed = {field: change.from_ for field, change in event.changes.items() if field != "draft"}
            return " ".join(f"{field}" if field == "ref" else f"{field} from {was!r}" for field, was in changed.items())
        case "pull_request" if event.action == "closed":
            return "merged" if event.pull is not None and event.pull.merged else "unmerged"
    return ""
