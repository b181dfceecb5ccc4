"""Who a process is, and what it was started with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions import processes
from tests.sessions.unprivileged import opening_no_more

#: Becomes another program so many times, and is the same process all the while.
AGAIN = """#!/bin/sh
[ "$1" -gt 0 ] && exec "$0" $(($1 - 1))
"""


def test_process_is_seen_also_while_it_becomes_another_program(tmp_path: Path) -> None:
    script = tmp_path / "again"
    script.write_text(AGAIN)
    script.chmod(0o755)
    mark = {"BOTTLEPOST_TEST_MARK": str(tmp_path)}
    looks = 0
    with subprocess.Popen([script, "1000"], env={"PATH": "/usr/bin:/bin", **mark}) as process:
        while process.poll() is None:
            found = processes.environment(process.pid, "BOTTLEPOST_TEST_MARK")
            assert found or process.poll() is not None, f"not seen at look {looks}"
            looks += bool(found)
    assert looks > 10


def test_process_without_an_environment_is_seen_to_have_none() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "read line"], env={}, stdin=subprocess.PIPE) as process:
        for _ in range(1000):
            assert processes.environment(process.pid, "BOTTLEPOST_TEST_MARK") == {}
        process.communicate(b"\n")
    assert process.returncode == 0


@pytest.mark.parametrize(
    "look",
    [
        lambda me: processes.runs(me.pid, me.start),
        lambda me: processes.is_alive(me),
        lambda me: processes.kill(me.pid, "another"),
        lambda me: processes.environment(me.pid, "PATH"),
        lambda me: processes.groups_of(me.pid),
    ],
)
def test_process_that_cannot_be_looked_at_just_now_is_not_taken_for_gone(
    look: Callable[[processes.Process], object],
) -> None:
    """Else its turn would be begun again beside it."""
    me = processes.me()
    assert processes.is_alive(me) and me.pid == os.getpid()
    with opening_no_more(), pytest.raises(OSError, match="Too many open files"):
        look(me)
