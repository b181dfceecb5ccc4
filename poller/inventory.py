"""Which account we are, which server this is, and which of the configured repositories it shows us.

Knows when these are to be asked again: rarely, by the control plane, never in an idle cycle; what the account is
called, also when somebody is spoken to.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping

import msgspec
import sqlalchemy as sa

from poller import namesakes, store
from poller.config import Config
from poller.deltas.events import WORDED, Actor
from poller.deltas.reader import Look
from poller.forge import errors
from poller.forge.control import Control, Repo
from poller.mentions import first_mention, speaks_to_somebody
from poller.store import Forge
from sessions.logs import fields

log = logging.getLogger(__name__)

#: A repository as the config names it (`acme/*` for an owner) → its id and what is wrong.
Named = dict[str, tuple[int | None, str]]
#: Seconds after which the control plane is asked again.
GOOD_FOR = 86_400.0
#: From so many repositories of one owner on, his list is cheaper than a question for each.
LIST_FROM = 3


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """`repositories`: name as in the config (`acme/*` for an owner) → (repository id, what is wrong).
    `found`: those that can be read, by id.  `owners`: login of an owner that the config names → the id of who is meant.
    `token_mark`: of the token with which the asking began; if it was replaced meanwhile, the next cycle asks again.
    """

    token_mark: str
    bot: Actor
    version: str
    page: int
    repositories: Mapping[str, tuple[int | None, str]]
    found: dict[int, Repo]
    owners: Mapping[str, int] = {}

    @property
    def names(self) -> dict[int, str]:
        """What those that can be read are called."""
        return {repo_id: repo.full_name for repo_id, repo in self.found.items()}

    @property
    def archived(self) -> dict[int, bool]:
        """Whether they can only be read."""
        return {repo_id: repo.archived for repo_id, repo in self.found.items()}

    @property
    def troubles(self) -> dict[str, str]:
        """What cannot be read, with the reason."""
        return {name: error for name, (_, error) in self.repositories.items() if error}


class NothingToWatch(Exception):
    """None of the configured repositories can be read, or none is to be read yet; the text is one line."""

    exit_code = 2


def token_mark(config: Config) -> str:
    """Tells one token from another without telling anything of it: a token is 160 random bits."""
    return hashlib.sha256(f"bottlepost {config.forge} {config.token.reveal()}".encode()).hexdigest()[:16]


def patterns_mark(config: Config) -> str:
    """Changes when `repos` does."""
    return hashlib.sha256("\n".join(config.repos).encode()).hexdigest()[:16]


def is_due(config: Config, forge: Forge, *, now: float) -> bool:
    """Another token, other repositories, or an old answer."""
    fresh = 0 <= now - forge.asked_at < GOOD_FOR
    return not fresh or forge.token_mark != token_mark(config) or forge.patterns_mark != patterns_mark(config)


def as_called_now(control: Callable[[], Control], bot: Actor, looks: Iterable[Look]) -> Actor:
    """The bot under the name that it has by now: who speaks to somebody may speak to us under a new one, and would not
    be heard until the next inventory.  Where nobody is spoken to nothing is asked."""
    events = [event for look in looks for event in look.events]
    for event in events:
        if event.actor is not None and event.actor.id == bot.id:
            return event.actor
    texts = [event.subject.texts for event in events if event.action in WORDED]
    is_asked = any(first_mention(some, bot.login) is None and any(map(speaks_to_somebody, some)) for some in texts)
    return control().who_am_i() if is_asked else bot


def taken(control: Control, config: Config, *, meant: Mapping[str, int]) -> Inventory:
    """Ask.  `meant`: login of an owner → the id of the account that is known to be meant.

    Raises `ForgeError` if the forge cannot be asked, `NothingToWatch` if nothing of it is ours to read."""
    mark = token_mark(config)
    bot = control.who_am_i()
    named: Named = {}
    found: dict[int, Repo] = {}
    wanted = {name.partition("/")[0].lower() for name in config.wanted}
    owners = {login: user_id for login, user_id in meant.items() if login in wanted}
    for owner in config.owners:
        named |= _of_owner(control, config, owner, found, owners)
    named |= _named(control, config, found, owners)
    inventory = Inventory(
        token_mark=mark,
        bot=bot,
        version=control.server_version(),
        page=control.api_settings().max_response_items,
        repositories=named,
        found=found,
        owners=owners,
    )
    if named and len(inventory.troubles) == len(named):
        name, error = next(iter(inventory.troubles.items()))
        more = f", and none of the {len(named) - 1} others" if len(named) > 1 else ""
        raise NothingToWatch(f"{config.path}: repos: {name} cannot be read{more}: {error}")
    for name, error in inventory.troubles.items():
        log.warning("repository cannot be read", extra=fields(repo=name, error=error))
    return inventory


def _of_owner(control: Control, config: Config, owner: str, found: dict[int, Repo], owners: dict[str, int]) -> Named:
    """Everything of an owner, by id: it stays watched when the repository, or the owner, gets another name."""
    try:
        listed = control.repositories_of(owner)
    except errors.MissingScope:
        raise
    except (errors.NotFound, errors.Declined, errors.Forbidden, errors.Moved) as trouble:
        return {f"{owner}/*": (None, str(trouble))}
    if others := [why for repo in listed if (why := _is_anothers(repo, owner, owners))]:
        return {f"{owner}/*": (None, others[0])}
    mine = {f"{owner}/{repo.full_name.partition('/')[2]}": repo for repo in listed}
    watched = {name: repo for name, repo in mine.items() if config.watches(name)}
    found |= {repo.id: repo for repo in watched.values()}
    return {f"{owner}/*": (None, ""), **{name: (repo.id, "") for name, repo in watched.items()}}


def _is_anothers(repo: Repo, login: str, owners: dict[str, int]) -> str:
    """Why it is not what the config means although it is called so, or "".  Who is found first is who is meant."""
    if repo.owner is None or repo.owner.login.lower() != login.lower():
        return ""  # it was renamed or given away, and is found under its former name
    known = owners.setdefault(login.lower(), repo.owner.id)
    if known == repo.owner.id:
        return ""
    return (
        f"{login} is another account now (id {repo.owner.id}, it was {known}); name the old one as it is called today, "
        f"or, if the new one is meant, take {login} out of `repos` for one cycle"
    )


def _named(control: Control, config: Config, found: dict[int, Repo], owners: dict[str, int]) -> Named:
    named = [name for name in config.wanted if not name.endswith("/*")]
    by_owner: dict[str, list[str]] = {}
    for name in named:
        by_owner.setdefault(name.partition("/")[0].lower(), []).append(name)
    listed: dict[str, Repo] = {}
    for owner, mine in by_owner.items():
        if len(mine) >= LIST_FROM:
            try:
                listed |= {repo.full_name.lower(): repo for repo in control.repositories_of(owner)}
            except errors.MissingScope:
                raise
            except (errors.NotFound, errors.Declined, errors.Forbidden, errors.Moved):
                continue  # each name is asked for below, and says what is wrong with it
    return {name: _one(control, name, listed, found, owners) for name in named}


def _one(
    control: Control, name: str, listed: Mapping[str, Repo], found: dict[int, Repo], owners: dict[str, int]
) -> tuple[int | None, str]:
    repo = listed.get(name.lower())
    try:
        repo = repo or control.repository(name)
    except (errors.NotFound, errors.Declined, errors.Moved) as trouble:
        return None, str(trouble)
    except errors.MissingScope:
        raise
    except errors.Forbidden as trouble:
        return None, str(trouble)
    if repo is None:
        return None, "not found, or no access: 404; check the name, and that the bot's account has access to it"
    if why := _is_anothers(repo, name.partition("/")[0], owners):
        return None, why
    if repo.full_name.lower() != name.lower():
        log.warning("repository was renamed", extra=fields(repo=name, now=repo.full_name))
    found[repo.id] = repo
    return repo.id, ""


def save(conn: sa.Connection, config: Config, taken: Inventory, *, now: float) -> None:
    """Remember the answers, and of which config they are."""
    store.save_forge(
        conn,
        config.forge,
        bot=taken.bot,
        version=taken.version,
        page=taken.page,
        token_mark=taken.token_mark,
        patterns_mark=patterns_mark(config),
        asked_at=now,
    )
    found = dict(taken.repositories)
    for name in taken.troubles:
        if name.endswith("/*"):  # what was known of an owner who cannot be listed (renamed?) stays known
            found = store.repositories_under(conn, config.forge, name[:-1]) | found
    store.save_repositories(conn, config.forge, found, now)
    namesakes.save_owners(conn, config.forge, taken.owners)
