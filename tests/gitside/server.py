"""Real bare repositories behind `git http-backend`, with a token, redirects, and a log of what was asked.

Knows HTTP and CGI.  Must not know the poller.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import unquote


class GitServer:
    """Serves `root/<owner>/<name>.git` until it is closed.  `token` "" = everybody may read.

    `beyond`: the address of a server that answers for everything else."""

    def __init__(self, root: Path, *, token: str = "", beyond: str = "") -> None:
        self.root, self.token, self.beyond = root, token, beyond
        #: Path → where it redirects to; the other one only whoever has given the token.
        self.moved: dict[str, str] = {}
        self.moved_known: dict[str, str] = {}
        #: (method, path, Authorization), in order.
        self.asked: list[tuple[str, str, str]] = []
        #: What becomes of a pack on its way.
        self.on_its_way: Callable[[bytes], bytes] = lambda answer: answer
        #: Called when somebody has pushed, before he is told so; what it raises keeps him from being told.
        self.after_push: Callable[[], None] = lambda: None
        #: Held while somebody pushes, and until `after_push` is over.
        self.writing = threading.Lock()
        #: Set to make every answer wait; the other one only those to whoever has given the token.
        self.stalled = threading.Event()
        self.stalled_known = threading.Event()
        self.stopping = threading.Event()
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> GitServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, side: GitServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.side = side

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A git that was killed hangs up."""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """`asked` is the log."""

    def _handle(self) -> None:
        side = cast("_Listener", self.server).side
        path, _, query = self.path.partition("?")
        given = self.headers.get("Authorization", "")
        if side.beyond and ".git/" not in path:
            return self._pass_on(side)
        side.asked.append((self.command, path, given))
        while side.stalled.is_set() and not side.stopping.wait(0.05):
            pass
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path in side.moved:
            return self._say(301, {"Location": side.moved[path] + (f"?{query}" if query else "")})
        if side.token and _password(given) != side.token:
            return self._say(401, {"WWW-Authenticate": 'Basic realm="Gitea"'})
        while side.stalled_known.is_set() and not side.stopping.wait(0.05):
            pass
        if path in side.moved_known:
            return self._say(302, {"Location": side.moved_known[path] + (f"?{query}" if query else "")})
        with side.writing if path.endswith("/git-receive-pack") else contextlib.nullcontext():
            status, headers, answer = self._serve(side, unquote(path), query, body)
        return self._say(status, headers, answer)

    do_GET = do_POST = _handle

    def _pass_on(self, side: GitServer) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(side.beyond.removeprefix("http://"), timeout=60)
        try:
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            said = answer.read()
            passed = {name: value for name, value in answer.getheaders() if name != "Content-Length"}
            self._say(answer.status, passed, said)
        finally:
            connection.close()

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _serve(self, side: GitServer, path: str, query: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(side.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            # As on the forge: any commit may be asked for by its name.
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "http.receivepack",
            "GIT_CONFIG_VALUE_1": "true",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        said = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environ, timeout=60).stdout
        head, _, answer = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        if path.endswith("/git-receive-pack") and status == 200:
            side.after_push()
        if b"packfile\n" in answer:
            answer = side.on_its_way(answer)
        return status, headers, answer


def _password(given: str) -> str:
    kind, _, text = given.partition(" ")
    return base64.b64decode(text).decode().partition(":")[2] if kind == "Basic" else ""
