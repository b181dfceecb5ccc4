"""What an agent did on a pull request before, for a conversation that knows nothing of it.

Knows events and texts; the whole is to be fenced, for most of it others wrote.  Must not know SQL or templates.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from poller.deltas.events import Event
from poller.fold import folded, tellable
from poller.prompts.fence import shortened
from poller.prompts.telling import telling_of

#: Turns that are told of, and characters of one question, of one answer, and of all together.
TURNS, QUESTION, ANSWER, ALL = 20, 500, 2_000, 20_000


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """One turn that is over.  Without an `answer`, `reason` says why there is none."""

    turn: int
    events: tuple[Event, ...]
    answer: str = ""
    reason: str = ""


def recap(turns: Sequence[Earlier], *, bot: str) -> str:
    """The turns in words, oldest first; of too many, the last ones.  "" = there are none."""
    told = [_told(each, bot=bot) for each in turns[-TURNS:]]
    while len(told) > 1 and sum(map(len, told)) > ALL:
        told = told[1:]
    left_out = len(turns) - len(told)
    return "\n\n".join(([f"({left_out} earlier turns are left out.)"] if left_out else []) + told)


def _told(each: Earlier, *, bot: str) -> str:
    lines = [f"Turn {each.turn}, about:"]
    for happened in tellable(folded(each.events)):
        telling = telling_of(happened.event, bot=bot)
        lines.append(f"- {happened.event.at}: {telling.headline}")
        lines += [shortened(block.text, QUESTION) for block in telling.blocks if telling.asks]
    said = f"You answered:\n{shortened(each.answer, ANSWER)}" if each.answer.strip() else ""
    return "\n".join([*lines, said or f"You gave no answer: {each.reason or 'it is not known why'}"])
