"""A forge that serves git too: the stand-in's repository and a real one, with the same commits.

Knows both.  Must not know the poller.
"""

from __future__ import annotations

import threading
from pathlib import Path

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.state import Commit
from poller.demo.world import World
from tests.gitside.origin import Origin


class Forge:
    """The stand-in's repository and a real one, with the same commits."""

    def __init__(self, root: Path, world: World, repo: Repo) -> None:
        self.origin, self._world, self._repo = Origin(root), world, repo
        #: Held by whoever moves a branch of the real repository: `GitServer.writing`, when one serves it.
        self.writing = threading.Lock()
        self._take("main", self.origin.tip("main"), parents=())

    def open_pull(self, files: dict[str, str | bytes | None], **more: str) -> Pull:
        branch = f"feature-{self._repo.last_number + 1}"
        self._take(branch, self.origin.commit(branch, files, onto="main"), parents=(self.origin.tip("main"),))
        pull = self._repo.open_pull(by="ana", head=branch, **more)  # type: ignore[arg-type]
        self.origin.pull(pull.number, branch)
        return pull

    def push(self, pull: Pull, files: dict[str, str | bytes | None]) -> str:
        with self.writing:
            before = self.origin.tip(pull.head_ref)
            sha = self.origin.commit(pull.head_ref, files)
            with self._world.mutex:
                self._commit(sha, parents=(before,))
                self._repo.move_branch(pull.head_ref, sha, by=self._world.person("ana"))
            self.origin.pull(pull.number, pull.head_ref)
        return sha

    def _take(self, branch: str, sha: str, *, parents: tuple[str, ...]) -> None:
        self._repo.branches[branch] = self._commit(sha, parents=parents)

    def _commit(self, sha: str, *, parents: tuple[str, ...]) -> str:
        author, files = self._world.person("ana"), {"app.txt": (sha,)}
        commit = Commit(sha=sha, parents=parents, author=author, message="edit\n", at=self._world.now(), files=files)
        return self._world.history.take(commit)

    def follow(self) -> None:
        """What the bot has pushed to the real repository has happened in the stand-in's too."""
        with self._world.mutex:
            for name, before in list(self._repo.branches.items()):
                after = self.origin.tip(name)
                if after and after != before:
                    self._commit(after, parents=(before,))
                    self._repo.move_branch(name, after, by=self._world.person("bot"))
                    for pull in self._repo.pulls.values():
                        if pull.head_ref == name:
                            self.origin.pull(pull.number, name)
