"""Doors that stand between a client and a server on this machine: TLS, another address, a proxy.

Knows sockets.  Must not know what is said through them.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

Address = tuple[str, int]


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    return parts.hostname, parts.port


def carry(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways until either side ends."""
    back = threading.Thread(target=_pump, args=(other, one))
    back.start()
    _pump(one, other)
    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Relay:
    """Listens on `host` and hands everything on to `target`; with `tls` it is spoken to by TLS.  A context manager."""

    def __init__(self, target: Address, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._target, self._tls = target, tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = int(self._listener.getsockname()[1])
        self.address = (host, self.port)
        #: what was wrong with handshakes
        self.refused: list[str] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._main = threading.Thread(target=self._serve)

    def __enter__(self) -> Relay:
        self._main.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._main.join()
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._relay, args=(connection,))
            self._threads.append(thread)
            self._open.add(connection)
            thread.start()

    def _relay(self, connection: socket.socket) -> None:
        with connection, socket.create_connection(self._target) as there:
            self._open.add(there)
            if self._tls is None:
                carry(connection, there)
                return
            try:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._open.add(secured)
                    _carry_tls(secured, there)
            except OSError as error:
                self.refused.append(str(error))


def _carry_tls(secured: ssl.SSLSocket, there: socket.socket) -> None:
    """One TLS connection is not to be used by two threads: turns are taken, as HTTP does."""
    import select

    while True:
        ready = [secured] if secured.pending() else select.select([secured, there], [], [])[0]
        for end in ready:
            try:
                some = end.recv(65536)
            except OSError:
                some = b""
            if not some:
                return
            (there if end is secured else secured).sendall(some)


class Proxy(ThreadingHTTPServer):
    """An HTTP proxy that finds every host at the place that `hosts` names.  A context manager."""

    daemon_threads = False

    def __init__(self, hosts: dict[str, Address], *, password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.hosts = hosts
        self.wanted = "Basic " + base64.b64encode(password.encode()).decode() if password else None
        #: `CONNECT host:443` or `GET http://host/path` of each request that was let through
        self.seen: list[str] = []
        self.tunnels: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        for end in self.tunnels:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _ProxyHandler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    @property
    def _proxy(self) -> Proxy:
        return cast(Proxy, self.server)

    def _may_pass(self) -> bool:
        if self._proxy.wanted is None or self.headers.get("Proxy-Authorization") == self._proxy.wanted:
            self._proxy.seen.append(f"{self.command} {self.path.partition('?')[0]}")
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", "Basic")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_CONNECT(self) -> None:
        if not self._may_pass():
            return
        host = self.path.rpartition(":")[0]
        try:
            there = socket.create_connection(self._proxy.hosts[host])
        except (OSError, KeyError):
            self.send_error(502)
            return
        with there:
            self._proxy.tunnels += [there, self.connection]
            self.send_response(200)
            self.end_headers()
            carry(self.connection, there)
        self.close_connection = True

    def _forward(self) -> None:
        if not self._may_pass():
            return
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        there = http.client.HTTPConnection(*self._proxy.hosts[parts.hostname or ""])
        try:
            kept = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
            there.request(self.command, f"{parts.path}?{parts.query}", body=sent or None, headers=kept)
            answer = there.getresponse()
            body = answer.read()
        finally:
            there.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _forward


def serving(handler: type[BaseHTTPRequestHandler]) -> Any:
    """A context manager: the handler's server on this machine, as its address."""

    @contextlib.contextmanager
    def run() -> Any:
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    return run()
