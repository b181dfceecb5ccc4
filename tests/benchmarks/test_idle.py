"""The one figure of the benchmarks that is a promise, and proof that their stage stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.stage import Stage, Watch


@pytest.mark.parametrize("watch", ["named one by one", "as owner/*"])
def test_an_idle_call_is_one_request_however_many_repositories_are_watched(tmp_path: Path, watch: Watch) -> None:
    with Stage(tmp_path, repos=120, watch=watch) as stage:
        stage.settle()
        stage.world.reset_requests()
        assert stage.poll().result["requests"] == 1
        assert [request.path for request in stage.requests] == ["/repos/issues/search"]
