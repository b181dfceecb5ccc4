"""Commands in comments: which words they are, and what somebody who says one wants.

Knows words.  Must not know who may command, or how anything is done: that is `obeying`'s.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import msgspec

from poller.deltas.events import WORDED, Event
from poller.mentions import Mention, first_mention, mention_in

Word = Literal["help", "status", "stop", "retry", "reset", "cost", "pause", "resume", "ok-to-test", "ignore"]
WORDS: tuple[Word, ...] = get_args(Word)
#: These change nothing: whoever may ask may say them.  The others answer for what other people have asked.
TELLING: frozenset[Word] = frozenset({"help", "status", "cost"})
#: What each does, as `help` says it.
MEANINGS: dict[Word, str] = {
    "help": "this list",
    "status": "what I am doing here, and what waits",
    "stop": "end the turn that runs, and drop what waits",
    "retry": "run the last turn again, if it failed or was stopped",
    "reset": "forget our conversation; the next event starts a new one",
    "cost": "what this pull request has cost, and what it may",
    "pause": "begin nothing here until `resume`; what happens meanwhile is kept",
    "resume": "go on after `pause` or `ignore`",
    "ok-to-test": "let me work on a fork's code, as its head is now",
    "ignore": "drop what waits, and let nothing here wake me until `resume`",
}
_SHA = re.compile(r"[0-9a-f]{7,64}", re.I)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command.  `rest` are the words behind it, which no agent is told."""

    word: Word
    rest: str = ""

    @property
    def sha(self) -> str:
        """The commit that is named behind it, in lower case, or ""."""
        first = self.rest.split(maxsplit=1)[:1]
        return first[0].lower() if first and _SHA.fullmatch(first[0]) else ""


def command_in(event: Event, login: str) -> Command | None:
    """The command that a comment or review brings: the first word after the first mention.

    An edit commands only if it brings the mention: what was said already is not said again."""
    said = _first_mention(event, login)
    word = next((word for word in WORDS if said is not None and said.first_word == word), None)
    return Command(word=word, rest=said.rest) if said is not None and word is not None else None


def _first_mention(event: Event, login: str) -> Mention | None:
    before = event.changes.get("body")
    if event.action not in WORDED or (before is not None and mention_in(str(before.from_), login) is not None):
        return None
    return first_mention(event.subject.texts, login)
