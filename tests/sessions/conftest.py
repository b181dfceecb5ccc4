"""Stages: with the scripted agent, and with the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sessions.stage import Stage


@pytest.fixture
def where() -> Path | str | None:
    """The stage's database: a file.  Modules that run on both kinds override it with `database`."""
    return None


@pytest.fixture
def stage(tmp_path: Path, scripted_environ: dict[str, str], where: Path | str | None) -> Iterator[Stage]:
    made = Stage(tmp_path, scripted_environ, database=where)
    yield made
    made.close()


@pytest.fixture
def real_stage(tmp_path: Path, claude_environ: dict[str, str]) -> Iterator[Stage]:
    made = Stage(tmp_path, claude_environ)
    yield made
    made.close()
