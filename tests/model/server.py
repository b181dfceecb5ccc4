"""A stand-in for the Messages API, spoken to over HTTP by the real `claude`.

Keeps every request; answers by script (`say`, `fail`, `use`, `drop`, `hold`), else with what it heard.
"""

from __future__ import annotations

import collections
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

Event = tuple[str, dict[str, Any]]
Answer = Callable[["_Handler", "Request"], None]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `POST /v1/messages`."""

    session_id: str
    model: str
    api_key: str
    messages: list[dict[str, Any]]

    @property
    def heard(self) -> list[str]:
        """What the user said in this conversation, oldest first, without the CLI's own reminders."""
        said = []
        for message in self.messages:
            if message["role"] != "user":
                continue
            parts = message["content"]
            texts = [parts] if isinstance(parts, str) else [part.get("text", "") for part in parts]
            said += [text.strip() for text in texts if text.strip() and not text.startswith("<system-reminder>")]
        return said


class Model:
    """`with Model() as model:`; then `model.url` is an ANTHROPIC_BASE_URL.  `host`: the address to listen at."""

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self._script: collections.deque[Answer] = collections.deque()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer((host, 0), _Handler)
        self._server.daemon_threads = True
        self._server.model = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._over = threading.Event()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def environ(self) -> dict[str, str]:
        """What an agent needs to talk to it."""
        return {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": "sk-ant-dummy"}

    def __enter__(self) -> Model:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- the script ----------------------------------------------------------------------------------------------

    def say(self, text: str) -> Model:
        """Answer the next request with these words."""
        return self._next(lambda handler, request: handler.stream(_words(request.model, text)))

    def use(self, tool: str, **input: Any) -> Model:
        """Answer the next request by asking for a tool."""
        return self._next(lambda handler, request: handler.stream(_tool(request.model, tool, input)))

    def fail(self, status: int, kind: str = "api_error", words: str = "scripted", times: int = 1) -> Model:
        """Refuse the next requests with this status."""
        body = {"type": "error", "error": {"type": kind, "message": words}}
        for _ in range(times):
            self._next(lambda handler, request: handler.small(body, status))
        return self

    def recover(self) -> Model:
        """Forget what of the script has not happened yet."""
        self._script.clear()
        return self

    def drop(self) -> Model:
        """Close the connection in the middle of the next answer."""
        return self._next(lambda handler, request: handler.stream(_words(request.model, "never"), upto=2))

    @contextmanager
    def hold(self) -> Iterator[threading.Event]:
        """The next request gets no answer before the event is set (or the block ends)."""
        go = threading.Event()

        def answer(handler: _Handler, request: Request) -> None:
            while not go.wait(0.02) and not self._over.is_set():
                pass
            handler.stream(_words(request.model, _echo(request)))

        self._next(answer)
        try:
            yield go
        finally:
            go.set()

    def wait_for_requests(self, number: int, *, seconds: float = 30.0) -> None:
        """Until so many requests have come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= number, seconds):
                raise AssertionError(f"{len(self.requests)} of {number} requests came within {seconds} s")

    def _next(self, answer: Answer) -> Model:
        self._script.append(answer)
        return self

    def said(self, request: Request) -> str:
        """What is answered where there is no script."""
        return _echo(request)

    def answer(self, handler: _Handler, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        scripted = self._script.popleft() if self._script else None
        if scripted is None:
            handler.stream(_words(request.model, self.said(request)))
        else:
            scripted(handler, request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def model(self) -> Model:
        return self.server.model  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.small({})

    def do_HEAD(self) -> None:
        self.small({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            self.small({"input_tokens": 1})
            return
        said = json.loads(body)
        request = Request(
            session_id=self.headers.get("X-Claude-Code-Session-Id", ""),
            model=said["model"],
            api_key=self.headers.get("X-Api-Key", ""),
            messages=said["messages"],
        )
        try:
            self.model.answer(self, request)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def small(self, body: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def stream(self, events: list[Event], *, upto: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for kind, fields in events[:upto]:
            self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True


def _echo(request: Request) -> str:
    heard = request.heard
    return f"You said: {heard[-1] if heard else ''} | I remember: {'; '.join(heard[:-1]) or 'nothing'}"


def _words(model: str, text: str) -> list[Event]:
    return [
        _start(model),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    ]


def _tool(model: str, name: str, input: dict[str, Any]) -> list[Event]:
    block = {"type": "tool_use", "id": "toolu_01", "name": name, "input": {}}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(input)}
    return [
        _start(model),
        ("content_block_start", {"index": 0, "content_block": block}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    ]


def _start(model: str) -> Event:
    usage = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return "message_start", {"message": message | {"stop_reason": None, "stop_sequence": None}}
