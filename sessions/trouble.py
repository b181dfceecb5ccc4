"""What goes wrong with a database, as a word to people.  A shape only."""

from __future__ import annotations

import msgspec


class DatabaseError(Exception):
    """The database cannot be used (now); the text is one line with the place and the mend.

    `passing`: nothing has to be changed for it to work again.  It ends a call with 3, everything else with 2."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing
        self.exit_code = 3 if passing else 2


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's failure in words: what it said, and the mend."""

    what: str
    mend: str
    passing: bool = False
