"""What can go wrong between a client and a server, to order.

Knows which request is meant and what shall happen to it.  Must not know sockets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Please sign in</form></body></html>"


@dataclass(eq=False, kw_only=True)
class Fault:
    """One kind of trouble, for the next `times` requests that match (`None`: for all that come)."""

    match: re.Pattern[str]
    #: Answer with this status and Gitea's error body.
    status: int | None = None
    #: Seconds for the `Retry-After` header of that answer.
    retry_after: int | None = None
    #: Answer 200 with the HTML of a proxy's login page.
    html: bool = False
    #: Cut the connection in the middle of the body.
    cut: bool = False
    #: Do what was asked, then cut the connection without an answer.
    drop_after_accept: bool = False
    #: Seconds to wait before anything else is done.
    delay: float = 0.0
    #: Answer 200 with less than there is: `empty` (`[]` of a list, `{}` else), `null`, `short` (half of a list).
    lie: Literal["empty", "null", "short"] | None = None
    times: int | None = 1
    #: How often it struck.
    struck: int = 0

    @classmethod
    def of(
        cls,
        match: str,
        *,
        status: int | None = None,
        retry_after: int | None = None,
        html: bool = False,
        cut: bool = False,
        drop_after_accept: bool = False,
        delay: float = 0.0,
        lie: Literal["empty", "null", "short"] | None = None,
        times: int | None = 1,
    ) -> Fault:
        """`match` is searched for in `METHOD /path?query` (path without `/api/v1`); `…` stands for anything."""
        return cls(
            match=re.compile(match.replace("…", ".*")),
            status=status,
            retry_after=retry_after,
            html=html,
            cut=cut,
            drop_after_accept=drop_after_accept,
            delay=delay,
            lie=lie,
            times=times,
        )

    def told(self, body: Any) -> Any:
        """What a lie makes of an answer's body."""
        match self.lie:
            case "empty":
                return [] if isinstance(body, list) else {}
            case "null":
                return None
            case "short" if isinstance(body, list):
                return body[: len(body) // 2]
        return body

    def strikes(self, line: str) -> bool:
        """Whether it strikes this request; if so, it counts."""
        if (self.times is not None and self.struck >= self.times) or not self.match.search(line):
            return False
        self.struck += 1
        return True
