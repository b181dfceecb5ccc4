"""One desk: a pull request from `feature` into `main`, behind a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gitside.origin import Origin
from tests.gitside.server import GitServer
from tests.sessions.workspace.desk import TOKEN, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    origin = Origin(tmp_path / "forge")
    origin.commit("feature", {"app.txt": "one\ntwo\nthree\n"}, onto="main")
    origin.pull(7)
    with GitServer(tmp_path / "forge", token=TOKEN) as server:
        yield Desk(tmp_path, origin, server)
