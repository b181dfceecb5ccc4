"""Killed at any moment, hundreds of times: each question is answered once, and nothing is left behind.

The bounded share of `python -m tests.chaos`, which says what is counted as lost and doubled.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import scenes
from tests.chaos.scenes import Scene

#: A busy machine kills more slowly: the number of kills is bounded, not the time.
pytestmark = pytest.mark.timeout(2400)


def survives(scene: Scene, directory: Path, *, kills: int, seed: int = 1) -> None:
    bill = scenes.play(scene, kills=kills, seed=seed, seconds=1300.0, place=directory)
    print(bill)
    assert bill.is_clean, f"seed {seed}, {scene}, in {directory}: {bill}"
    assert sum(bill.kills.values()) >= kills
    assert bill.answered == bill.asked > 0


class TestOnce:
    def test_calls_by_cron_are_killed(self, tmp_path: Path) -> None:
        survives(Scene(mode="once"), tmp_path, kills=90)


class TestDaemon:
    def test_a_daemon_is_killed(self, tmp_path: Path) -> None:
        survives(Scene(mode="daemon"), tmp_path, kills=90)


class TestBoth:
    def test_a_daemon_and_calls_beside_it_are_killed(self, tmp_path: Path) -> None:
        survives(Scene(mode="both"), tmp_path, kills=90)


class TestReviews:
    def test_calls_that_post_reviews_are_killed(self, tmp_path: Path) -> None:
        survives(Scene(work="reviews"), tmp_path, kills=15)


class TestCommits:
    def test_calls_that_push_commits_are_killed(self, tmp_path: Path) -> None:
        survives(Scene(work="commits"), tmp_path, kills=15)


@pytest.mark.postgres
class TestPostgres:
    def test_calls_that_share_a_server_are_killed(self, tmp_path: Path, postgres_url: str) -> None:
        survives(Scene(database=postgres_url), tmp_path, kills=25)

    def test_calls_of_two_machines_are_killed(self, tmp_path: Path, postgres_url: str) -> None:
        survives(Scene(database=postgres_url, machines=2), tmp_path, kills=25)


@pytest.mark.docker
class TestDocker:
    def test_calls_and_their_containers_are_killed(self, tmp_path: Path, docker_environ: dict[str, str]) -> None:
        survives(Scene(backend="docker"), tmp_path, kills=15)


@pytest.mark.claude
class TestClaude:
    def test_calls_and_the_real_agent_are_killed(self, tmp_path: Path, claude_binary: str) -> None:
        survives(Scene(agent="claude"), tmp_path, kills=20)
