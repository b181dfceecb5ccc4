"""Paths are named in a config as in a `.gitignore`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessions.globs import PathPattern, regex_of
from tests.gitside.origin import git

PATHS = [
    "db1.sql", "a/db1.sql", "dbx.sql", "a.key", "a/b.key", "migrations/1.sql", "x/migrations/1.sql", "dir/a/b",
    "x/dir/a", "a/x/c", "a/c", "a/x/y/c", "[x].py", "x.py", "!important", "b-c", "a-c", "d]e", "a*b", "axb",
]  # fmt: skip


@pytest.mark.parametrize(
    "pattern",
    ["db[0-9].sql", "db[!0-9].sql", "db[^0-9].sql", "*.key", "migrations/**", "dir/", "/dir", "a/**/c",
     "**/migrations/**", "\\[x\\].py", "[x].py", "\\!important", "[a-]-c", "[]d]]e", "a\\*b",
     "a?b", "a?c", "a[/]c", "**", "x"],
)  # fmt: skip
def test_a_pattern_names_what_it_names_in_a_gitignore(tmp_path: Path, pattern: str) -> None:
    git("init", "-q", at=tmp_path)
    (tmp_path / ".gitignore").write_text(f"{PathPattern.parse(pattern)}\n")
    ignored = git("check-ignore", "--no-index", "--stdin", "-z", at=tmp_path, feed="\0".join(PATHS).encode() + b"\0",
                  fails=pattern == "a[/]c")  # fmt: skip
    assert [path for path in PATHS if re.fullmatch(regex_of(pattern), path)] == list(filter(None, ignored.split("\0")))


@pytest.mark.parametrize("value", ["!x", "[", "a[b", "[[:alpha:]]", "[z-a]", "", "/", 7])
def test_a_pattern_that_would_name_something_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"write|quote|leave|close"):
        PathPattern.parse(value)
