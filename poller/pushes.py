"""Bringing what an agent has committed to the pull's branch: may it go there, and by which way.

Knows what the forge says of the pull at that moment, and the workspace that pushes.  Must not know rows, or words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from poller.config import Config
from poller.deeds import NotThere, Push
from poller.forge import errors
from poller.forge.questions import Questions
from poller.forge.way import Way
from sessions.config import Agent
from sessions.sources import Access, Pushed


def access_by(config: Config, way: Way) -> Access:
    """How git reaches the forge: as our clients do, and with the token as it is by then."""
    proxy = way.proxy
    return Access(
        url=config.url,
        secret=config.token.reveal,
        ca_file=str(way.ca_file) if way.ca_file is not None else None,
        proxy=(lambda: proxy.url) if proxy is not None else None,
    )


def access_to(remote: Access, repo: str) -> Access:
    """How git reaches one repository of the forge at `remote`."""
    path = "/".join(quote(part, safe="") for part in repo.split("/"))
    return msgspec.structs.replace(remote, url=f"{remote.url.rstrip('/')}/{path}.git")


class Pusher:
    """Pushes for one config.  `remote`: the forge's address without `/api/v1`, and how to reach it."""

    def __init__(
        self,
        questions: Questions,
        *,
        agents: Mapping[str, Agent],
        remote: Access,
        state: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._questions, self._agents, self._remote = questions, agents, remote
        self._state, self._environ = state, environ

    def __call__(self, wanted: Push, repo: str, number: int) -> Pushed:
        """Push, or say why not.  Raises `Unpushable` (also `NotThere`) and `ForgeError` for what may change."""
        agent = self._agents.get(wanted.agent)
        if agent is None or not agent.push:
            return _refused("the config does not allow it any more")
        if why := self._objection(wanted, repo, number):
            return _refused(why)
        from sessions import workspace  # whoever pushes nothing need not load it

        return workspace.push(
            wanted.made, onto=wanted.branch, access=access_to(self._remote, repo), protected=agent.protected,
            state=self._state, environ=self._environ, tick=lambda: None,
        )  # fmt: skip

    def _objection(self, wanted: Push, repo: str, number: int) -> str:
        """What was true when the turn began need not be true now."""
        try:
            heads = self._questions.heads(repo, number)
        except errors.NotFound:
            raise NotThere("the pull request is gone") from None
        if heads.state == "closed":
            return "the pull request is closed"
        if heads.fork:
            return "its code is on no branch of this repository"
        if heads.head_ref != wanted.branch:
            return "its branch is another one now"
        try:
            if self._questions.is_protected(repo, wanted.branch):
                return "its branch is protected"
        except errors.NotFound:
            raise NotThere("its branch is gone") from None
        return ""


def _refused(why: str) -> Pushed:
    return Pushed(state="refused", why=(why,))
