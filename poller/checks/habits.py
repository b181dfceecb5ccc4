"""What is the matter with the pulls that are watched, and with what we want to say on them: for `poll doctor`.

Knows harmless questions.  Must not change anything: what it finds left over is named with its mend.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import msgspec

from poller.checks import Check, ok, warn
from poller.config import Config
from poller.forge import errors
from poller.forge.control import Account, Control, Repo

#: What the bot reacts with; a forge may allow others only.
REACTIONS = ("eyes", "rocket", "confused")
#: Pulls, those that moved last, whose reviews are looked through.
TRIES = 5
#: A refusal that is about one thing, and not about the whole way.
_PASSED_OVER = (errors.NotFound, errors.Forbidden, errors.Declined, errors.ServerTrouble)


class _Named(msgspec.Struct, frozen=True):
    full_name: str


class _Pull(msgspec.Struct, frozen=True):
    number: int
    repository: _Named
    updated_at: str = ""


class _Person(msgspec.Struct, frozen=True):
    id: int


class _Review(msgspec.Struct, frozen=True):
    id: int
    state: str
    user: _Person | None = None


def of_what_is_watched(config: Config, control: Control, account: Account, repos: list[Repo]) -> Iterator[Check]:
    """One line for each thing that is otherwise elsewhere."""
    rows = control.listed("/repos/issues/search", {"type": "pulls", "state": "all", "limit": 50, "page": 1})
    pulls = msgspec.convert([row for row in rows if row is not None], list[_Pull])
    mine = [pull for pull in pulls if config.watches(pull.repository.full_name)]
    yield strangers(config, pulls, mine)
    yield switched_off(repos)
    yield address(config, repos)
    yield reactions(control)
    yield from code_rights(config, repos)
    if any(agent.reply == "review" for agent in config.agents.values()):
        yield begun_reviews(control, account, mine)


def strangers(config: Config, pulls: list[_Pull], mine: list[_Pull]) -> Check:
    """The search shows every public repository of the forge, asked for or not."""
    if len(mine) == len(pulls):
        return ok("search", "shows only what is watched")
    found = f"{len(pulls) - len(mine)} of the {len(pulls)} newest pulls it shows are not watched: they are dropped"
    if len({name.partition("/")[0].lower() for name in config.wanted}) == 1:
        return ok("search", f"{found}; of one owner only his are asked for; nothing to do")
    return ok("search", f"{found}; nothing to do")


def switched_off(repos: list[Repo]) -> Check:
    """A repository without the unit of pull requests has rows all the same, and answers 404 to questions about them."""
    without = [repo.full_name for repo in repos if not repo.has_pull_requests]
    if not without:
        return ok("pull requests", "switched on wherever we look")
    found = f"switched off in {', '.join(without[:3])}{f' and {len(without) - 3} more' if without[3:] else ''}"
    return warn("pull requests", found, "switch them on in the repository's settings, or exclude it in `repos`")


def address(config: Config, repos: list[Repo]) -> Check:
    """The forge writes links by the address that its own config names."""
    shown = next((repo.html_url for repo in repos if repo.html_url), "")
    theirs = _root(shown.rstrip("/").rsplit("/", 2)[0])  # without owner and name
    if not shown or theirs == _root(config.url):
        return ok("address", "the links that the forge writes begin as `gitea.url` does")
    return ok("address", f"the links that the forge writes begin with {theirs}; nothing to do")


def _root(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower() + parts.path.rstrip("/")


def reactions(control: Control) -> Check:
    """Which reactions may be used is the forge's choice."""
    try:
        allowed = control.allowed_reactions()
    except _PASSED_OVER:
        return ok(
            "reactions", "the forge does not tell which it allows; one that it refuses is left out; nothing to do"
        )
    lacking = [name for name in REACTIONS if name not in allowed]
    if not lacking:
        return ok("reactions", f"{', '.join(REACTIONS)} are allowed")
    mend = "add them to REACTIONS in the section [ui] of its app.ini, or live without"
    return warn("reactions", f"the forge does not allow {', '.join(lacking)}: they are left out", mend)


def code_rights(config: Config, repos: list[Repo]) -> Iterator[Check]:
    """A push, and a commit status, want the right to write code; comments and reviews do not."""
    wants = [
        (what, name)
        for name, agent in config.agents.items()
        for what, wanted in (("push", agent.push), ("status", agent.status))
        if wanted
    ]
    cannot = [repo.full_name for repo in repos if not repo.permissions.push]
    if wants and cannot:
        what, name = wants[0]
        found = f"agents.{name}.{what} wants the right to write code, which we lack in {', '.join(cannot[:3])}"
        yield warn("code rights", found, f"give the bot's account write access there, or write {what}: false")


def begun_reviews(control: Control, account: Account, mine: list[_Pull]) -> Check:
    """A review of ours that was begun and never sent makes every later one fail, or comes out with it."""
    for pull in sorted(mine, key=lambda pull: pull.updated_at, reverse=True)[:TRIES]:
        name = pull.repository.full_name
        path = f"/repos/{quote(name, safe='/')}/pulls/{pull.number}/reviews"
        try:
            rows = control.listed(path, {"limit": 50, "page": 1})
        except _PASSED_OVER:
            continue
        for review in msgspec.convert([row for row in rows if row is not None], list[_Review]):
            if review.state == "PENDING" and review.user is not None and review.user.id == account.id:
                found = (
                    f"{account.login} has an unsent review on {name}#{pull.number}: the next one would go out with it"
                )
                return warn(
                    "reviews",
                    found,
                    f"it is deleted before the next one is posted; by hand: DELETE /api/v1{path}/{review.id}",
                )
    return ok("reviews", f"none of ours is left unsent on the {TRIES} pulls that moved last")
