"""The one HTTP door to the forge.

Knows how to send, when to send again and what a status means.  Must not know what the answers are for.
Safe requests are repeated with jitter and honour `Retry-After`; a POST is sent once, because Gitea has no
idempotency key: who posts looks for the marker first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

# Where rich and click are installed, httpx would import its own command line, and them with it, on every cycle.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402
import msgspec  # noqa: E402

from poller.forge import errors, signs  # noqa: E402
from poller.forge.courtesy import AT_ONCE, Courtesy, is_worth_repeating  # noqa: E402
from poller.forge.way import Way  # noqa: E402
from sessions.decoding import decoder  # noqa: E402

T = TypeVar("T")

REDIRECTS = 3


class Answer(msgspec.Struct, frozen=True):
    """A decoded answer.  `total` is X-Total-Count (of the timeline it lies), `date` the forge's clock, as `…Z`."""

    body: Any
    total: int | None
    date: str | None


class Client:
    """Thread-safe; one pool of connections.  `requests` counts what was really sent.

    `way`: by which proxy, believing whom.  `renewed` is asked when the token is refused, with that token: it gives
    another one to try, or `None`.  `courtesy` is shared by all that speak to this forge.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        way: Way | None = None,
        renewed: Callable[[str], str | None] | None = None,
        courtesy: Courtesy | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._root = self._url + "/api/v1"
        self._way = way or Way(url=self._url)
        self._renewed, self._courtesy = renewed, courtesy or Courtesy()
        context, proxy = self._way.context(), self._way.proxy
        by_tls = proxy is not None and proxy.url.startswith("https:")
        self._http = httpx.Client(
            headers={"User-Agent": "bottlepost", "Accept": "application/json"},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=None),
            follow_redirects=False,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            verify=context,
            proxy=httpx.Proxy(proxy.url, ssl_context=context if by_tls else None) if proxy is not None else None,
            trust_env=False,  # the way is known already, and is the control plane's, too
        )
        self._told: tuple[str, float] | None = None
        self._show(token)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    @property
    def requests(self) -> int:
        """Requests sent so far by all that share its courtesy, repeats included."""
        return self._courtesy.sent

    def forge_time(self) -> float | None:
        """Epoch seconds by the forge's clock, as its last answer told it; `None` before there is one."""
        if self._told is None:
            return None
        date, at = self._told
        return datetime.strptime(date, "%Y-%m-%dT%H:%M:%S%z").timestamp() + time.monotonic() - at

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
                with self._courtesy.request(where), self._http.stream("GET", url) as response:
                    if 300 <= response.status_code < 400:
                        response.read()
                        url = self._same_forge(response, where)
                    elif not self._has_new_token(response):
                        return self._text(response, where, limit=limit)
        except httpx.HTTPError as failure:
            raise self._no_answer(failure, where) from None
        raise self._error(response, where)

    def post(self, path: str, kind: type[T] | Any, body: Mapping[str, Any]) -> Answer:
        """POST once.  After `Unreachable` nobody knows whether the forge took it."""
        where = errors.where_of("POST", path)
        response = self._sent("POST", self._root + path, None, where, body=body)
        if 300 <= response.status_code < 400:  # renamed: a 301'd POST must stay a POST
            target = self._same_forge(response, where)
            response = self._sent("POST", target, None, where, body=body)
        return self._answer(response, kind, where=where)

    def patch(self, path: str, kind: type[T] | Any, body: Mapping[str, Any]) -> Answer:
        """PATCH once; what it changes it may change again."""
        where = errors.where_of("PATCH", path)
        return self._answer(self._sent("PATCH", self._root + path, None, where, body=body), kind, where=where)

    def delete(self, path: str) -> None:
        """DELETE once; what the answer says is not read.  A 404 is a `NotFound`."""
        response = self._sent("DELETE", self._root + path, None, where := errors.where_of("DELETE", path))
        if response.status_code >= 300:
            raise self._error(response, where)

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
        response = self._exchanged(method, url, params, where, body)
        if self._has_new_token(response):
            response = self._exchanged(method, url, params, where, body)
        return response

    def _exchanged(
        self, method: str, url: str, params: Mapping[str, str | int] | None, where: str, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        with self._courtesy.request(where):
            try:
                return self._http.request(method, url, params=params, json=body)
            except httpx.HTTPError as failure:
                raise self._no_answer(failure, where) from None

    def _show(self, token: str | None) -> None:
        if token is not None:
            self._http.headers["Authorization"] = f"token {token}"

    def _has_new_token(self, response: httpx.Response) -> bool:
        """Was the token refused, and is there another by now?  What was refused did nothing: repeat it, even a POST."""
        if response.status_code != 401 or self._renewed is None:
            return False
        token = self._renewed(response.request.headers.get("Authorization", "").removeprefix("token "))
        self._show(token)
        return token is not None

    def _same_forge(self, response: httpx.Response, where: str) -> str:
        """Where a redirect leads.  Only to the API of the same forge: the token goes nowhere else."""
        location, status = response.headers.get("Location", ""), response.status_code
        target = signs.followed(location, asked=str(response.request.url), root=self._root)
        if target is None:
            raise signs.astray(location, where=where, url=self._url, status=status)
        return target

    def _no_answer(self, failure: httpx.HTTPError, where: str) -> errors.Unreachable:
        return signs.no_answer(failure, _said(failure), where=where, way=self._way)

    # -- reading ------------------------------------------------------------------------------------------------

    def _text(self, response: httpx.Response, where: str, *, limit: int) -> tuple[str, bool]:
        if response.status_code != 200:
            response.read()
            raise self._error(response, where)
        if signs.is_page(response.headers, b""):
            found = signs.page_of(200, response.read())
            raise errors.not_gitea(found, where=where, url=self._url, status=200)
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
        if body and signs.is_page(response.headers, body):
            found = signs.page_of(response.status_code, body)
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code)
        try:
            decoded = decoder(kind).decode(body or b"null")
        except msgspec.ValidationError as failure:
            found = f"JSON of another shape ({failure})"
            raise errors.misshapen(found, where=where, status=response.status_code) from None
        except msgspec.DecodeError:
            found = "an answer that is not JSON"
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code) from None
        total, date = response.headers.get("X-Total-Count", ""), _date(response)
        self._told = (date, time.monotonic()) if date is not None else self._told
        return Answer(decoded, int(total) if total.isdecimal() else None, date)

    def _error(self, response: httpx.Response, where: str) -> errors.ForgeError:
        error = signs.error_in(response.status_code, response.headers, response.content, where=where, url=self._url)
        self._courtesy.heard(error)
        return error


def _date(response: httpx.Response) -> str | None:
    try:
        moment = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _said(failure: httpx.HTTPError) -> str:
    """The failure in a few words.  Host and port are in the mend; nothing of the request's headers is repeated."""
    return errors.one_line(f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__)
