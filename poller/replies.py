"""Everything the bot says on the forge, and the hidden marks by which it knows its own posts again.

Knows the texts and how the forge reads Markdown.  Must not know HTTP, SQL or when to speak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from poller.markdown import CODE, shape_of

if TYPE_CHECKING:
    from sessions.sources import Pushed

#: Characters in one comment.  The forge itself has no limit; browsers and the proxies before it do.
LIMIT = 60_000
#: Stands in the agent's words behind the `@` of a login, and behind a word before the number of an issue: a zero-width
#: space.  The forge sees no mention then, and in the word none that closes the issue; its link stays.
SILENCER = "\u200b"
#: Characters of unfinished words that are shown.
SO_FAR = 8_000
NOTHING_SAID = "The agent ended its turn without an answer."

_MARKER = re.compile(
    r"<!--\s*bottlepost\s+turn\s*=\s*[\"']?(-?\w+)[\"']?\s+part\s*=\s*[\"']?([\w.-]+)[\"']?\s*-->", re.I
)
_MARKER_LIKE = re.compile(r"<(?=!--[\s\u200b]*bottlepost)", re.I)
_AT_LOGIN = re.compile(r"(?<![A-Za-z0-9/])(@)(?=[A-Za-z0-9_-])")
#: Behind the host of an address, or an e-mail address, the forge may end a link and begin a new word.
_AT_HOST = re.compile(r"(?:https?:/*|www\.|@)(?=[^\s/?#@]{0,300}(@)[A-Za-z0-9_-])", re.I)
#: What closes or reopens an issue stands one space before the issue's number or address; which words do, the forge's
#: administrator decides.
_BEFORE_ISSUE = re.compile(
    r"(?<=[^\W\d_]):?(?= (?:\S*(?:[#!]|/(?:issues|pulls)/)\d|\[[^\[]{0,2000}/(?:issues|pulls)/\d))", re.I
)
_LINE_END = re.compile(r"\r+\n?")
_UNSENDABLE = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\ud800-\udfff]")
#: A fence is closed by one as long: no agent needs longer ones, and the closing must fit.
_LONGEST_FENCE = 40
_LONG_FENCE = re.compile(r"`{41,}|~{41,}")
#: Room kept in every part for what is added to the words, and for what is told later.
_ROOM, _ROOM_LATER = 400, 6_000
#: Stands where something is told that is not over yet; nobody else's words can hold it.
_LATER = "<!-- bottlepost later -->"
#: How the last line of an answer begins.
_FOOTER = "<sub>bottlepost · turn "
#: How the part of a comment begins that is kept up to date.
STICKY = "sticky-"
#: How the part of a comment begins that says why there is no answer.
NOTICE = "notice-"
#: Longer answers show so much of their beginning (characters, at most), and fold the rest.
LONG, _SHOWN = 6_000, 2_500
#: So many places to fold are tried.
_PLACES = 20
#: Where words may be folded: before a paragraph, a heading or a fence that belongs to nothing above it.
_FOLD = re.compile(r"\n\n(?=[^\W\d_]|#{1,6} |```)")

Why = Literal["failed", "limited", "refused", "too_long"]


def marker(turn: int, part: int | str) -> str:
    """The hidden mark that ends every post."""
    return f"<!-- bottlepost turn={turn} part={part} -->"


def marks_in(body: str) -> list[tuple[str, str]]:
    """The (turn, part) of every mark in a comment, also when somebody has edited around in it."""
    return [(found[1], found[2]) for found in _MARKER.finditer(body)]


def has_marker(body: str, turn: int, part: int | str) -> bool:
    """Whether a comment carries the mark of this turn and part."""
    return (str(turn), str(part)) in marks_in(body)


def answer(
    text: str,
    turn: int,
    *,
    mode: Literal["fresh", "resume"] | None = None,
    because: str = "",
    usd: float = 0.0,
    bot: str = "",
    quote: str = "",
    later: bool = False,
    named: str = "1",
    limit: int = LIMIT,
) -> str:
    """The agent's words as one comment of at most `limit` characters, ended by the mark of the part `named`.

    The footer says how the conversation went on and why (`because`), what the turn cost, and how the `bot` is
    asked for help.  `quote` comes first; `later`: there is room for what `told_later` adds.

    Mentions are silenced, so that the forge notifies nobody: `@ana` gets a zero-width space behind the `@`.  E-mail
    addresses and paths stay, and so does what surely is code (decorators, package names; backticks and fences), in
    which the forge looks for no mentions.  What looks like one of our marks is spoilt.  What does not fit is cut, with
    a notice; an open fence is closed.
    """
    room = limit - _ROOM - len(quote) - _ROOM_LATER * later
    words = harmless(text).strip() or NOTHING_SAID
    if len(words) > room:
        # A cut can break code open, and what was code would notify people.
        words = harmless(text, code_too=True).strip()
    (piece,), left = _pieces(words, room, 1)
    if left:
        piece += f"\n\n*(Cut here: {left:,} more characters are in the log of turn {turn}.)*"
    told = [quote] * bool(quote) + [folded(piece)] + [_LATER] * later
    return "\n\n".join([*told, _footer(turn, mode, because=because, usd=usd, bot=bot), marker(turn, named)])


def folded(words: str) -> str:
    """Long words with their beginning in sight and the rest behind a click; words that offer no such place stay."""
    if len(words) <= LONG:
        return words
    places = [found.start() for found in _FOLD.finditer(words, 0, _SHOWN)]
    # From the last one backwards, and of very many only some: each costs a reading of all that is before it.
    some = [*places[:: -(len(places) // _PLACES + 1)], *places[:1]]
    place = next((place for place in some if not shape_of(words[:place]).closing), None)
    if place is None:
        return words
    first, rest = words[:place], words[place:].strip()
    closing = shape_of(rest).closing
    rest += f"\n{closing}" if closing else ""
    return f"{first}\n\n<details><summary>The rest ({len(rest):,} characters)</summary>\n\n{rest}\n\n</details>"


def told_later(body: str, said: str) -> str:
    """The body with what is now known of what it was to tell."""
    return body.replace(f"{_LATER}\n\n", f"{said}\n\n" if said else "", 1)


def about_push(pushed: Pushed, *, branch: str, kept: str) -> str:
    """What became of the commits that were to go to `branch`; `kept`: where they are if they did not get there."""
    onto = f"`{_code(harmless(branch))[:200]}`"
    if pushed.state == "pushed":
        if not pushed.many:
            return f"Nothing was left to push to {onto}: what I have committed is there already."
        what = f"{pushed.many} commits" if pushed.many > 1 else "one commit"
        on_top = ", on top of what was pushed meanwhile" if pushed.rebased else ""
        return f"I have pushed {what} to {onto}{on_top}: {pushed.commit}"
    there = f"My commits are kept on branch `{_code(kept)}` of the poller's mirror." if kept else ""
    why = [_sentence(one) for one in pushed.why]
    if pushed.state == "held":
        return "\n".join(
            [f"**Not pushed** to {onto}: somebody should look at it first.", *(f"- {one}" for one in why), "", there]
        )
    return f"**Not pushed** to {onto}: {'; '.join(why)}. {there}".strip()


def quoted(path: str, line: int | None, words: str) -> str:
    """A remark on a line, as the beginning of the answer to it."""
    said = " ".join(harmless(words[:2000], code_too=True).replace("<", "&lt;").replace("`", "'").split())
    return f"> {_place(path, line)}: {said[:300]}{'…' if len(said) > 300 else ''}"


def _place(path: str, line: int | None) -> str:
    name = f"`{_code(harmless(path))[:200] or 'no file'}`"
    return f"{name}, line {line}" if line else name


def notice(
    why: Why,
    turn: int,
    *,
    key: str,
    reason: str = "",
    so_far: str = "",
    usd: float = 0.0,
    bot: str = "",
    before: int = 0,
) -> str:
    """A comment that says why there is no answer.

    `reason` is one line; `so_far`: what the agent had said by then; `before`: how many such comments the turn has had,
    which has run again since."""
    what, mend = _NOTICES[why]
    lines = [what]
    if reason.strip():
        lines.append(f"> {_one_line(reason)}")
    by_hand = f"`poll retry {turn}`"
    retry = f"`@{_code(bot)} retry` (for the operator: {by_hand})" if bot else by_hand
    lines.append(f"{mend.format(retry=retry)} The operator sees the whole chain with `poll why '{_code(key)}'`.")
    if words := harmless(so_far).strip():
        words = words if len(words) <= SO_FAR else harmless(words, code_too=True)
        (piece,), left = _pieces(words, SO_FAR, 1)
        lines += ["By then I had said:", piece + ("\n\n*(Cut here.)*" if left else "")]
    part = f"{NOTICE}{why}-{before + 1}" if before else f"{NOTICE}{why}"
    return "\n\n".join([*lines, _footer(turn, None, usd=usd, bot=bot), marker(turn, part)])


_NOTICES: dict[Why, tuple[str, str]] = {
    "failed": (
        "I could not finish this turn, and have given up on it.",
        "Nothing was lost: {retry} runs it again.",
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
}


def harmless(text: str, *, code_too: bool = False) -> str:
    """The agent's words without effects: they notify nobody, close no issue, are no mark of ours, and can be sent."""
    text = sendable(_LINE_END.sub("\n", text))
    text = _LONG_FENCE.sub(lambda run: run[0][:_LONGEST_FENCE], _MARKER_LIKE.sub("&lt;", text))
    mask = shape_of(text, strict=True).mask
    places = {found.end(1): found.start(1) for at in (_AT_LOGIN, _AT_HOST) for found in at.finditer(text)}
    places |= {found.end(): found.start() - 1 for found in _BEFORE_ISSUE.finditer(text)}
    done, at = [], 0
    for place in sorted(place for place, sign in places.items() if code_too or mask[sign] != CODE):
        done += [text[at:place], SILENCER]
        at = place
    return "".join([*done, text[at:]])


