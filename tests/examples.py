"""How many examples a property is tried on.

An ordinary run plays the same ones every time, so that a change is judged by what it changed.
`BOTTLEPOST_EXAMPLES=2000` plays others, new ones every time: 2,000 of each property, fewer of those that cost much.
"""

from __future__ import annotations

import os

#: What a property is tried on that costs little, in an ordinary run.
USUAL = 100
MORE = int(os.environ.get("BOTTLEPOST_EXAMPLES", "0"))


def examples(usual: int = USUAL) -> int:
    """As many as `usual` in an ordinary run, else in the same proportion."""
    return -(-usual * MORE // USUAL) if MORE else usual
