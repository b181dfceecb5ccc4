"""The benchmarks of long logs and many changes in small: they stand, and find what they measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from poller import store
from poller.app import COMPONENTS
from poller.pruning import DAYS, STEP, STEPS, run
from poller.search import newest
from sessions.database import begin, open_database, reading
from tests.benchmarks import ballast, crowd, history


@pytest.mark.timeout(300)  # some twenty processes
def test_a_long_history_is_measured(tmp_path: Path) -> None:
    asked = {"--kind, a rare one": history.ASKED["--kind, a rare one"]}
    rows = {row.what: row for row in history.rows(tmp_path, rounds=1, events=2_500, asked=asked)}
    assert rows["with 2,500 events: --kind, a rare one"].found.endswith(", 20 lines")
    assert "with 2,500 events: idle" in rows


@pytest.mark.timeout(300)
def test_many_changes_are_measured(tmp_path: Path) -> None:
    rows = {row.what: row.found for row in crowd.rows(tmp_path, rounds=1, few=2, many=6)}
    assert float(rows["a cycle with 6 changed pulls: requests per pull"]) < 5


def test_the_made_up_history_is_one_that_the_poller_can_read_and_forget(tmp_path: Path) -> None:
    path, now = tmp_path / "log.db", 2e9
    engine = open_database(path, COMPONENTS)
    ballast.fill(path, forge="gitea.example.com", events=20_000, now=now, days=DAYS * 2.0)
    with begin(engine) as conn:
        store.save_forge(conn, "gitea.example.com", cursor="2033-01-01T00:00:00Z")
    with reading(engine) as conn:
        assert newest(conn) == 20_000
    assert STEP * STEPS / 2 < run(engine, forge="gitea.example.com", now=now) <= STEP * STEPS
    engine.dispose()
