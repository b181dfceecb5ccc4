"""The Claude CLI: the arguments it is called with, and what its output means.

Facts are of CLI 2.1.329 unless a comment says otherwise.  Knows its words and its JSON; must not know processes, files
or what is to be done about an outcome.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

from sessions.decoding import decoder
from sessions.turns import Kind, Mode, Outcome, Usage

#: Why a run was ended from outside.
Ended = Literal["", "minutes", "stopped", "cut off"]

_NOT_FOUND = "No conversation found with session ID"
#: Words of the CLI itself, looked for in errors only: a successful `result` is the agent's and may quote anything.
_REFUSALS = re.compile(
    r"not logged in|please run /login|oauth token has expired|oauth authentication|invalid api key"
    r"|credit balance is too low|authentication_error|billing_error|does not have access to claude"
    r"|hit your (?:\w+ ){0,2}limit|usage limit reached|organization has been disabled",
    re.IGNORECASE,
)
_OVERLOADS = re.compile(
    r"overloaded|rate_limit_error|API Error: (?:Request )?(?:5\d\d|429|connection|timed? ?out|unable to connect)"
    r"|connection_failed|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|socket hang up|internal server error",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(r"prompt is too long|prompt_too_long|context (?:window|limit)[^.]{0,40}exceed", re.IGNORECASE)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: Signals that somebody outside sends to end a process: HUP, INT, KILL, TERM.
_KILLED = {128 + 1, 128 + 2, 128 + 9, 128 + 15}

#: The checked-out tree is somebody else's: its hooks, settings and servers are not to be run.
_ALWAYS = ("--dangerously-skip-permissions", "--setting-sources", "user", "--strict-mcp-config")


def arguments(
    *, mode: Mode, claude_session: str, model: str | None = None, turns: int = 0, usd: float = 0.0
) -> tuple[str, ...]:
    """What follows `claude`.  All of it at every run: a resume restores neither permissions nor settings."""
    argv = ["-p", "--output-format", "stream-json", "--verbose"]
    argv += ["--session-id" if mode == "fresh" else "--resume", claude_session, *_ALWAYS]
    argv += ["--model", model] if model else []
    argv += ["--max-turns", str(turns)] if turns else []
    argv += ["--max-budget-usd", f"{usd:g}"] if usd else []
    return tuple(argv)


def arguments_at_terminal(*, claude_session: str, model: str | None = None) -> tuple[str, ...]:
    """The same conversation for a person, who sees what it does and can stop it: no prompt, no limits."""
    return ("--resume", claude_session, *_ALWAYS, *(("--model", model) if model else ()))


def is_session_id(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


class _Tokens(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _RateLimit(msgspec.Struct):
    status: str = ""
    resetsAt: float | None = None  # the CLI's spelling; epoch seconds


class _AssistantMessage(msgspec.Struct):
    usage: _Tokens | None = None


class _Message(msgspec.Struct):
    """One message of the stream; only what is looked at."""

    type: str = ""
    subtype: str | None = None
    session_id: str | None = None
    is_error: bool = False
    result: str | None = None
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


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the output holds."""

    result: _Message | None = None
    raw: bytes = b""
    session_id: str = ""
    resets_at: float | None = None
    context: int = 0
    #: What could not be read, "" when all could.
    trouble: str = ""


def read(out: bytes, err: bytes, *, exit: int | None, ended: Ended = "") -> Outcome:
    """What became of a run, from its output and exit code (`None`: there is none) and why it was ended, if it was."""
    said = _said(out)
    words = err.decode("utf-8", "replace")
    kind, reason = _judge(said, words, exit=exit, ended=ended)
    result = said.result
    return Outcome(
        kind=kind,
        reason=_one_line(reason),
        text=(result.result or "").replace("\0", "") if result and kind == "done" else "",
        exit=exit,
        claude_session=_session_id(said),
        total_usd=result.total_cost_usd if result else None,
        usage=_usage(result.usage) if result and result.usage else Usage(),
        agent_turns=(result.num_turns or 0) if result else 0,
        context_tokens=said.context,
        resets_at=said.resets_at if kind == "refused" else None,
        result=said.raw,
    )


def _judge(said: _Said, err: str, *, exit: int | None, ended: Ended) -> tuple[Kind, str]:
    result = said.result
    if result is not None and exit == 0 and not result.is_error and result.subtype in (None, "success"):
        return "done", ""
    if ended == "minutes":
        return "limited", "its minutes are over"
    if ended in ("stopped", "cut off"):
        return "interrupted", ended
    if result is None:
        return _judge_without_result(said, err, exit)
    return _judge_error(said, result, err, exit)


def _judge_without_result(said: _Said, err: str, exit: int | None) -> tuple[Kind, str]:
    if exit == 0:
        return "unreadable", said.trouble or "it ended well but printed no result"
    if exit is None or exit in _KILLED:
        return "interrupted", f"killed (exit code {exit})" if exit is not None else "cut off"
    if exit in (126, 127):
        return "engine", f"claude could not be started: {_last_line(err) or f'exit code {exit}'}"
    if _NOT_FOUND in err:
        return "not_found", _last_line(err)
    return _by_words(err, said) or (
        "failed",
        f"exit code {exit}: {_last_line(err) or said.trouble or 'it said nothing'}",
    )


