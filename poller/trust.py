"""May this person wake an agent?  Asks the forge at most once in some minutes, and fails closed.

Knows `trust`, the memory of what the forge said, and whom a login in the config means.  Must not decide what an event
is worth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import sqlalchemy as sa

from poller import config, namesakes, store
from poller.deltas.events import Actor, Event
from poller.deltas.reviews import REVIEW_EVENTS
from poller.store import Permission
from poller.triage import Ruling

#: Seconds for which an answer of the forge is good.
FRESH = 300.0
#: The forge does not tell programs from people, but for its own (ids below zero): these names do.
_BOTS = re.compile(
    r"renovate|dependabot|weblate|mergify|allcontributors|pre-commit-ci|(gitea|forgejo|github)-actions|.*([-_.]bot|\[bot])",
    re.I,
)
_GHOST = -1
#: How it begins why an edit does not ask.
BY_WHOM = "edited, and the forge does not show by whom"
#: Events with words of their actor, which others may edit, too.
_WORDS = frozenset({"pull_request_comment", *REVIEW_EVENTS.values()})


class Asked(Protocol):
    """What the control plane says of a person's rights; `allowed` is `None` when it may not be asked."""

    @property
    def allowed(self) -> bool | None: ...
    @property
    def why(self) -> str: ...


class Owned(Protocol):
    """What the control plane says of a repository."""

    @property
    def id(self) -> int: ...
    @property
    def owner(self) -> Actor | None: ...


class Control(Protocol):
    """The part of the control plane that knows people, and whose a repository is."""

    def user(self, login: str) -> Actor | None: ...
    def repository(self, full_name: str) -> Owned | None: ...
    def is_writer(self, full_name: str, login: str, *, user_id: int | None = None) -> Asked: ...
    def is_collaborator(self, full_name: str, login: str, *, user_id: int | None = None) -> Asked: ...
    def could_be_assigned(self, full_name: str) -> list[Actor] | None: ...
    def only_writers_edit(self, full_name: str) -> bool: ...


