"""What `poll doctor` can learn from the forge by harmless questions.

Knows the control plane, and which scope each question needs.  Must not post: the two POSTs it sends are refused by
every Gitea for what they say, after their scope was judged, and name a pull that cannot be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from poller.checks import Check, fail, ok, warn
from poller.checks.habits import of_what_is_watched
from poller.checks.limits import of_this_forge
from poller.config import Config
from poller.forge import errors
from poller.forge.control import Account, Control, Repo

#: So many repositories get a line of their own; of more, only those with a trouble do.
FEW = 10
#: Seconds between two clocks that nobody needs to care about.
TOLERABLE = 60


def of_the_forge(config: Config, control: Control) -> Iterator[Check]:
    """Findings in the order in which each makes the next worth looking at; ends when one makes the rest pointless."""
    try:
        yield from _in_order(config, control)
    except errors.ForgeError as error:
        yield of_error(error)


def _in_order(config: Config, control: Control) -> Iterator[Check]:
    yield server(config, control.server_version())
    yield clock(config, control.clock_ahead)
    account = control.account()
    yield ok("token", f"we are {account.login} (id {account.id})")
    if account.is_admin:
        mend = "use an ordinary account: an administrator's reads every repository and others' unsent reviews"
        yield warn("account", f"{account.login} is an administrator of the whole forge", mend)
    held = scopes(config, control)
    yield held
    if held.status == "ok":
        yield from of_this_forge(config, control)
        yield from repositories(config, control, account)


def of_error(error: errors.ForgeError) -> Check:
    """An error of the forge as a finding."""
    name = "token" if isinstance(error, errors.Refused | errors.MissingScope) else "forge"
    return fail(name, f"{error.what} ({error.where})", error.mend, exit_code=error.exit_code)


def server(config: Config, version: str) -> Check:
    """Which server it is, and whether this program was tried with it."""
    fork, _, base = version.partition("+gitea-")
    if base:
        found = f"Forgejo {fork} (as Gitea {base}) at {config.url}"
        if _is_older(fork, (10, 0)):
            return warn("forge", found, "tested with Forgejo 10; update it if you can")
        return ok("forge", found)
    if _is_older(version, (1, 22)):
        return warn("forge", f"Gitea {version} at {config.url}", "tested from 1.22 on; update it if you can")
    return ok("forge", f"Gitea {version} at {config.url}")


def _is_older(version: str, than: tuple[int, int]) -> bool:
    number = re.match(r"(\d+)\.(\d+)", version)
    return number is None or (int(number[1]), int(number[2])) < than


def clock(config: Config, ahead: float | None) -> Check:
    """The forge's `Date` beside our clock; cursors follow the forge's, time limits and retries ours."""
    if ahead is None:
        return ok("clock", "the forge does not tell its time")
    found = f"the forge's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    if abs(ahead) <= TOLERABLE:
        return ok("clock", found if abs(ahead) >= 2 else "the forge's clock and ours agree")
    return warn("clock", found, "let both use NTP: `start`, retries and limits per day are by our clock")


def scopes(config: Config, control: Control) -> Check:
    """Whether the token may do what the config needs; `read:user` was answered already."""
    lacking: list[str] = []
    for question in _questions(config, control):
        try:
            question()
        except errors.MissingScope as missing:
            lacking.append(missing.scope)
        except errors.Forbidden as error:
            if "limited to public" in error.what:
                return fail("scopes", error.what, error.mend, exit_code=4)
        except (errors.NotFound, errors.Declined):
            pass  # the scope was judged first, and was there
    if lacking:
        found = f"the token lacks {', '.join(lacking)}"
        return fail("scopes", found, "make a token with read:user, write:issue and write:repository", exit_code=4)
    return ok("scopes", "enough for what the config asks")


def _questions(config: Config, control: Control) -> Iterator[Callable[[], object]]:
    """One for each scope, which Gitea judges before it looks whether the repository is there."""
    name = next((name for name in config.wanted if not name.endswith("*")), "-/-")
    replies = {agent.reply for agent in config.agents.values()}
    yield partial(control.ask, "/repos/issues/search?type=pulls&state=all&limit=1")
    yield partial(control.ask, f"/repos/{name}")
    if replies & {"comment", "review"}:
        yield partial(control.ask_to_write, f"/repos/{name}/issues/0/comments")
    if "review" in replies or any(one.checkout or one.status for one in config.agents.values()):
        yield partial(control.ask_to_write, f"/repos/{name}/pulls/0/reviews")


def repositories(config: Config, control: Control, account: Account) -> Iterator[Check]:
    """Whether each pattern can be read, what we may do there, and how people's rights are found out."""
    names = config.wanted
    seen: list[Repo] = []
    quiet = len(names) > FEW
    good = 0
    for name in names:
        check, repos = _pattern(config, control, name)
        seen += repos
        if check.status == "ok" and quiet:
            good += 1
        else:
            yield check
    if good:
        yield ok("repositories", f"{good:,} of {len(names):,} patterns can be read, {len(seen):,} repositories")
    yield trust(config, control, seen)
    yield from of_what_is_watched(config, control, account, seen)


