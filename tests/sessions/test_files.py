"""What an agent can put into its own directories to trouble whoever looks there: depth, size, and what is no file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions import files, housekeeping, state, transcript
from sessions.trees import Tree
from sessions.workspace.record import Room, mirror_of
from tests.sessions.stage import Stage
from tests.sessions.unprivileged import opening_no_more, without_rights

#: Deeper than Python's stack, a process's table of open files, and the longest path.
DEEP = 3000
SESSION = "0f0e0d0c-1111-4222-8333-444455556666"


@pytest.fixture(autouse=True)
def filled_in(tmp_path: Path) -> Iterator[None]:
    """Whatever a test leaves: whoever removes temporary directories is no better at this than we were."""
    yield
    subprocess.run(["rm", "-rf", "--", *map(str, tmp_path.iterdir())], check=True)


def dig(place: Path, depth: int = DEEP, *, leaf: str = "leaf") -> None:
    """Directories in directories, the way an agent would."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open(leaf, os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)


def test_directory_is_removed_however_deep_it_is(tmp_path: Path) -> None:
    place, kept = tmp_path / "going", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    for name in ("one", "two"):
        (place / name).mkdir(parents=True)
        dig(place / name)
    (place / "one" / "shut").mkdir(mode=0o000)
    (place / "link").symlink_to(kept)
    (place / "two" / "out").symlink_to(kept / "file")
    os.mkfifo(place / "pipe")
    assert files.remove(place) and not place.exists()
    assert (kept / "file").read_text() == "x"


def test_what_is_not_there_is_removed(tmp_path: Path) -> None:
    assert files.remove(tmp_path / "nothing")


def test_directory_that_was_shut_is_removed(tmp_path: Path) -> None:
    (tmp_path / "going" / "inside").mkdir(parents=True)
    (tmp_path / "going").chmod(0)
    remove = "import pathlib, sys; from sessions import files; sys.exit(not files.remove(pathlib.Path(sys.argv[1])))"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*without_rights(), sys.executable, "-c", remove, str(tmp_path / "going")]
    assert subprocess.run(command, env=environ).returncode == 0 and os.listdir(tmp_path) == []


def test_link_or_file_in_place_of_a_directory_is_removed_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    for name, to in [("link", "kept"), ("dangling", "nowhere"), ("round", "round")]:
        (tmp_path / name).symlink_to(to)
        assert files.remove(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    assert files.remove(tmp_path / "pipe") and os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "x"


def test_bottle_of_any_depth_goes_when_its_time_is_over(stage: Stage) -> None:
    """Else it would stop every later cycle."""
    place = state.bottles(stage.state) / ".removing-reviewer-00000"
    place.mkdir(parents=True)
    dig(place)
    housekeeping.run(stage.engine, stage.state, now=time.time(), environ=stage.environ)
    assert not place.exists()
    bottle = state.bottle(stage.state, "reviewer-00001")
    bottle.mkdir(parents=True)
    dig(bottle)
    assert state.remove(bottle) and list(state.bottles(stage.state).iterdir()) == []


def test_files_are_given_as_deep_as_ours_are(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    place = tmp_path / "place"
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "link").symlink_to(outside)
    (place / "a" / "b" / "file").write_text("x")
    dig(place)
    uid, gid = (4321, 4322) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    mine = outside.stat().st_uid
    files.give(place, uid, gid)
    for path in (place, place / "a" / "b", place / "a" / "b" / "file", place / "a" / "link", place / "d" / "d"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (uid, gid), path
    assert outside.stat().st_uid == mine, "a link is followed by nobody"
    assert files.remove(place)


@pytest.mark.parametrize(
    ("written", "code"),
    [(b"0\n", 0), (b"143\n", 143), (b"", None), (b"x", None), (b"-1", None), (b"256", None), (b"9" * 30, None)],
)
def test_exit_code_is_one_or_nothing(tmp_path: Path, written: bytes, code: int | None) -> None:
    (tmp_path / "exit").write_bytes(written)
    assert files.code_in(tmp_path / "exit") == code


def record(config_dir: Path) -> Path:
    path = config_dir / "projects" / "pr" / f"{SESSION}.jsonl"
    path.parent.mkdir(parents=True)
    return path


def test_record_of_any_size_is_looked_at_in_no_time(tmp_path: Path) -> None:
    """A hole in a file costs nobody anything to make."""
    with record(tmp_path).open("wb") as file:
        file.truncate(2**40)
    began = time.monotonic()
    assert transcript.look(tmp_path, SESSION).condition == "stub"
    assert time.monotonic() - began < 20


def test_record_of_another_bottle_is_not_found_by_a_link(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    record(theirs).write_text('{"type":"user"}\n')
    (mine / "projects").mkdir(parents=True)
    (mine / "projects" / "pr").symlink_to(theirs / "projects" / "pr")
    assert transcript.look(mine, SESSION).condition == "absent"
    (mine / "projects" / "pr").unlink()
    (mine / "projects").rmdir()
    (mine / "projects").symlink_to(theirs / "projects")
    assert transcript.look(mine, SESSION).condition == "absent"
    assert transcript.look(theirs, SESSION).condition == "sound"


@pytest.mark.parametrize("line", [b"[" * 200_000, b'{"x":' * 200_000, b'{"type":"\xff"}', b"9" * 5000])
def test_record_that_no_decoder_likes_is_damaged(tmp_path: Path, line: bytes) -> None:
    path = record(tmp_path)
    path.write_bytes(line + b'\n{"type":"user"}\n')
    assert transcript.look(tmp_path, SESSION).condition == "damaged"
    path.write_bytes(b'{"type":"mode"}\n' + line + b'\n{"type":"user"}\n')
    assert transcript.look(tmp_path, SESSION).condition == "sound"


def test_what_is_no_regular_file_is_as_good_as_none_and_leaves_nothing_open(tmp_path: Path) -> None:
    """A directory where git keeps a file would cost the agent all of its work."""
    place = tmp_path / "tree"
    (place / "directory").mkdir(parents=True)
    (place / "file").write_bytes(b"words")
    (place / "link").symlink_to("file")
    os.mkfifo(place / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    with Tree(place) as tree:
        for name in (b"directory", b"link", b"pipe", b"nothing", b"nothing/else", b"file/else"):
            assert tree.read(name, most=10) is None and files.tail(place / os.fsdecode(name), 10) == b""
            assert not tree.save(name, tmp_path / "copy") and not tree.copy(name, tmp_path / "copy")
        assert tree.read(b"file", most=10) == b"words"
        assert tree.save(b"file", tmp_path / "saved") and tree.copy(b"file", tmp_path / "copied")
    assert len(os.listdir("/proc/self/fd")) == before
    assert not (tmp_path / "copy").exists() and (tmp_path / "saved").read_bytes() == b"words"


@pytest.mark.parametrize(
    "look",
    [
        lambda place, path: transcript.look(place, SESSION),
        lambda place, path: transcript.condition_of(path),
        lambda place, path: files.tail(path, 100),
        lambda place, path: Room(place).record,
        lambda place, path: Room(place).recover(),
        lambda place, path: mirror_of(place),
        lambda place, path: state.read_metadata(place),
    ],
)
def test_what_cannot_be_opened_just_now_is_not_taken_for_gone_or_damaged(
    tmp_path: Path, look: Callable[[Path, Path], object]
) -> None:
    path = record(tmp_path)
    path.write_text('{"type":"user"}\n')
    assert transcript.look(tmp_path, SESSION).condition == transcript.condition_of(path) == "sound"
    with opening_no_more(), pytest.raises(OSError, match="Too many open files"):
        look(tmp_path, path)
