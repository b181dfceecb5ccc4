"""Who may do what in a repository, as far as the forge lets the bot find out.

Knows the questions about people, and what no answer proves.  Must not know how a question is sent, or whom the
operator trusts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from poller.deltas.events import Actor
from poller.forge import errors

#: Our word beside the forge's own.
_UNKNOWN = "unknown user"
_WRITERS = ("write", "admin", "owner")


class Permission(msgspec.Struct, frozen=True):
    """May this person?  `None`: the forge does not let the bot find out, which is to be taken as no."""

    allowed: bool | None
    why: str


class _Team(msgspec.Struct, frozen=True):
    name: str
    units_map: dict[str, str] | None = None

    def may_write(self, unit: str) -> bool:
        return (self.units_map or {}).get(unit) in _WRITERS


class _Named(msgspec.Struct, frozen=True):
    permission: str
    user: Actor | None = None


class People(ABC):
    """The part of the control plane that knows people."""

    @abstractmethod
    def _get(self, path: str, kind: Any, params: dict[str, str | int] | None = None) -> Any:
        """One answer as `kind`.  Raises `ForgeError`."""

    def user(self, login: str) -> Actor | None:
        """The account that has this login now; `None` when nobody has, or whoever had it is called otherwise."""
        try:
            found: Actor = self._get(f"/users/{quote(login, safe='')}", Actor)
        except errors.NotFound:
            return None
        return found if _is(found, login, None) else None

    def is_writer(self, full_name: str, login: str, *, user_id: int | None = None) -> Permission:
        """May this person push?  Fails closed: members of ordinary teams are sure only when all teams may write.

        `user_id` guards against a login that somebody else has taken over meanwhile.
        """
        said = self._named_permission(full_name, login)
        if said is not None:
            if said.permission in _WRITERS and _is(said.user, login, user_id):
                return Permission(True, f"{login} has the right {said.permission} in {full_name}")
            if said.permission == _UNKNOWN:
                return Permission(False, f"the forge knows no {login} in {full_name}")
        return self._writer_by_teams(full_name, login, user_id)

    def is_collaborator(self, full_name: str, login: str, *, user_id: int | None = None) -> Permission:
        """Was this person added to the repository by name, or is its owner?"""
        path = f"/repos/{quoted(full_name)}/collaborators/{quote(login, safe='')}"
        try:
            self._get(path, Any)
        except (errors.NotFound, errors.Declined):
            said = self._named_permission(full_name, login)
            if said is not None and said.permission == "owner" and _is(said.user, login, user_id):
                return Permission(True, f"{login} owns {full_name}")
            return Permission(False, f"{login} is no collaborator of {full_name}")
        except errors.MissingScope:
            raise
        except errors.Forbidden:
            return Permission(None, f"the bot may not ask who collaborates in {full_name}")
        account = self.user(login) if user_id is not None else None
        if user_id is not None and account is None:
            return Permission(None, f"the forge does not show whose login {login} is")
        if account is not None and account.id != user_id:
            return Permission(False, f"the collaborator {login} of {full_name} is another account (id {account.id})")
        return Permission(True, f"{login} is a collaborator of {full_name}")

    def may_ask_permissions(self, full_name: str, login: str) -> bool:
        """Does the forge answer the bot when it asks for the right of somebody else?"""
        return self._named_permission(full_name, login) is not None

    def are_teams_mixed(self, full_name: str) -> bool:
        """Do some of its teams only read, so that nobody can tell which members write?"""
        teams = self._teams(full_name)
        return isinstance(teams, list) and not all(team.may_write("repo.code") for team in teams)

    def _named_permission(self, full_name: str, login: str) -> _Named | None:
        """What the permission endpoint says; `None` when it does not answer the bot, as it does only to admins.

        From 1.25 on it says `none` (or `read`) of members of ordinary teams who can push: only a yes is a proof.
        """
        path = f"/repos/{quoted(full_name)}/collaborators/{quote(login, safe='')}/permission"
        try:
            said: _Named = self._get(path, _Named)
        except errors.NotFound:
            return _Named(_UNKNOWN)
        except errors.MissingScope:
            raise
        except errors.Forbidden:
            return None
        return said

    def _writer_by_teams(self, full_name: str, login: str, user_id: int | None) -> Permission:
        assignees = self.could_be_assigned(full_name)
        if assignees is not None and not any(_is(person, login, user_id) for person in assignees):
            return Permission(False, f"{login} cannot write to {full_name}")
        teams = self._teams(full_name) if assignees is not None else "untold"
        if teams == "untold":
            return Permission(None, f"the bot may not ask who writes to {full_name}")
        if teams == "none":  # who can be assigned, can write
            return Permission(True, f"{login} can write to {full_name}")
        if teams and all(team.may_write("repo.code") for team in teams):
            return Permission(True, f"{login} can write to {full_name}, as all its teams can")
        return Permission(None, f"{login} may be in a team of {full_name} that only reads; name people in trust.who")

    def _teams(self, full_name: str) -> list[_Team] | Literal["none", "untold"]:
        """A repository's teams; "none": it is a user's own, which cannot have any; "untold": the bot may not ask."""
        try:
            found: list[_Team] | None = self._get(f"/repos/{quoted(full_name)}/teams", list[_Team] | None)
        except errors.MissingScope:
            raise
        except (errors.Forbidden, errors.NotFound):
            return "untold"
        except errors.Declined as declined:
            if declined.status == 405:
                return "none"
            raise
        return found or []

    def could_be_assigned(self, full_name: str) -> list[Actor] | None:
        """Everybody who can write in a repository, and perhaps some who cannot; `None`: the bot may not ask."""
        try:
            found: list[Actor] | None = self._get(f"/repos/{quoted(full_name)}/assignees", list[Actor] | None)
        except errors.MissingScope:
            raise
        except (errors.Forbidden, errors.NotFound):
            return None
        return found or []

    def only_writers_edit(self, full_name: str) -> bool:
        """Is everybody who can change others' comments somebody who can push?  False also when nobody tells."""
        teams = self._teams(full_name)
        if isinstance(teams, str):
            return teams == "none"  # then who may write may write everything
        units = ("repo.pulls", "repo.issues")
        return all(
            team.units_map is not None and (team.may_write("repo.code") or not any(map(team.may_write, units)))
            for team in teams
        )


def _is(person: Actor | None, login: str, user_id: int | None) -> bool:
    return person is not None and person.login.lower() == login.lower() and user_id in (None, person.id)


def quoted(full_name: str) -> str:
    """A repository's name as part of a path."""
    return quote(full_name, safe="/")
