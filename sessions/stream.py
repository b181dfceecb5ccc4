"""What the Claude CLI prints: a stream of JSON messages (or one, or an array), torn and foreign lines among them.

Knows the CLI's field names.  Must not know what its words mean: that is `claude`'s.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from sessions.decoding import UNREADABLE, decoder
from sessions.turns import Usage

#: Bytes of one message, and lines of them: more than the CLI prints in a run of a day.  (An agent can write what it
#: likes into its output, and each byte of it can become a hundred here.)
_MOST_LINE, _MOST_LINES = 4 * 2**20, 200_000
#: Bytes of an array of messages of which all are looked at.
_MOST_ARRAY = 2**20
_RESULT = b'{"type":"result"'
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
#: Nothing of one run is more than this; what says so is not believed.  (Whoever runs in a bottle can write its output.)
_MOST_COUNTED, _MOST_DOLLARS = 10**12, 1e6
#: The same of the agent's own turns, and of what one request can hold.
_MOST_TURNS, _MOST_CONTEXT = 10**6, 10**9


class _Tokens(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _RateLimit(msgspec.Struct):
    status: str = ""
    resetsAt: float | None = None  # the CLI's spelling; epoch seconds


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _AssistantMessage(msgspec.Struct):
    id: str = ""
    usage: _Tokens | None = None
    content: list[_Block] | str | None = None

    @property
    def words(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(block.text for block in self.content or () if block.type == "text" and block.text.strip())


class Message(msgspec.Struct):
    """One message of the stream; only what is looked at."""

    type: str = ""
    subtype: str | None = None
    session_id: str | None = None
    is_error: bool = False
    result: str | None = None
    structured_output: msgspec.Raw = msgspec.Raw(b"")
    errors: list[Any] | None = None
    num_turns: int | None = None
    total_cost_usd: float | None = None
    usage: _Tokens | None = None
    terminal_reason: str | None = None
    api_error: str | None = None
    api_error_status: int | str | None = None
    rate_limit_info: _RateLimit | None = None
    parent_tool_use_id: str | None = None


class _AssistantLine(msgspec.Struct):
    message: _AssistantMessage


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the output holds."""

    result: Message | None = None
    raw: bytes = b""
    session_id: str = ""
    resets_at: float | None = None
    #: What each request to the model used, by the id of its answer, oldest first; not those of its own helpers.
    requests: dict[str, Usage] = {}
    #: The agent's last words in the stream.
    words: str = ""
    #: What could not be read, "" when all could.
    trouble: str = ""


def read(out: bytes) -> Said:
    """Stream, one object, or an array of messages; torn and foreign lines are passed over."""
    raw, trouble = _messages(out)
    said = Said(trouble=trouble, requests={})
    for line in (_whole_characters(line) if _HALF.search(line) else line for line in raw):
        try:
            message = _decoder.decode(line)
        except UNREADABLE as error:
            if b'"result"' in line:
                said = msgspec.structs.replace(said, trouble=f"its result has another shape: {error}")
            continue
        said = _with(said, message, line)
    return said


def _with(said: Said, message: Message, line: bytes) -> Said:
    change = msgspec.structs.replace
    if message.session_id and not message.parent_tool_use_id:
        said = change(said, session_id=message.session_id)
    if message.type == "result":
        return change(said, result=message, raw=bytes(line))
    if message.type == "rate_limit_event" and message.rate_limit_info and message.rate_limit_info.status == "rejected":
        return change(said, resets_at=message.rate_limit_info.resetsAt)
    if message.type == "assistant" and not message.parent_tool_use_id:
        return _with_words(said, line)
    return said


def _with_words(said: Said, line: bytes) -> Said:
    """One answer comes in several lines, one for each of its blocks, with the same id and usage."""
    try:
        spoken = decoder(_AssistantLine).decode(line).message
    except UNREADABLE:
        return said
    if spoken.usage:  # into the one that `read` has made: a copy for each line would take hours of a long stream
        said.requests[spoken.id or str(len(said.requests))] = usage_of(spoken.usage)
    return msgspec.structs.replace(said, words=spoken.words or said.words)


def _messages(out: bytes) -> tuple[list[bytes], str]:
    """What may be messages, oldest first; of hostile output no more than can be gone through in a moment."""
    whole = out.strip()
    if not whole:
        return [], "its output is empty"
    if whole.startswith(b"["):  # --output-format json with verbose set by the user's settings
        found = _array(whole)
    elif len(whole) <= _MOST_LINE:
        found = [_object(_characters(whole))]
    else:
        found = []
    if any(found):
        return found, ""
    shown = whole[:80].decode("utf-8", "replace")
    lines = whole.rsplit(b"\n", _MOST_LINES)[-_MOST_LINES:]
    return [
        _characters(line) for line in lines if len(line) <= _MOST_LINE and line.lstrip().startswith(b"{")
    ], f"no result in its output: {shown!r}"


def _array(whole: bytes) -> list[bytes]:
    """The messages of an array; of a large one only the result, which stands last: each of its parts costs memory."""
    if len(whole) > _MOST_ARRAY:
        at = whole.rfind(_RESULT, max(0, len(whole) - _MOST_LINE))  # no string holds a bare quote
        return [_object(_characters(whole[at:-1].rstrip()))] if at >= 0 and whole.endswith(b"]") else []
    try:
        return [bytes(part) for part in _parts.decode(_characters(whole)) if bytes(part).startswith(b"{")]
    except UNREADABLE:
        return []


def _object(text: bytes) -> bytes:
    """The text, if it is one JSON object; else nothing."""
    try:
        return bytes(_part.decode(text)) if text.startswith(b"{") else b""
    except UNREADABLE:
        return b""


def _characters(text: bytes) -> bytes:
    """With a mark in place of what is no character."""
    return text if text.isascii() else text.decode("utf-8", "replace").encode()


_part = msgspec.json.Decoder(msgspec.Raw)
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_decoder = msgspec.json.Decoder(Message)


def _whole_characters(line: bytes) -> bytes:
    """An answer that was cut in the middle of an emoji is JSON with half a character, which strict readers refuse."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return line


def usage_of(tokens: _Tokens) -> Usage:
    return Usage(
        input=count_of(tokens.input_tokens),
        output=count_of(tokens.output_tokens),
        cache_read=count_of(tokens.cache_read_input_tokens),
        cache_write=count_of(tokens.cache_creation_input_tokens),
    )


def count_of(told: int | None, *, most: int = _MOST_COUNTED) -> int:
    """A count that can be summed and stored; 0 for one that cannot be true."""
    return told if told is not None and 0 <= told <= most else 0


def turns_of(told: int | None) -> int:
    """How often the agent spoke in a run, as it said."""
    return count_of(told, most=_MOST_TURNS)


def context_of(told: int) -> int:
    """Tokens of one request, with its answer."""
    return count_of(told, most=_MOST_CONTEXT)


def dollars_of(told: float | None) -> float | None:
    """An amount of money; `None` for one that cannot be true, as if nothing had been said."""
    return told if told is not None and 0 <= told <= _MOST_DOLLARS else None
