"""What a caller says about the code it wants, and what it is told about what the agent now has.

Shapes and limits only.
"""

from __future__ import annotations

import msgspec

from sessions.git import Access

#: Bytes: of what one fetch may bring, of one checkout's files; and their number.
MOST_PACK, MOST_TREE, MOST_FILES = 4 * 1024**3, 4 * 1024**3, 200_000
#: Seconds: for all the fetching, and for all the rest, of one turn.
FETCHING, BUILDING = 900.0, 900.0
#: Of the agent's own work: bytes and number of changed files, and branches, that are carried over.
MOST_OWN, MOST_OWN_FILES, MOST_BRANCHES = 512 * 1024**2, 50_000, 200


class Unfetchable(Exception):
    """The code cannot be had now: this turn's trouble only.  One line: what, where, and the reason."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the code is.  Names come from the forge, and may be anything."""

    #: The mirror's name: the same for all that share one repository.
    mirror: str
    access: Access
    #: The full ref of the head, the base's branch name, and the name of the agent's local branch.
    head_ref: str
    base: str
    branch: str
    #: The commit that the turn is about, "" = whatever `head_ref` is.  `exact`: that one or none.
    head: str = ""
    exact: bool = False


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the agent's working directory.  Commits as full ids; `base` and `before` are "" when unknown."""

    branch: str
    head: str
    base_name: str
    base: str
    #: The head of the checkout that was replaced now, still there to compare with.
    before: str = ""
    #: Nothing was touched: the agent finds what it left.  `stale`: the base has moved since, in vain.
    untouched: bool = False
    stale: bool = False
    #: Branch with what the agent had in its directory before this turn's move, and other branches of its own.
    kept: str = ""
    earlier: tuple[str, ...] = ()
    #: Why its earlier work could not be carried over, "" when there is nothing to say.
    lost: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the host put into a bottle's working directory; kept beside it, where the agent cannot write."""

    head: str
    base_name: str
    base: str
    before: str
    branch: str
    #: The file with the index as the host wrote it: what differs from it is the agent's.
    index: str
    turn: int
    kept: str = ""
    earlier: tuple[str, ...] = ()
    lost: str = ""
