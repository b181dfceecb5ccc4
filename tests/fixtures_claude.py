"""Fixtures for tests that run an agent: the real `claude` against a stand-in model, or the scripted one.

Use: `pytest_plugins = ["tests.fixtures_claude"]` in `tests/conftest.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.demo import installing
from sessions.bottles.process import find_claude
from tests.model.server import Model


@pytest.fixture
def model() -> Iterator[Model]:
    """A Messages API on loopback."""
    with Model() as running:
        yield running


@pytest.fixture(scope="session")
def claude_binary() -> str:
    """The real `claude`; its absence skips, or fails where everything has to be there."""
    found = find_claude(os.environ.get("PATH"))
    if found is None:
        reason = "no claude binary; mend: pip install '.[claude]' in bottlepost's checkout"
        if os.environ.get("BOTTLEPOST_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def claude_environ(claude_binary: str, model: Model) -> dict[str, str]:
    """The runner's environment with the real claude, which talks to `model`."""
    return {"PATH": os.environ.get("PATH", os.defpath), **model.environ}


@pytest.fixture
def scripted_environ(tmp_path: Path) -> dict[str, str]:
    """The runner's environment with the scripted agent first on PATH."""
    directory = tmp_path / "scripted"
    installing.install(directory)
    return {"PATH": f"{directory}{os.pathsep}{os.defpath}"}
