"""The control plane, through py-gitea: who am I, version, repositories of an owner, who may what.

Knows py-gitea and its ways.  Must not read deltas or post: that is the client's.  py-gitea has no time-outs, follows
redirects and swaps 401 and 403 (0.2), so every answer is judged by `guard` before py-gitea sees it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from poller.deltas.events import Actor
from poller.forge import errors, signs
from poller.forge.courtesy import Courtesy
from poller.forge.way import Way

#: Rows asked for at a time; the forge may give fewer (`max_response_items`).
PAGE = 50
REDIRECTS = 3
#: Our word beside the forge's own.
_UNKNOWN = "unknown user"
_WRITERS = ("write", "admin", "owner")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is."""

    id: int
    login: str
    is_admin: bool = False


class Rights(msgspec.Struct, frozen=True):
    """What the bot itself may do in a repository."""

    admin: bool = False
    push: bool = False
    pull: bool = False


class Repo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository as the control plane knows it; `full_name` changes, `id` does not."""

    id: int
    full_name: str
    archived: bool = False
    private: bool = False
    permissions: Rights = Rights()
    has_pull_requests: bool = True
    html_url: str = ""


class Permission(msgspec.Struct, frozen=True):
    """May this person?  `None`: the forge does not let the bot find out, which is to be taken as no."""

    allowed: bool | None
    why: str


class _Team(msgspec.Struct, frozen=True):
    name: str
    units_map: dict[str, str] | None = None


class _Named(msgspec.Struct, frozen=True):
    permission: str
    user: Actor | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str


class ApiSettings(msgspec.Struct, frozen=True):
    """How many rows the forge gives at most, and without being asked."""

    max_response_items: int = 50
    default_paging_num: int = 30


class Control:
    """One forge and one token; `way`, `renewed` and `courtesy` as of the client.  Raises `ForgeError`."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        way: Way | None = None,
        renewed: Callable[[str], str | None] | None = None,
        courtesy: Courtesy | None = None,
        timeout: float = 15.0,
    ) -> None:
        from gitea import Gitea  # with requests: only who needs the control plane pays for it

        from poller.forge.guard import Guard, put_before

        self._url = url.rstrip("/")
        way = way or Way(url=self._url)
        # py-gitea logs what it was refused, at a level of its own.
        self._gitea = Gitea(self._url, token_text=token, log_level="CRITICAL")
        self._gitea.logger.disabled = True
        self._guard = Guard(way, timeout=timeout, courtesy=courtesy or Courtesy(), token=token, renewed=renewed)
        put_before(self._gitea.requests, self._guard, way)

    def close(self) -> None:
        """Give the connections back."""
        self._gitea.requests.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def clock_ahead(self) -> float | None:
        """Seconds by which the last answer's `Date` was ahead of our clock."""
        return self._guard.clock_ahead

    def who_am_i(self) -> Actor:
        """The account that the token belongs to; wants the scope read:user."""
        account = self.account()
        return Actor(account.id, account.login)

    def account(self) -> Account:
        """The same, and whether it is an administrator of the whole forge."""
        me: Account = self._get("/user", Account)
        return me

    def server_version(self) -> str:
        """`1.25.4`; a Forgejo adds `+gitea-1.22.0`."""
        said: _Version = self._get("/version", _Version)
        return said.version

    def api_settings(self) -> ApiSettings:
        """Paging as the forge is configured."""
        settings: ApiSettings = self._get("/settings/api", ApiSettings)
        return settings

    def allowed_reactions(self) -> list[str]:
        said: dict[str, Any] = self._get("/settings/ui", dict[str, Any])
        return list(said.get("allowed_reactions") or [])

    def ask(self, path: str) -> None:
        """GET something only to see whether it is allowed."""
        self._get(path, Any)

    def listed(self, path: str, params: dict[str, str | int]) -> list[Any]:
        """GET one answer that is a list, whatever is in it."""
        found: list[Any] | None = self._get(path, list[Any] | None, params)
        return found or []

    def ask_to_write(self, path: str) -> errors.ForgeError | None:
        """POST nothing: only to see whether the scope is there, which is judged before the words are.

        The answer is how it was turned down; a missing scope is raised.
        """
        try:
            self._gitea.requests_post(path, data={})
        except (errors.NotFound, errors.Declined, errors.Moved, errors.ServerTrouble) as refusal:
            return refusal
        return None

    def repositories_of(self, owner: str) -> list[Repo]:
        """All repositories of a user or organization that the token may read."""
        found: dict[int, Repo] = {}
        for page in self._pages(f"/users/{quote(owner, safe='')}/repos", list[Repo] | None):
            found |= {repo.id: repo for repo in page}
        return list(found.values())

    def repository(self, full_name: str) -> Repo | None:
        """The repository, under its new name if it was renamed; `None` when it is not there or not to be seen."""
        try:
            found: Repo = self._get(f"/repos/{_quoted(full_name)}", Repo)
        except errors.NotFound:
            return None
        return found

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
        path = f"/repos/{_quoted(full_name)}/collaborators/{quote(login, safe='')}"
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
        return Permission(True, f"{login} is a collaborator of {full_name}")

    def may_ask_permissions(self, full_name: str, login: str) -> bool:
        """Does the forge answer the bot when it asks for the right of somebody else?"""
        return self._named_permission(full_name, login) is not None

    def _named_permission(self, full_name: str, login: str) -> _Named | None:
        """What the permission endpoint says; `None` when it does not answer the bot, as it does only to admins.

        From 1.25 on it says `none` (or `read`) of members of ordinary teams who can push: only a yes is a proof.
        """
        path = f"/repos/{_quoted(full_name)}/collaborators/{quote(login, safe='')}/permission"
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
        base = f"/repos/{_quoted(full_name)}"
        try:
            assignees = self._get(f"{base}/assignees", list[Actor] | None) or []
            if not any(_is(person, login, user_id) for person in assignees):
                return Permission(False, f"{login} cannot write to {full_name}")
            teams = self._get(f"{base}/teams", list[_Team] | None) or []
        except errors.MissingScope:
            raise
        except (errors.Forbidden, errors.NotFound):
            return Permission(None, f"the bot may not ask who writes to {full_name}")
        except errors.Declined as declined:
            if declined.status == 405:  # a user's own repository has no teams: who can be assigned, can write
                return Permission(True, f"{login} can write to {full_name}")
            raise
        if teams and all((team.units_map or {}).get("repo.code") in _WRITERS for team in teams):
            return Permission(True, f"{login} can write to {full_name}, as all its teams can")
        return Permission(None, f"{login} may be in a team of {full_name} that only reads; name people in trust.who")

    def _answered(self, path: str, params: dict[str, str | int]) -> Any:
        """The raw answer; a repository that was renamed is asked for under its new name."""
        for _ in range(REDIRECTS):
            try:
                return self._guard.repeated(functools.partial(self._gitea.requests_get, path, params=params))
            except errors.Moved as moved:
                path = self._moved_path(moved)
        raise errors.not_gitea("redirects without end", where=errors.where_of("GET", path), url=self._url)

    def _moved_path(self, moved: errors.Moved) -> str:
        root = self._url + "/api/v1"
        target = signs.followed(moved.location, asked=f"{root}/", root=root)
        if target is None:
            raise signs.astray(moved.location, where=moved.where, url=self._url, status=moved.status or 0)
        return urlsplit(target).path.removeprefix(urlsplit(root).path)

    def _pages(self, path: str, kind: Any) -> Iterator[list[Any]]:
        """Pages until one brings nothing new: the cap per page is the forge's, and a proxy may drop the query."""
        seen: set[int] = set()
        page = 1
        while rows := self._get(path, kind, {"page": page, "limit": PAGE}):
            if seen.issuperset(row.id for row in rows):
                return
            seen.update(row.id for row in rows)
            yield rows
            page += 1

    def _get(self, path: str, kind: Any, params: dict[str, str | int] | None = None) -> Any:
        raw = self._answered(path, params or {})
        # py-gitea makes `{}` of everything shorter than four characters: `[]`, or no body at all.
        if raw == {} and kind is not Any:
            raw = None
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as failure:
            found = f"JSON of another shape ({failure})"
            where = errors.where_of("GET", f"/api/v1{path}")
            raise errors.not_gitea(found, where=where, url=self._url, status=200) from None


def _is(person: Actor | None, login: str, user_id: int | None) -> bool:
    return person is not None and person.login.lower() == login.lower() and user_id in (None, person.id)


def _quoted(full_name: str) -> str:
    return quote(full_name, safe="/")
