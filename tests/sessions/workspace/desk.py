"""A bottle's working directory, a repository on a forge, and an agent that does what tests tell it to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from sessions import workspace
from sessions.sources import Access, Checkout, Source
from tests.gitside.origin import Origin, git
from tests.gitside.server import GitServer

TOKEN = "s3cret-of-the-forge"


class Desk:
    """`source` is what the next turn asks for."""

    def __init__(self, root: Path, origin: Origin, server: GitServer) -> None:
        self.root, self.origin, self.server = root, origin, server
        self.state = root / "state-root"
        self.bottle = self.state / "state" / "reviewer-abcde"
        self.work = self.bottle / "work"
        self.environ: Mapping[str, str] = {"PATH": os.environ["PATH"]}
        self.tick: Callable[[], None] = lambda: None
        self.turn = 0
        self.source = Source(
            mirror="12-forge",
            access=Access(url=f"{server.url}/{origin.name}.git", secret=lambda: TOKEN),
            head_ref="refs/pull/7/head",
            base="main",
            branch="pull-7",
        )

    def asks(self, **changes: object) -> None:
        self.source = msgspec.structs.replace(self.source, **changes)

    def checkout(self, *, turn: int | None = None, bottle: Path | None = None) -> Checkout:
        """The next turn's, or once more that turn's."""
        self.turn = self.turn + 1 if turn is None else turn
        return workspace.checkout(
            self.source,
            state=self.state,
            bottle=bottle or self.bottle,
            turn=self.turn,
            environ=self.environ,
            tick=self.tick,
        )

    def agent(self, *args: str, fails: bool = False, feed: bytes | None = None) -> str:
        """The agent's git, in its directory."""
        return git(*args, at=self.work, fails=fails, feed=feed)

    def write(self, path: str, text: str) -> None:
        (self.work / path).parent.mkdir(parents=True, exist_ok=True)
        (self.work / path).write_text(text)

    def read(self, path: str) -> str:
        return (self.work / path).read_text()

    def push(self, files: dict[str, str | bytes | None], *, branch: str = "feature") -> str:
        """A commit on the pull's branch, and the pull's ref with it."""
        self.origin.commit(branch, files)
        return self.origin.pull(7, branch)

    def mirrors(self) -> list[str]:
        return sorted(path.name for path in (self.state / "mirrors").glob("*.git"))
