"""Puts the scripted agent on a PATH, under the name of the real one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from poller.demo import agent


def install(directory: Path) -> Path:
    """Write an executable `claude` into `directory` that runs the scripted agent; put the directory first on PATH."""
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "claude"
    words = (sys.executable, "-I", "-S", str(Path(agent.__file__).resolve()))
    script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    script.chmod(0o755)
    return script
