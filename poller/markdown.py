"""Which characters of a Markdown text are plain words, and which are code, quotes or hidden.

Knows the block structure of CommonMark (containers, fences, indented code, HTML comments) and its code spans, as Gitea
renders them, in one pass whose cost grows with the text.  Must not know mentions, prompts or the forge.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from poller.doubts import Doubt, doubt_after, sure_spans

#: Stand for one character of code, and for one that is quoted or not shown.
CODE, HIDDEN = "\x00", "\x01"
#: No person nests deeper; what is deeper counts as hidden, so that a hostile text cannot make matching expensive.
DEEPEST = 50

_QUOTE = -1
_PREFIX = re.compile(r"[ \t>+*.)\d-]*")
_QUOTE_MARK = re.compile(r" {0,3}> ?")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?: |$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+) *$")
_RULE = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$")
_ITEM = re.compile(r"( {0,3})([-+*]|\d{1,9}[.)])(?= |$)( *)")
_HTML = re.compile(r" {0,3}<(!--|(?:pre|script|style|textarea|blockquote)(?=[\s>]|$))", re.I)
_COMMENT_END = re.compile("-->")
_HTML_END = re.compile(r"</(?:pre|script|style|textarea|blockquote)>", re.I)
_INLINE = re.compile(
    r"\\[!-/:-@\[-`{-~]|(?P<ticks>`+)|(?P<comment><!--)"
    r"|(?P<quiet><(?:code|pre|script|style|textarea|blockquote)\b)|(?P<tag></?[a-z][^<>]*>)",
    re.I,
)
_QUIET_END = re.compile(r"</(?:code|pre|script|style|textarea|blockquote)\s*>", re.I)


class Shape(NamedTuple):
    """`mask` is the text, character by character, with CODE and HIDDEN in place of what is no plain word."""

    mask: str
    #: What must follow so that a line after it is plain again: the end of an open fence or comment, or nothing.
    closing: str


def shape_of(text: str, *, strict: bool = False) -> Shape:
    """Read `text` (lines end with LF, CRLF or CR).

    `strict`: CODE are only fences and code spans that are some to every reader; other code counts as hidden."""
    reader = _Reader(text.replace("\x00", "�").replace("\x01", "�"), strict=strict)
    for line in re.finditer(r"[^\r\n]+(?:\r\n|\r|\n|$)|\r\n|\r|\n", reader.text):
        reader.read(line.start(), line.start() + len(line.group().rstrip("\r\n")))
    return reader.done()


class _Reader:
    """The open blocks while lines come in.  `boxes` holds, outermost first, a list item's indent or `_QUOTE`."""

    def __init__(self, text: str, *, strict: bool) -> None:
        self.text, self.strict = text, strict
        self.doubt: Doubt = ""
        self.mask = list(text)
        self.boxes: list[int] = []
        self.paragraph: list[tuple[int, int]] = []
        self.start = 0
        self.bare = False  # the last line opened a list item and said nothing in it
        self.fence = ""
        self.html: tuple[re.Pattern[str], str] | None = None  # what ends it, and how we would end it

    def done(self) -> Shape:
        """After the last line.  In a list or quote nothing needs closing: plain text at the margin ends it."""
        self._end_paragraph()
        closing = "" if self.boxes else self.fence or (self.html[1] if self.html else "")
        return Shape("".join(self.mask), closing)

    def read(self, start: int, end: int) -> None:
        """Take one line, without its line end."""
        self.start = start
        prefix = _PREFIX.match(self.text, start, end)
        assert prefix is not None
        # Tabs count as columns only where they shape blocks.
        row = prefix.group().expandtabs(4) + self.text[prefix.end() : end]
        if self.bare and not row.strip():
            self.boxes = self.boxes[:-1]  # a list item may begin with one empty line, not with two
        self.bare = False
        pos, kept = self._continued(row)
        if (self.fence or self.html) and kept == len(self.boxes):
            self._read_literal(row, pos, start, end)
            return
        # Only here a container that did not go on takes its fence or comment with it.
        self.fence, self.html = "", None
        if self.strict:
            self.doubt = doubt_after(row, self.doubt)
        self._read_blocks(row, pos, kept, end)

    def _continued(self, row: str) -> tuple[int, int]:
        """How many of the open containers this line goes on with, and where its rest begins."""
        pos, kept, stop = 0, 0, len(row.rstrip())
        if not stop and _QUOTE not in self.boxes:
            return 0, len(self.boxes)  # an empty line ends no list, however many are open
        for box in self.boxes:
            if box == _QUOTE:
                mark = _QUOTE_MARK.match(row, pos)
                if mark is None:
                    break
                pos = mark.end()
            elif pos < stop:
                if not row.startswith(" " * box, pos):
                    break
                pos += box
            kept += 1
        return pos, kept

    def _read_literal(self, row: str, pos: int, start: int, end: int) -> None:
        """A line inside a fence, or inside an HTML comment or `<pre>`."""
        if self.fence:
            self._fill(start, end, HIDDEN if self.doubt or _QUOTE in self.boxes else CODE)
            sign = row[pos:].strip(" \t")
            if len(sign) >= len(self.fence) and not sign.strip(self.fence[0]) and not row.startswith("    ", pos):
                self.fence = ""
            return
        assert self.html is not None
        found = self.html[0].search(self.text, start, end)
        self._fill(start, found.end() if found else end, HIDDEN)
        if found:
            self.html = None
            self._fill_words([(found.end(), end)])

    def _read_blocks(self, row: str, pos: int, kept: int, end: int) -> None:
        """A line that is in no literal block: open containers, then find its leaf."""
        boxes, inside = self.boxes[:kept], kept == len(self.boxes)
        lazy = bool(self.paragraph)  # may this line still go on with the paragraph above?
        while pos < len(row.rstrip()) and len(boxes) < DEEPEST:
            if row.startswith("    ", pos):
                if lazy:
                    break
                self._leave(boxes)
                self._fill(self._origin(row, pos, end), end, HIDDEN if self.strict or _QUOTE in boxes else CODE)
                return
            if mark := _QUOTE_MARK.match(row, pos):
                boxes, pos, lazy = [*boxes, _QUOTE], mark.end(), False
                continue
            if self._leaf(row, pos, boxes, end, under=lazy and inside):
                return
            item = _ITEM.match(row, pos)
            if item is None or (lazy and inside and not _interrupts(row, item)):
                break
            width = item.end() - pos if 1 <= len(item[3]) <= 4 else item.end(2) + 1 - pos
            self.bare = item.end() >= len(row.rstrip())
            width = item.end(2) + 1 - pos if self.bare else width
            boxes, pos, lazy = [*boxes, width], min(pos + width, len(row)), False
        self._read_words(row, pos, boxes, end, lazy=lazy)

    def _leaf(self, row: str, pos: int, boxes: list[int], end: int, *, under: bool) -> bool:
        """Whether the line is a block of its own: fence, HTML, heading, rule.  `under`: a paragraph is right above."""
        first = self._origin(row, pos, end)
        if opened := _FENCE.match(row, pos):
            self._leave(boxes)
            self.fence = opened[1]
            if self.doubt:
                self.doubt = "for good"  # a fence to some, and text to others: they go apart from here
            self._fill(first, end, HIDDEN if self.doubt or _QUOTE in boxes else CODE)
        elif html := _HTML.match(row, pos):
            self._leave(boxes)
            comment = html[1] == "!--"
            self.html = (_COMMENT_END, "-->") if comment else (_HTML_END, f"</{html[1]}>")
            opened_to = first + html.end() - pos
            self._fill(first, opened_to, HIDDEN)
            # `<!-->` is a whole comment: the end may share the start's dashes.
            self._read_literal(row, pos, opened_to - 2 * comment, end)
        elif _HEADING.match(row, pos):
            self._leave(boxes)
            self._fill_words([(first, end)])
        elif (under and _UNDERLINE.match(row, pos)) or _RULE.match(row, pos):
            self._leave(boxes)
        else:
            return False
        return True

    def _read_words(self, row: str, pos: int, boxes: list[int], end: int, *, lazy: bool) -> None:
        if pos >= len(row.rstrip()):
            self._leave(boxes)
            return
        if not lazy:
            self._leave(boxes)
        self.paragraph.append((self._origin(row, pos, end), end))

    def _leave(self, boxes: list[int]) -> None:
        self._end_paragraph()
        self.boxes = boxes

    def _end_paragraph(self) -> None:
        if self.paragraph:
            self._fill_words(self.paragraph)
            self.paragraph = []

    def _fill_words(self, pieces: list[tuple[int, int]]) -> None:
        """Write the masked words of one paragraph over its lines."""
        if _QUOTE in self.boxes or len(self.boxes) >= DEEPEST:
            for first, last in pieces:
                self._fill(first, last, HIDDEN)
            return
        words = "\n".join(self.text[first:last] for first, last in pieces)
        masked = _masked(words)
        if self.strict:
            masked = _sure(masked, [] if self.doubt else sure_spans(words))
        at = 0
        for first, last in pieces:
            self.mask[first:last] = masked[at : at + last - first]
            at += last - first + 1

    def _origin(self, row: str, pos: int, end: int) -> int:
        """Where `row[pos]` stands in the text (a tab in the row is wider than in the text)."""
        return max(self.start, end - (len(row) - pos))

    def _fill(self, first: int, last: int, sign: str) -> None:
        self.mask[first:last] = sign * (last - first)


