"""What can go wrong on the way to the forge, each with its mend and the exit code it deserves.

Knows status codes and the few texts of Gitea that name a cause.  Must not know a client library:
the HTTP client and the control plane both raise these.
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

from poller.amounts import span

#: Gitea names the scope a token lacks: `…required=[read:repository], token scope=…`; 1.22: `…scope(s): [read:user]`.
_REQUIRED_SCOPE = re.compile(r"required(?:=| scope\(s\): )\[([a-z:,\s-]+)\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ForgeError(Exception):
    """The forge did not do what was asked.  `str()` is one line: what, where, the mend; never a secret."""

    exit_code: int = 3
    #: May the same safe request succeed if it is sent again soon?
    passing: ClassVar[bool] = False
    #: Seconds that the forge asked to wait before anything else is asked; `None` when it did not say.
    retry_after: float | None = None

    def __init__(self, what: str, *, where: str, mend: str, status: int | None = None) -> None:
        super().__init__(f"{what} ({where}); {mend}")
        self.what = what
        self.where = where
        self.mend = mend
        self.status = status


class Unreachable(ForgeError):
    """No answer: name resolution, connection, TLS, time-out."""

    passing = True


class Untrusted(Unreachable):
    """TLS: the certificate is not one that we believe.  Nothing was sent."""

    passing = False


class ServerTrouble(ForgeError):
    """5xx.  On a timeline or comments it is also what Gitea says of a deleted pull: ask `issues/{n}` first."""

    passing = True


class NotGitea(ForgeError):
    """An answer that no Gitea gives: a proxy's HTML page, or JSON of another shape."""


class Misshapen(NotGitea):
    """JSON of another shape.  Where other answers are as they should be, it is this one thing's own trouble."""


class RateLimited(ForgeError):
    """429, or nothing was even sent because the forge has asked for quiet."""

    passing = True


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
    """404: not there, deleted, or no access; Gitea does not tell which.  Of a route that it lacks nothing is `said`."""

    exit_code = 1
    said: str = ""


class Moved(ForgeError):
    """301 or 307: the repository was renamed or transferred; `location` is where it says it is now."""

    exit_code = 1
    location: str = ""


class Declined(ForgeError):
    """Another 4xx: understood, and turned down (locked, archived, invalid, conflict)."""

    exit_code = 1


#: What a gateway says when there is nobody behind it.
_NOBODY = (502, 503, 504)


def is_an_answer(trouble: ForgeError) -> bool:
    """Did the forge itself refuse?  Then nothing of what was asked is still to come."""
    away = isinstance(trouble, Unreachable | NotGitea) or trouble.status in _NOBODY
    return not away


def is_everybodys(trouble: ForgeError) -> bool:
    """Would every other request meet the same?"""
    if isinstance(trouble, Misshapen):
        return False
    return not is_an_answer(trouble) or isinstance(trouble, RateLimited | Refused)