def _pattern(config: Config, control: Control, name: str) -> tuple[Check, list[Repo]]:
    label = f"repo {name}"
    mend = "check the name, and that the bot's account has access"
    try:
        if name.endswith("/*"):
            repos = [repo for repo in control.repositories_of(name[:-2]) if config.watches(repo.full_name)]
            if not repos:
                mend += ", and a token that is not limited to public repositories"
                return warn(label, "no repository of this owner can be read (yet)", mend), []
            closed = next((repo for repo in repos if repo.private), None)
            if closed is not None:
                control.repository(closed.full_name)  # a token for public ones lists it, and cannot read it
            return ok(label, _counted(repos)), repos
        repo = control.repository(name)
    except (errors.NotFound, errors.Declined, errors.Forbidden) as error:
        if isinstance(error, errors.MissingScope):
            raise
        public_only = isinstance(error, errors.Forbidden) and "limited to public" in error.what
        return fail(label, error.what, error.mend, exit_code=4 if public_only else 1), []
    if repo is None:
        return fail(label, "not found, or no access", mend), []
    if repo.full_name.lower() != name.lower():
        return warn(label, f"is now {repo.full_name}", f"write {repo.full_name} in `repos`"), [repo]
    if repo.archived:
        found = "is archived: it is read, but nothing can be posted there (423)"
        return warn(label, found, f'leave it out: "!{name}", or nothing to do'), [repo]
    return ok(label, _rights(repo)), [repo]


def _counted(repos: list[Repo]) -> str:
    """How many repositories an owner has, and how many of them can only be read."""
    total = f"{len(repos):,} {'repository' if len(repos) == 1 else 'repositories'}"
    archived = [repo.full_name for repo in repos if repo.archived]
    if not archived:
        return total
    return f"{total}, {len(archived):,} archived: nothing can be posted there (423), as in {archived[0]}; nothing to do"


def _rights(repo: Repo) -> str:
    if repo.permissions.admin:
        return "we are its administrator"
    return "we can push" if repo.permissions.push else "we can read and comment, not push"


def trust(config: Config, control: Control, repos: list[Repo]) -> Check:
    """How `trust.who` is found out here."""
    match config.trust.who:
        case "everyone":
            return warn("trust", "everybody who can comment can make the agents run", "name writers or logins")
        case "collaborators":
            return ok("trust", "people who were added to the repository by name, and its owner")
        case "writers":
            return _writers(control, repos)
        case logins:
            return _named(control, logins)


def _named(control: Control, logins: tuple[str, ...]) -> Check:
    """Whoever takes a listed login that nobody has is trusted from then on."""
    if not logins:
        return warn("trust", "trust.who is an empty list: nobody can make the agents run", "name writers or logins")
    missing = [login for login in logins[:FEW] if control.user(login) is None]
    if missing:
        return warn("trust", f"nobody is called {', '.join(missing)}", "remove what is wrong in `trust.who`")
    return ok("trust", f"{len(logins)} by name: {', '.join(logins)[:80]}; accounts are known by their ids")


def _writers(control: Control, repos: list[Repo]) -> Check:
    """Asked about the owner, of whom everybody knows that he may."""
    tried = [repo for repo in repos if not repo.permissions.admin][:FEW]
    unsure = [repo for repo in tried if not control.may_ask_permissions(repo.full_name, repo.full_name.split("/")[0])]
    if not unsure:
        return ok("trust", "writers, as the forge says of each person")
    some = ", ".join(repo.full_name for repo in unsure[:3]) + (f" and {len(unsure) - 3:,} more" if unsure[3:] else "")
    way = f"writers, by assignees and teams: the bot is no administrator of {some}"
    closed = [repo.full_name for repo in unsure if control.are_teams_mixed(repo.full_name)]
    if closed:
        mend = "make the bot an administrator there, or name people in `trust.who`"
        return warn("trust", f"{way}; in {closed[0]} not all teams write, so members of teams are refused", mend)
    # For users' repositories, and where all teams write, this way is exact.
    return ok("trust", f"{way}, which is as good there; nothing to do")
