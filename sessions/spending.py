"""What a conversation has cost so far, by its own record: for runs that print no result.

Knows the lines that the CLI writes at the end of a run (seen with 2.1.330).  The file is one that the agent can write:
what it says is a number among others, and moves nothing but counters.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sessions import files, transcript
from sessions.decoding import UNREADABLE, decoder
from sessions.stream import context_of, count_of, dollars_of
from sessions.turns import Usage

#: The last lines are those that count; a single one can hold a whole page.
_TAIL = 4 * 1024 * 1024


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a conversation; `total_usd` is `None` when it does not say."""

    total_usd: float | None = None
    usage: Usage = Usage()
    #: Size of its last request.
    context_tokens: int = 0


class _Model(msgspec.Struct):
    inputTokens: int = 0  # the CLI's spelling
    outputTokens: int = 0
    cacheReadInputTokens: int = 0
    cacheCreationInputTokens: int = 0


class _Sums(msgspec.Struct):
    totalCostUSD: float
    modelUsage: dict[str, _Model] = {}


class _Tokens(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class _Message(msgspec.Struct):
    usage: _Tokens


class _Answer(msgspec.Struct):
    message: _Message


def told(config_dir: Path, claude_session: str) -> Spent:
    """The sums at the end of a conversation's record."""
    spent, record = Spent(), transcript.look(config_dir, claude_session).record
    for line in files.tail(record, _TAIL).splitlines() if record is not None else ():
        if b'"cost-state"' in line:
            spent = _with_sums(spent, line)
        elif b'"assistant"' in line and b'"usage"' in line:
            spent = _with_context(spent, line)
    return spent


def between(before: Spent, after: Spent) -> Usage:
    """What came on top; a record that was begun anew counts from nothing."""
    old, new = msgspec.structs.asdict(before.usage), msgspec.structs.asdict(after.usage)
    return Usage(**{name: new[name] - old[name] if new[name] >= old[name] else new[name] for name in new})


def _with_sums(spent: Spent, line: bytes) -> Spent:
    try:
        sums = decoder(_Sums).decode(line)
    except UNREADABLE:
        return spent
    models = sums.modelUsage.values()
    usage = Usage(
        input=count_of(sum(count_of(one.inputTokens) for one in models)),
        output=count_of(sum(count_of(one.outputTokens) for one in models)),
        cache_read=count_of(sum(count_of(one.cacheReadInputTokens) for one in models)),
        cache_write=count_of(sum(count_of(one.cacheCreationInputTokens) for one in models)),
    )
    return msgspec.structs.replace(spent, total_usd=dollars_of(sums.totalCostUSD), usage=usage)


def _with_context(spent: Spent, line: bytes) -> Spent:
    try:
        used = decoder(_Answer).decode(line).message.usage
    except UNREADABLE:
        return spent
    size = used.input_tokens + used.output_tokens + used.cache_read_input_tokens + used.cache_creation_input_tokens
    return msgspec.structs.replace(spent, context_tokens=size) if context_of(size) else spent
