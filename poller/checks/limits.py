"""What this server and this token can and cannot, as `poll doctor` finds out by trying.

Knows harmless questions whose answers differ from server to server.  Must not go by version numbers: forks and
backports make them lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from poller.checks import Check, ok, warn
from poller.config import Config
from poller.forge import errors
from poller.forge.control import Control

#: Pulls that are tried until one has entries enough.
TRIES = 3
#: Rows per page below which reading costs noticeably more requests.
SMALL_PAGE = 20


class _Named(msgspec.Struct, frozen=True):
    full_name: str


class _Pull(msgspec.Struct, frozen=True):
    number: int
    repository: _Named
    comments: int = 0


def of_this_forge(config: Config, control: Control) -> Iterator[Check]:
    """One line for each thing that is otherwise elsewhere.  Wants the scopes that the config needs."""
    yield lists(config, control)
    yield threads(config, control)
    yield organizations(config, control)


def lists(config: Config, control: Control) -> Check:
    """How lists are cut: whole without a page, as up to Gitea 1.25, or cut all the same, as from 1.26 on."""
    most = control.api_settings().max_response_items
    if most < SMALL_PAGE:
        mend = "more requests than usual; raise MAX_RESPONSE_ITEMS in the section [api] of its app.ini, if you may"
        return warn("lists", f"only {most} rows at a time", mend)
    for pull in _some_pulls(config, control):
        path = f"/repos/{quote(pull.repository.full_name, safe='/')}/issues/{pull.number}/timeline"
        try:
            if len(control.listed(path, {"limit": 1})) > 1:
                return ok("lists", f"come whole when no page is asked for, else {most} rows at a time; nothing to do")
            if len(control.listed(path, {"limit": most, "page": 1})) > 1:
                return ok("lists", f"are cut, to {most} rows at most: they are read page by page; nothing to do")
        except (errors.NotFound, errors.Forbidden, errors.Declined, errors.ServerTrouble):
            continue
    return ok("lists", "no pull with two entries to try it on: it is found out with the first one; nothing to do")


def _some_pulls(config: Config, control: Control) -> list[_Pull]:
    """Of what is watched, those with the most comments."""
    rows = control.listed("/repos/issues/search", {"type": "pulls", "state": "all", "limit": 50, "page": 1})
    pulls = msgspec.convert([row for row in rows if row is not None], list[_Pull])
    mine = [pull for pull in pulls if config.watches(pull.repository.full_name)]
    return sorted(mine, key=lambda pull: -pull.comments)[:TRIES]


def threads(config: Config, control: Control) -> Check:
    """Whether the forge knows how to resolve a thread by its API; asked about a comment that cannot be there."""
    name = next((name for name in config.wanted if not name.endswith("*")), "-/-")
    try:
        refusal = control.ask_to_write(f"/repos/{name}/pulls/comments/0/resolve")
    except errors.Forbidden:
        return ok("threads", "whether they can be resolved is told to who may write; nothing to do")
    # Of a route that it lacks a server says 405, or 404 without a word of its own.
    is_missing = isinstance(refusal, errors.NotFound) and not refusal.said
    if is_missing or (refusal is not None and refusal.status == 405):
        return ok("threads", "cannot be resolved by the API of this server, only on its pages; nothing to do")
    return ok("threads", "can be resolved by the API")


def organizations(config: Config, control: Control) -> Check:
    """Whether the token has the one scope that may be there and need not."""
    owner = next((name.partition("/")[0] for name in config.wanted), "-")
    try:
        control.ask(f"/orgs/{quote(owner, safe='')}")
    except errors.MissingScope:
        return ok("organizations", "the token lacks read:organization, which nothing needs; nothing to do")
    except (errors.NotFound, errors.Forbidden, errors.Declined, errors.Moved):
        pass  # the scope was judged first, and was there
    return ok("organizations", "the token has read:organization, which nothing needs")
