"""Where programs are on this machine, `claude` above all.

Knows PATH and the wheel that carries the binary along.  Runs nothing, and imports nothing of the wheel's: that takes
half a second, and all we want is its place.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path

_VERSION = re.compile(r"__cli_version__\s*=\s*[\"']([0-9][0-9A-Za-z.+-]*)[\"']")


def find_claude(path: str | None) -> str | None:
    """The `claude` to run: the first on `path`, else the one inside the claude-agent-sdk wheel."""
    bundled, _ = bundled_claude()
    return which("claude", path=path) or (str(bundled) if bundled else None)


def which(program: str, *, path: str | None) -> str | None:
    """The program's whole path."""
    found = shutil.which(program, path=path)
    return str(Path(found).absolute()) if found else None


def bundled_claude() -> tuple[Path | None, str]:
    """The binary in the wheel, and its version ("" when it is not told)."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        bundled = Path(place, "_bundled", "claude")
        if os.access(bundled, os.X_OK):
            return bundled, _version(Path(place, "_cli_version.py"))
    return None, ""


def _version(file: Path) -> str:
    try:
        found = _VERSION.search(file.read_text("utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""
