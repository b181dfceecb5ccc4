"""What an agent's answers are in a world: words, reviews with remarks on lines, or commits that are pushed for it.

Each knows its part of the config, how people open pulls and push to them, and what is owed on the forge in the end
besides the words.  Must not know processes, or who is killed.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.state import Review
from poller.demo.world import World
from poller.replies import marks_in
from tests.gitside.forge import Forge
from tests.gitside.origin import git
from tests.gitside.server import GitServer

_TOKEN = re.compile(r"tok-\d+")


class Words:
    """Comments, and nothing else."""

    #: Where the forge hears what is done for this work, in the words of `Fault.of`.
    posts = "POST …/comments"
    #: Keys of the one agent.
    agent: Mapping[str, Any] = {"checkout": False}

    def __init__(self, directory: Path, world: World, repo: Repo) -> None:
        self.directory, self._world, self._repo = directory, world, repo
        #: Called when the forge has taken a push, before anybody is told so.
        self.at_push: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def served(self, api: str, token: str) -> Iterator[str]:
        """The forge's address, given that of its API."""
        yield api

    def open_pull(self) -> Pull:
        return self._repo.open_pull(by="ana", files={"app.py": "one\ntwo\n"})

    def push(self, pull: Pull) -> None:
        pull.push(by="ana")

    def said(self, pull: Pull) -> list[str]:
        """The bot's words on a pull."""
        with self._world.mutex:
            comments = [row.body for row in pull.comments if row.user.login == "bot"]
            return comments + [one.body for one in _reviews(pull) if one.state != "PENDING"]

    def owed(self, asked: Mapping[str, Pull]) -> Iterator[tuple[str, str]]:
        """What is wrong in the end: (field of the bill, words)."""
        for sha, rows in self._repo.statuses.items():
            if rows and rows[-1]["status"] == "pending":
                yield "lost", f"the status of {sha[:7]} is pending for ever"


class Reviews(Words):
    """`reply: review`, each with one remark on a line."""

    posts = "POST …/reviews"
    agent: Mapping[str, Any] = {"checkout": False, "reply": "review", "status": True}

    def owed(self, asked: Mapping[str, Pull]) -> Iterator[tuple[str, str]]:
        yield from super().owed(asked)
        for pull in self._repo.pulls.values():
            for review in _reviews(pull):
                yield from self._of(review, pull)

    @staticmethod
    def _of(review: Review, pull: Pull) -> Iterator[tuple[str, str]]:
        if review.state == "PENDING":
            yield "orphans", f"a pending review on #{pull.number}"
            return
        on_lines, quoted = len(review.comments), review.body.count("> `app.py`, line ")
        if on_lines + quoted != 1:
            found = f"{on_lines} on lines and {quoted} in its words"
            what = "lost" if on_lines + quoted == 0 else "doubled_posts"
            yield what, f"remarks of turn {marks_in(review.body)} on #{pull.number}: {found}"


class Commits(Words):
    """A checkout, and a push of what the agent has committed: a file for each token."""

    posts = "POST …/git-receive-pack"
    agent: Mapping[str, Any] = {"checkout": True, "push": True, "status": True}

    def __init__(self, directory: Path, world: World, repo: Repo) -> None:
        super().__init__(directory, world, repo)
        self._forge = Forge(directory / "forge", world, repo)
        self._pushes = 0

    @contextlib.contextmanager
    def served(self, api: str, token: str) -> Iterator[str]:
        with GitServer(self.directory / "forge", beyond=api, token=token) as server:
            server.after_push, self._forge.writing = self._taken, server.writing
            yield server.url

    def _taken(self) -> None:
        self._forge.follow()
        self.at_push()

    def open_pull(self) -> Pull:
        return self._forge.open_pull({"app.py": "one\ntwo\n"})

    def push(self, pull: Pull) -> None:
        self._pushes += 1
        self._forge.push(pull, {f"ana-{self._pushes}.txt": "mine\n"})

    def owed(self, asked: Mapping[str, Pull]) -> Iterator[tuple[str, str]]:
        yield from super().owed(asked)
        for pull in self._repo.pulls.values():
            found = Counter(self._committed(pull))
            for token in _TOKEN.findall(" ".join(name for name, on in asked.items() if on is pull)):
                if found[token] != 1:
                    what = "doubled_posts" if found[token] else "lost"
                    yield what, f"{found[token]} commits of {token} on #{pull.number}"
            for token in found.keys() - {name for name, on in asked.items() if on is pull}:
                yield "doubled_posts", f"a commit of {token} on the wrong pull #{pull.number}"

    def _committed(self, pull: Pull) -> Iterable[str]:
        origin = self._forge.origin
        return _TOKEN.findall(git("log", "--format=%s", f"main..{pull.head_ref}", at=origin.place))


WORKS: dict[str, type[Words]] = {"words": Words, "reviews": Reviews, "commits": Commits}


def _reviews(pull: Pull) -> list[Review]:
    return [one for one in pull.reviews if one.user is not None and one.user.login == "bot"]