def _interrupts(row: str, item: re.Match[str]) -> bool:
    """A list may break into a paragraph only with words, and a numbered one only with 1."""
    return item.end() < len(row.rstrip()) and item[2][:-1] in ("", "1")


def _sure(masked: str, spans: Iterable[tuple[int, int]]) -> str:
    """The masked words with hidden signs in place of all code but that of these spans."""
    found = list(masked.replace(CODE, HIDDEN))
    for start, end in spans:
        found[start:end] = masked[start:end]
    return "".join(found)


def _masked(words: str) -> str:
    """One paragraph with its code spans, comments and tags blotted out; the length stays."""
    runs: dict[int, list[int]] = {}
    for run in re.finditer("`+", words):
        runs.setdefault(len(run.group()), []).append(run.start())
    done: list[str] = []
    at, last_comment_end = 0, words.rfind("-->")
    while found := _INLINE.search(words, at):
        start, end, sign = found.start(), found.end(), None
        if found["ticks"]:
            length = end - start
            closers = runs.get(length, [])
            nth = bisect_left(closers, end)
            if nth < len(closers):
                end, sign = closers[nth] + length, CODE
        elif found["comment"]:
            if last_comment_end >= start + 2:
                end, sign = words.index("-->", start + 2) + 3, HIDDEN
        elif found["quiet"]:
            over = _QUIET_END.search(words, end)
            end, sign = (over.end() if over else len(words)), CODE
        elif found["tag"]:
            sign = HIDDEN
        done += [words[at:start], words[start:end] if sign is None else sign * (end - start)]
        at = end
    return "".join([*done, words[at:]])
