"""The keys of an agent that say what its bottle is made of: network, hosts, memory, or somebody else's runner.

Knows how people write them.  Must not know engines, or which backend reads which key.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from sessions.wording import Matched, Scalar, shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*):(host-gateway|[0-9.]+|\[?[0-9A-Fa-f:.]+\]?)")
_SIZE = re.compile(r"([0-9]+)([kmg])")
_FACTORS = {"k": 2**10, "m": 2**20, "g": 2**30}
#: As engines write it: a registry, a path in lower case, a tag, a digest.
_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z0-9+._-]+:[0-9A-Fa-f]{32,})?"
)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class Network(Matched):
    """What a container is joined to."""

    EXPECTED = "none, bridge, or a network's name"
    PATTERN = _NAME
    MEND = "`docker network ls` shows the names"


class Image(Matched):
    """What a container is made from."""

    EXPECTED = "the name of an image, such as bottlepost/claude:latest"
    PATTERN = _IMAGE
    MEND = "it is in lower case, but for the tag, and without spaces; `docker image ls` shows names"


class HostLine(Matched):
    """A name that the container shall know, and its address."""

    EXPECTED = "name:address, or name:host-gateway for this machine"
    PATTERN = _HOST
    MEND = 'for example "model.internal:host-gateway"'


class Size(Scalar):
    """An amount of memory, written `512m` or `4g`."""

    EXPECTED = "a size such as 512m or 4g"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or not (match := _SIZE.fullmatch(value.strip().lower())) or not int(match[1]):
            raise ValueError("write a whole number and one of k, m, g")
        return match[0]


def bytes_of(size: str) -> int:
    """The bytes of `4g`."""
    return int(size[:-1]) * _FACTORS[size[-1]]


class Word(Scalar):
    """A word of a command line, with `{placeholders}`.  A brace of its own is written twice, as in Python."""

    EXPECTED = "a text; it may hold placeholders such as {session}"
    KNOWN: ClassVar[dict[str, str]] = {
        "agent": "the agent's name in this config",
        "identity": "the bottle's identity",
        "session": "the conversation's id",
        "turn": "the turn's number, and the try's behind it",
        "key": "what the turn is about, as people write it",
        "model": "the agent's `model`, empty for null",
        "work": "the agent's working directory",
        "transcript": "the agent's config directory",
        "directory": "the turn's own directory",
        "prompt": "the file with the prompt, which is on stdin, too",
        "args": "alone: all that follows `claude` in a call, as words of their own",
    }

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("quote it")
        if trouble := misplaced(value):
            raise ValueError(trouble)
        return value

    @classmethod
    def shown(cls, value: object) -> str:
        return shown(value)


def misplaced(word: str) -> str:
    """What is wrong with the placeholders of a word, or ""."""
    bare = word.replace("{{", "").replace("}}", "")
    for name in _PLACEHOLDER.findall(bare):
        if name not in Word.KNOWN:
            return f"{{{name}}} is none of {', '.join(f'{{{known}}}' for known in Word.KNOWN)}"
        if name == "args" and word != "{args}":
            return "{args} are several words: it stands alone"
    if "{" in _PLACEHOLDER.sub("", bare) or "}" in _PLACEHOLDER.sub("", bare):
        return "write {{ or }} where you mean the character itself"
    return ""


def filled(template: tuple[str, ...], values: dict[str, str], args: tuple[str, ...]) -> list[str]:
    """The words of a checked template with values in them; a value is never split, and never looked at again."""
    words: list[str] = []
    for word in template:
        words += args if word == "{args}" else [word.format_map(values)]
    return words


_Words = tuple[Annotated[str, Word], ...]


class Runner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody else's program that runs an agent: `backend: command`."""

    start: Annotated[_Words, Meta(description="The words of a first turn; its output is read as claude's.")] = ()
    resume: Annotated[_Words, Meta(description="The words of a later turn; empty: those of `start`.")] = ()
    stop: Annotated[_Words, Meta(description="What ends a running turn before signals do; empty: signals alone.")] = ()
    cleanup: Annotated[_Words, Meta(description="What removes what the runner keeps of a bottle.")] = ()
