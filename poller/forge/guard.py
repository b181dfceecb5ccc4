"""What stands between py-gitea and the network: time-outs, repeats, and a judgement of every answer.

Knows requests, which only the control plane uses.  Must not know what is asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import requests
import requests.adapters
import tenacity

from poller.forge import errors

T = TypeVar("T")

ATTEMPTS = 3
#: A `Retry-After` beyond this many seconds is not waited for.
PATIENCE = 10.0


class Guard(requests.adapters.HTTPAdapter):
    """Lets only good JSON answers through to py-gitea and raises a `ForgeError` for all others."""

    def __init__(self, *, url: str, timeout: float) -> None:
        super().__init__(max_retries=0)
        self._url = url
        self._timeout = (min(timeout, 10.0), timeout)
        self.clock_ahead: float | None = None

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it once; the answer is read whole."""
        where = errors.where_of(request.method or "GET", request.url or "")
        kwargs["timeout"] = self._timeout
        try:
            response = super().send(request, *args, **kwargs)
            response.content  # noqa: B018 - a connection that breaks in the body is a failure of sending, too
        except requests.RequestException as failure:
            raise errors.unreachable(_said(failure), where=where, url=self._url) from None
        self._note_clock(response)
        if response.status_code >= 300:
            response.close()
            raise self._error(response, where)
        self._check_json(response, where)
        if response.status_code == 204:
            response.status_code = 200  # py-gitea takes nothing else for a good answer to a GET
        return response

    def repeated(self, call: Callable[[], T]) -> T:
        """`call`, again when its failure may pass.  For safe requests only."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_pause,
            retry=tenacity.retry_if_exception(_worth_repeating),
            reraise=True,
        )
        return retrying(call)

    def _error(self, response: requests.Response, where: str) -> errors.ForgeError:
        status = response.status_code
        if status in (401, 404) and _is_page(response):
            return errors.not_gitea(f"an HTML page with status {status}", where=where, url=self._url, status=status)
        try:
            body = response.json()
        except ValueError:
            body = None
        message = body.get("message") if isinstance(body, dict) else ""
        said = response.headers.get("Retry-After", "")
        return errors.error_of(
            status,
            where=where,
            message=message if isinstance(message, str) else "",
            retry_after=float(said) if said.isdecimal() else None,
            location=response.headers.get("Location", ""),
        )

    def _check_json(self, response: requests.Response, where: str) -> None:
        if not response.content:
            return
        found = ""
        if _is_page(response):
            found = f"an HTML page with status {response.status_code}"
        else:
            try:
                json.loads(response.content)
            except ValueError:
                found = "an answer that is not JSON"
        if found:
            response.close()
            raise errors.not_gitea(found, where=where, url=self._url, status=response.status_code)

    def _note_clock(self, response: requests.Response) -> None:
        try:
            self.clock_ahead = parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
        except (KeyError, ValueError, TypeError):
            self.clock_ahead = None


def guarded(session: requests.Session, *, url: str, token: str, timeout: float) -> Guard:
    """Put a guard in front of a session."""
    guard = Guard(url=url, timeout=timeout)
    session.mount("http://", guard)
    session.mount("https://", guard)
    # Without an `auth` of its own, requests would put a password from ~/.netrc in the token's place.
    session.auth = _TokenAuth(token)
    session.headers["User-Agent"] = "bottlepost"
    return guard


class _TokenAuth(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"token {self._token}"
        return request


def _is_page(response: requests.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "").lower()


def _said(failure: requests.RequestException) -> str:
    match failure:
        case requests.exceptions.SSLError():
            return "its certificate was not accepted"
        case requests.exceptions.ProxyError():
            return "the proxy did not connect"
        case requests.exceptions.Timeout():
            return "no answer in time"
    text = str(failure)
    for sign, said in (
        ("NameResolution", "no such host"),
        ("Name or service", "no such host"),
        ("refused", "connection refused"),
        ("unreachable", "no route to it"),
    ):
        if sign in text:
            return said
    return "the connection broke"


def _worth_repeating(failure: BaseException) -> bool:
    if isinstance(failure, errors.RateLimited) and failure.retry_after is not None:
        return failure.retry_after <= PATIENCE
    return isinstance(failure, errors.ForgeError) and failure.passing


def _pause(state: tenacity.RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.retry_after if isinstance(failure, errors.RateLimited) else None
    return max(asked or 0.0, tenacity.wait_random_exponential(multiplier=0.2, max=2)(state))
