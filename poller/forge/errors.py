"""What can go wrong on the way to the forge, each with its mend and the exit code it deserves.

Knows status codes and the few texts of Gitea that name a cause.  Must not know a client library:
the HTTP client and the control plane both raise these.
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

#: Gitea names the scope a token lacks: `…required=[read:repository], token scope=…`; 1.22: `…scope(s): [read:user]`.
_REQUIRED_SCOPE = re.compile(r"required(?:=| scope\(s\): )\[([a-z:,\s-]+)\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ForgeError(Exception):
    """The forge did not do what was asked.  `str()` is one line: what, where, the mend; never a secret."""

    exit_code: ClassVar[int] = 3
    #: May the same safe request succeed if it is sent again soon?
    passing: ClassVar[bool] = False

    def __init__(self, what: str, *, where: str, mend: str, status: int | None = None) -> None:
        super().__init__(f"{what} ({where}); {mend}")
        self.what = what
        self.where = where
        self.mend = mend
        self.status = status


class Unreachable(ForgeError):
    """No answer: name resolution, connection, TLS, time-out."""

    passing = True


class ServerTrouble(ForgeError):
    """5xx.  On a timeline or comments it is also what Gitea says of a deleted pull: ask `issues/{n}` first."""

    passing = True


class NotGitea(ForgeError):
    """An answer that no Gitea gives: a proxy's HTML page, or JSON of another shape."""


class RateLimited(ForgeError):
    """429.  `retry_after` is seconds to wait, `None` when the answer did not say."""

    passing = True
    retry_after: float | None = None


class Refused(ForgeError):
    """401: the token is wrong, expired or missing."""

    exit_code = 4


class Forbidden(ForgeError):
    """403: the account may not do this here; other repositories may be fine."""

    exit_code = 1


class MissingScope(Forbidden):
    """403 that names a scope which the token lacks."""

    exit_code = 4
    scope: str = ""


class NotFound(ForgeError):
    """404: not there, deleted, or no access; Gitea does not tell which."""

    exit_code = 1


class Moved(ForgeError):
    """301 or 307: the repository was renamed or transferred; `location` is where it says it is now."""

    exit_code = 1
    location: str = ""


class Declined(ForgeError):
    """Another 4xx: understood, and turned down (locked, archived, invalid, conflict)."""

    exit_code = 1


def error_of(
    status: int,
    *,
    where: str,
    message: str = "",
    retry_after: float | None = None,
    location: str = "",
) -> ForgeError:
    """The error that an answer's status (300 and up) stands for.

    `message` is the `message` of Gitea's error body (or `""`); `retry_after` in seconds.
    Texts differ between Gitea's versions: the status decides, the text only adds what it names.
    """
    said = one_line(message)
    if status == 401:
        mend = "make a new access token under Settings → Applications and check `gitea.token`"
        return Refused("the forge refused the token: 401", where=where, mend=mend, status=status)
    if status == 403:
        return _forbidden(said, where=where)
    if status == 404:
        mend = "check the name, and that the bot's account has access to the repository"
        return NotFound("not found, or no access: 404", where=where, mend=mend, status=status)
    if status == 429:
        limited = RateLimited("the forge asks for patience: 429", where=where, mend="poll less often", status=status)
        limited.retry_after = retry_after
        return limited
    if 300 <= status < 400:
        target = one_line(strip_url(location))
        mend = f"it is now at {target}" if target else "look up its new name"
        moved = Moved(f"moved: {status}", where=where, mend=mend, status=status)
        moved.location = location
        return moved
    if status >= 500:
        what = f"the forge failed: {status}" + (f" {said!r}" if said else "")
        return ServerTrouble(what, where=where, mend="see the forge's log, or wait", status=status)
    what = f"the forge turned it down: {status}" + (f" {said!r}" if said else "")
    return Declined(what, where=where, mend="see the message", status=status)


def _forbidden(said: str, *, where: str) -> Forbidden:
    required = _REQUIRED_SCOPE.search(said)
    if required:
        scope = required.group(1)
        mend = f"make a token with the scope {scope} (and the others the README lists)"
        lacking = MissingScope(f"the token lacks the scope {scope}: 403", where=where, mend=mend, status=403)
        lacking.scope = scope
        return lacking
    if "limited to public" in said:
        mend = "make a token that is not limited to public repositories"
        return Forbidden("the token is limited to public repositories: 403", where=where, mend=mend, status=403)
    what = "not allowed: 403" + (f" {said!r}" if said else "")
    return Forbidden(
        what, where=where, mend="give the bot's account the right, or leave the repository out", status=403
    )


def unreachable(cause: str, *, where: str, url: str) -> Unreachable:
    """No answer from the forge at `url`; `cause` in a few words, such as `connection refused`."""
    mend = f"check `gitea.url` ({strip_url(url)}), the network, and that the forge runs"
    return Unreachable(f"the forge could not be reached: {one_line(cause)}", where=where, mend=mend)


def not_gitea(found: str, *, where: str, url: str, status: int | None = None) -> NotGitea:
    """An answer that is not Gitea's API, for instance `an HTML page with status 200`."""
    mend = f"check `gitea.url` ({strip_url(url)}): a proxy or a log-in page may answer in its place"
    return NotGitea(f"that is not Gitea's API: {one_line(found)}", where=where, mend=mend, status=status)


def where_of(method: str, url: str) -> str:
    """`GET /api/v1/user`: what was asked, without host, credentials and query."""
    return f"{method.upper()} {one_line(urlsplit(url).path) or '/'}"


def strip_url(url: str) -> str:
    """The URL without credentials, query and fragment: fit for a message."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path


def one_line(text: str, *, limit: int = 200) -> str:
    """The forge's words, fit for a line of ours: no control characters, not too long."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
