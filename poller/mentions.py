"""Whether a comment speaks to the bot, and with which words.

Knows what `@login` looks like in Markdown as Gitea shows it.  Must not know who may ask, or what the words mean.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from poller.markdown import CODE, HIDDEN, shape_of

#: Characters of a comment, or of a review with all its remarks, that are looked at; nobody writes a request behind
#: that much text.
LOOKED_AT = 50_000
_AT_SOMEBODY = re.compile(r"(?<![\w.@/])@\w", re.ASCII)


class Mention(msgspec.Struct, frozen=True, kw_only=True):
    """A comment that speaks to the bot: the whole of it is the request."""

    words: str
    #: The word right after the first mention, on its line, in lower case; "" if there is none.  For commands.
    first_word: str
    #: What follows that word on its line.
    rest: str = ""


def mention_in(text: str, login: str) -> Mention | None:
    """The mention of `@login` in a comment's Markdown, or nothing.

    Code, quotes (with the lines that lazily belong to them), HTML comments and tags do not count; neither does an
    `@login` that is part of a longer word, an e-mail address, a path or another login, or that touches an invisible
    character.  Letters compare as ASCII, in either case: Unicode look-alikes of the login are not the login.
    """
    return first_mention([text], login)


def first_mention(texts: Iterable[str], login: str) -> Mention | None:
    """The first one in what was said at once: a review and its remarks, of which so much is looked at in all."""
    looked_at, left = list[str](), LOOKED_AT
    said = list(texts)
    for text in said:
        looked_at.append(text[:left])
        left -= len(looked_at[-1])
    place = _place(tuple(looked_at), login) if login else None
    return Mention(words=said[place.nth].strip(), first_word=place.word, rest=place.rest) if place is not None else None


class _Place(NamedTuple):
    nth: int
    word: str
    rest: str


@lru_cache(maxsize=16)
def _place(texts: tuple[str, ...], login: str) -> _Place | None:
    """In which of these it is.  Remembered for a while: commands, agents and reasons ask the same, one by one."""
    at_login = re.compile("@" + re.escape(login), re.ASCII | re.IGNORECASE)
    for nth, text in enumerate(texts):
        if at_login.search(text) is None:
            continue
        mask = shape_of(text).mask
        for found in at_login.finditer(mask):
            if _begins(mask, found.start()) and _ends(mask, found.end()):
                return _Place(nth, *_first_word(mask, found.end()))
    return None


def speaks_to_somebody(text: str) -> bool:
    """May anybody at all be spoken to in it, by whatever name?"""
    return _AT_SOMEBODY.search(text[:LOOKED_AT]) is not None


def _begins(mask: str, at: int) -> bool:
    """Whether a mention may begin at `at`: at a space, after an opening sign, or after emphasis that begins there."""
    before = at
    while before and mask[before - 1] in f"*_~{HIDDEN}":
        before -= 1
    if not before or mask[before - 1].isspace():
        return True
    sign = mask[before - 1]
    if sign == "(" and mask[before - 2 : before - 1] == "]":
        return False  # the address of a link
    return sign in ",;:!?|<>\"'" or (sign != "-" and unicodedata.category(sign) in ("Ps", "Pi", "Pf", "Pd"))


def _ends(mask: str, at: int) -> bool:
    """Whether the login ends at `at`.  Logins hold letters, digits and single `-`, `_`, `.` inside."""
    after = at
    while mask[after : after + 1] in ("-", "_", ".", HIDDEN):
        after += 1
    sign = mask[after : after + 1]
    if not sign or sign.isspace():
        return True
    category = unicodedata.category(sign)
    return sign in "<>|~" or (category[0] == "P" and sign not in "/\\@#%&") or (category == "So" and after == at)


def _first_word(mask: str, at: int) -> tuple[str, str]:
    found = re.compile(r"[ \t,:;.!_*~-]*([A-Za-z](?:[A-Za-z-]*[A-Za-z])?)(?=[\s.,:;!?*_)]|$)([^\r\n]*)").match(mask, at)
    if found is None:
        return "", ""
    return found[1].lower(), found[2].replace(CODE, "").replace(HIDDEN, "").strip(" \t,:;.!?*_~")
