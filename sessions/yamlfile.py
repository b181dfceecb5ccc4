"""The one door for YAML: a file's text as plain values.

Knows YAML and how to say in one line what is wrong with a file.  Must not know which keys there are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

try:  # the C parser is some twenty times faster: a list of 10,000 repositories stays cheap
    from yaml import CSafeLoader as _BaseLoader
except ImportError:  # pragma: no cover - PyYAML built without libyaml
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]

_TAG = re.compile(r"for the tag '(![^!'][^']*)'")
_DEEPEST = 50


class ConfigError(Exception):
    """The configuration cannot be used.  One line: file, key, what was found, what was expected, the mend."""

    exit_code: ClassVar[int] = 2


def mapping_in(path: Path, *, missing: str) -> dict[str, object]:
    """The mapping that is the file's top.  `missing` is the mend for a file that is not there or empty."""
    text = _text_in(path, missing=missing)
    try:
        if _is_deep(text):
            raise ConfigError(f"{path}: found values nested too deeply, expected a plain file")
        tree = yaml.load(text, _Loader)  # noqa: S506 - derived from the safe loader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_problem(error, text)}") from None
    if tree is None:
        raise ConfigError(f"{path}: found an empty file, expected `key: value` lines; {missing}")
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: found a {type(tree).__name__}, expected a mapping (`key: value` lines)")
    return tree


class _Loader(_BaseLoader):
    """YAML 1.2's core scalars: `on` is a word, not `true`; a date stays a text; a key may come once."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML keeps them on the class

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key_node.start_mark)
            if key_node.value in seen and key_node.value != "<<":
                problem = f"the key `{key_node.value}` is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)", list("-+0123456789.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)


def _is_deep(text: str) -> bool:
    """Would building it go deep?  The C parser's recursion ends in a segmentation fault, not in an exception."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def _text_in(path: Path, *, missing: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; {missing}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: found bytes that are not UTF-8, expected text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path and its mode") from None


def _problem(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return _not_allowed(error, text)
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    problem = " ".join(str(getattr(error, "problem", None) or "something that is no YAML").split())
    tag = _TAG.search(problem)
    if tag:
        return f'{where}found {tag[1]} without quotes, expected a text; write "{tag[1]}"'
    if mark is not None and _at(text, mark).startswith("\t"):
        return f"{where}found a tab, expected spaces; indent with spaces"
    if isinstance(error, yaml.composer.ComposerError) and "another document" in problem:
        return f"{where}a second document begins here, expected one; remove the `---`"
    if "is there twice" in problem:
        return f"{where}{problem}; keep one"
    if "flow" in str(getattr(error, "context", "")):
        return f'{where}{problem}; check brackets and commas, and write "${{NAME}}" in quotes inside braces'
    return f"{where}{problem}; check the indentation and the quotes there"


def _not_allowed(error: yaml.reader.ReaderError, text: str) -> str:
    # Its `position` counts bytes or characters, as the parser likes; the first such character is the one.
    at = text.find(chr(error.character))
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"line {line}, column {column}: found the character U+{error.character:04X}, expected text; remove it"


def _at(text: str, mark: yaml.Mark) -> str:
    lines = text.splitlines()
    return lines[mark.line][mark.column :] if mark.line < len(lines) else ""
