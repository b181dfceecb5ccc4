"""Fixtures that several rooms share, and one profile for all property tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import MORE, examples

pytest_plugins = ["tests.fixtures_claude", "tests.fixtures_engine", "tests.fixtures_postgres"]

# How fast a machine is, is no property of ours: examples are bounded by their number, never by a clock.
settings.register_profile(
    "bottlepost",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=examples(),
    derandomize=not MORE,
)
settings.load_profile("bottlepost")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take longest goes first: at the end, one worker alone is not to be waited for."""

    def allowed(item: pytest.Item) -> float:
        limit = item.get_closest_marker("timeout")
        return float(limit.args[0]) if limit is not None else 0.0

    items.sort(key=allowed, reverse=True)


@pytest.fixture
def complaint(load: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """What is said, in one line, of a config file with this text; `load` is the room's own."""
    from sessions.config import ConfigError

    def complaint_about(text: str | bytes, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text, **environ)
        said = str(caught.value)
        assert "\n" not in said
        assert said.startswith(f"{tmp_path / 'config.yaml'}: ")
        return said.removeprefix(f"{tmp_path / 'config.yaml'}: ")

    return complaint_about
