"""`bottle export` and `bottle import`: one bottle, two machines."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from sessions import claims, housekeeping, moving, registry, state, tables
from sessions.byhand import Lost, Refused
from tests.sessions.desk import Desk
from tests.sessions.stage import REF, Stage, eventually, settings_at


@pytest.fixture
def desk(tmp_path: Path, scripted_environ: dict[str, str]) -> Desk:
    (tmp_path / "one").mkdir()
    return Desk(tmp_path / "one", scripted_environ)


@pytest.fixture
def other(tmp_path: Path, scripted_environ: dict[str, str]) -> Desk:
    """Another machine."""
    (tmp_path / "two").mkdir()
    return Desk(tmp_path / "two", scripted_environ)


def export(desk: Desk, identity: str) -> Path:
    done = desk.call("export", identity)
    assert done.returncode == 0, done.stderr
    return desk.place / done.stdout.strip()


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]


def test_bottle_goes_on_on_another_machine_with_its_memory_and_counters(desk: Desk, other: Desk) -> None:
    said = desk.run()
    place = desk.root / "state" / said["identity"]
    (place / "Dockerfile").write_text("FROM scratch\n")
    (place / "work" / "tool.sh").write_text("#!/bin/sh\n")
    (place / "work" / "tool.sh").chmod(0o755)
    (place / "work" / "empty").mkdir()
    (place / "work" / "link").symlink_to("empty/../tool.sh")
    before = desk.row()
    taken = other.call("import", str(export(desk, said["identity"])))
    assert taken.returncode == 0, taken.stderr
    assert taken.stdout == f"{said['identity']}\n"
    moved = other.root / "state" / said["identity"]
    assert (moved / "Dockerfile").read_text() == "FROM scratch\n"
    assert os.access(moved / "work" / "tool.sh", os.X_OK) and (moved / "work" / "empty").is_dir()
    assert os.readlink(moved / "work" / "link") == "empty/../tool.sh"
    assert all(path.lstat().st_mode & 0o077 == 0 for path in moved.rglob("*") if not path.is_symlink())
    after = other.row()
    assert {**after, "cwd": ""} == {**before, "cwd": ""}
    again = other.call("run-resume", said["identity"], "--claude-session", said["session_id"], "again")
    assert json.loads(again.stdout)["result"].endswith("I remember 1 earlier message."), again.stderr
    assert other.row()["cost_usd"] == pytest.approx(json.loads(again.stdout)["total_cost_usd"])


def test_working_directory_that_was_between_two_places_goes_along(desk: Desk, other: Desk) -> None:
    """Its change for a newer one was killed between the two renames."""
    said = desk.run()
    place = desk.root / "state" / said["identity"]
    (place / "work" / "mine.txt").write_text("not committed")
    (place / "checkout").mkdir(mode=0o700)
    (place / "work").rename(place / "checkout" / "old-1-abcdef")
    record = dict.fromkeys(("head", "base_name", "base", "before", "branch", "index"), "") | {"turn": 2}
    change = {"record": record, "old": "old-1-abcdef", "new": "next-abcdef"}
    (place / "checkout" / "pending.json").write_text(json.dumps(change))
    assert other.call("import", str(export(desk, said["identity"]))).returncode == 0
    moved = other.root / "state" / said["identity"]
    assert (moved / "work" / "mine.txt").read_text() == "not committed"
    assert not list((moved / "checkout").glob("old-*"))


def test_pull_that_moved_is_taken_up_by_the_other_machines_dispatcher(stage: Stage, tmp_path: Path) -> None:
    """The key goes along: its next event resumes."""
    stage.want("opened", "the colour is teal")
    stage.run()
    there = Stage(tmp_path / "there", stage.environ)
    try:
        here, far = (settings_at(one.state) for one in (stage, there))
        file = tmp_path / "moved.tar"
        moving.export(here, stage.session().identity, file, environ=stage.environ)
        moving.take_up(far, file)
        assert there.session().ref == REF
        there.want("pushed", "again")
        assert there.run().done == 1
        assert there.turns()[-1].mode == "resume" and "1 earlier message" in there.turns()[-1].answer
        assert there.session().turns == 2
    finally:
        there.close()


def test_note_of_a_hand_over_goes_along(stage: Stage, tmp_path: Path) -> None:
    """Numbers of turns are of one database only: there, nothing is left out for them."""
    stage.limit(rotate_turns=1)
    for event in ("opened", "pushed"):
        stage.want(event)
        assert stage.run().done == 1
    long = {"summary": "word " * 4_000}
    stage.write(lambda conn: conn.execute(tables.session.update().values(**long)))
    there = Stage(tmp_path / "there", stage.environ)
    try:
        moving.export(settings_at(stage.state), stage.session().identity, tmp_path / "it.tar", environ=stage.environ)
        moving.take_up(settings_at(there.state), tmp_path / "it.tar")
        here, moved = stage.session(), there.session()
        assert (moved.summary, moved.summary_turn, here.summary_turn) == (long["summary"], 0, 2)
        assert (moved.begun_why, moved.conversation_turns) == (here.begun_why, 1)
    finally:
        there.close()


def test_no_secret_goes_along(desk: Desk) -> None:
    """Neither logins nor launches; what an agent was made to print is hidden."""
    desk.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    said = desk.run("the key is sk-ant-very-secret")
    config = desk.root / "state" / said["identity"] / "transcript" / ".claude"
    for name in (".credentials.json", ".claude.json", "backups/.claude.json.backup", "shell-snapshots/x"):
        (config / name).parent.mkdir(exist_ok=True)
        (config / name).write_text("login")
    (config / "pipe").parent.mkdir(exist_ok=True)
    os.mkfifo(config / "pipe")
    (config / "latest").symlink_to("/etc/passwd")
    done = desk.call("export", said["identity"], "out.tar")
    found = members(desk.place / "out.tar")
    assert not [name for name in found if "claude.json" in name or "credentials" in name or name.startswith("turns")]
    assert not any(b"very-secret" in content or content == b"login" for content in found.values())
    record = next(content for name, content in found.items() if name.endswith(".jsonl"))
    assert b"the key is ******************" in record and all(json.loads(line) for line in record.splitlines())
    assert "a secret stood in transcript/.claude/projects/pr/" in done.stderr
    assert "transcript/.claude/latest" in done.stderr and "transcript/.claude/pipe" in done.stderr
    assert (desk.place / "out.tar").stat().st_mode & 0o077 == 0


def test_every_file_is_named_with_its_hash(desk: Desk) -> None:
    said = desk.run()
    found = members(export(desk, said["identity"]))
    manifest = json.loads(found.pop("manifest.json"))
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in found.items()
    }
    assert (manifest["identity"], manifest["session"]["key"]) == (said["identity"], f"bottle/{said['identity']}")


def test_nothing_is_overwritten(desk: Desk, other: Desk) -> None:
    said = desk.run()
    file = export(desk, said["identity"])
    again = desk.call("export", said["identity"])
    assert again.returncode == 2 and f"{file.name} is there already" in again.stderr
    back = desk.call("import", str(file))
    assert back.returncode == 2 and "is here already" in back.stderr
    assert f"`bottle cleanup {said['identity']}` removes it" in back.stderr
    place = other.root / "state" / said["identity"]
    place.mkdir(parents=True)
    (place / "mine").write_text("mine")
    refused = other.call("import", str(file))
    assert refused.returncode == 2 and "no session knows it" in refused.stderr
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_links_go_along_that_lead_out_by_no_way(stage: Stage, tmp_path: Path) -> None:
    stage.want("opened")
    stage.run()
    work = stage.bottle() / "work"
    (work / "d").mkdir()
    inside = {"lib64": "d", "tool": "lib64/../lib64/x", "d/up": "..", "ring": "ring", "last": "./d/up/", "gone": "x/y"}
    outside = {"out": "d/up/../state", "further": "out/x", "d/direct": "../..", "absolute": "/etc"}
    for name, target in (inside | outside).items():
        (work / name).symlink_to(target)
    file = tmp_path / "it.tar"
    done = moving.export(settings_at(stage.state), stage.session().identity, file, environ={})
    assert set(json.loads(members(file)["manifest.json"])["links"]) == {f"work/{name}" for name in inside}
    assert any("and 1 more" in note for note in done.notes)
    other = tmp_path / "two" / "state-root"
    moving.take_up(settings_at(other), file)
    moved = state.bottle(other, stage.session().identity) / "work"
    assert {name: os.readlink(moved / name) for name in inside} == inside
    assert [name for name in outside if os.path.lexists(moved / name)] == []


def test_stick_without_links_takes_a_bottle_too(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    stage.want("opened")
    stage.run()
    monkeypatch.setattr(os, "link", link)
    file = tmp_path / "it.tar"
    moving.export(settings_at(stage.state), stage.session().identity, file, environ={})
    assert "manifest.json" in members(file)
    with pytest.raises(Refused, match="is there already"):
        moving.export(settings_at(stage.state), stage.session().identity, file, environ={})
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_bottle_that_was_removed_here_comes_back(desk: Desk) -> None:
    said = desk.run()
    file = export(desk, said["identity"])
    assert desk.call("cleanup", said["identity"], "--yes").returncode == 0
    assert desk.call("import", str(file)).returncode == 0
    assert desk.row()["turns"] == 1
    again = desk.call("run-resume", said["identity"], "--claude-session", said["session_id"], "again")
    assert again.returncode == 0, again.stderr


def test_agents_other_bottle_for_the_same_pull_is_in_the_way(stage: Stage, tmp_path: Path) -> None:
    stage.want("opened")
    stage.run()
    there = Stage(tmp_path / "there", stage.environ)
    try:
        there.want("opened")
        there.run()
        file = tmp_path / "moved.tar"
        moving.export(settings_at(stage.state), stage.session().identity, file, environ=stage.environ)
        with pytest.raises(Refused, match="has another bottle for forge") as refused:
            moving.take_up(settings_at(there.state), file)
        assert there.session().identity in str(refused.value)
        assert state.identities(there.state) == [there.session().identity]
    finally:
        there.close()


def test_export_of_a_machine_that_slept_leaves_nothing_when_another_has_the_bottle(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.want("opened")
    stage.run()
    fsync, taken = os.fsync, list[int]()

    def slept(handle: int) -> None:
        taken.extend(turn.id for turn in stage.turns(state="running"))
        if taken:
            stage.write(lambda conn: claims.hold(conn, taken[-1], owner="1@other", now=1.0, lease=60.0, anew=False))
        fsync(handle)

    file = tmp_path / "it.tar"
    with monkeypatch.context() as patch, pytest.raises(Lost, match="nothing was exported: try again"):
        patch.setattr(os, "fsync", slept)
        moving.export(settings_at(stage.state), stage.session().identity, file, environ={})
    assert taken and [turn.id for turn in stage.turns(state="running")] == taken[:1], "it is the other's"
    assert not list(tmp_path.glob("*it.tar*"))


def test_session_that_runs_is_refused(desk: Desk) -> None:
    words = [sys.executable, "-m", "sessions", "run", "reviewer", "[agent: sleep 60]"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=desk.place, env=desk.environ, stdout=quiet, stderr=quiet) as running:
        eventually(lambda: list((desk.root / "state").glob("*/turns/1/out.jsonl")))
        (identity,) = state.identities(desk.root)
        refused = desk.call("export", identity)
        assert refused.returncode == 2 and "is running (bottle run)" in refused.stderr
        assert not list(desk.place.glob("*.tar"))
        running.terminate()


def test_unknown_bottle_and_missing_file_are_one_line_with_the_mend(desk: Desk) -> None:
    """D2."""
    refused = desk.call("export", "reviewer-00000")
    assert refused.returncode == 2 and "`bottle run AGENT TASK` starts one" in refused.stderr
    missing = desk.call("import", "nothing.tar")
    assert missing.returncode == 2 and "nothing.tar: No such file" in missing.stderr
    assert not (desk.root / "state").exists()


def test_agent_that_is_missing_there_is_told(desk: Desk, other: Desk) -> None:
    """D3: and is an error when it is to run."""
    said = desk.run()
    config = other.place / "config.yaml"
    config.write_text(config.read_text().replace("reviewer:", "somebody:"))
    taken = other.call("import", str(export(desk, said["identity"])))
    assert taken.returncode == 0 and "agent 'reviewer' is not in this config, which has: somebody" in taken.stderr


def test_what_a_killed_import_left_is_cleaned_up_and_in_nobodys_way(desk: Desk, other: Desk) -> None:
    made = desk.run()
    file = export(desk, made["identity"])
    left = other.root / "state" / f".importing-{made['identity']}-abcdefgh"
    left.mkdir(parents=True)
    assert other.call("import", str(file)).returncode == 0
    assert "nothing to clean up" not in other.call("cleanup", "--orphans").stderr
    assert left.exists(), "it may be at work"
    os.utime(left, (1, 1))
    assert f"removed: {left.name}" in other.call("cleanup", "--orphans", "--yes").stdout
    assert state.identities(other.root) == [made["identity"]]


def test_imported_bottle_is_removed_like_any_other(stage: Stage, tmp_path: Path) -> None:
    """A13."""
    stage.want("opened")
    stage.run()
    file = tmp_path / "moved.tar"
    identity = stage.session().identity
    moving.export(settings_at(stage.state), identity, file, environ=stage.environ)
    there = Stage(tmp_path / "there", stage.environ)
    try:
        moving.take_up(settings_at(there.state), file)
        there.write(lambda conn: registry.put_away(conn, ref=REF, reason="merged", now=there.clock()))
        assert housekeeping.run(there.engine, there.state, now=there.clock() + 8 * 86400) == [identity]
    finally:
        there.close()


@pytest.mark.claude
def test_real_claude_remembers_on_another_machine(real_stage: Stage, tmp_path: Path) -> None:
    real_stage.want("opened", "the colour is teal")
    assert real_stage.run().done == 1, real_stage.turn(1).reason
    file = tmp_path / "moved.tar"
    moving.export(settings_at(real_stage.state), real_stage.session().identity, file, environ=real_stage.environ)
    there = Stage(tmp_path / "there", real_stage.environ)
    try:
        moving.take_up(settings_at(there.state), file)
        there.want("pushed", "which colour?")
        assert there.run().done == 1, there.turns()[-1].reason
        assert there.turns()[-1].mode == "resume" and "teal" in there.turns()[-1].answer
    finally:
        there.close()
