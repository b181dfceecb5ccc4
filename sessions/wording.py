"""Values of the configuration in words: what was found, what is expected.

Knows types and how people write their values.  Must not know files or keys.
"""

from __future__ import annotations

import difflib
import re
import types
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import msgspec


class Scalar:
    """How people write a value that is not plain YAML; stands in a field's `Annotated[...]`, or is its type."""

    EXPECTED: ClassVar[str]

    @classmethod
    def parse(cls, value: object) -> Any:
        """The value, or `ValueError` when `value` is not `EXPECTED`; the error's text, if any, is the mend."""
        raise NotImplementedError

    @classmethod
    def shown(cls, value: object) -> str:
        """A refused `value` as a message may show it; a kind that may hold a secret says less."""
        return shown(value)


class Matched(Scalar):
    """A text of one form.  `MEND`: what is said of any other."""

    PATTERN: ClassVar[re.Pattern[str]]
    MEND: ClassVar[str]

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or not cls.PATTERN.fullmatch(value):
            raise ValueError(cls.MEND)
        return value


def bare(kind: Any) -> Any:
    """The type without the metadata that is annotated to it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def scalar_in(kind: Any) -> type[Scalar] | None:
    """The `Scalar` that tells how a value of this type is written, if there is one."""
    if get_origin(kind) is Annotated:
        inner, *metadata = get_args(kind)
        return next((item for item in metadata if _is_scalar(item)), None) or scalar_in(inner)
    if get_origin(kind) in (Union, types.UnionType):
        return next((found for part in get_args(kind) if (found := scalar_in(part))), None)
    return kind if _is_scalar(kind) else None


def _is_scalar(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Scalar)


def expected_of(kind: Any) -> str:
    """A type in the words of a message: `a whole number, 1 or more`."""
    scalar = scalar_in(kind)
    if scalar is not None:
        return scalar.EXPECTED
    if get_origin(bare(kind)) is dict or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "a mapping (`key: value` lines)"
    if get_origin(bare(kind)) is tuple:
        item = scalar_in(get_args(bare(kind))[0])
        return f"a list, each {item.EXPECTED}" if item else "a list"
    return _in_words(msgspec.inspect.type_info(kind))


def _in_words(info: msgspec.inspect.Type) -> str:
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return _in_words(inner)
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType(ge=least):
            return "a whole number" + (f", {least} or more" if least is not None else "")
        case msgspec.inspect.FloatType(gt=above):
            return "a number" + (f" above {above:g}" if above is not None else "")
        case msgspec.inspect.StrType(min_length=1):
            return "a text that is not empty"
        case msgspec.inspect.NoneType():
            return "null"
        case msgspec.inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case msgspec.inspect.UnionType(types=kinds):
            return " or ".join(_in_words(kind) for kind in kinds)
    return "a text"


def closest(value: object, choices: list[str]) -> str:
    """A mend that names the choice which `value` may have meant, or `""`."""
    close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


def choices_of(kind: Any) -> list[str]:
    """The words that a `Literal` allows; empty for other types."""
    inner = bare(kind)
    return [str(choice) for choice in get_args(inner)] if get_origin(inner) is Literal else []


def kind_of(value: object) -> str:
    """What sort of value it is, without showing a text."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return "a text" if value else "an empty text"
        case _:
            return str(value).lower() if isinstance(value, bool) else repr(value)


def shown(value: object) -> str:
    """The value itself, cut when it is long; collections by their kind."""
    if isinstance(value, str) and value:
        return repr(value if len(value) <= 60 else value[:59] + "…")
    return kind_of(value)
