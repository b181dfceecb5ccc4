"""The world over HTTP on loopback, as Gitea's `/api/v1`.

Knows sockets, tokens, the request log and the faults to order.  Must not know what a route answers.
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, unquote

from poller.demo.faults import LOGIN_PAGE, Fault
from poller.demo.routes.answers import Answer, Call, Refused
from poller.demo.routes.table import find, known_path
from poller.demo.shapes.people import View
from poller.demo.state import Token

if TYPE_CHECKING:
    from types import TracebackType

    from poller.demo.world import World

_API = "/api/v1"
_UNKNOWN = Answer(status=404, body="404 page not found\n", text="text/plain; charset=utf-8")
_NOT_ALLOWED = Answer(status=405, body="405 method not allowed\n", text="text/plain; charset=utf-8")


class Server:
    """Serves until it is closed: a context manager.  `url` is the instance's address, without `/api/v1`."""

    def __init__(self, world: World, *, prefix: str = "") -> None:
        self._listener = _Listener(world, prefix)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), name="stand-in gitea")
        self._thread.start()
        self.url = self._listener.url

    def close(self) -> None:
        """Stop, cut what is still connected, wait for all threads."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.hang_up()
        self._listener.server_close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, world: World, prefix: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world = world
        self.prefix = prefix.rstrip("/")
        self.url = f"http://127.0.0.1:{self.server_address[1]}{self.prefix}"
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def opened(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.discard(connection)

    def hang_up(self) -> None:
        """Wake the threads that wait for another request on a connection kept alive."""
        self.stopping.set()
        with self._guard:
            for connection in self._open:
                cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; a bug is one, and is told on stderr."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def cut(connection: socket.socket) -> None:
    """Close both directions; the other side sees the end of the stream."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was cut by the other side


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_version = "stand-in"

    @property
    def _listener(self) -> _Listener:
        return cast("_Listener", self.server)

    def setup(self) -> None:
        super().setup()
        self._listener.opened(self.connection)

    def finish(self) -> None:
        self._listener.closed(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """The world keeps its own log."""

    def _handle(self) -> None:
        listener, world = self._listener, self._listener.world
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        full, _, query = self.path.partition("?")
        path = (
            full.removeprefix(listener.prefix).removeprefix(_API) if full.startswith(listener.prefix + _API) else None
        )
        with world.mutex:
            line = f"{self.command} {path}?{query}" if query else f"{self.command} {path}"
            faults = [fault for fault in world.faults if fault.strikes(line)]
        for fault in faults:
            if fault.delay and listener.stopping.wait(fault.delay):
                return
        with world.mutex:
            world.catch_up()
            answer, login = self._answer(path, query, sent, faults)
            self._note(path or full, query, login, answer.status)
        self._write(answer, faults)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _answer(self, path: str | None, query: str, sent: bytes, faults: list[Fault]) -> tuple[Answer, str | None]:
        for fault in faults:
            if fault.html:
                return Answer(body=LOGIN_PAGE.decode(), text="text/html; charset=utf-8"), None
            if fault.status is not None:
                return self._failure(fault.status, fault.retry_after), None
        if path is None:
            return _UNKNOWN, None
        answer, login = self._routed(path, query, sent)
        for fault in faults:
            if fault.lie is not None and answer.status == 200 and answer.text is None:
                totals = {"X-Total-Count": "0"} if fault.lie == "empty" and "X-Total-Count" in answer.headers else {}
                answer = replace(answer, body=fault.told(answer.body), headers=answer.headers | totals)
        return answer, login

    def _failure(self, status: int, retry_after: int | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        body = {"message": "", "url": f"{self._listener.url}/api/swagger"}
        return Answer(status=status, body=body, headers=headers)

    def _routed(self, path: str, query: str, sent: bytes) -> tuple[Answer, str | None]:
        world = self._listener.world
        token, bad = self._token()
        user = token.user if token else None
        login = user.login if user else None
        found = find(self.command, path)
        route, names = found if found else (None, {})
        call = Call(
            world=world,
            view=View(self._listener.url, world.version, user),
            method=self.command,
            path=path,
            names={name: unquote(value) for name, value in names.items()},
            query=_first_values(query),
            raw_query=query,
            sent=_json_of(sent),
            token=token,
        )
        try:
            if bad:
                old = world.version.old_json
                raise call.error(
                    401, "user does not exist [uid: 0, name: ]" if old else "invalid username, password or token"
                )
            if route is None or not route.has(world.version):
                return _NOT_ALLOWED if known_path(path, world.version) else _UNKNOWN, login
            _check_scope(call, route.scope)
            return route.handler(call), login
        except Refused as refused:
            return refused.answer, login

    def _token(self) -> tuple[Token | None, bool]:
        """The token that was sent, and whether it is no good.  None at all is allowed."""
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            import base64
            import binascii

            try:
                name, _, secret = base64.b64decode(text).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None, True
            text = secret if secret in self._listener.world.tokens else name
        elif kind.lower() not in {"token", "bearer"}:
            return None, bool(kind)
        token = self._listener.world.tokens.get(text.strip())
        if token is None or token.revoked or token.user.deleted:
            return None, True
        return token, False

    def _note(self, path: str, query: str, login: str | None, status: int) -> None:
        from poller.demo.world import Request

        self._listener.world.requests.append(Request(self.command, path, query, login, status))

    def _write(self, answer: Answer, faults: list[Fault]) -> None:
        if any(fault.drop_after_accept for fault in faults):
            self._hang_up()
            return
        body, kind = b"", answer.text
        if not answer.empty:
            body = answer.body.encode() if kind else json.dumps(answer.body, ensure_ascii=False).encode() + b"\n"
        self.send_response_only(answer.status)
        self.send_header("Date", formatdate(self._listener.world.clock.now(), usegmt=True))
        self.send_header("Cache-Control", "max-age=0, private, must-revalidate, no-transform")
        if not answer.empty:
            self.send_header("Content-Type", kind or "application/json;charset=utf-8")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if any(fault.cut for fault in faults):
            self.wfile.write(body[: len(body) // 2])
            self._hang_up()
            return
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        cut(self.connection)


def _check_scope(call: Call, scope: str | None) -> None:
    """A missing scope is a 403 that names it."""
    if scope is None or call.token is None:
        return
    needed = f"{'read' if call.method == 'GET' else 'write'}:{scope}"
    if call.token.grants(needed):
        return
    said = "token does not have at least one of required scope(s)"
    if call.world.version.old_json:
        raise call.error(403, f"{said}: [{needed}]")
    raise call.error(403, f"{said}, required=[{needed}], token scope={','.join(sorted(call.token.scopes))}")


def _first_values(query: str) -> dict[str, str]:
    """Of a repeated parameter Gitea takes the first."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, value)
    return values


def _json_of(sent: bytes) -> Any:
    try:
        return json.loads(sent) if sent else None
    except ValueError:
        return None
