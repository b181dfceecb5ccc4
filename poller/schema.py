"""The JSON schema of `config.yaml`, for editors.

Knows JSON Schema.  Must not know single values: all it says of them stands at the structs of the configuration.
"""

from __future__ import annotations

from typing import Any

import msgspec

from poller.scalars import wake_words

#: A value may be, or hold, what comes from the environment; what that is, is checked when the file is read.
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema (draft 2020-12) of a file that is read as `kind`."""
    _, parts = msgspec.json.schema_components([kind], schema_hook=_hidden_text, ref_template="#/$defs/{name}")
    parts["Agent"]["properties"]["on"]["items"] = {
        "anyOf": [{"enum": wake_words()}, {"type": "string", "pattern": r"^labeled:.+$"}]
    }
    parts["Gitea"]["oneOf"] = [{"required": ["token"]}, {"required": ["token_file"]}]
    for part in parts.values():
        part["properties"] = {name: _property(schema) for name, schema in part["properties"].items()}
    top = parts.pop(kind.__name__)
    top["properties"]["agents"]["type"] = ["object", "null"]  # `agents:` with nothing below it
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **top, "title": "config.yaml of bottlepost", "$defs": parts | {"Variable": _VARIABLE}}


def _hidden_text(kind: type) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "writeOnly": True}


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "number" and "pattern" in schema:
        # Durations are seconds inside, and written `30s` in the file.
        schema |= {"type": "string", "default": f"{schema['default']:g}s"}
    outer = {key: schema.pop(key) for key in ("description", "default", "examples") if key in schema}
    if schema.get("type") == "array":
        return outer | schema | {"items": _or_variable(schema["items"])}
    if _is_reference(schema):
        return schema
    if "object" in schema.get("type", ""):
        return outer | schema
    return outer | _or_variable(schema)


def _is_reference(schema: dict[str, Any]) -> bool:
    return "$ref" in schema or any("$ref" in choice for choice in schema.get("anyOf", ()))


def _or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*(schema["anyOf"] if set(schema) == {"anyOf"} else [schema]), {"$ref": "#/$defs/Variable"}]}