def error_of(
    status: int,
    *,
    where: str,
    message: str = "",
    retry_after: float | None = None,
    location: str = "",
    page: str = "",
) -> ForgeError:
    """The error that an answer's status (300 and up) stands for.

    `message` is the `message` of Gitea's error body (or `""`); `retry_after` in seconds; `page` tells of an HTML page
    in the place of such a body.
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
        missing = NotFound("not found, or no access: 404", where=where, mend=mend, status=status)
        missing.said = said
        return missing
    if status == 429:
        what = "the forge asks for patience: 429"
        if retry_after is not None:
            what += f", for {span(retry_after)}"
        limited = RateLimited(what, where=where, mend="poll less often", status=status)
        limited.retry_after = retry_after
        return limited
    if 300 <= status < 400:
        target = one_line(strip_url(location))
        mend = f"it is now at {target}" if target else "look up its new name"
        moved = Moved(f"moved: {status}", where=where, mend=mend, status=status)
        moved.location = location
        return moved
    if status >= 500:
        return _trouble(status, said, where=where, page=page, retry_after=retry_after)
    what = f"the forge turned it down: {status}" + (f" {said!r}" if said else "")
    mend = "it can be read only until that is undone" if status == 423 else "see the message"
    return Declined(what, where=where, mend=mend, status=status)


def _trouble(status: int, said: str, *, where: str, page: str, retry_after: float | None) -> ServerTrouble:
    if page:
        what, mend = f"a proxy answers in the forge's place: {page}", "see whether the forge behind it runs, or wait"
    else:
        what, mend = f"the forge failed: {status}" + (f" {said!r}" if said else ""), "see the forge's log, or wait"
    if retry_after is not None:
        mend += f"; it asks for {span(retry_after)}"
    trouble = ServerTrouble(what, where=where, mend=mend, status=status)
    trouble.retry_after = retry_after
    return trouble


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


def patience(left: float, *, where: str) -> RateLimited:
    """The forge has asked for quiet, of which so many seconds are left: nothing was sent."""
    what = f"the forge has asked for patience, {span(left)} are left"
    limited = RateLimited(what, where=where, mend="nothing: it is asked again when they are over")
    limited.retry_after = left
    return limited


def unreachable(cause: str, *, where: str, url: str, proxy: str = "") -> Unreachable:
    """No answer from the forge at `url`; `cause` in a few words, such as `connection refused`."""
    mend = f"check `gitea.url` ({strip_url(url)}), the network, and that the forge runs"
    if proxy:
        mend = f"check the proxy {strip_url(proxy)}, `gitea.url` ({strip_url(url)}), and that the forge runs"
    return Unreachable(f"the forge could not be reached: {one_line(cause)}", where=where, mend=mend)


def untrusted(reason: str, *, where: str, url: str, ca_file: str = "") -> Untrusted:
    """The certificate at `url` is not believed; `reason` in the words of the TLS library."""
    said = one_line(reason).rstrip(".") or "no reason given"
    if "mismatch" in said:
        mend = f"write the name in `gitea.url` ({strip_url(url)}) for which the certificate was made"
    elif "expired" in said or "not yet valid" in said:
        mend = "renew the forge's certificate, or put the clock right"
    elif ca_file:
        mend = f"`gitea.ca_file` ({ca_file}) does not hold the authority that signed it: put its certificate there"
    else:
        mend = "set `gitea.ca_file` to a file (PEM) with the certificate of the authority that signed it"
    return Untrusted(f"the forge's certificate is not accepted: {said}", where=where, mend=mend)


def proxy_refused(*, where: str) -> NotGitea:
    """407."""
    mend = "write them into the variable that names it: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
    return NotGitea("the proxy wants a name and a password: 407", where=where, mend=mend, status=407)


def not_gitea(found: str, *, where: str, url: str, status: int | None = None, mend: str = "") -> NotGitea:
    """An answer that is not Gitea's API, for instance `an HTML page with status 200`."""
    mend = mend or f"check `gitea.url` ({strip_url(url)}): a proxy or a log-in page may answer in its place"
    return NotGitea(f"that is not Gitea's API: {one_line(found)}", where=where, mend=mend, status=status)


def misshapen(found: str, *, where: str, status: int) -> Misshapen:
    """An answer whose JSON is not what this question is answered with."""
    mend = "see whether a newer bottlepost knows this version of the forge, and report it"
    return Misshapen(f"that is not Gitea's API: {one_line(found)}", where=where, mend=mend, status=status)


def where_of(method: str, url: str) -> str:
    """`GET /api/v1/user`: what was asked, without host, credentials and query."""
    return f"{method.upper()} {one_line(urlsplit(url).path) or '/'}"


def strip_url(url: str) -> str:
    """The URL without credentials, query and fragment: fit for a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path


def one_line(text: str, *, limit: int = 200) -> str:
    """The forge's words, fit for a line of ours: no control characters, not too long."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
