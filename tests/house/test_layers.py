"""The house itself: layers, sizes, and what an idle call may cost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("poller", "sessions")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_imports_go_one_way() -> None:
    run = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    said = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_file_can_be_read_at_one_sitting() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {str(path): length for path, length in lengths.items() if length > 300}


def test_every_file_says_what_it_is() -> None:
    assert not [path for path in SOURCES if not path.read_text(encoding="utf-8").startswith('"""')]


#: What a call needs and another does not: imported inside functions.
NOT_WHEN_IDLE = {
    "rich",
    "jinja2",
    "docker",
    "alembic",
    "apscheduler",
    "gitea",
    "requests",
    "jsonschema",
    "pygments",
    "psycopg",
}
MODULES_AFTER = """
import sys
from poller.__main__ import main
sys.argv = ["poll", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print(sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
    raise
"""


def test_an_idle_poll_imports_only_what_it_needs(tmp_path: Path) -> None:
    from poller.demo.world import World

    world = World()
    world.repo("acme/api", collaborators={"bot": "write"}).open_pull(by="ana")
    token = world.token("bot", scopes="read:user,write:issue,write:repository")
    with world.serve() as server:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"gitea: {{url: '{server.url}', token: {token}}}\nrepos: [acme/api]\nstate: state\n"
            "poll: {sweep: 1h, overlap: 0s}\nagents: {r: {backend: process, env: []}}\n",
            encoding="utf-8",
        )
        call = [sys.executable, "-c", MODULES_AFTER, "--once", "--format", "json", "--config", str(config)]
        environ = os.environ | {"PYTHONPATH": str(ROOT)}  # also where the package is not installed
        for _ in range(3):  # the first is the baseline, which may ask who we are; the last is idle
            world.reset_requests()
            said = subprocess.run(call, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100)
            assert said.returncode == 0, said.stderr
        assert [request.path for request in world.requests] == ["/repos/issues/search"]
    imported = set(eval(said.stderr.splitlines()[-1]))
    assert sorted(imported & NOT_WHEN_IDLE) == []
