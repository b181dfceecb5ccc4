"""Where Gitea may see other code than we do: for whoever must be sure that a character is in code.

Knows what Gitea's parser has beyond CommonMark (definition lists, footnotes, tables, attributes, links of bare
addresses), and HTML, whose ends we do not follow.  Doubts too much rather than too little.  Must not know mentions or
the forge.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal

Doubt = Literal["", "until blank", "for good"]

_BEFORE = " \t>+*-.)0123456789"
#: HTML that goes on over blank lines, and what begins a container that CommonMark has not.
_LASTING = re.compile(r"<(?:[!?]|/?(?:pre|script|style|textarea|blockquote)(?![a-z]))|:(?:[ \t]|$)|\[\^", re.I)
_TAG = re.compile(r"</?[a-z]", re.I)
_RUN = re.compile("`+")
_TOKEN = re.compile(
    r"\\[!-/:-@\[-`{-~]"
    r"|(?P<ticks>`+)"
    r"|(?:https?:|ftp:|www\.)[^\s`\]<]*(?P<address>[`\]<])?"
    r"|</?[a-z][\w:./#?=&%+@-]*>"  # holds no backtick, whatever it is
    r"|\](?:\([^\s()<>`\"'\\]*\)|\[[^\[\]`\\]*\])"  # so does this end of a link
    r"|(?P<odd><(?!\s|=\s)|\][(\[:])",
    re.I,
)
_WORD_BEGINS = re.compile(r"(?:^|[*_~(])[A-Za-z0-9]")


def doubt_after(row: str, doubt: Doubt) -> Doubt:
    """How sure a reader is after this line, which is in no literal block, if it was so before."""
    if doubt == "for good" or row.strip() != row.strip(" \t"):  # who takes which space for one?
        return "for good"
    said = row.lstrip(_BEFORE)
    if not row.strip():
        return ""
    if _LASTING.match(said):
        return "for good"
    return "until blank" if _TAG.match(said) else doubt


def sure_spans(words: str) -> Iterator[tuple[int, int]]:
    """The code spans of a paragraph that are some to every reader: none behind the first thing that is not clear."""
    runs: dict[int, list[int]] = {}
    for run in _RUN.finditer(words):
        runs.setdefault(len(run.group()), []).append(run.start())
    last = _mailish(words)
    at = 0
    while found := _TOKEN.search(words, at):
        at = found.end()
        if found["odd"] or found["address"]:
            return
        if not found["ticks"]:
            continue
        length, start = at - found.start(), found.start()
        closers = runs.get(length, [])
        nth = bisect_left(closers, at)
        if nth == len(closers):
            continue
        at = closers[nth] + length
        span = words[start:at]
        # Lines may be terms of a list, and cells of a table end where a bar stands, in code or not.
        if "\n" in span or "|" in span or at > last:
            return
        if "{" not in span:  # or it ends in the attributes of a heading
            yield start, at


def _mailish(words: str) -> int:
    """Where the first word stands that may be taken for an e-mail address with a backtick in it."""
    for word in re.finditer(r"\S+", words):
        before = word.group().rpartition("@")[0].rpartition("`")[0]
        if before and _WORD_BEGINS.search(before):
            return word.start()
    return len(words)
