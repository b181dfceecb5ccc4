"""A stand-in container engine that says who it is, and remembers who asked.  It runs nothing."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

_SAYS = {
    "/version": {"Version": "28.0", "ApiVersion": "1.41", "Components": []},
    "/info": {"Architecture": "x86_64", "SecurityOptions": []},
}


class Asked(list[str]):
    """Paths that were asked for."""

    def __init__(self, host: str) -> None:
        self.host = host


@contextmanager
def standing_engine(place: Path, *, thinks: float = 0.0) -> Iterator[Asked]:
    """Listens on a socket in `place`; `thinks`: seconds before each answer."""
    asked = Asked(f"unix://{place / 'engine.sock'}")

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(thinks)
            said = next((json.dumps(words).encode() for path, words in _SAYS.items() if self.path.endswith(path)), b"")
            self.send_response(200 if said else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            if said:
                self.wfile.write(said)

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, format: str, *words: object) -> None:
            """Nobody reads it."""

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(place / "engine.sock"), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
