"""A review as an agent writes it: asked for by a schema, read leniently, and fitted to the lines of a diff.

Knows the schema, and how a unified diff counts lines.  Must not know HTTP, SQL or how a review is posted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from poller.posting import Remark
from poller.replies import sendable

Verdict = Literal["approve", "request_changes", "comment"]
_VERDICTS: dict[str, Verdict] = {
    "approve": "approve", "approved": "approve", "request_changes": "request_changes", "reject": "request_changes",
    "rejected": "request_changes", "changes_requested": "request_changes", "comment": "comment",
}  # fmt: skip
#: Remarks in one review; those beyond are in its words.
MOST = 100
_REMARK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "The file, as the diff names it."},
        "line": {
            "type": "integer",
            "description": "The line's number in the new file (side new) or the old (side old).",
        },
        "side": {"type": "string", "enum": ["new", "old"]},
        "body": {"type": "string", "description": "What there is to say, in Markdown."},
    },
    "required": ["path", "line", "side", "body"],
    "additionalProperties": False,
}
_REVIEW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["approve", "request_changes", "comment"]},
        "summary": {"type": "string", "description": "What people read first, in Markdown; it can stand alone."},
        "comments": {"type": "array", "items": _REMARK},
    },
    "required": ["verdict", "summary", "comments"],
    "additionalProperties": False,
}
#: What the agent's answer has to be like.
SCHEMA = json.dumps(_REVIEW, separators=(",", ":"))
_DIGITS = re.compile(r"[0-9]{1,10}")
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb"\\([abfnrtv\"\\]|[0-7]{3})")
_NAMED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A review, before anybody knows which of its remarks the forge will take."""

    verdict: Verdict
    summary: str
    remarks: tuple[Remark, ...] = ()


#: (path, is old, line)
Spot = tuple[str, bool, int]


def read(structured: str, text: str) -> Said:
    """What the agent has said, whatever shape it is in: nothing of it is lost.  `text`: its last words."""
    for words in (structured, _bare(text)):
        try:
            found = json.loads(words) if words else None
            if isinstance(found, dict) and ("summary" in found or "comments" in found):
                return _said(found)
        except (ValueError, RecursionError):  # brackets in brackets: whoever reads or writes them runs out of stack
            continue
    return Said(verdict="comment", summary=text)


def _bare(text: str) -> str:
    """A runner that knows no schema may say it in words, perhaps in a fence."""
    words = text.strip()
    if words.startswith("```") and words.endswith("```"):
        words = words[3:-3].partition("\n")[2].strip()
    return words if words.startswith("{") else ""


def _said(found: dict[str, Any]) -> Said:
    listed = found.get("comments")
    comments = listed if isinstance(listed, list) else []
    remarks = [remark for one in comments if isinstance(one, dict) and (remark := _remark(one)) is not None]
    strange = [f"- {one}" for one in comments if isinstance(one, str) and one.strip()]
    summary = "\n\n".join(filter(None, [str(found.get("summary") or "").strip(), "\n".join(strange)]))
    verdict = _VERDICTS.get(str(found.get("verdict", "")).strip().lower().replace(" ", "_"), "comment")
    return Said(verdict=verdict, summary=summary, remarks=tuple(remarks))


def _remark(one: dict[str, Any]) -> Remark | None:
    body = str(one.get("body") or "").strip()
    if not body:
        return None
    line = one.get("line")
    if isinstance(line, str) and _DIGITS.fullmatch(line.strip()):
        line = int(line)
    number = line if isinstance(line, int) and not isinstance(line, bool) and 0 < line < 2**31 else 0
    side = str(one.get("side") or "new").lower()
    path = sendable(str(one.get("path") or "")).strip().removeprefix("./")
    return Remark(path=path, line=number, body=body, old=side in ("old", "left", "before"))


def fitted(remarks: Sequence[Remark], diff: str) -> tuple[list[Remark], list[Remark]]:
    """Those that stand on lines which the diff shows, and the others."""
    spots = spots_of(diff)
    fit = [(one.path, one.old, one.line) in spots for one in remarks]
    fits = [one for one, is_shown in zip(remarks, fit, strict=True) if is_shown]
    others = [one for one, is_shown in zip(remarks, fit, strict=True) if not is_shown]
    return fits[:MOST], others + fits[MOST:]


def spots_of(diff: str) -> set[Spot]:
    """Lines that a unified diff shows: added and unchanged ones of the new file, removed and unchanged of the old."""
    found: set[Spot] = set()
    before = after = ""
    lines = iter(diff.split("\n"))
    for line in lines:
        if line.startswith("diff --git "):
            before = after = ""
        elif line.startswith("--- "):
            before = _path(line[4:], "a/")
        elif line.startswith("+++ "):
            after = _path(line[4:], "b/")
        elif hunk := _HUNK.match(line):
            # The forge goes by the new name, also for lines that only the old file has.
            found.update(_in_hunk(hunk, lines, path=after or before))
    return found


def _in_hunk(hunk: re.Match[str], lines: Iterable[str], *, path: str) -> Iterable[Spot]:
    old, new = int(hunk[1]), int(hunk[3])
    old_left = int(hunk[2]) if hunk[2] is not None else 1
    new_left = int(hunk[4]) if hunk[4] is not None else 1
    for line in lines if old_left or new_left else ():
        sign = line[:1]
        if sign in ("-", " ", ""):
            yield path, True, old
            old, old_left = old + 1, old_left - 1
        if sign in ("+", " ", ""):
            yield path, False, new
            new, new_left = new + 1, new_left - 1
        if old_left <= 0 and new_left <= 0:
            return


def _path(named: str, prefix: str) -> str:
    """A file's name as a diff writes it, "" for none."""
    name = named.rstrip("\t\r")
    if name == "/dev/null":
        return ""
    if name.startswith('"') and name.endswith('"'):
        name = _ESCAPE.sub(_unescaped, name[1:-1].encode()).decode("utf-8", "replace")
    return name.removeprefix(prefix)


def _unescaped(found: re.Match[bytes]) -> bytes:
    one = found[1]
    return bytes([int(one, 8) & 255]) if len(one) == 3 else _NAMED.get(one, one)
