"""The door to the engine, seen without one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sessions.bottles import engine
from tests.standing_engine import standing_engine


def test_engine_is_asked_once_by_all_who_want_to_know_at_the_same_time(tmp_path: Path) -> None:
    with standing_engine(tmp_path, thinks=0.1) as asked, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: engine.about({"DOCKER_HOST": asked.host}), range(4)))
    assert {one.api for one in found} == {"1.41"}
    assert len(asked) == 2, "who it is, and how its users are ours"
