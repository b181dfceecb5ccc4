"""The disk is full, or may not be written to: a clear line, and all is done once there is room again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot


@pytest.fixture
def disk(bot: Bot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own, on which the bot's state is."""
    place = tmp_path_factory.mktemp("disk")
    options = ["-t", "tmpfs", "-o", "size=2m,mode=700", "bottlepost-test", str(place)]
    made = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"needs a disk of its own ({made.stderr.strip()}); run it as root")
    (bot.directory / "state").symlink_to(place / "state")
    (place / "state").mkdir(mode=0o700)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """So many KiB are left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - leave * 1024) // 4096 * 4096)
    return ballast


@pytest.mark.parametrize("leave", [0])
def test_a_disk_that_is_full_from_the_beginning_is_one_clear_line(bot: Bot, repo: Repo, disk: Path, leave: int) -> None:
    pull = repo.open_pull(by="ana")
    ballast = fill(disk, leave=leave)
    complaint = bot.once(code=2).complaint
    assert "bottlepost.db: " in complaint and "disk" in complaint
    ballast.unlink()
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1


@pytest.mark.parametrize("leave", [0, 16, 40, 80])
def test_wherever_the_disk_becomes_full_nothing_is_lost_or_done_twice(
    bot: Bot, repo: Repo, disk: Path, leave: int
) -> None:
    bot.once()
    pull = repo.open_pull(by="ana")
    ballast = fill(disk, leave=leave)
    short = bot.once(code=None)
    assert short.code in (0, 1, 2)
    assert short.code == 0 or "disk" in short.err or "No space left" in short.err, short.err
    ballast.unlink()
    for _ in range(4):
        if bot.comments(pull):
            break
        bot.pass_time(600)
        bot.once(code=None)
    assert len(bot.comments(pull)) == 1
    assert bot.kinds(pull) == ["pull_request opened"]


def test_a_state_that_may_not_be_written_is_one_clear_line(bot: Bot, repo: Repo, disk: Path) -> None:
    bot.once()
    pull = repo.open_pull(by="ana")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    complaint = bot.once(code=2).complaint
    assert "bottlepost.db" in complaint and "writable" in complaint
    assert "FAIL" in bot.poll("doctor", code=2).out
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert bot.tally()["turns"]["done"] == 1
    assert len(bot.comments(pull)) == 1
