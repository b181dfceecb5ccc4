"""What a caller says about the code it wants, and what it is told about what the agent now has.

Shapes only, and cheap to import: `workspace` is loaded when code is really fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How to speak with one forge.  `secret` is asked right before a command, and goes into its environment only."""

    url: str
    secret: Callable[[], str] | None = None
    #: A file with the only certificates that are believed.
    ca_file: str | None = None
    #: The proxy that leads there, whose address may hold a password; none but this is ever used.
    proxy: Callable[[], str] | None = None


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
    #: The commit that the base's branch was seen at, "" = nobody has looked.
    base_head: str = ""
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


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Commits of the agent's own, on a branch of the host's mirror."""

    mirror: str
    branch: str
    commit: str
    #: What it had been given: they come after `start`; what `base` has is none of its own.
    start: str
    base: str = ""
    #: The state directory whose mirror it is, by its name: others may share the database, but not the mirrors.
    place: str = ""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of commits that were to be pushed.

    "pushed": `commit` is on the forge, with so many (`many`) of the agent's; "held": `why` it may not be pushed;
    "refused": it could not be."""

    state: Literal["pushed", "held", "refused"]
    commit: str = ""
    many: int = 0
    #: Others had pushed meanwhile, and they were put on top of that.
    rebased: bool = False
    why: tuple[str, ...] = ()


class Unpushable(Exception):
    """It cannot be pushed now, and perhaps later.  One line: the reason."""


Fetch = Callable[[Source], Checkout]
