"""Everything the bot says on the forge, and the hidden marks by which it knows its own posts again.

Knows the texts and how the forge reads Markdown.  Must not know HTTP, SQL or when to speak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from poller.markdown import CODE, shape_of

#: Characters in one comment.  The forge itself has no limit; browsers and the proxies before it do.
LIMIT = 60_000
#: Stands behind the `@` of a login in the agent's words: a zero-width space, after which the forge sees no mention.
SILENCER = "\u200b"
#: Characters of unfinished words that are shown.
SO_FAR = 8_000
NOTHING_SAID = "The agent ended its turn without an answer."

_MARKER = re.compile(r"<!--\s*bottlepost\s+turn\s*=\s*[\"']?(\w+)[\"']?\s+part\s*=\s*[\"']?([\w.-]+)[\"']?\s*-->", re.I)
_MARKER_LIKE = re.compile(r"<(?=!--[\s\u200b]*bottlepost)", re.I)
_AT_LOGIN = re.compile(r"(?<![A-Za-z0-9/])@(?=[A-Za-z0-9_-])")
_UNSENDABLE = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\ud800-\udfff]")
#: A fence is closed by one as long: no agent needs longer ones, and the closing must fit.
_LONGEST_FENCE = 40
_LONG_FENCE = re.compile(r"`{41,}|~{41,}")
#: Room kept in every part for what is added to the words.
_ROOM = 400

Why = Literal["failed", "limited", "refused", "too_long", "stopped", "closed"]


def marker(turn: int, part: int | str) -> str:
    """The hidden mark that ends every post."""
    return f"<!-- bottlepost turn={turn} part={part} -->"


def marks_in(body: str) -> list[tuple[str, str]]:
    """The (turn, part) of every mark in a comment, also when somebody has edited around in it."""
    return [(found[1], found[2]) for found in _MARKER.finditer(body)]


def has_marker(body: str, turn: int, part: int | str) -> bool:
    """Whether a comment carries the mark of this turn and part."""
    return (str(turn), str(part)) in marks_in(body)


def parts(
    text: str,
    turn: int,
    *,
    mode: Literal["fresh", "resume"] | None = None,
    because: str = "",
    usd: float = 0.0,
    limit: int = LIMIT,
    most: int = 1,
) -> list[str]:
    """The agent's words as at most `most` comments of `limit` characters, each ended by its mark (part 1, 2, …).

    The footer says how the conversation went on, why not simply (`because`), and what the turn cost.

    Mentions are silenced, so that the forge notifies nobody: `@ana` gets a zero-width space behind the `@`.  E-mail
    addresses and paths stay, and so does code (decorators, package names), in which the forge looks for no mentions.
    What looks like one of our marks is spoilt.  What does not fit is cut, with a notice; an open fence is closed.
    """
    room = limit - _ROOM
    words = harmless(text).strip() or NOTHING_SAID
    if len(words) > room:
        # A cut can break code open, and what was code would notify people.
        words = harmless(text, code_too=True).strip()
    pieces, left = _pieces(words, room, most)
    if left:
        pieces[-1] += f"\n\n*(Cut here: {left:,} more characters are in the log of turn {turn}.)*"
    pieces[-1] += f"\n\n{_footer(turn, mode, because=because, usd=usd)}"
    return [f"{piece}\n\n{marker(turn, nth)}" for nth, piece in enumerate(pieces, start=1)]


def notice(
    why: Why, turn: int, *, key: str, reason: str = "", again: str = "", so_far: str = "", usd: float = 0.0
) -> str:
    """A comment that says why there is no answer.

    `reason` is one line; `again`: when it is tried again, in words; `so_far`: what the agent had said by then."""
    what, mend = _NOTICES[why]
    lines = [f"{what}{f' It is tried again {again}.' if again else ''}"]
    if reason.strip():
        lines.append(f"> {_one_line(reason)}")
    lines.append(f"{mend.format(turn=turn)} The operator sees the whole chain with `poll why '{_code(key)}'`.")
    if words := harmless(so_far).strip():
        words = words if len(words) <= SO_FAR else harmless(words, code_too=True)
        (piece,), left = _pieces(words, SO_FAR, 1)
        lines += ["By then I had said:", piece + ("\n\n*(Cut here.)*" if left else "")]
    return "\n\n".join([*lines, _footer(turn, None, usd=usd), marker(turn, f"notice-{why}")])


_NOTICES: dict[Why, tuple[str, str]] = {
    "failed": (
        "I could not finish this turn, and have given up on it.",
        "Nothing was lost: `poll retry {turn}` runs it again, and so does a new comment that mentions me.",
    ),
    "limited": (
        "I stopped because this turn has used up what it may.",
        "The conversation is kept: mention me to go on, or raise the agent's `limits`.",
    ),
    "refused": (
        "I cannot work at the moment: the model's service refuses me (login, credit or quota).",
        "Your words are kept, and are answered once it works again.",
    ),
    "too_long": (
        "Our conversation has become too long for the model.",
        "The next event starts a new one.",
    ),
    "stopped": (
        "I was stopped, and leave it there.",
        "Mention me to go on.",
    ),
    "closed": (
        "The pull request was closed while I was at work, and I have stopped.",
        "Reopened soon, it finds me where I was.",
    ),
}


def harmless(text: str, *, code_too: bool = False) -> str:
    """The agent's words without effects: no notifications, none of our marks, nothing that cannot be sent."""
    text = _UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    text = _LONG_FENCE.sub(lambda run: run[0][:_LONGEST_FENCE], _MARKER_LIKE.sub("&lt;", text))
    mask = shape_of(text).mask
    done, at = [], 0
    for found in _AT_LOGIN.finditer(text):
        if code_too or mask[found.start()] != CODE:
            done += [text[at : found.end()], SILENCER]
            at = found.end()
    return "".join([*done, text[at:]])


