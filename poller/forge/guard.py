"""What stands between py-gitea and the network: time-outs, repeats, and a judgement of every answer.

Knows requests, which only the control plane uses.  Must not know what is asked.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import requests
import requests.adapters

from poller.forge import errors, signs
from poller.forge.courtesy import Courtesy, is_worth_repeating
from poller.forge.patience import repeating
from poller.forge.way import Way

T = TypeVar("T")


class Guard(requests.adapters.HTTPAdapter):
    """Lets only good JSON answers through to py-gitea and raises a `ForgeError` for all others."""

    def __init__(
        self,
        way: Way,
        *,
        timeout: float,
        courtesy: Courtesy,
        token: str,
        renewed: Callable[[str], str | None] | None,
    ) -> None:
        self._way, self._context, self._courtesy = way, way.context(), courtesy
        self._timeout = (min(timeout, 10.0), timeout)
        self._token, self._renewed = token, renewed
        self.clock_ahead: float | None = None
        super().__init__(max_retries=0)  # makes the pools, which want the context

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Believe whom the other client believes."""
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same by way of a proxy, and of that proxy itself."""
        return super().proxy_manager_for(
            proxy, **kwargs, ssl_context=self._context, proxy_ssl_context=self._context
        )  # fmt: skip

    def cert_verify(self, conn: Any, *_: object) -> None:
        """Add nothing to the context: it knows whom to believe."""
        conn.cert_reqs = ssl.CERT_REQUIRED

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it once, and again if the token was refused and there is another one; the answer is read whole."""
        where = errors.where_of(request.method or "GET", request.url or "")
        kwargs["timeout"] = self._timeout
        used = self._token
        response = self._sent(request, where, *args, **kwargs)
        if response.status_code == 401 and self._renewed is not None and (other := self._renewed(used)):
            response.close()
            self._token = other
            response = self._sent(request, where, *args, **kwargs)
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
        try:
            return call()
        except errors.ForgeError as failure:
            if not is_worth_repeating(failure):
                raise
            first = failure
        return repeating(call, first, is_worth_repeating)

    def _sent(self, request: requests.PreparedRequest, where: str, *args: Any, **kwargs: Any) -> requests.Response:
        # Set last of all: py-gitea, and what requests finds in ~/.netrc, would put something else there.
        request.headers["Authorization"] = f"token {self._token}"
        with self._courtesy.request(where):
            try:
                response = super().send(request, *args, **kwargs)
                response.content  # noqa: B018 - a connection that breaks in the body is a failure of sending, too
            except requests.RequestException as failure:
                raise signs.no_answer(failure, _said(failure), where=where, way=self._way) from None
        return response

    def _error(self, response: requests.Response, where: str) -> errors.ForgeError:
        error = signs.error_in(
            response.status_code, response.headers, response.content, where=where, url=self._way.url
        )  # fmt: skip
        self._courtesy.heard(error)
        return error

    def _check_json(self, response: requests.Response, where: str) -> None:
        if not response.content:
            return
        found = ""
        if signs.is_page(response.headers, response.content):
            found = signs.page_of(response.status_code, response.content)
        else:
            try:
                json.loads(response.content)
            except ValueError:
                found = "an answer that is not JSON"
        if found:
            response.close()
            raise errors.not_gitea(found, where=where, url=self._way.url, status=response.status_code)

    def _note_clock(self, response: requests.Response) -> None:
        try:
            self.clock_ahead = parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
        except (KeyError, ValueError, TypeError):
            self.clock_ahead = None


def put_before(session: requests.Session, guard: Guard, way: Way) -> None:
    """All that the session sends goes through the guard, and by this way."""
    session.mount("http://", guard)
    session.mount("https://", guard)
    session.trust_env = False  # the way is known already, and is the other client's, too
    if way.proxy is not None:
        session.proxies = {"http": way.proxy.url, "https": way.proxy.url}
    session.headers["User-Agent"] = "bottlepost"


def _said(failure: requests.RequestException) -> str:
    text = str(failure)
    if isinstance(failure, requests.exceptions.Timeout):
        return "no answer in time"
    for sign, said in (
        ("407 ", "the proxy wants a name and a password: 407"),
        ("Tunnel connection failed", "the proxy did not connect"),
        ("NameResolution", "no such host"),
        ("Name or service", "no such host"),
        ("refused", "connection refused"),
        ("unreachable", "no route to it"),
    ):
        if sign in text:
            return said
    return "the connection broke"
