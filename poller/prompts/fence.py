"""Keeps words of strangers apart from ours: cleaned, cut, quoted in a line or fenced in a block.

Knows text.  Must not know events or templates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

#: Characters that a person does not see but a model reads or a terminal obeys: controls, bidirectional marks and
#: overrides, zero-width signs, tags, and halves of surrogate pairs (no UTF-8 has them).  Joiners stay: emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029]")


def cleaned(text: str) -> str:
    """Without unseen characters; lines end with LF."""
    return _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))


def quoted(text: str | None, *, limit: int = 300) -> str:
    """One line in double quotes, at most `limit` characters of it; "nobody knows" has no quotes."""
    if text is None:
        return "(unknown)"
    line = " ".join(cleaned(text[: 4 * limit]).split())
    return json.dumps(line if len(line) <= limit else line[: limit - 1] + "…", ensure_ascii=False)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters of a cleaned text, with a line that says how much is missing."""
    # Cut before cleaning too: what arrives may be megabytes.
    clean = cleaned(text[: 2 * limit])
    if len(clean) <= limit and len(text) <= 2 * limit:
        return clean
    return f"{clean[:limit]}\n[… shortened: {min(len(clean), limit):,} of {len(text):,} characters are shown]"


class Fence:
    """Marks the blocks of one message with a code that none of them contains.

    The code is made of the texts themselves: the same message always looks the same, and nobody who writes one of the
    texts can foresee it.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        known = [cleaned(text).casefold() for text in texts]
        digest = hashlib.sha256("\0".join(known).encode("utf-8", "replace")).hexdigest()
        while any(digest[:12] in text for text in known):
            digest = hashlib.sha256(digest.encode()).hexdigest()
        self.code = digest[:12]

    def block(self, what: str, text: str, *, limit: int) -> str:
        """`text` between its marks.  `what` is ours: it must hold nothing that others wrote."""
        return f"<untrusted-{self.code} {what}>\n{shortened(text, limit)}\n</untrusted-{self.code}>"