def cut(body: str, turn: int, part: str, *, limit: int) -> list[str]:
    """A post as several of at most `limit` characters, each with the mark of this part."""
    words = _MARKER.sub("", body).rstrip()
    room = limit - _ROOM
    if len(words) > room:
        words = harmless(words, code_too=True)  # a cut can break code open
    pieces, _ = _pieces(words, room, len(words) // max(room // 2, 1) + 1)
    return [f"{piece}\n\n{marker(turn, part)}" for piece in pieces]


def marked(body: str, turn: int, part: str) -> str:
    """The same words with the mark of this part, and no other."""
    return f"{_MARKER.sub('', body).rstrip()}\n\n{marker(turn, part)}"


def with_remarks(body: str, remarks: Sequence[tuple[str, int, str]]) -> str:
    """A review's words with its remarks (path, line, words) in them, for a forge that takes none on these lines."""
    end = next((found.start() for found in _MARKER.finditer(body)), len(body))
    told = [f"**`{_code(path)}`, line {line}:**\n\n{words.strip()}" for path, line, words in remarks]
    return "\n\n".join([body[:end].rstrip(), *told, body[end:]]).rstrip()


def _pieces(words: str, room: int, most: int) -> tuple[list[str], int]:
    """The words in pieces, and how many characters did not fit.  Cut at the last line end of a piece's second half."""
    pieces: list[str] = []
    at, reopened = 0, ""
    while at < len(words) and len(pieces) < most:
        end = at + room
        if end < len(words):
            half = at + room // 2
            end = words.rfind("\n", half, end) + 1 or words.rfind(" ", half, end) + 1 or end
        piece = reopened + words[at:end].rstrip()
        closing = shape_of(piece).closing
        pieces.append(f"{piece}\n{closing}" if closing else piece)
        reopened = f"{closing}\n" if closing.strip("`~") == "" and closing else ""
        at = end
    return pieces, max(len(words) - at, 0)


def _footer(turn: int, mode: Literal["fresh", "resume"] | None, *, because: str = "", usd: float = 0.0) -> str:
    how = {"fresh": " · a fresh session", "resume": " · resumed session", None: ""}[mode]
    why = " ".join(harmless(because[:150], code_too=True).replace("<", "&lt;").split())
    cost = f" · ${usd:.2f}" if usd >= 0.005 else ""
    return f"<sub>bottlepost · turn {turn}{how}{f': {why}' if how and why else ''}{cost}</sub>"


def _one_line(text: str) -> str:
    line = " ".join(harmless(text[:2000]).split())
    return f"`{_code(line)[:300]}`"


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
