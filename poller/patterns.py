"""Which repositories are watched.

Knows the patterns of `repos`.  Must not know which repositories exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from sessions.wording import Scalar

#: Gitea's own rule: letters, digits, `-`, `_`, `.`; a repository may not be called `.` or `..`.
_NAME = r"[A-Za-z0-9_.-]+"
JSON_PATTERN = rf"^!?{_NAME}/({_NAME}|\*)$"
_PATTERN = re.compile(rf"(!?)({_NAME})/({_NAME}|\*)")


class RepositoryPattern(Scalar):
    """`owner/name`, `owner/*`, or one of them after `!`."""

    EXPECTED = "`owner/name`, `owner/*`, or one of them after `!`"

    @classmethod
    def parse(cls, value: object) -> str:
        match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
        if match is None or {match[2], match[3]} & {".", ".."}:
            raise ValueError(_mend(value))
        return match[0]


def _mend(value: object) -> str:
    if not isinstance(value, str):
        return "quote it"
    if "://" in value:
        return f"leave out the address: write {'/'.join(value.rstrip('/').removesuffix('.git').split('/')[-2:])}"
    if "/" not in value:
        return f"write {value or 'owner'}/* for all repositories of that owner"
    return "spaces and other characters cannot be in a repository's name"


class Watchlist(msgspec.Struct, frozen=True, kw_only=True):
    """The patterns, sorted for quick answers however many there are.  Names are in lower case but in `patterns` and
    `wanted`, which are as they were written: all, and those that are neither exclusions nor taken back by one."""

    patterns: tuple[str, ...]
    wanted: tuple[str, ...]
    names: frozenset[str]
    #: As they are written: the forge is asked for their repositories.
    owners: tuple[str, ...]
    excluded_names: frozenset[str]
    excluded_owners: frozenset[str]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Watchlist:
        """Sort patterns that were checked already."""
        patterns = tuple(patterns)
        excluded = [pattern[1:].lower() for pattern in patterns if pattern.startswith("!")]
        names = frozenset(pattern for pattern in excluded if not pattern.endswith("/*"))
        whole = frozenset(pattern[:-2] for pattern in excluded if pattern.endswith("/*"))
        named = [pattern for pattern in patterns if not pattern.startswith("!")]
        wanted = [pattern for pattern in named if not _is_among(pattern, names, whole)]
        owners = {pattern[:-2].lower(): pattern[:-2] for pattern in wanted if pattern.endswith("/*")}
        return cls(
            patterns=patterns,
            wanted=tuple(wanted),
            names=frozenset(pattern.lower() for pattern in wanted if not pattern.endswith("/*")),
            owners=tuple(owners.values()),
            excluded_names=names,
            excluded_owners=whole,
        )

    def excludes(self, full_name: str) -> bool:
        """Is the repository one of those that are not to be watched, whatever else it was called?"""
        return _is_among(full_name, self.excluded_names, self.excluded_owners)

    def watches(self, full_name: str) -> bool:
        """Is the repository named, and not excluded?"""
        name = full_name.lower()
        owner = name.partition("/")[0]
        if self.excludes(name):
            return False
        return name in self.names or any(owner == watched.lower() for watched in self.owners)


def _is_among(name: str, names: frozenset[str], owners: frozenset[str]) -> bool:
    """Is a repository, or all of an owner's (`owner/*`), one of these or one of theirs?"""
    name = name.lower()
    return name in names or name.partition("/")[0] in owners
