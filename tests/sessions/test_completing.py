"""Words that a shell offers at the press of Tab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessions import registry, tables
from sessions.database import begin, open_database
from tests.sessions.desk import CONFIG, ROOT

HEAVY = {"rich", "jinja2", "docker", "alembic", "apscheduler", "httpx", "gitea", "requests"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    for identity in ("reviewer-aaaaa", "reviewer-bbbbb", "boxed-ccccc", ".removing-x"):
        (tmp_path / "state-root" / "state" / identity).mkdir(parents=True)
    engine = open_database(tmp_path / "state-root" / "bottlepost.db", [tables.COMPONENT])
    with begin(engine) as conn:
        registry.add_session(
            conn, ref="r", key="forge/acme/api#7", agent="reviewer", identity="reviewer-aaaaa", backend="process",
            cwd="work", now=1.0,
        )  # fmt: skip
    engine.dispose()
    return tmp_path


def offered(place: Path, line: str, *, script: str = "bottle", **environ: str) -> tuple[list[str], set[str]]:
    """What is offered for the last word of `line`, and which packages that took."""
    words = line.split(" ")
    module = {"bottle": "sessions.__main__", "poll": "poller.__main__"}[script]
    call = f"import sys; sys.argv = ['{script}']; from {module} import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", call],
        cwd=place, capture_output=True, text=True, timeout=60,
        env={"PATH": "/bin", "PYTHONPATH": str(ROOT), f"_{script.upper()}_COMPLETE": "complete_bash",
             "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), **environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported = {row.rpartition("|")[2].strip().partition(".")[0] for row in done.stderr.splitlines()}
    return done.stdout.split(), imported


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("bottle resume rev", ["reviewer-aaaaa", "reviewer-bbbbb"]),
        ("bottle export box", ["boxed-ccccc"]),
        ("bottle cleanup --orphans boxed-ccccc rev", ["reviewer-aaaaa", "reviewer-bbbbb"]),
        ("bottle run ", ["reviewer", "boxed"]),
        ("bottle log for", ["forge/acme/api#7"]),
        ("bottle imp", ["import"]),
        ("bottle --config none.yaml resume ", []),
        ("bottle resume ../", []),
    ],
)
def test_words_that_fit_are_offered(place: Path, line: str, found: list[str]) -> None:
    words, imported = offered(place, line)
    assert words == found
    assert not imported & (HEAVY | {"poller"})
    assert "sqlalchemy" not in imported or " log " in line


@pytest.mark.parametrize(
    ("line", "found"),
    [("poll why for", ["forge/acme/api#7"]), ("poll reset x --agent bo", ["boxed"]), ("poll res", ["reset"])],
)
def test_words_of_the_other_script_too(place: Path, line: str, found: list[str]) -> None:
    words, imported = offered(place, line, script="poll")
    assert words == found and not imported & HEAVY


def test_broken_config_offers_nothing_and_says_nothing(place: Path) -> None:
    (place / "config.yaml").write_text("agents: [")
    assert offered(place, "bottle resume rev")[0] == []
    assert offered(place, "bottle resume rev", BOTTLEPOST_CONFIG="/nowhere")[0] == []


@pytest.mark.parametrize(("script", "module"), [("bottle", "sessions"), ("poll", "poller")])
def test_script_for_the_shell_can_be_had(place: Path, script: str, module: str) -> None:
    environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    call = [sys.executable, "-m", module, "--show-completion", "bash"]
    words = ["bash", "-c", '"$@"; exit $?', "bash", *call]  # which shell asks, it looks up among its parents
    shown = subprocess.run(words, cwd=place, env=environ, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and f"_{script.upper()}_COMPLETE=complete_bash" in shown.stdout
