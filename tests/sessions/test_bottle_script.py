"""`bottle`, as a person or a script calls it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions import byhand, claims, registry, state, tables
from sessions.config import Agent, Limits, Settings
from sessions.database import begin, open_database, reading
from sessions.turns import Progress
from tests.sessions.stage import eventually

ROOT = Path(__file__).parents[2]
CONFIG = """
gitea: {url: https://gitea.example.com, token: x}
repos: [acme/api]
state: ./state-root
agents:
  reviewer: {backend: process, env: [DEMO_AGENT]}
  boxed: {backend: docker}
"""
Bottle = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(tmp_path: Path, scripted_environ: dict[str, str]) -> dict[str, str]:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return {**scripted_environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nobody.sock"}


@pytest.fixture
def bottle(tmp_path: Path, environ: dict[str, str]) -> Bottle:
    def call(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-W", "error", "-m", "sessions", *words]
        return subprocess.run(argv, cwd=tmp_path, env=environ, input=stdin, capture_output=True, text=True, timeout=60)

    return call


def rows(bottle: Bottle, *words: str) -> list[dict[str, object]]:
    return list(json.loads(bottle("list", "--format", "json", *words).stdout))


def test_run_prints_claudes_result_with_the_identity_and_keeps_the_bottle(bottle: Bottle, tmp_path: Path) -> None:
    """A4, A6, C8, C9."""
    done = bottle("run", "reviewer", "say hello")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["type"] == "result" and said["is_error"] is False
    assert re.fullmatch(r"reviewer-[a-z0-9]{5}", said["identity"])
    kept = tmp_path / "state-root" / "state" / said["identity"]
    assert json.loads((kept / "metadata.json").read_text())["agent_name"] == "reviewer"
    assert f"bottle run-resume {said['identity']} --claude-session {said['session_id']}" in done.stderr


def test_run_resume_goes_on_in_the_same_bottle_and_conversation(bottle: Bottle) -> None:
    """A5, A7."""
    first = json.loads(bottle("run", "reviewer", "-", stdin="from stdin").stdout)
    second = bottle("run-resume", first["identity"], "--claude-session", first["session_id"], "and again")
    said = json.loads(second.stdout)
    assert (said["identity"], said["session_id"]) == (first["identity"], first["session_id"])
    assert said["result"].endswith("I remember 1 earlier message.")
    assert f"resuming session {first['session_id']}" in second.stderr


def test_list_and_log_have_the_shapes_of_the_contract(bottle: Bottle, tmp_path: Path) -> None:
    said = json.loads(bottle("run", "reviewer", "hello").stdout)
    (row,) = rows(bottle)
    keys = ["key", "agent", "identity", "claude_session", "backend", "cwd", "state", "turns", "cost_usd", "tokens"]
    assert list(row) == keys
    assert (row["identity"], row["claude_session"]) == (said["identity"], said["session_id"])
    assert (row["state"], row["turns"], row["backend"]) == ("idle", 1, "process")
    assert Path(str(row["cwd"])).is_dir()
    assert row["tokens"] == {"input": 2, "output": 12, "cache_read": 0, "cache_write": 0}
    (line,) = bottle("log", "--format", "jsonl").stdout.splitlines()
    turn = json.loads(line)
    assert list(turn) == [
        *("turn", "key", "agent", "identity", "claude_session", "mode", "why", "events", "state", "attempts"),
        *("started_at", "ended_at", "exit", "cost_usd", "posted"),
    ]
    assert (turn["turn"], turn["mode"], turn["state"], turn["attempts"], turn["exit"]) == (1, "fresh", "done", 1, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", turn["started_at"])
    for of in (said["identity"], str(row["key"])):
        assert bottle("log", of, "--format", "jsonl").stdout.splitlines() == [line]
    assert said["identity"] in bottle("list").stdout and said["identity"] in bottle("log").stdout
    shown = json.loads(bottle("show", said["identity"], "--format", "json").stdout)
    assert shown["identity"] == said["identity"] and shown["log"][0].items() >= turn.items()
    assert said["identity"] in bottle("show", said["identity"]).stdout


def test_failed_run_exits_1_says_why_and_is_not_tried_again(bottle: Bottle) -> None:
    failed = bottle("run", "reviewer", "[agent: fail]")
    assert failed.returncode == 1
    assert "bottle: turn 1 failed: exit code 1: the scripted agent was told to fail" in failed.stderr
    assert json.loads(failed.stdout)["is_error"] is True
    assert len(bottle("log", "--format", "jsonl").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nobody", "x"), "agent 'nobody' is not in the config; it has: reviewer, boxed"),
        (("run", "boxed", "x"), "bottle: the container engine at unix:///nobody.sock does not answer"),
        (("run", "reviewer", " "), "TASK is empty"),
        (("show", "reviewer-00000"), "no bottle 'reviewer-00000': its state would be in "),
        (("show", "../../etc"), "no bottle '../../etc'"),
        (("cleanup", "reviewer-00000", "--yes"), "`bottle run AGENT TASK` starts one"),
        (("run-resume", "reviewer-00000", "--claude-session", "x", "y"), "no bottle 'reviewer-00000'"),
        (("log", "nope"), "nope: no turn and no session of it; expected KEY or IDENTITY, `bottle list --all` shows"),
        (("log", "forge/acme/api#99", "--format", "jsonl"), "forge/acme/api#99: no turn and no session of it"),
        (("log", "reviewer-00000", "--format", "jsonl"), "no bottle 'reviewer-00000': its state would be in "),
        (("list", "--config", "none.yaml"), "none.yaml"),
        (("list", "--nonsense"), "bottle: no such option: --nonsense; `bottle list -h` shows how"),
        ((), "bottle: missing command; `bottle -h` shows how"),
        (("show",), "bottle: missing argument 'IDENTITY'; `bottle show -h` shows how"),
    ],
)
def test_mistake_is_one_clear_line_and_touches_nothing(
    bottle: Bottle, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """D2, D3."""
    refused = bottle(*words)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert said in line and refused.stdout == ""
    assert not (tmp_path / "state-root").exists()


def test_whoever_never_polls_is_told_a_line_that_is_enough(bottle: Bottle, tmp_path: Path) -> None:
    """And the next mistake names the next command."""
    config = tmp_path / "config.yaml"
    config.unlink()
    for words in (("run", "reviewer", "hello"), ("list",), ("cleanup", "--yes")):
        refused = bottle(*words)
        assert refused.returncode == 2 and refused.stderr.startswith("bottle: config.yaml: there is no such file; ")
    line = re.search(r"`(agents: .*?)`", refused.stderr)
    assert line is not None
    config.write_text(f"{line[1]}\nstate: state-root\n")
    assert bottle("list").returncode == 0
    refused = bottle("run", "reviewer", "hello")
    assert refused.returncode == 2 and "does not answer" in refused.stderr and "backend: process" in refused.stderr


def test_unknown_bottle_error_names_identity_place_and_command(bottle: Bottle, tmp_path: Path) -> None:
    """D2."""
    session = "f2b0c7de-6c1b-4a2e-9f00-0123456789ab"
    refused = bottle("run-resume", "reviewer-00000", "--claude-session", session, "x")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    for part in ("reviewer-00000", str(tmp_path / "state-root" / "state" / "reviewer-00000"), "bottle run AGENT TASK"):
        assert part in line


def test_conversation_that_the_bottle_does_not_have_is_refused(bottle: Bottle) -> None:
    said = json.loads(bottle("run", "reviewer", "hello").stdout)
    refused = bottle("run-resume", said["identity"], "--claude-session", "x", "y")
    assert refused.returncode == 2 and "'x' is no session id; `bottle show" in refused.stderr
    other = "f2b0c7de-6c1b-4a2e-9f00-0123456789ab"
    refused = bottle("run-resume", said["identity"], "--claude-session", other, "x")
    assert refused.returncode == 2 and f"it has: {said['session_id']}" in refused.stderr
    (row,) = rows(bottle)
    assert row["claude_session"] == said["session_id"], "nothing was touched"


def test_bottle_is_resumed_from_its_directory_alone(bottle: Bottle, tmp_path: Path) -> None:
    """Its database was lost, or the directory came from another host."""
    said = json.loads(bottle("run", "reviewer", "hello").stdout)
    for path in (tmp_path / "state-root").glob("bottlepost.db*"):
        path.unlink()
    again = bottle("run-resume", said["identity"], "--claude-session", said["session_id"], "and again")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["result"].endswith("I remember 1 earlier message.")


def test_ctrl_c_ends_the_agent_and_exits_130(environ: dict[str, str], tmp_path: Path, bottle: Bottle) -> None:
    words = [sys.executable, "-m", "sessions", "run", "reviewer", "[agent: sleep 60]"]
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        eventually(lambda: list((tmp_path / "state-root" / "state").glob("*/turns/1/out.jsonl")))
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
        assert running.returncode == 130
    (row,) = rows(bottle)
    assert row["state"] == "idle"
    assert not bottle("log", "--format", "jsonl").stdout.count('"running"')


def test_bottle_whose_turn_runs_is_neither_resumed_nor_cleaned_up(
    environ: dict[str, str], tmp_path: Path, bottle: Bottle
) -> None:
    words = [sys.executable, "-m", "sessions", "run", "reviewer", "[agent: sleep 60]"]
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        place = tmp_path / "state-root" / "state"
        eventually(
            lambda: [path for path in place.glob("*/transcript/.claude/projects/pr/*") if '"user"' in path.read_text()]
        )
        (row,) = rows(bottle)
        assert row["state"] == "running"
        identity, session = str(row["identity"]), str(row["claude_session"])
        refused = bottle("run-resume", identity, "--claude-session", session, "x")
        assert refused.returncode == 2 and "is running" in refused.stderr
        cleaned = bottle("cleanup", identity, "--yes")
        assert "running" in cleaned.stdout and (place / identity).exists()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)


def test_cleanup_lists_first_keeps_the_preserved_and_removes_the_named(bottle: Bottle, tmp_path: Path) -> None:
    """E3, E4."""
    said = json.loads(bottle("run", "reviewer", "hello").stdout)
    place = tmp_path / "state-root" / "state" / said["identity"]
    kept = bottle("cleanup", "--yes")
    assert "preserved" in kept.stdout and place.exists()
    asked = bottle("cleanup", said["identity"])
    assert "say --yes" in asked.stderr and place.exists()
    assert f"removed: {said['identity']}" in bottle("cleanup", said["identity"], "--yes").stdout
    assert not place.exists()
    assert rows(bottle) == [] and len(rows(bottle, "--all")) == 1


def test_a_program_is_told_what_was_kept_and_removed_in_one_object(bottle: Bottle, tmp_path: Path) -> None:
    identity = json.loads(bottle("run", "reviewer", "hello").stdout)["identity"]
    exported = bottle("export", identity, "away.tar", "--format", "json", "-v")
    told = json.loads(exported.stdout)
    assert (told["file"], told["identity"], len(told["notes"])) == ("away.tar", identity, 1)
    assert told["notes"][0] in exported.stderr
    listed = bottle("--format", "json", "cleanup", identity)
    told = json.loads(listed.stdout)
    assert [(one["what"], one["name"], one["fate"]) for one in told["found"]] == [("bottle", identity, "remove")]
    assert (told["removed"], told["left"]) == ([], []) and "say --yes" in listed.stderr
    assert json.loads(bottle("cleanup", identity, "--yes", "--format", "json").stdout)["removed"] == [identity]
    assert json.loads(bottle("import", "away.tar", "--format", "json").stdout)["identity"] == identity
    nothing = bottle("cleanup", "--format", "json", "--yes")
    assert (nothing.returncode, json.loads(nothing.stdout)["removed"], nothing.stderr) == (0, [], "")


def test_orphaned_state_is_removed_on_request_only(bottle: Bottle, tmp_path: Path) -> None:
    bottle("run", "reviewer", "hello")
    orphan = tmp_path / "state-root" / "state" / "reviewer-00000"
    orphan.mkdir()
    bottle("cleanup", "--yes")
    assert orphan.exists()
    assert "`bottle cleanup reviewer-00000 --orphans` removes it" in bottle("cleanup", "reviewer-00000", "--yes").stderr
    assert "orphan" in bottle("cleanup", "--orphans").stdout
    assert "removed: reviewer-00000" in bottle("cleanup", "--orphans", "--yes").stdout
    assert not orphan.exists()


def test_sessions_of_closed_keys_are_listed_with_all_only(bottle: Bottle, tmp_path: Path) -> None:
    engine = open_database(tmp_path / "state-root" / "bottlepost.db", [tables.COMPONENT])
    with begin(engine) as conn:
        registry.add_session(
            conn,
            ref="r",
            key="forge/a/b#1",
            agent="reviewer",
            identity="reviewer-00000",
            backend="process",
            cwd="work",
            now=1,
        )
        registry.put_away(conn, ref="r", reason="merged", now=2.0)
    engine.dispose()
    assert rows(bottle) == []
    assert [row["key"] for row in rows(bottle, "--all")] == ["forge/a/b#1"]
    for known in ("forge/a/b#1", "a/b#1", "reviewer-00000"):
        shown = bottle("log", known)
        assert (shown.returncode, shown.stderr) == (0, f"no turns of {known}\n"), "it is there, and has had none"


def test_looking_makes_nothing(bottle: Bottle, tmp_path: Path) -> None:
    """C6."""
    assert rows(bottle) == []
    assert bottle("log").returncode == 0
    assert state.identities(tmp_path / "state-root") == []
    assert not (tmp_path / "state-root").exists()


def test_damaged_database_is_one_clear_line(bottle: Bottle, tmp_path: Path) -> None:
    """B5."""
    (tmp_path / "state-root").mkdir()
    (tmp_path / "state-root" / "bottlepost.db").write_bytes(b"garbage " * 200)
    refused = bottle("list")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "bottlepost.db" in line and "move it away" in line


def test_log_lines_can_be_json(bottle: Bottle) -> None:
    done = bottle("run", "reviewer", "hello", "--log-format", "json")
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert any(line["event"].startswith("starting session") and line["turn"] == 1 for line in logged)


def test_version(bottle: Bottle) -> None:
    assert re.fullmatch(r"bottlepost \d+\.\d+\.\d+\n", bottle("--version").stdout)


def test_start_does_not_import_what_it_does_not_need(environ: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "sessions", "list"]
    told = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert not imported & {"rich", "jinja2", "docker", "alembic", "apscheduler", "httpx", "gitea", "requests", "poller"}
    assert os.path.exists(tmp_path / "config.yaml")


def test_call_that_stood_still_for_too_long_says_who_has_its_turn(
    tmp_path: Path, scripted_environ: dict[str, str]
) -> None:
    """A machine that slept, while another call came by: no bug, and the run goes on."""
    settings = Settings(
        state=tmp_path / "state", database=None, limits=Limits(), agents={"reviewer": Agent(backend="process", env=())}
    )
    with byhand.opened(settings) as engine:

        def overtake(progress: Progress) -> None:
            if progress.what == "running":
                with begin(engine) as conn:
                    claims.hold(conn, progress.turn.id, owner="", now=1.0, lease=0.0, anew=False)

        terminal = byhand.Terminal(settings, environ=scripted_environ, stop=threading.Event())
        with pytest.raises(byhand.Lost, match="somebody else watches over turn 1 now; `bottle log reviewer-") as lost:
            terminal.run("reviewer", "[agent: sleep 3]", on_progress=overtake)
        assert lost.value.exit_code == 1

        def recorded() -> bool:
            byhand.collect_left(engine, settings, environ=scripted_environ)
            with reading(engine) as conn:
                return [turn.state for turn in registry.turns(conn)] == ["done"]

        eventually(recorded)
