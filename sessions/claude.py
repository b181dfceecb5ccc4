"""The Claude CLI: the arguments it is called with, and what its output means.

Facts are of CLI 2.1.329 unless a comment says otherwise.  Knows its words and its JSON; must not know processes, files
or what is to be done about an outcome.
"""

from __future__ import annotations

import re
from typing import Literal

from sessions import stream
from sessions.stream import Message, Said
from sessions.turns import Kind, Mode, Outcome, Usage

#: Why a run was ended from outside.
Ended = Literal["", "minutes", "stopped", "cut off"]

_NOT_FOUND = "No conversation found with session ID"
#: Words of the CLI itself, looked for in errors only: a successful `result` is the agent's and may quote anything.
_REFUSALS = re.compile(
    r"not logged in|please run /login|oauth token has (?:expired|been revoked)|oauth authentication|invalid api key"
    r"|credit balance (?:is )?too low|authentication_error|authentication required|billing_error"
    r"|does not have access to claude|organization has been disabled|out of (?:extra usage|usage credits)"
    r"|(?:hit|reached) your (?:[\w'’-]+ ){0,4}(?:limits?|usage credits)\b"
    r"|(?:usage|spend|session|weekly|daily|monthly|hour) limit reached",
    re.IGNORECASE,
)
_OVERLOADS = re.compile(
    r"overloaded|rate_limit_error|API Error: (?:Request )?(?:5\d\d|429|connection|timed? ?out|unable to connect)"
    r"|connection_failed|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|socket hang up|internal server error",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"(?:prompt|input) is too long|prompt_too_long|maximum context length|context_length_exceeded"
    r"|context (?:window|limit)[^.]{0,40}exceed|exceeds the context|context limit reached",
    re.IGNORECASE,
)
#: Characters of an answer that are kept: more than any forge takes, and no more than a database likes.
_MOST_TEXT = 1_000_000
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: Signals that somebody outside sends to end a process: HUP, INT, KILL, TERM.
_KILLED = {128 + 1, 128 + 2, 128 + 9, 128 + 15}

#: The checked-out tree is somebody else's: its hooks, settings and servers are not to be run.
_ALWAYS = ("--dangerously-skip-permissions", "--setting-sources", "user", "--strict-mcp-config")


def arguments(
    *, mode: Mode, claude_session: str, model: str | None = None, turns: int = 0, usd: float = 0.0, schema: str = ""
) -> tuple[str, ...]:
    """What follows `claude`.  All of it at every run: a resume restores neither permissions nor settings."""
    argv = ["-p", "--output-format", "stream-json", "--verbose"]
    argv += ["--session-id" if mode == "fresh" else "--resume", claude_session, *_ALWAYS]
    argv += ["--model", model] if model else []
    argv += ["--max-turns", str(turns)] if turns else []
    argv += ["--max-budget-usd", f"{usd:g}"] if usd else []
    argv += ["--json-schema", schema] if schema else []
    return tuple(argv)


def arguments_at_terminal(*, claude_session: str, model: str | None = None) -> tuple[str, ...]:
    """The same conversation for a person, who sees what it does and can stop it: no prompt, no limits."""
    return ("--resume", claude_session, *_ALWAYS, *(("--model", model) if model else ()))


def is_session_id(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def read(out: bytes, err: bytes, *, exit: int | None, ended: Ended = "") -> Outcome:
    """What became of a run, from its output and exit code (`None`: there is none) and why it was ended, if it was."""
    said = stream.read(out)
    words = err.decode("utf-8", "replace")
    kind, reason = _judge(said, words, exit=exit, ended=ended)
    result, requests = said.result, list(said.requests.values())
    usage = stream.usage_of(result.usage) if result and result.usage else _sum(requests)
    return Outcome(
        kind=kind,
        reason=_one_line(reason),
        text=_kept(result.result or "") if result and kind == "done" else "",
        structured=_kept(_structured(result)) if result and kind == "done" else "",
        so_far=_kept(said.words) if kind == "limited" else "",
        limit=_limit(said, ended) if kind == "limited" else "",
        exit=exit,
        claude_session=_session_id(said),
        total_usd=stream.dollars_of(result.total_cost_usd) if result else None,
        usage=usage,
        first=requests[0] if requests else Usage(),
        agent_turns=stream.turns_of(result.num_turns) if result else 0,
        context_tokens=_size(requests[-1]) if requests else 0,
        resets_at=said.resets_at if kind == "refused" else None,
        result=said.raw,
    )


def _structured(result: Message) -> str:
    text = bytes(result.structured_output).decode()
    return "" if text == "null" else text


def _limit(said: Said, ended: Ended) -> Literal["turns", "usd", "minutes"]:
    if ended == "minutes" or said.result is None:
        return "minutes"
    words = f"{said.result.subtype} {said.result.terminal_reason}"
    return "usd" if "budget" in words else "turns"


def _sum(requests: list[Usage]) -> Usage:
    """Of a run that did not live to say what it used."""
    names = Usage.__struct_fields__
    return Usage(**{name: stream.count_of(sum(getattr(one, name) for one in requests)) for name in names})


def _size(request: Usage) -> int:
    return stream.context_of(request.input + request.cache_read + request.cache_write + request.output)


def _judge(said: Said, err: str, *, exit: int | None, ended: Ended) -> tuple[Kind, str]:
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


def _judge_without_result(said: Said, err: str, exit: int | None) -> tuple[Kind, str]:
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


def _judge_error(said: Said, result: Message, err: str, exit: int | None) -> tuple[Kind, str]:
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
    if by_status == "overloaded" and (said.resets_at is not None or _REFUSALS.search(told)):
        return "refused", told or "usage limit"  # 429 is a crowd as well as a quota that is used up
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


def _by_status(result: Message) -> Kind | None:
    status = str(result.api_error_status or "")
    if status in ("401", "402", "403"):
        return "refused"
    return "overloaded" if status in ("408", "429") or re.fullmatch(r"5\d\d", status) else None


def _by_words(words: str, said: Said) -> tuple[Kind, str] | None:
    if said.resets_at is not None or _REFUSALS.search(words):
        return "refused", words.strip() if said.resets_at is None else "usage limit"
    if _OVERLOADS.search(words):
        return "overloaded", words.strip()
    return ("too_long", words.strip()) if _TOO_LONG.search(words) else None


def _session_id(said: Said) -> str:
    return said.session_id if is_session_id(said.session_id) else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _kept(text: str) -> str:
    """What a database can hold: no NUL, and not without end."""
    return text[:_MOST_TEXT].replace("\0", "")


def _one_line(text: str) -> str:
    line = " ".join(text[:10_000].replace("\0", "").split())
    return line if len(line) <= 300 else f"{line[:299]}…"
