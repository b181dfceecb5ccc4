"""`poll init`: the first `config.yaml`.

Knows the template that the package carries.  Must not know what the keys mean.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

import typer


class NotWritten(Exception):
    """The file was left alone.  One line with the mend."""

    exit_code: ClassVar[int] = 2


def init(path: Path, *, schema: bool, as_json: bool = False) -> int:
    """The verb: write the file, or print its schema.  Returns the exit code; raises `NotWritten`."""
    if schema:
        from poller.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    write_config(path)
    if as_json:
        typer.echo(json.dumps({"file": str(path)}))
        return 0
    other = "" if path == Path("config.yaml") else f" --config {path}"
    typer.echo(
        f"wrote {path}: put in your forge and repositories, then\n"
        f"  export GITEA_TOKEN=…   # of the bot's account: read:user, write:issue, write:repository\n"
        f"  poll doctor{other}"
    )
    return 0


def template() -> str:
    """The commented `config.yaml`."""
    from importlib.resources import files

    return files("poller").joinpath("config_template.yaml").read_text(encoding="utf-8")


def write_config(path: Path) -> None:
    """Write the template to `path`, readable by its owner only, for people do put tokens into it."""
    text = template()
    try:
        # O_EXCL does not follow a symlink either: what is there, stays.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise NotWritten(f"{path}: is there already; move it away, or name another with --config") from None
    except OSError as error:
        raise NotWritten(f"{path}: cannot be written: {error.strerror}; check the directory") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