def sendable(text: str) -> str:
    """The text without what no UTF-8 or no forge can hold: halves of characters, and control characters."""
    return _UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", text)


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
    end = body.rfind(_FOOTER)
    end = end if end >= 0 else next((found.start() for found in _MARKER.finditer(body)), len(body))
    told = [f"> {_place(path, line)}\n\n{words.strip()}" for path, line, words in remarks]
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


def _footer(
    turn: int, mode: Literal["fresh", "resume"] | None, *, because: str = "", usd: float = 0.0, bot: str = ""
) -> str:
    how = {"fresh": " · a fresh session", "resume": " · resumed session", None: ""}[mode]
    why = " ".join(harmless(because[:150], code_too=True).replace("<", "&lt;").split())
    cost = (f" · ${usd:.2f}" if usd >= 0.005 else " · under $0.01") if usd > 0 else ""
    help = f" · `@{_code(bot)} help`" if bot else ""
    return f"{_FOOTER}{turn}{how}{f': {why}' if how and why else ''}{cost}{help}</sub>"


def _one_line(text: str) -> str:
    line = " ".join(harmless(text[:2000]).split())
    return f"`{_code(line)[:300]}`"


def _sentence(reason: str) -> str:
    """A reason as part of a line: names in it may be in code, nothing else of it is Markdown."""
    return " ".join(harmless(reason[:500], code_too=True).replace("<", "&lt;").split())


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
