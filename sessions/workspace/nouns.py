"""How much is too much, and what the host writes down about a working directory."""

from __future__ import annotations

import msgspec

#: Bytes: of what one fetch may bring, of one checkout's files; and their number.
MOST_PACK, MOST_TREE, MOST_FILES = 4 * 1024**3, 4 * 1024**3, 200_000
#: Seconds: for all the fetching, and for all the rest, of one turn.
FETCHING, BUILDING = 900.0, 900.0
#: Of the agent's own work: bytes and number of changed files, and branches, that are carried over.
MOST_OWN, MOST_OWN_FILES, MOST_BRANCHES = 512 * 1024**2, 50_000, 200
#: Files below `refs` of the agent's repository that are looked at.
MOST_REFS = 20_000


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
