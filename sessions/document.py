"""A configuration file as checked values.

Knows structs, `${NAME}` variables, and how to name the key that is wrong.  Must not know which keys there are:
the shapes are msgspec structs of the callers.  No message shows a value that came from a variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec

from sessions.wording import Scalar, bare, choices_of, closest, expected_of, kind_of, scalar_in, shown
from sessions.yamlfile import ConfigError, mapping_in

T = TypeVar("T")

_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


class Document:
    """One YAML file whose top is a mapping; `build` turns it into a struct."""

    def __init__(self, path: Path, *, environ: Mapping[str, str], missing: str) -> None:
        """Read the file.  `missing` is the mend that is offered when there is none."""
        self.path = path
        self.environ = environ
        self._tree = mapping_in(path, missing=missing)
        self._from_variable: dict[str, str] = {}

    def build(self, kind: type[T], *, ignore: Collection[str] = ()) -> T:
        """The whole file as a struct of `kind`; top-level keys in `ignore` are not even looked at."""
        tree = {key: value for key, value in self._tree.items() if key not in ignore}
        try:
            return cast(T, self._value(tree, kind, ""))
        except RecursionError:
            raise self.error("", found="values nested too deeply, or in themselves", expected="a plain file") from None

    def error(self, key: str, *, found: str, expected: str, mend: str = "") -> ConfigError:
        """An error about `key` of this file, ready to be raised."""
        where = f"{self.path}: {key}" if key else f"{self.path}"
        return ConfigError(f"{where}: found {found}, expected {expected}" + (f"; {mend}" if mend else ""))

    def path_of(self, text: str, *, key: str) -> Path:
        """The absolute path that `text`, the value at `key`, means: `~`, or beside the configuration file."""
        home = self.environ.get("HOME")
        if home and (text == "~" or text.startswith("~/")):
            return Path(home, text[2:])
        try:
            written = Path(text).expanduser()
        except RuntimeError:
            raise self.error(key, found="a home directory that is not known", expected="a path") from None
        return Path(os.path.normpath(self.path.absolute().parent / written))

    def is_from_variable(self, key: str) -> bool:
        """Did the value at `key` hold a `${NAME}`?"""
        return key in self._from_variable

    def _value(self, raw: object, kind: Any, key: str) -> Any:
        kind = bare(kind) if get_origin(bare(kind)) in (dict, tuple) else kind
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(raw, kind, key)
        if get_origin(kind) is dict:
            entries = self._entries(raw, key).items()
            return {name: self._value(value, get_args(kind)[1], _below(key, name)) for name, value in entries}
        if get_origin(kind) is tuple and isinstance(raw, list):
            return tuple(self._value(value, get_args(kind)[0], f"{key}[{index}]") for index, value in enumerate(raw))
        return self._leaf(self._replaced(raw, key), kind, key)

    def _struct(self, raw: object, kind: type[msgspec.Struct], key: str) -> msgspec.Struct:
        entries = self._entries(raw, key)
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name in entries:
            if name not in fields:
                mend = closest(name, list(fields)) or "remove it"
                expected = f"one of {', '.join(fields)}"
                raise self.error(_below(key, name), found="an unknown key", expected=expected, mend=mend)
        built: dict[str, Any] = {}
        for name, field in fields.items():
            if name in entries:
                built[field.name] = self._value(entries[name], field.type, _below(key, name))
            elif field.required:
                raise self.error(_below(key, name), found="nothing", expected=expected_of(field.type), mend="add it")
        return kind(**built)

    def _entries(self, raw: object, key: str) -> dict[str, object]:
        if raw is None:  # `agents:` with nothing below it
            return {}
        if not isinstance(raw, dict):
            raise self.error(key, found=kind_of(raw), expected="a mapping (`key: value` lines)")
        for name in raw:
            if not isinstance(name, str):
                raise self.error(
                    _below(key, str(name)), found="a key that is no text", expected="a name", mend="quote it"
                )
        return raw

    def _leaf(self, raw: object, kind: Any, key: str) -> Any:
        scalar = scalar_in(kind)
        if scalar is not None:
            return None if raw is None and type(None) in get_args(bare(kind)) else self._scalar(raw, scalar, key)
        try:
            # What comes from a variable is always text: `parallel: ${JOBS}` may still be a number.
            return msgspec.convert(raw, kind, strict=key not in self._from_variable)
        except msgspec.ValidationError:
            is_for_list = isinstance(raw, str) and get_origin(kind) is tuple
            mend = f"write [{raw}]" if is_for_list else closest(raw, choices_of(kind))
            found, mend = self._hidden(raw, key) or (shown(raw), mend)
            raise self.error(key, found=found, expected=expected_of(kind), mend=mend) from None

    def _scalar(self, raw: object, scalar: type[Scalar], key: str) -> Any:
        try:
            return scalar.parse(raw)
        except ValueError as error:
            found, mend = self._hidden(raw, key) or (scalar.shown(raw), str(error))
            raise self.error(key, found=found, expected=scalar.EXPECTED, mend=mend) from None

    def _hidden(self, raw: object, key: str) -> tuple[str, str] | None:
        """What may be said of a refused value that came from a variable, and the mend; `None`: it did not."""
        source = self._from_variable.get(key)
        if source is None:
            return None
        if isinstance(raw, str) and not raw.strip():
            state = "empty" if source in self.environ else "not set"
            return f"the variable {source}, which is {state}", "set it"
        return f"a value from the variable {source}", ""

    def _replaced(self, raw: object, key: str) -> object:
        if isinstance(raw, list):
            return [self._replaced(item, key) for item in raw]
        return _VARIABLE.sub(lambda match: self._variable(match, key), raw) if isinstance(raw, str) else raw

    def _variable(self, match: re.Match[str], key: str) -> str:
        if match.group() == "$${":
            return "${"
        name, default = match.group(1), match.group(2)
        if name is None:
            mend = "write $${ where you mean the two characters themselves"
            raise self.error(key, found="a ${ without a name", expected="${NAME} or ${NAME:-default}", mend=mend)
        self._from_variable[key] = name
        value = self.environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            mend = f"export {name}, or write ${{{name}:-default}}"
            raise self.error(key, found=f"the variable {name}, which is not set", expected="a set one", mend=mend)
        return value


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
