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
from poller.forge.people import People, quoted
from poller.forge.way import Way

#: Rows asked for at a time; the forge may give fewer (`max_response_items`).
PAGE = 50
REDIRECTS = 3


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
    owner: Actor | None = None
    archived: bool = False
    private: bool = False
    permissions: Rights = Rights()
    has_pull_requests: bool = True
    html_url: str = ""


class _Version(msgspec.Struct, frozen=True):
    version: str


class ApiSettings(msgspec.Struct, frozen=True):
    """How many rows the forge gives at most, and without being asked."""

    max_response_items: int = 50
    default_paging_num: int = 30


class Control(People):
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
            found: Repo = self._get(f"/repos/{quoted(full_name)}", Repo)
        except errors.NotFound:
            return None
        return found

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
