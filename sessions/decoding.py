"""Decoders of typed JSON for code that runs in threads.

Knows that msgspec reads a type's fields when it first meets the type, and that the process dies (SIGSEGV, 0.22.0) when
two threads do that at once.  So decoders are made one after the other, and kept.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

#: What a decoder raises over words that somebody hostile may have written: also over brackets without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_making = threading.Lock()
_made: dict[Any, msgspec.json.Decoder[Any]] = {}


@overload
def decoder(kind: type[T]) -> msgspec.json.Decoder[T]: ...
@overload
def decoder(kind: Any) -> msgspec.json.Decoder[Any]: ...
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The one decoder of `kind`; using it is safe in any number of threads."""
    known = _made.get(kind)
    if known is None:
        with _making:
            known = _made.setdefault(kind, msgspec.json.Decoder(kind))
    return known
