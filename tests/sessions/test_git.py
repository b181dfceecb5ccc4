"""The door to git: its limits hold, its words are one line, its environment is ours."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.git import Git, GitError
from sessions.logs import hide
from sessions.sources import Access
from tests.gitside.origin import Origin
from tests.gitside.server import GitServer
from tests.sessions.stage import eventually


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    made = Git(tmp_path, environ=os.environ, tick=_nothing)
    made.run("init", "--quiet", "--bare", "--template=")
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    Origin(tmp_path / "forge").commit("main", {"big.bin": os.urandom(300_000)})
    with GitServer(tmp_path / "forge") as made:
        yield made


def fetch(repository: Git, server: GitServer, **limits: float) -> None:
    access = Access(url=f"{server.url}/acme/api.git")
    given = {"seconds": limits.get("seconds", 60.0), "most": int(limits.get("most", 1024**3))}
    repository.run("fetch", access.url, "+refs/heads/*:refs/heads/*", access=access, **given)  # type: ignore[arg-type]


def test_time_limit_ends_it_and_its_helpers(repository: Git, server: GitServer) -> None:
    server.stalled.set()
    began = time.monotonic()
    with pytest.raises(GitError, match="git fetch took longer than 1 s, and was ended"):
        fetch(repository, server, seconds=1)
    assert time.monotonic() - began < 15
    mine = str(repository.at).encode()
    eventually(lambda: not [path for path in Path("/proc").glob("[0-9]*/environ") if mine in _content(path)])


def test_size_limit_ends_it_and_leaves_nothing(repository: Git, server: GitServer) -> None:
    with pytest.raises(GitError, match="would write more than 0 MiB"):
        fetch(repository, server, most=200_000)
    fetch(repository, server, most=1024**2)
    assert repository.run("cat-file", "-s", "main:big.bin") == b"300000\n"


def test_what_it_prints_is_limited_too(repository: Git, server: GitServer) -> None:
    fetch(repository, server)
    with pytest.raises(GitError, match="would write more than"):
        repository.run("cat-file", "blob", "main:big.bin", most=1000)


def test_failing_is_one_line_without_secrets(repository: Git) -> None:
    hide("a-secret-word")
    with pytest.raises(GitError) as raised:
        repository.run("rev-parse", "--verify", "a-secret-word\nsecond\x1b[31m")
    assert "a-secret-word" not in str(raised.value)
    assert str(raised.value).isprintable()


def test_reason_stands_behind_the_name_however_long_that_is(repository: Git, tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"pathspec 'd+…d+' did not match any files"):
        repository.run("add", "--", "d" * 3000, work=tmp_path)


def test_transports_need_an_access_and_are_http(repository: Git, tmp_path: Path) -> None:
    for address in (str(tmp_path), f"file://{tmp_path}", f"ext::touch {tmp_path}/x"):
        for access in (None, Access(url=address)):
            with pytest.raises(GitError):
                repository.run("fetch", address, access=access)
    assert not (tmp_path / "x").exists()


def test_way_to_the_forge_is_the_one_that_is_given(repository: Git, server: GitServer) -> None:
    """Through this proxy, and through none that the caller's environment names."""
    hide("pr0xy-password")
    elsewhere = Git(
        repository.at, environ={"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:1"}, tick=_nothing
    )
    fetch(elsewhere, server)
    proxy = server.url.replace("http://", "http://name:pr0xy-password@")
    access = Access(url="http://gitea.invalid/acme/api.git", proxy=lambda: proxy)
    server.asked.clear()
    with pytest.raises(GitError) as raised:
        repository.run("fetch", access.url, access=access)
    assert [path for _, path, _ in server.asked] == ["http://gitea.invalid/acme/api.git/info/refs"]
    assert "pr0xy-password" not in f"{raised.value} {access}"


def test_absent_git_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="git"):
        Git(tmp_path, environ={"PATH": str(tmp_path)}, tick=_nothing).run("version")


def _nothing() -> None:
    """Nobody is waiting."""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
