"""The small HTTP server beside the daemon: `/metrics` for Prometheus, `/healthz` for whoever wants a yes or a no.

On loopback unless another address is named.  It answers two paths, reads nothing that is sent to it, and says nothing
of pulls or people.  Knows HTTP; must not know where figures come from.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from sessions.database import DatabaseError
from sessions.logs import fields
from sessions.shell import UsageError

log = logging.getLogger(__name__)

#: Seconds after which a caller that sends nothing is left.
PATIENCE = 10.0


class Shown(Protocol):
    """What is to be seen."""

    def page(self) -> bytes: ...
    def is_healthy(self) -> bool: ...


def address_of(text: str) -> tuple[str, int]:
    """`9464`, `127.0.0.1:9464` or `[::1]:9464`.  Raises `UsageError`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdecimal() or not 0 <= int(port) <= 65535 or (":" in host and not text.startswith("[")):
        raise UsageError(f"--metrics {text}: expected HOST:PORT such as 127.0.0.1:9464 or [::1]:9464")
    return host, int(port)


@contextmanager
def watchpost(address: tuple[str, int], shown: Shown) -> Iterator[str]:
    """The server, as long as the body runs; its address.  Raises `UsageError` when it cannot listen there."""
    host, port = address
    try:
        server = _Server(address, shown, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such address"
        raise UsageError(f"--metrics {host}:{port}: cannot listen there ({why}); name another address") from None
    there = f"[{host}]" if ":" in host else host
    url = f"http://{there}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="metrics", daemon=True)
    thread.start()
    log.info("metrics and health are served", extra=fields(metrics=f"{url}/metrics", health=f"{url}/healthz"))
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], shown: Shown, *, family: socket.AddressFamily) -> None:
        self.address_family = family
        self.shown = shown
        super().__init__(address, _Answer)

    def server_bind(self) -> None:
        """Without asking a name server what this machine is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hung up early is nobody's trouble."""
        if isinstance(sys.exception(), OSError):
            log.debug("an answer was not taken", exc_info=True)
        else:
            log.exception("metrics: a bug")


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version, sys_version = "bottlepost", ""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer_with(lambda: (200, self.server.shown.page(), "text/plain; version=0.0.4; charset=utf-8"))
            case "/healthz":
                self._answer_with(self._health)
            case _:
                self._send(404, b"/metrics or /healthz\n", "text/plain")

    do_HEAD = do_GET

    def _health(self) -> tuple[int, bytes, str]:
        if self.server.shown.is_healthy():
            return 200, b"healthy\n", "text/plain"
        return 503, b"NOT healthy; `poll status` says why\n", "text/plain"

    def _answer_with(self, asked: Callable[[], tuple[int, bytes, str]]) -> None:
        try:
            code, body, kind = asked()
        except DatabaseError as trouble:
            log.error("metrics: %s", trouble)
            code, body, kind = 503, b"NOT healthy; the database cannot be read\n", "text/plain"
        self._send(code, body, kind)

    def _send(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)