class Trust:
    """Rules on actors for the length of one cycle; `learned` and `found` are what the caller is to remember."""

    def __init__(
        self,
        trust: config.Trust,
        *,
        forge: str,
        bot: Actor | None,
        conn: sa.Connection,
        control: Callable[[], Control],
        now: float,
    ) -> None:
        self._bot = bot
        self._trust, self._forge, self._conn, self._control, self._now = trust, forge, conn, control, now
        self._logins = () if isinstance(trust.who, str) else trust.who
        self._asked = trust.who if isinstance(trust.who, str) else "logins"
        self.learned: dict[tuple[int, int, str], Permission] = {}
        self.found: dict[str, int] = {}
        self._known: dict[str, int] | None = None
        self._sought, self._is_whole = set[str](), False
        self._editors: dict[int, str] = {}
        self._owners: dict[str, int] | None = None

    # -- whom the config means ----------------------------------------------------------------------------------

    def look_up(self) -> None:
        """Find out who has the logins in the config, before somebody else can take one."""
        for login in {*self._logins, *self._trust.bots}:
            self._id_of(login, anew=True)
        self._is_whole = True

    def _id_of(self, login: str, *, anew: bool = False) -> int | None:
        """Whose login it was when it was looked for first: an account that takes it later is somebody else.

        That nobody has it is believed for some minutes, unless `anew`."""
        if self._known is None:
            self._known = namesakes.known(self._conn, self._forge)
        if login not in self._known and login not in self._sought and (anew or not self._was_nobodys(login)):
            self._sought.add(login)
            if (account := self._control().user(login)) is not None:
                self._known[login] = self.found[login] = account.id
            else:
                nobody = Permission(allowed=None, why="nobody has this login", asked_at=self._now)
                self.learned[0, 0, _asked_for(login)] = nobody
        return self._known.get(login)

    def _was_nobodys(self, login: str) -> bool:
        said = store.permission(self._conn, self._forge, 0, 0, asked=_asked_for(login))
        return said is not None and 0 <= self._now - said.asked_at < FRESH

    def _is_among(self, actor: Actor, logins: tuple[str, ...]) -> bool:
        return any(self._id_of(login, anew=login == actor.login.lower()) == actor.id for login in logins)

    def is_bot(self, actor: Actor) -> bool:
        """Is it a program, as far as anything tells?"""
        if actor.id < _GHOST or self._is_among(actor, self._trust.bots):
            return True
        return _BOTS.fullmatch(actor.login) is not None and not self._is_among(actor, self._logins)

    # -- rulings ------------------------------------------------------------------------------------------------

    def ruling(self, event: Event) -> Ruling:
        """Whether the event's actor may ask.  Raises `ForgeError` when the forge cannot be asked at all."""
        said = self._of_actor(event)
        if said.allowed and (doubt := self._doubt_of_owner(event)):
            return Ruling(allowed=False, bot=said.bot, why=doubt)
        return said

    def _of_actor(self, event: Event) -> Ruling:
        actor = event.actor
        if actor is None:
            return Ruling(allowed=False, why="the forge does not show who did it")
        if actor.id == _GHOST:
            return Ruling(allowed=False, why="its author's account is deleted")
        if self.is_bot(actor):
            named = self._is_among(actor, self._trust.bots)
            return Ruling(allowed=named, bot=True, why=f"{actor.login} is a bot that trust.bots {_names(named)}")
        said = self._of_person(event.repo_id, event.repo, actor)
        is_edited = event.is_reworded or event.action == "edited"
        if said.allowed and is_edited and event.event in _WORDS:
            doubt = self._doubt_of_editors(event, actor)
            return Ruling(allowed=not doubt, why=doubt or said.why)
        return said

    def answering_for_others(self, event: Event) -> Ruling:
        """Whether its actor may let in what others bring, or steer what they asked for: where everyone may ask, not
        everyone may do that."""
        said = self.ruling(event)
        if self._asked != "everyone" or not said.allowed or said.bot or event.actor is None:
            return said  # a bot stays one: whoever asks for this ruling listens to people only
        return self._as_said(event.repo_id, event.repo, event.actor, asked="writers")

    def _of_person(self, repo_id: int, repo: str, actor: Actor) -> Ruling:
        if self._asked == "everyone":
            return Ruling(allowed=True, why="trust.who is everyone")
        if self._asked == "logins":
            named = self._is_among(actor, self._logins)
            other = not named and actor.login.lower() in self._logins and actor.login.lower() in (self._known or ())
            who = f"{actor.login} (id {actor.id}, a newer account of that name)" if other else actor.login
            return Ruling(allowed=named, why=f"{who} is {'' if named else 'not '}named in trust.who")
        if actor.login.lower() == repo.partition("/")[0].lower():
            return Ruling(allowed=True, why=f"{actor.login} owns {repo}")
        return self._as_said(repo_id, repo, actor, asked=self._asked)

    def _as_said(self, repo_id: int, repo: str, actor: Actor, *, asked: str) -> Ruling:
        said = self._said(repo_id, repo, actor, asked=asked)
        return Ruling(allowed=said.allowed is True, why=said.why)

    def _said(self, repo_id: int, repo: str, actor: Actor, *, asked: str) -> Permission:
        place = (repo_id, actor.id, asked)
        known = self.learned.get(place) or store.permission(self._conn, self._forge, repo_id, actor.id, asked=asked)
        if known is not None and 0 <= self._now - known.asked_at < FRESH:
            return known
        control = self._control()
        ask = control.is_collaborator if asked == "collaborators" else control.is_writer
        answer = ask(repo, actor.login, user_id=actor.id)
        said = Permission(allowed=answer.allowed, why=answer.why, asked_at=self._now)
        self.learned[place] = said
        return said

    def _doubt_of_owner(self, event: Event) -> str:
        """Is it a repository of the owner that the config means?  One that the inventory has not found yet may be of
        whoever has his login since."""
        if self._owners is None:
            self._owners = namesakes.owners(self._conn, self._forge)
        meant = self._owners.get(event.repo.partition("/")[0].lower())
        if meant is None or store.repository_ids(self._conn, self._forge, [event.repo_id]):
            return ""
        place = (event.repo_id, meant, "owner")
        said = self.learned.get(place) or store.permission(self._conn, self._forge, *place[:2], asked=place[2])
        if said is None or not (said.allowed or 0 <= self._now - said.asked_at < FRESH):
            found = self._control().repository(event.repo)
            owner = found.owner if found is not None and found.id == event.repo_id else None
            whose = f"of {owner.login} (id {owner.id})" if owner is not None else "of nobody whom the forge shows"
            why = f"{event.repo} is {whose}; `repos` means the account with the id {meant}"
            allowed = owner is not None and owner.id == meant
            said = self.learned[place] = Permission(allowed=allowed, why=why, asked_at=self._now)
        return "" if said.allowed else said.why

    def _doubt_of_editors(self, event: Event, author: Actor) -> str:
        """Who edited is shown nowhere.  It was the author or somebody who may write: may all of them ask, too?"""
        if self._asked == "everyone":
            return ""
        if event.repo_id not in self._editors:
            self._editors[event.repo_id] = self._other_editor(event, author)
        other = self._editors[event.repo_id]
        return f"{BY_WHOM}: {other}; ask in a new comment" if other else ""

    def _other_editor(self, event: Event, author: Actor) -> str:
        if self._asked == "writers":
            exact = self._control().only_writers_edit(event.repo)
            return "" if exact else f"in {event.repo} people who cannot push may edit comments, as far as teams tell"
        people = self._control().could_be_assigned(event.repo)
        if people is None:
            return "the bot may not ask who else could have"
        ours = {author.id, self._bot.id if self._bot is not None else author.id}
        for one in people:
            if one.id not in ours and not self._of_person(event.repo_id, event.repo, one).allowed:
                return f"{one.login} may edit comments, too, and may not ask"
        return ""

    def save(self, conn: sa.Connection) -> None:
        """Remember what was learned."""
        for (repo_id, user_id, asked), said in self.learned.items():
            store.save_permission(conn, self._forge, repo_id, user_id, asked=asked, said=said)
        for login, user_id in self.found.items():
            namesakes.save(conn, self._forge, login, user_id)
        if self._is_whole:
            namesakes.forget(conn, self._forge, but={*self._logins, *self._trust.bots})


def _asked_for(login: str) -> str:
    """Under which word it is remembered, beside what was asked about people's rights."""
    return f"login {login}"


def _names(named: bool) -> str:
    return "names" if named else "does not name"