def _judge_error(said: _Said, result: _Message, err: str, exit: int | None) -> tuple[Kind, str]:
    errors = " ".join(str(error) for error in result.errors or ())
    subtype = result.subtype or ""
    # "success" with is_error: the CLI's own words are in `result` (API Error: …, Not logged in …).
    own_words = result.result or "" if result.is_error else ""
    if _NOT_FOUND in errors or (_NOT_FOUND in err and not own_words):
        return "not_found", errors or _last_line(err)
    if subtype in ("error_max_turns", "error_max_budget_usd") or result.terminal_reason in (
        "max_turns",
        "budget_exhausted",
    ):
        return "limited", errors or subtype.removeprefix("error_").replace("_", " ")
    told = " ".join(part for part in (errors, own_words) if part)
    if result.terminal_reason == "prompt_too_long" or _TOO_LONG.search(told):
        return "too_long", told or "prompt is too long"
    by_status = _by_status(result)
    if by_status:
        return by_status, told or f"API error {result.api_error_status}"
    by_words = _by_words(f"{result.api_error or ''} {told} {err}", said)
    if by_words:
        return by_words[0], told or by_words[1]
    if result.is_error or subtype not in ("", "success"):
        return "failed", told or subtype or f"exit code {exit}"
    if exit in _KILLED or exit is None:
        return "interrupted", f"killed (exit code {exit}) after its answer"
    return "failed", f"exit code {exit}: {_last_line(err) or 'although it printed a result'}"


def _by_status(result: _Message) -> Kind | None:
    status = str(result.api_error_status or "")
    if status in ("401", "402", "403"):
        return "refused"
    return "overloaded" if status in ("408", "429") or re.fullmatch(r"5\d\d", status) else None


def _by_words(words: str, said: _Said) -> tuple[Kind, str] | None:
    if said.resets_at is not None or _REFUSALS.search(words):
        return "refused", words.strip() if said.resets_at is None else "usage limit"
    if _OVERLOADS.search(words):
        return "overloaded", words.strip()
    return ("too_long", words.strip()) if _TOO_LONG.search(words) else None


def _said(out: bytes) -> _Said:
    """Stream, one object, or an array of messages; torn and foreign lines are passed over."""
    raw, trouble = _messages(out.decode("utf-8", "replace").encode())
    said = _Said(trouble=trouble)
    for line in (_whole_characters(line) if _HALF.search(line) else line for line in raw):
        try:
            message = _decoder.decode(line)
        except msgspec.MsgspecError as error:
            if b'"result"' in line:
                said = msgspec.structs.replace(said, trouble=f"its result has another shape: {error}")
            continue
        said = _with(said, message, line)
    return said


def _with(said: _Said, message: _Message, line: bytes) -> _Said:
    change = msgspec.structs.replace
    if message.session_id and not message.parent_tool_use_id:
        said = change(said, session_id=message.session_id)
    if message.type == "result":
        return change(said, result=message, raw=bytes(line))
    if message.type == "rate_limit_event" and message.rate_limit_info and message.rate_limit_info.status == "rejected":
        return change(said, resets_at=message.rate_limit_info.resetsAt)
    if message.type == "assistant" and not message.parent_tool_use_id:
        return change(said, context=_context(line) or said.context)
    return said


def _context(line: bytes) -> int:
    try:
        tokens = decoder(_AssistantLine).decode(line).message.usage
    except msgspec.MsgspecError:
        return 0
    used = _usage(tokens) if tokens else Usage()
    return used.input + used.cache_read + used.cache_write + used.output


def _messages(out: bytes) -> tuple[list[bytes], str]:
    whole = out.strip()
    if not whole:
        return [], "its output is empty"
    if whole.startswith(b"["):  # --output-format json with verbose set by the user's settings
        try:
            return [bytes(part) for part in msgspec.json.decode(whole, type=list[msgspec.Raw])], ""
        except msgspec.MsgspecError:
            pass
    if whole.startswith(b"{"):
        try:
            return [bytes(msgspec.json.decode(whole, type=msgspec.Raw))], ""
        except msgspec.MsgspecError:
            pass
    shown = whole[:80].decode("utf-8", "replace")
    return [
        line for line in whole.splitlines() if line.lstrip().startswith(b"{")
    ], f"no result in its output: {shown!r}"


_decoder = msgspec.json.Decoder(_Message)


def _whole_characters(line: bytes) -> bytes:
    """An answer that was cut in the middle of an emoji is JSON with half a character, which strict readers refuse."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")
    except ValueError:
        return line


def _usage(tokens: _Tokens) -> Usage:
    return Usage(
        input=tokens.input_tokens or 0,
        output=tokens.output_tokens or 0,
        cache_read=tokens.cache_read_input_tokens or 0,
        cache_write=tokens.cache_creation_input_tokens or 0,
    )


def _session_id(said: _Said) -> str:
    return said.session_id if is_session_id(said.session_id) else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:299]}…"
