"""Our own stand-in as one of the servers of the suite, with webhooks that are really delivered.

The world keeps a list of what a real server would have sent.  Here each entry of it becomes a delivery over HTTP, from
a thread of its own, in the shape of a real one as far as the suite reads it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Mapping
from typing import Any

import httpx

from poller.demo.world import World


class StandIn:
    """Our own stand-in, in one of the versions that it plays."""

    def __init__(self, version: str) -> None:
        self.world = World(version=version)
        self.server = self.world.serve()
        self.url = self.server.url
        self._hooks: Deliveries | None = None

    def token(self, login: str, *, scopes: str = "read:user,write:issue,write:repository") -> str:
        return self.world.token(login, scopes=scopes)

    def repo(self, full_name: str, *, private: bool = False, collaborators: Mapping[str, str] | None = None) -> str:
        return self.world.repo(full_name, private=private, collaborators=dict(collaborators or {})).full_name

    def open_pull(self, repo: str, *, by: str) -> int:
        return self.world.repo(repo).open_pull(by=by).number

    def push(self, repo: str, number: int, *, by: str) -> str:
        pull = self.world.repo(repo).pulls[number]
        pull.push(by=by)
        return pull.head_sha

    def force_push(self, repo: str, number: int, *, by: str) -> str:
        return self.world.repo(repo).pulls[number].force_push(by=by)

    def branch(self, repo: str, name: str) -> None:
        self.world.repo(repo).branch(name)

    def label(self, repo: str, name: str) -> int:
        return self.world.repo(repo).label(name).id

    def delete_label(self, repo: str, label_id: int) -> None:
        there = self.world.repo(repo)
        there.delete_label(next(label.name for label in there.labels if label.id == label_id))

    def milestone(self, repo: str, title: str) -> int:
        return self.world.repo(repo).milestone(title).id

    def delete_pull(self, repo: str, number: int) -> None:
        self.world.repo(repo).pulls[number].delete(by=self.world.repo(repo).owner)

    def rename(self, repo: str, name: str) -> None:
        self.world.repo(repo).rename(name)

    def hook(self, repo: str, url: str) -> None:
        if self._hooks is None:
            self._hooks = Deliveries(self.world)
        self._hooks.to[self.world.repo(repo).full_name] = url

    def now(self) -> float:
        return self.world.clock.now()

    def pass_time(self, seconds: int) -> None:
        self.world.clock.advance(seconds=seconds)

    def close(self) -> None:
        if self._hooks is not None:
            self._hooks.close()
        self.server.close()


class Deliveries(list[dict[str, Any]]):
    """The world's list of webhooks, from which they are sent as they come; `to` is where, by repository."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.to: dict[str, str] = {}
        self._waiting: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue()
        self._http = httpx.Client(timeout=10)
        self._thread = threading.Thread(target=self._send, name="webhooks of the stand-in")
        self._thread.start()
        world.webhooks = self

    def append(self, entry: dict[str, Any]) -> None:
        super().append(entry)
        if entry["repo"] in self.to:
            self._waiting.put((self.to[entry["repo"]], entry))

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        self._http.close()

    def _send(self) -> None:
        while (next_one := self._waiting.get()) is not None:
            url, entry = next_one
            names = {"X-Gitea-Event": entry["event"], "X-Gitea-Event-Type": entry["event_type"]}
            with contextlib.suppress(httpx.TransportError):  # the play is over; in the middle of it, it will be missed
                self._http.post(url, json=payload(entry), headers=names).raise_for_status()


def payload(entry: dict[str, Any]) -> dict[str, Any]:
    """The body of a delivery: a comment's names the pull in `issue.number` only."""
    facts = entry["pull_request"]
    body: dict[str, Any] = {
        "action": entry["action"],
        "pull_request": {**facts, "head": {"sha": facts["head_sha"]}},
        "sender": {"login": entry["sender"]},
        "repository": {"full_name": entry["repo"]},
        "requested_reviewer": {"login": entry["requested_reviewer"]} if entry.get("requested_reviewer") else None,
        **{name: entry[name] for name in ("changes", "review", "comment") if name in entry},
    }
    if entry["event_type"] == "pull_request_comment":
        return body | {"issue": {"number": entry["number"]}, "is_pull": True}
    return body | {"number": entry["number"]}
