"""May this person wake an agent?  Asks the forge at most once in some minutes, and fails closed.

Knows `trust.who` and the memory of what the forge said.  Must not decide what an event is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import sqlalchemy as sa

from poller import store
from poller.deltas.events import Actor, Event
from poller.store import Permission
from poller.triage import Ruling

#: Seconds for which an answer of the forge is good.
FRESH = 300.0


class Asked(Protocol):
    """What the control plane says of a person's rights; `allowed` is `None` when it may not be asked."""

    @property
    def allowed(self) -> bool | None: ...
    @property
    def why(self) -> str: ...


class Control(Protocol):
    """The part of the control plane that knows people."""

    def is_writer(self, full_name: str, login: str, *, user_id: int | None = None) -> Asked: ...
    def is_collaborator(self, full_name: str, login: str, *, user_id: int | None = None) -> Asked: ...


class Trust:
    """Rules on actors for the length of one cycle; `learned` is what the caller is to remember."""

    def __init__(
        self, who: str | Sequence[str], *, forge: str, conn: sa.Connection, control: Callable[[], Control], now: float
    ) -> None:
        self._who, self._forge, self._conn, self._control, self._now = who, forge, conn, control, now
        self._asked = who if isinstance(who, str) else "logins"
        self.learned: dict[tuple[int, int], Permission] = {}

    def ruling(self, event: Event) -> Ruling:
        """Whether the event's actor may ask.  Raises `ForgeError` when the forge cannot be asked at all."""
        actor = event.actor
        if actor is None:
            return Ruling(allowed=False, why="the forge does not show who did it")
        if actor.id < 0:
            return Ruling(allowed=False, why="its author's account is deleted")
        if self._asked == "everyone":
            return Ruling(allowed=True, why="trust.who is everyone")
        if self._asked == "logins":
            named = actor.login.lower() in {login.lower() for login in self._who}
            return Ruling(allowed=named, why=f"{actor.login} is {'' if named else 'not '}named in trust.who")
        if actor.login.lower() == event.repo.partition("/")[0].lower():
            return Ruling(allowed=True, why=f"{actor.login} owns {event.repo}")
        said = self._said(event, actor)
        return Ruling(allowed=said.allowed is True, why=said.why)

    def _said(self, event: Event, actor: Actor) -> Permission:
        place = (event.repo_id, actor.id)
        known = self.learned.get(place) or store.permission(
            self._conn, self._forge, event.repo_id, actor.id, asked=self._asked
        )
        if known is not None and 0 <= self._now - known.asked_at < FRESH:
            return known
        control = self._control()
        ask = control.is_collaborator if self._asked == "collaborators" else control.is_writer
        answer = ask(event.repo, actor.login, user_id=actor.id)
        said = Permission(allowed=answer.allowed, why=answer.why, asked_at=self._now)
        self.learned[place] = said
        return said

    def save(self, conn: sa.Connection) -> None:
        """Remember what was learned."""
        for (repo_id, user_id), said in self.learned.items():
            store.save_permission(conn, self._forge, repo_id, user_id, asked=self._asked, said=said)
