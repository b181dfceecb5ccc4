"""Paths of a repository as people name them in a config: as in a `.gitignore`, without exceptions.

Knows patterns.  Must not know what is done about a path that one of them names.
"""

from __future__ import annotations

import re

from sessions.wording import Scalar

#: `**/`, `**`, `*`, `?`, one of several characters, a character as it is.
_PART = re.compile(r"(\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]]*\]|\\.)", re.S)
_MEANT = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class PathPattern(Scalar):
    """A line of a `.gitignore` that names paths."""

    EXPECTED = "a path as in a `.gitignore`: `migrations/**`, `*.key`, `db[0-9].sql`"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("quote it")
        if not value.strip("/"):
            raise ValueError("write `**` for every path")
        if value.startswith("!"):
            raise ValueError("there are no exceptions: leave it out, or write \\! if the name begins so")
        if "[[:" in value or "[" in re.sub(_PART, "", value):
            raise ValueError("close the bracket, write no [:class:], and \\[ if the name has one")
        try:
            re.compile(regex_of(value))
        except re.error:
            raise ValueError("write what is in brackets as [0-9] or [abc]") from None
        return value


def regex_of(pattern: str) -> str:
    """What matches the whole path of all that the pattern names."""
    anchored = "/" in pattern.rstrip("/")
    body = "".join(_MEANT.get(part) or _regex(part) for part in _PART.split(pattern.strip("/")))
    # A directory protects all that is in it, as a file that takes its place.
    body = body.removesuffix("/.*") + "(?:/.*)?"
    return body if anchored else f"(?:.*/)?{body}"


def _regex(part: str) -> str:
    if _PART.fullmatch(part) is None:
        return re.escape(part)
    if part[0] == "\\":
        return re.escape(part[1])
    but = part[1] in "!^"
    signs = "".join(sign if sign == "-" else re.escape(sign) for sign in part[1 + but : -1])
    return f"(?!/)[{'^' * but}{signs}]"
