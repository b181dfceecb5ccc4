"""The world: its clock, its people and repositories, and the door through which it is served.

Knows who and what there is.  Must not know JSON or what a single act does.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from poller.demo import webhooks
from poller.demo.access import UNITS
from poller.demo.clock import Clock, epoch
from poller.demo.faults import Fault
from poller.demo.git import FIRST_FILES, History
from poller.demo.index import UpdateIndex
from poller.demo.repos import Repo
from poller.demo.state import Team, Token, User, act
from poller.demo.versions import VERSIONS

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.server import Server


class Request(NamedTuple):
    """One request that was answered, for counting.  `path` is without `/api/v1`."""

    method: str
    path: str
    query: str
    user: str | None
    status: int


class Ids:
    """Gitea's sequences: rows, comments and inline comments share one, and so do issues and pulls."""

    def __init__(self) -> None:
        def sequence() -> Callable[[], int]:
            counter = itertools.count(1)
            return lambda: next(counter)

        self.user, self.repo, self.team = sequence(), sequence(), sequence()
        self.issue, self.pull, self.row, self.review = sequence(), sequence(), sequence(), sequence()
        self.label, self.milestone, self.happening = sequence(), sequence(), sequence()


class World:
    """A whole Gitea instance in memory.  `version` is one of `VERSIONS`; acts may come from many threads."""

    def __init__(self, *, version: str = "1.25.4") -> None:
        self.version = VERSIONS[version]
        self.clock = Clock()
        self.mutex = threading.RLock()
        self.ids = Ids()
        self.history = History()
        self.index = UpdateIndex()
        self.users: dict[str, User] = {}
        self.users_by_id: dict[int, User] = {}
        self.renamed_users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self.repos: dict[str, Repo] = {}
        self.repos_by_id: dict[int, Repo] = {}
        self.old_names: dict[str, Repo] = {}
        self.teams: dict[int, list[Team]] = {}
        self.requests: list[Request] = []
        self.webhooks: list[dict[str, Any]] = []
        #: What no webhook tells: dismissals, resolved threads, deleted label objects, renamed repositories, …
        self.silent: list[dict[str, Any]] = []
        #: The server's `MAX_RESPONSE_ITEMS`: no page is longer.
        self.max_items = 50
        self.faults: list[Fault] = []
        #: Seconds until the row, the stamp and the webhook of a push come; the head itself is new at once.
        self.push_lag = 0
        self._lagging: list[tuple[int, Callable[[], None]]] = []
        self._first_commit: str | None = None
        self._pretended: int | None = None

    def now(self) -> int:
        """The time that stamps bear."""
        return self.clock.now() if self._pretended is None else self._pretended

    @contextmanager
    def backdated(self, moment: str) -> Iterator[None]:
        """What is done inside is stamped with another time, as some forges let admins do: no cursor sees it."""
        with self.mutex:
            self._pretended = epoch(moment)
            try:
                yield
            finally:
                self._pretended = None

    def after_lag(self, effect: Callable[[], None]) -> None:
        """Bring about what follows from a push, now or when `push_lag` seconds have gone by."""
        if self.push_lag:
            self._lagging.append((self.now() + self.push_lag, effect))
        else:
            effect()

    def catch_up(self) -> None:
        """Bring about what is due.  Every act and every request does it first."""
        while self._lagging and self._lagging[0][0] <= self.now():
            self._lagging.pop(0)[1]()

    @act
    def user(self, login: str, *, admin: bool = False) -> User:
        """The user of that name, made if he is missing."""
        return self.users.get(login.lower()) or self._new_user(login, is_admin=admin)

    @act
    def org(self, login: str, *, private: bool = False, owners: Iterable[User | str] = ()) -> User:
        """The organisation of that name, made if it is missing, with its team of owners."""
        known = self.users.get(login.lower())
        if known is not None:
            return known
        org = self._new_user(login, is_org=True, private=private)
        self.team(org, "Owners", permission="owner", members=owners, repos=None)
        return org

    def _new_user(self, login: str, *, is_admin: bool = False, is_org: bool = False, private: bool = False) -> User:
        user = User(
            id=self.ids.user(), login=login, created=self.now(), is_admin=is_admin, is_org=is_org, private=private
        )
        user.email = "" if is_org else f"{login}@example.com"
        self.users[login.lower()] = user
        self.users_by_id[user.id] = user
        return user

    def person(self, user: User | str) -> User:
        """Tests may name anybody: who is missing is made."""
        return user if isinstance(user, User) else self.user(user)

    @act
    def team(
        self,
        org: User | str,
        name: str,
        *,
        permission: str = "write",
        units: dict[str, str] | None = None,
        members: Iterable[User | str] = (),
        repos: Iterable[Repo | str] | None = (),
    ) -> Team:
        """A team: `permission` for all units, or `units` one by one; `repos=None` means all of the organisation."""
        owner = self.person(org) if isinstance(org, User) else self.org(org)
        some = units if units is not None else dict.fromkeys(("repo.code", "repo.issues", "repo.pulls"), permission)
        team = Team(
            id=self.ids.team(),
            org=owner,
            name=name,
            permission=permission,
            units=dict.fromkeys(UNITS, permission) if permission in {"admin", "owner"} else some,
            members=[self.person(one) for one in members],
            repos=None if repos is None else {(self.repo(one) if isinstance(one, str) else one).id for one in repos},
        )
        self.teams.setdefault(owner.id, []).append(team)
        return team

    def teams_over(self, repo: Repo) -> list[Team]:
        """The teams that come to a repository."""
        return [team for team in self.teams.get(repo.owner.id, ()) if team.covers(repo)]

    @act
    def token(self, user: User | str, *, scopes: str = "all", public_only: bool = False) -> str:
        """A new access token; `scopes` as in Gitea's API, comma separated."""
        text = hashlib.sha1(f"token {len(self.tokens)}".encode(), usedforsecurity=False).hexdigest()
        held = frozenset(one.strip() for one in scopes.split(",") if one.strip())
        self.tokens[text] = Token(
            text=text,
            user=self.person(user),
            scopes=held - {"public-only"},
            public_only=public_only or "public-only" in held,
        )
        return text

    @act
    def revoke(self, token: str) -> None:
        self.tokens[token].revoked = True

    @act
    def repo(
        self,
        full_name: str,
        *,
        private: bool = False,
        collaborators: dict[str, str] | None = None,
        archived: bool = False,
        fork_of: Repo | None = None,
    ) -> Repo:
        """The repository of that name, made if it is missing (its owner too, as a user)."""
        known = self.repos.get(full_name.lower())
        if known is not None:
            return known
        owner, _, name = full_name.partition("/")
        self.old_names.pop(full_name.lower(), None)
        now = self.now()
        repo = Repo(
            world=self,
            id=self.ids.repo(),
            owner=self.person(owner),
            name=name,
            private=private,
            created=now,
            updated=now,
        )
        repo.archived, repo.fork_of = archived, fork_of
        repo.branches = dict(fork_of.branches) if fork_of else {"main": self._root(repo.owner)}
        self.repos[full_name.lower()] = self.repos_by_id[repo.id] = repo
        for login, right in (collaborators or {}).items():
            repo.collaborator(login, right)
        return repo

    def _root(self, owner: User) -> str:
        """All repositories begin with the same commit: 10,000 of them are cheap so."""
        if self._first_commit is None:
            files = dict(FIRST_FILES)
            self._first_commit = self.history.commit((), author=owner, message="first\n", at=self.now(), files=files)
        return self._first_commit

    @act
    def fork(self, repo: Repo, full_name: str) -> Repo:
        """The fork of that name, made if it is missing."""
        return self.repos.get(full_name.lower()) or self.repo(full_name, private=repo.private, fork_of=repo)

    def fork_of(self, repo: Repo, owner: str) -> Repo | None:
        """The fork that a user has of a repository."""
        forks = (one for one in self.repos.values() if one.fork_of is repo)
        return next((one for one in forks if one.owner.login.lower() == owner.lower()), None)

    def moved(self, repo: Repo, *, owner: User, name: str) -> None:
        """Give a repository another name or owner; the old name redirects as long as nobody takes it."""
        before = repo.full_name
        del self.repos[before.lower()]
        self.old_names[before.lower()] = repo
        repo.owner, repo.name = owner, name
        self.old_names.pop(repo.full_name.lower(), None)
        self.repos[repo.full_name.lower()] = repo
        webhooks.silent(repo, "repository", "renamed", {"from": before, "to": repo.full_name})

    def forget(self, repo: Repo) -> None:
        """A deleted repository takes its pulls along and closes those that come from it."""
        del self.repos[repo.full_name.lower()], self.repos_by_id[repo.id]
        self.old_names = {name: one for name, one in self.old_names.items() if one is not repo}
        webhooks.silent(repo, "repository", "gone", {"from": repo.full_name})
        for pull in repo.pulls.values():
            self.index.remove(pull)
        if repo.fork_of is not None:
            for pull in repo.fork_of.pulls.values():
                if pull.head_repo is repo and pull.state == "open":
                    pull.head_gone(by=repo.owner)

    def pulls_from(self, repo: Repo, branch: str) -> list[Pull]:
        """Pulls whose head is this branch."""
        candidates = list(repo.pulls.values()) + (list(repo.fork_of.pulls.values()) if repo.fork_of else [])
        return [pull for pull in candidates if pull.head_repo is repo and pull.head_ref == branch and not pull.agit]

    @act
    def rename_user(self, user: User | str, login: str) -> None:
        """The id stays; the old login redirects, and with it the names of his repositories."""
        person = self.person(user)
        owned = {one.full_name: one for one in self.repos.values() if one.owner is person}
        self.renamed_users[person.login.lower()] = self.users.pop(person.login.lower())
        self.renamed_users.pop(login.lower(), None)
        person.login = login
        self.users[login.lower()] = person
        for before, repo in owned.items():
            del self.repos[before.lower()]
            self.old_names[before.lower()] = repo
            self.repos[repo.full_name.lower()] = repo
            webhooks.silent(repo, "repository", "renamed", {"from": before, "to": repo.full_name})

    @act
    def delete_user(self, user: User | str) -> None:
        """From now on everything of his is by the ghost."""
        person = self.person(user)
        person.deleted = True
        del self.users[person.login.lower()]

    def fault(self, match: str, **what: Any) -> Fault:
        """Let the next matching requests go wrong: see `Fault.of` for how."""
        fault = Fault.of(match, **what)
        with self.mutex:
            self.faults.append(fault)
        return fault

    @act
    def reset_requests(self) -> None:
        self.requests.clear()

    def serve(self, *, prefix: str = "") -> Server:
        """Serve the world over HTTP on loopback: a context manager with `url`."""
        from poller.demo.server import Server

        return Server(self, prefix=prefix)
