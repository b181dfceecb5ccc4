"""Values of the poller's configuration that have a text form of their own.

Knows how people write them.  Must not know files.
"""

from __future__ import annotations

import datetime
import re
from typing import Literal, NoReturn, get_args
from urllib.parse import urlsplit

from sessions.config import parse_duration
from sessions.wording import Scalar, closest, shown

#: What may wake an agent; `labeled:NAME` beside them.
WakeWord = Literal[
    "opened",
    "synchronized",
    "reopened",
    "ready",
    "edited",
    "labeled",
    "assigned",
    "review_requested",
    "approved",
    "rejected",
    "reviewed",
    "commented",
    "mentioned",
    "dismissed",
]
Groups = Literal["writers", "collaborators", "everyone"]
_LOGIN = r"[A-Za-z0-9_.-]+"


def wake_words() -> list[str]:
    """The words that `on` takes."""
    return list(get_args(WakeWord))


def is_wake_word(word: str) -> bool:
    """May `on` hold this word?"""
    return word in get_args(WakeWord) or (word.startswith("labeled:") and len(word) > len("labeled:"))


class Secret(Scalar):
    """A text that is shown to nobody: only `reveal()` gives it away."""

    EXPECTED = "an access token"
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def parse(cls, value: object) -> Secret:
        # A token goes into a header: a line end or a non-ASCII character in it would only fail later, and shown.
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value.strip()):
            raise ValueError("it is one word of plain characters; quote it")
        return cls(value.strip())

    @classmethod
    def shown(cls, value: object) -> str:
        return "an empty text" if isinstance(value, str) and not value.strip() else "something that is no token"

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class ForgeUrl(Scalar):
    """`https://gitea.example.com`, with the path under which it is served; no slash at the end."""

    EXPECTED = "an address such as https://gitea.example.com"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or re.search(r"\s", value):
            raise ValueError("")
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            bare = value.count(":") > 2 and "[" not in value
            raise ValueError(
                "write an address of IPv6 in brackets: http://[::1]:3000" if bare else "the host or port is not one"
            ) from None
        if "@" in parts.netloc:
            raise ValueError("no name or password belongs into the address: use `token`")
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError("it begins with http:// or https://")
        if parts.query or parts.fragment or parts.path.rstrip("/").endswith("/api/v1"):
            raise ValueError("leave out `/api/v1`, `?…` and `#…`")
        # The default port is the same forge: keys and the database must not know two.
        host = parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
        return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"

    @classmethod
    def shown(cls, value: object) -> str:
        if not isinstance(value, str):
            return shown(value)
        return "an address with a name or password" if "@" in value else shown(re.split("[?#]", value)[0])


class Start(Scalar):
    """From when on a first run acts: `now`, a duration back from then, or a time."""

    EXPECTED = "now, a duration such as 24h, or a time such as 2026-11-01T00:00:00Z"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("")
        start_of(value.strip(), now=0.0)
        return value.strip()


def start_of(start: str, *, now: float) -> float:
    """The moment that `poll.start` means when the first run is at `now`; both in epoch seconds."""
    if start == "now":
        return now
    if re.match(r"\d{4}-", start):
        try:
            moment = datetime.datetime.fromisoformat(start)
        except ValueError:
            raise ValueError("that is not a time in the calendar") from None
        # Without a zone it is UTC: the same file means the same on every machine.
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    return now - parse_duration(start)


def start_trouble(start: str, *, now: float) -> str:
    """What is wrong with a `poll.start` that is still to come, and the mend; "" where nothing is."""
    if start_of(start, now=now) <= now:
        return ""
    return f"found {start}, which is still to come, expected a time that is over; write now, or a time before"


class Login(Scalar):
    """The name of an account, in lower case."""

    EXPECTED = "a login"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(_LOGIN, value):
            raise ValueError("a login is a name without @ and spaces; quote one that is a number")
        return value.lower()


class People(Scalar):
    """A group, or logins by name, which are kept in lower case: the forge's logins do not differ by case."""

    EXPECTED = "writers, collaborators, everyone, or a list of logins"

    @classmethod
    def parse(cls, value: object) -> str | tuple[str, ...]:
        match value:
            case "writers" | "collaborators" | "everyone":
                return str(value)
            case list() if all(isinstance(login, str) and re.fullmatch(_LOGIN, login) for login in value):
                return tuple(login.lower() for login in value)
            case list():
                raise ValueError("a login is a name without @ and spaces; quote one that is a number")
            case str() if re.fullmatch(_LOGIN, value):
                raise ValueError(closest(value, list(get_args(Groups))) or f"write [{value}] to trust that one person")
        raise ValueError("")
