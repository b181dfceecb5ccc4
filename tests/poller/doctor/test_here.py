"""What `poll doctor` finds on this machine: files, values, programs."""

from __future__ import annotations

import stat
from pathlib import Path

from poller import doctor
from poller.checks import here
from poller.demo.world import World
from tests.poller.doctor.conftest import Examine


def test_a_config_that_cannot_be_read_ends_it_before_anything_is_asked(examine: Examine, world: World) -> None:
    checks = examine(more="polls: {}")
    assert list(checks) == ["config"]
    assert "polls: found an unknown key" in checks["config"].found
    assert checks["config"].mend.startswith("did you mean")
    assert doctor.exit_code_of(checks.values()) == 2
    assert world.requests == []


def test_a_literal_token_in_a_file_that_others_can_read_is_a_warning(examine: Examine, tmp_path: Path) -> None:
    check = examine(mode=0o644)["token storage"]
    assert check.status == "warn" and check.mend.startswith(f"chmod 600 {tmp_path / 'config.yaml'}")


def test_a_state_directory_that_others_can_look_into_is_a_warning(examine: Examine, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    assert examine()["state"].mend == f"chmod 700 {tmp_path / 'state'}"
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o755


def test_a_state_directory_that_is_none_is_an_error_of_the_config(examine: Examine, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("", encoding="utf-8")
    checks = examine()
    assert checks["state"].status == "fail"
    assert doctor.exit_code_of(checks.values()) == 2


def test_a_database_that_is_none_is_said_and_kept(examine: Examine, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    file = tmp_path / "state" / "bottlepost.db"
    file.write_bytes(b"not a database, but somebody's words" * 100)
    checks = examine()
    assert checks["database"].status == "fail" and str(file) in checks["database"].found
    assert doctor.exit_code_of(checks.values()) == 2
    assert file.read_bytes().startswith(b"not a database")


def test_a_cap_that_has_room_for_one_turn_only_is_told_of(examine: Examine) -> None:
    said = "agents: {a: {backend: process, limits: {usd: 2}}}\nlimits: {usd_per_day: 20, usd_per_pull: 3}"
    found = examine(more=said)["money"]
    assert found.status == "warn" and "limits.usd_per_pull is $3.00, and one turn may cost $2.00" in found.found
    assert "money" not in examine(more=said.replace("usd: 2}", "usd: 1}"))


def test_what_an_agent_needs_is_looked_for(examine: Examine) -> None:
    checks = examine(more="agents: {a: {backend: process}, b: {backend: process, env: [], prompts: words}}")
    assert checks["agent a"].status == "warn" and "ANTHROPIC_API_KEY is not set" in checks["agent a"].found
    assert checks["agents"].status == "fail" and "words" in checks["agents"].found, checks["agents"]


def test_values_that_let_nothing_happen_are_told_of(examine: Examine) -> None:
    later = examine(more="poll: {start: '2099-01-01T00:00:00Z'}")["start"]
    assert later.status == "fail" and "2099-01-01T00:00:00Z, which is still to come" in later.found
    assert doctor.exit_code_of([later]) == 2
    assert "start" not in examine(more="poll: {start: '2020-01-01T00:00:00Z'}")
    deaf = examine(more="agents: {r: {backend: process, env: [], on: []}}")["agent r"]
    assert deaf.status == "warn" and "wakes on nothing" in deaf.found


def test_files_that_are_in_no_prompt_are_told_of(examine: Examine, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.mkdir()
    (words / "promt.md").write_text("Be brief.\n")
    (words / "README.md").write_text("What these are.\n")
    more = "agents: {a: {backend: process, env: [], prompts: words}, b: {backend: process, env: [], prompts: words}}"
    found = examine(more=more)["prompts"]
    assert (found.status, found.mend) == ("warn", "did you mean `prompt.md`?")
    assert found.found == f"{words}/promt.md is in no prompt of a, b"
    (words / "promt.md").rename(words / "prompt.md")
    (words / "b-delta.md").write_text("{% include 'tone.md' %}\n")
    (words / "tone.md").write_text("Be kind.\n")
    assert "prompts" not in examine(more=more)
    (words / "b-delta.md").unlink()
    assert examine(more=more)["prompts"].found == f"{words}/tone.md is in no prompt of a, b"


def test_git_is_looked_for_where_code_is_fetched(examine: Examine, tmp_path: Path) -> None:
    assert examine()["git"].status == "ok"
    assert "git" not in examine(more="agents: {r: {backend: process, env: [], checkout: false}}")
    assert here.git({"PATH": str(tmp_path)}).found == "not found on PATH"
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.25.1\n")
    old.chmod(0o755)
    assert here.git({"PATH": str(tmp_path)}).status == "fail"
