"""What an answer or a failure tells of itself, whoever was given it: both clients judge by these.

Knows headers, pages and TLS.  Must not know a client library, nor what was asked for.
"""

from __future__ import annotations

import html
import re
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import msgspec

from poller.forge import errors
from poller.forge.way import Way
from sessions.decoding import decoder

_PORTS = {"http": 80, "https": 443}
_TITLE = re.compile(rb"<title[^<>]{0,200}>\s*+([^<]{1,200})", re.IGNORECASE)
#: What a server that is written in Go, as Gitea is, says to plain HTTP on its TLS port.
_WANTS_TLS = b"Client sent an HTTP request to an HTTPS server"


class _ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""


def is_page(headers: Mapping[str, str], begin: bytes) -> bool:
    """Is it for people?  Gitea's API never answers so, but for the body of a redirect."""
    kind = headers.get("Content-Type", "").lower()
    return "html" in kind or begin[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def page_of(status: int, body: bytes) -> str:
    """A page in a few words: its title says whether it is a log-in, a proxy's, or something else."""
    title = _TITLE.search(body[:20_000])
    said = errors.one_line(html.unescape(title[1].decode("utf-8", "replace")), limit=60) if title else ""
    return f"an HTML page with status {status}" + (f", titled {said!r}" if said else "")


def error_in(status: int, headers: Mapping[str, str], body: bytes, *, where: str, url: str) -> errors.ForgeError:
    """The error that a whole answer (status 300 and up) stands for; `url` is that of the forge."""
    if status == 407:
        return errors.proxy_refused(where=where)
    if body.startswith(_WANTS_TLS):
        found = f"{status}, it speaks only https"
        return errors.not_gitea(found, where=where, url=url, status=status, mend="write https:// in `gitea.url`")
    page = page_of(status, body) if status >= 400 and is_page(headers, body) else ""
    if page and status < 500 and status != 429:
        return errors.not_gitea(page, where=where, url=url, status=status)
    try:
        message = decoder(_ErrorBody).decode(body).message
    except msgspec.MsgspecError:
        message = ""
    return errors.error_of(
        status,
        where=where,
        message=message,
        retry_after=retry_after(headers),
        location=headers.get("Location", ""),
        page=page,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer asks to wait: it says seconds, or a moment by the sender's own clock."""
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        moment, sent = parsedate_to_datetime(said), parsedate_to_datetime(headers["Date"])
        return max(0.0, (moment - sent).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def followed(location: str, *, asked: str, root: str) -> str | None:
    """Where a redirect leads, if that is the same API (`root`) of the same forge: the token goes nowhere else."""
    try:
        target = urljoin(asked, location)
        there, home = urlsplit(target), urlsplit(root)
        same = (there.scheme, there.hostname, _port(there)) == (home.scheme, home.hostname, _port(home))
    except ValueError:
        return None
    return target if location and same and "@" not in there.netloc and there.path.startswith(home.path + "/") else None


def astray(location: str, *, where: str, url: str, status: int) -> errors.NotGitea:
    """The error about a redirect that is not followed."""
    target = errors.strip_url(location)
    secure = "https" + url.removeprefix("http")
    # The most common one: a proxy that sends everybody from http to https.
    mend = f"write {secure} in `gitea.url`" if url.startswith("http:") and _leads_to(secure, location) else ""
    return errors.not_gitea(f"a redirect to {target or 'nowhere'}", where=where, url=url, status=status, mend=mend)


def no_answer(failure: BaseException, said: str, *, where: str, way: Way) -> errors.Unreachable:
    """The error about a failure to get any answer; `said` tells it in a few words, for want of better ones."""
    url, proxy = way.url, way.proxy.shown if way.proxy is not None else ""
    trouble = next((one for one in _chain(failure) if isinstance(one, ssl.SSLError)), None)
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return errors.untrusted(trouble.verify_message, where=where, url=url, ca_file=str(way.ca_file or ""))
    if trouble is not None and (trouble.reason or "") in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return errors.unreachable("no TLS is spoken there", where=where, url=url, proxy=proxy)
    return errors.unreachable(said, where=where, url=url, proxy=proxy)


def _port(parts: object) -> int | None:
    scheme, port = getattr(parts, "scheme", ""), getattr(parts, "port", None)
    return port or _PORTS.get(scheme)


def _leads_to(url: str, location: str) -> bool:
    return errors.strip_url(location).lower().startswith(f"{url}/")


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """A failure with everything that it came from; the libraries keep that in several places."""
    left, seen = [failure], set[int]()
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        kept = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        left += [other for other in kept if isinstance(other, BaseException)]
