"""Who a process is, and what it was started with."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sessions import processes

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
