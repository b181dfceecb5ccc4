"""The one HTTP door to the forge.

Knows how to send, when to send again and what a status means.  Must not know what the answers are for.
Safe requests are repeated with jitter and honour `Retry-After`; a POST is sent once, because Gitea has no
idempotency key: who posts looks for the marker first.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urljoin

# Where rich and click are installed, httpx would import its own command line, and them with it, on every cycle.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402
import msgspec  # noqa: E402

from poller.forge import errors  # noqa: E402
from sessions.decoding import decoder  # noqa: E402

T = TypeVar("T")

#: Seconds that a `Retry-After` may ask for before it is the next cycle's business.
PATIENCE = 10.0
REDIRECTS = 3


class Answer(msgspec.Struct, frozen=True):
    """A decoded answer.  `total` is X-Total-Count (of the timeline it lies), `date` the forge's clock, as `…Z`."""

    body: Any
    total: int | None
    date: str | None


class _ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""


class Client:
    """Thread-safe; one pool of connections.  `requests` counts what was really sent."""

    def __init__(self, url: str, token: str | None, *, user_agent: str = "bottlepost", timeout: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._root = self._url + "/api/v1"
        headers = {"User-Agent": user_agent, "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"token {token}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=8),
        )
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, repeats included."""
        return self._count

    def get(self, path: str, kind: type[T] | Any, params: Mapping[str, str | int] | None = None) -> Answer:
        """GET `/api/v1<path>`; the body is decoded as `kind`.

        Raises `ForgeError`: `Unreachable`, `ServerTrouble` and `RateLimited` only after their repeats.
        """
        response = self._repeated(self._root + path, params)
        return self._answer(response, kind, where=errors.where_of("GET", path))

    def get_text(self, path: str, *, limit: int) -> tuple[str, bool]:
        """GET a text such as a pull's diff: at most `limit` bytes of it, and whether that is all."""
        where, url = errors.where_of("GET", path), self._root + path
        try:
            for _ in range(REDIRECTS + 1):
                self._counted()
                with self._http.stream("GET", url) as response:
                    if not 300 <= response.status_code < 400:
                        return self._text(response, where, limit=limit)
                    response.read()
                    url = self._same_forge(response, where)
        except httpx.HTTPError as failure:
            raise errors.unreachable(_said(failure), where=where, url=self._url) from None
        raise self._error(response, where)

    def post(self, path: str, kind: type[T] | Any, body: Mapping[str, Any]) -> Answer:
        """POST once.  After `Unreachable` nobody knows whether the forge took it."""
        where = errors.where_of("POST", path)
        response = self._sent("POST", self._root + path, None, where, body=body)
        if 300 <= response.status_code < 400:  # renamed: a 301'd POST must stay a POST
            target = self._same_forge(response, where)
            response = self._sent("POST", target, None, where, body=body)
        return self._answer(response, kind, where=where)

    # -- sending ------------------------------------------------------------------------------------------------

    def _repeated(self, url: str, params: Mapping[str, str | int] | None) -> httpx.Response:
        where = errors.where_of("GET", url)
        try:
            return self._followed(url, params, where)
        except errors.ForgeError as failure:
            if not is_worth_repeating(failure):
                raise
            first = failure
        from poller.forge.patience import repeating  # with tenacity: only who needs it pays for it

        return repeating(lambda: self._followed(url, params, where), first, is_worth_repeating)

    def _followed(self, url: str, params: Mapping[str, str | int] | None, where: str) -> httpx.Response:
        response = self._sent("GET", url, params, where)
        for _ in range(REDIRECTS):
            if not 300 <= response.status_code < 400:
                break
            response = self._sent("GET", self._same_forge(response, where), None, where)
        if response.status_code >= 300:
            raise self._error(response, where)
        return response

    def _sent(
        self,
        method: str,
        url: str,
        params: Mapping[str, str | int] | None,
        where: str,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        self._counted()
        try:
            return self._http.request(method, url, params=params, json=body)
        except httpx.HTTPError as failure:
            raise errors.unreachable(_said(failure), where=where, url=self._url) from None

    def _counted(self) -> None:
        with self._lock:
            self._count += 1

    def _same_forge(self, response: httpx.Response, where: str) -> str:
        """Where a redirect leads.  Only to the API of the same forge: the token goes nowhere else."""
        location = response.headers.get("Location", "")
        target: str = urljoin(str(response.request.url), location)
        if not location or not target.startswith(self._root + "/"):
            found = f"a redirect to {errors.strip_url(location) or 'nowhere'}"
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code)
        return target

    # -- reading ------------------------------------------------------------------------------------------------

    def _text(self, response: httpx.Response, where: str, *, limit: int) -> tuple[str, bool]:
        if response.status_code != 200:
            response.read()
            raise self._error(response, where)
        if _is_page(response):
            raise errors.not_gitea("an HTML page with status 200", where=where, url=self._url, status=200)
        taken = bytearray()
        for chunk in response.iter_bytes():
            taken += chunk
            if len(taken) > limit:
                break
        return taken[:limit].decode("utf-8", "replace"), len(taken) <= limit

    def _answer(self, response: httpx.Response, kind: type[T] | Any, *, where: str) -> Answer:
        if response.status_code >= 300:
            raise self._error(response, where)
        body = response.content
        if body and _is_page(response):
            found = f"an HTML page with status {response.status_code}"
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code)
        try:
            decoded = decoder(kind).decode(body or b"null")
        except msgspec.ValidationError as failure:
            found = f"JSON of another shape ({failure})"
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code) from None
        except msgspec.DecodeError:
            found = "an answer that is not JSON"
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code) from None
        total = response.headers.get("X-Total-Count", "")
        return Answer(decoded, int(total) if total.isdecimal() else None, _date(response))

    def _error(self, response: httpx.Response, where: str) -> errors.ForgeError:
        if response.status_code == 404 and _is_page(response):
            return errors.not_gitea("an HTML page with status 404", where=where, url=self._url, status=404)
        try:
            message = decoder(_ErrorBody).decode(response.content).message
        except msgspec.MsgspecError:
            message = ""
        return errors.error_of(
            response.status_code,
            where=where,
            message=message,
            retry_after=_retry_after(response),
            location=response.headers.get("Location", ""),
        )


def _is_page(response: httpx.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "").lower()


def _date(response: httpx.Response) -> str | None:
    try:
        moment = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, or a date: both are allowed."""
    said = response.headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def is_worth_repeating(failure: BaseException) -> bool:
    """May the same safe request succeed soon?"""
    if isinstance(failure, errors.RateLimited) and failure.retry_after is not None:
        return failure.retry_after <= PATIENCE
    return isinstance(failure, errors.ForgeError) and failure.passing


def _said(failure: httpx.HTTPError) -> str:
    """The failure in a few words.  Host and port are in the mend; nothing of the request's headers is repeated."""
    return errors.one_line(f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__)
