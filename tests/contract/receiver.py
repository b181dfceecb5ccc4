"""A receiver of webhooks on loopback, and a delivery in the words of the event log."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple


class Delivery(NamedTuple):
    """One webhook: `X-Gitea-Event-Type`, and its body."""

    kind: str
    body: dict[str, Any]

    @property
    def number(self) -> int:
        """Of a comment the number is in the issue only."""
        found: int = self.body["number"] if "number" in self.body else self.body["issue"]["number"]
        return found

    def line(self) -> str:
        """What the event of it must say too."""
        return " ".join(filter(None, [self.kind, str(self.body["action"]), self._said()]))

    @property
    def is_empty(self) -> bool:
        """Whether it tells an edit after which the text is what it was: Forgejo sends it."""
        comment, changes = self.body.get("comment"), self.body.get("changes") or {}
        return comment is not None and changes.get("body", {}).get("from") == comment["body"]

    def _said(self) -> str:
        body, action = self.body, self.body["action"]
        match self.kind:
            case "pull_request_comment":
                comment, changes = body["comment"], body.get("changes") or {}
                words = [f"#{comment['id']}"]
                if action != "deleted":
                    words.append(repr(comment["body"]))
                if action == "edited":
                    words.append(f"from {changes['body']['from']!r}")
                return " ".join(words)
            case "pull_request_review_approved" | "pull_request_review_rejected" | "pull_request_review_comment":
                return repr(body["review"]["content"])
            case "pull_request_review_request":
                return str((body["requested_reviewer"] or {}).get("login"))
            case "pull_request" if action == "edited":
                # Of a base change the webhook names the new base where it says the old one: only that it was is alike.
                changed = {field: change for field, change in body["changes"].items() if change is not None}
                return " ".join(f"{f}" if f == "ref" else f"{f} from {c['from']!r}" for f, c in changed.items())
            case "pull_request" if action == "closed":
                return "merged" if body["pull_request"]["merged"] else "unmerged"
        return ""


class Receiver:
    """Keeps what is delivered, in the order of its coming."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.deliveries))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="webhook receiver")
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(deliveries: list[Delivery]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kind = self.headers["X-Gitea-Event-Type"]
            if kind.startswith("pull_request"):
                deliveries.append(Delivery(kind, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """The list is log enough."""

    return Handler
