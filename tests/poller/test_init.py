"""`poll init`: the first file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from poller import init
from poller.config import load


def test_the_file_that_is_written_is_read_and_private(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    assert init.init(file, schema=False) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file, environ={"GITEA_TOKEN": "t0ken"}).agents.keys() == {"reviewer"}
    assert f"poll doctor --config {file}" in capsys.readouterr().out


def test_a_program_is_told_where_the_file_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init.init(tmp_path / "config.yaml", schema=False, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"file": str(tmp_path / "config.yaml")}


def test_nothing_is_overwritten_not_even_through_a_link(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mine", encoding="utf-8")
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "elsewhere.yaml")
    for path in (file, link):
        with pytest.raises(init.NotWritten, match="is there already; move it away") as refused:
            init.init(path, schema=False)
        assert refused.value.exit_code == 2
    assert file.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_a_directory_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(init.NotWritten, match="cannot be written: No such file or directory"):
        init.init(tmp_path / "none" / "config.yaml", schema=False)


def test_the_schema_is_printed_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init.init(tmp_path / "config.yaml", schema=True) == 0
    assert json.loads(capsys.readouterr().out)["required"] == ["gitea", "repos"]
    assert not list(tmp_path.iterdir())
