"""A conversation outlives damage to its record: the last good copy is resumed, and people are told."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions import generations, lifecycle, preparing, registry, state, transcript
from sessions.turns import Outcome
from tests.sessions.stage import Stage
from tests.sessions.unprivileged import writing_no_more_than


def talk(stage: Stage, *events: str) -> None:
    for event in events:
        stage.want(event)
        assert stage.run().done == 1


def surprises(stage: Stage) -> list[str]:
    """What was said about each turn's last launch, oldest first."""
    return [turn.surprise for turn in stage.turns()]


def test_two_copies_are_kept_where_the_agent_cannot_write(stage: Stage) -> None:
    talk(stage, "opened")
    after_one = stage.transcript().read_bytes()
    talk(stage, "pushed")
    after_two = stage.transcript().read_bytes()
    talk(stage, "commented")
    kept = sorted((stage.bottle() / "generations").iterdir())
    assert [path.read_bytes() for path in kept] == [after_two, stage.transcript().read_bytes()]
    assert after_one not in [path.read_bytes() for path in kept]
    assert not (stage.bottle() / "generations").is_relative_to(state.config_dir(stage.bottle()))


def to_garbage(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def holed(path: Path) -> None:
    """As a power cut may leave it: claude itself would go on without a word, and without its memory."""
    lines = path.read_bytes().splitlines(keepends=True)
    nth = next(number for number, line in enumerate(lines) if b'"assistant"' in line)
    lines[nth] = b"\0" * (len(lines[nth]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))


def holed_and_grown(path: Path) -> None:
    holed(path)
    with path.open("a") as file:
        file.write('{"type":"user","message":{"role":"user","content":"of a turn that failed"}}\n')


def nested(path: Path) -> None:
    """No reader takes that."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b'{"type":' + b"[" * 100_000 + b"\n", *lines[1:]]))


def to_a_directory(path: Path) -> None:
    path.unlink()
    path.joinpath("deep").mkdir(parents=True)


def to_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [to_garbage, cut_short, emptied, Path.unlink, holed, holed_and_grown, nested, to_a_directory, to_a_pipe],
)
def test_damaged_record_is_put_back_and_resumed(
    stage: Stage, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    talk(stage, "opened", "pushed")
    before = stage.session()
    damage(stage.transcript())
    with caplog.at_level(logging.INFO):
        talk(stage, "commented")
    assert stage.session().claude_session == before.claude_session
    turn = stage.turns()[-1]
    assert turn.mode == "resume" and turn.answer.endswith("I remember 2 earlier messages.")
    assert "the last good copy of it was put back" in caplog.text
    assert surprises(stage)[:2] == ["", ""] and "put back" in surprises(stage)[2]
    assert stage.session().note == ""
    talk(stage, "again")
    assert stage.turns()[-1].answer.endswith("I remember 3 earlier messages.")


def test_damaged_copy_gives_way_to_the_one_before(stage: Stage) -> None:
    talk(stage, "opened", "pushed")
    to_garbage(stage.transcript())
    to_garbage(stage.bottle() / "generations" / f"{stage.session().claude_session}.jsonl")
    talk(stage, "commented")
    assert stage.turns()[-1].answer.endswith("I remember 1 earlier message.")


def test_without_any_good_copy_it_starts_afresh_with_everything_and_says_so(stage: Stage) -> None:
    talk(stage, "opened")
    before = stage.session()
    to_garbage(stage.transcript())
    shutil.rmtree(stage.bottle() / "generations")
    talk(stage, "pushed")
    assert stage.session().claude_session != before.claude_session
    assert (stage.turns()[-1].mode, stage.errand.prepared[-1][1]) == ("fresh", "fresh")
    assert surprises(stage)[1] == "its transcript lost its words; it is kept aside"
    assert stage.errand.surprises == surprises(stage)
    assert list(state.config_dir(stage.bottle()).glob("projects/pr/*.aside-*"))


def test_first_turn_is_no_surprise(stage: Stage) -> None:
    talk(stage, "opened")
    assert stage.errand.surprises == [""]


def test_conversation_that_was_reset_is_not_put_back(stage: Stage) -> None:
    talk(stage, "opened")
    stage.write(lambda conn: registry.new_conversation(conn, stage.session(), why="", now=1.0))
    talk(stage, "pushed")
    assert stage.turns()[-1].mode == "fresh"
    names = {path.name.partition(".")[0] for path in (stage.bottle() / "generations").iterdir()}
    assert names == {stage.session().claude_session}


def test_run_that_wrote_nothing_leaves_the_copy_as_it_was(stage: Stage) -> None:
    talk(stage, "opened")
    copy = generations.good(stage.bottle(), stage.session().claude_session)
    assert copy is not None
    before = copy.read_bytes()
    stage.want("pushed", "[agent: forget]")
    stage.run()
    assert copy.read_bytes() == before
    assert "not written to its transcript" in stage.session().note


def test_limited_turn_that_was_not_written_down_cannot_be_resumed_either() -> None:
    for kind in ("done", "limited"):
        assert lifecycle.kept(Outcome(kind=kind), "process", bytes_before=10, bytes_after=10)  # type: ignore[arg-type]
        assert not lifecycle.kept(Outcome(kind=kind), "process", bytes_before=10, bytes_after=11)  # type: ignore[arg-type]


def test_links_that_an_agent_planted_lead_nowhere(stage: Stage, tmp_path: Path) -> None:
    """Neither is a file of the host copied, nor one written."""
    talk(stage, "opened")
    session, outside = stage.session(), tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret.jsonl"
    shutil.copy(stage.transcript(), secret)
    secret.write_text(secret.read_text() + "a secret\n")
    projects = stage.transcript().parent.parent
    stage.transcript().unlink()
    stage.transcript().symlink_to(secret)
    assert not generations.keep(stage.bottle(), session.claude_session)
    shutil.rmtree(projects)
    projects.symlink_to(outside)
    assert not generations.restore(stage.bottle(), session.claude_session)
    assert [path.name for path in outside.iterdir()] == ["secret.jsonl"]
    kept = [path.read_text() for path in (stage.bottle() / "generations").iterdir()]
    assert kept and not any("a secret" in text for text in kept)


def test_copy_that_is_damaged_itself_does_not_take_the_records_place(stage: Stage) -> None:
    talk(stage, "opened", "pushed")
    holed(stage.bottle() / "generations" / f"{stage.session().claude_session}.jsonl")
    talk(stage, "commented")
    assert surprises(stage) == ["", "", ""]
    assert stage.turns()[-1].answer.endswith("I remember 2 earlier messages.")


def test_torn_line_of_a_killed_run_is_no_damage(stage: Stage) -> None:
    """What is written after it is on the same line, which nobody can read any more: neither is it in the copy."""
    talk(stage, "opened", "pushed")
    with stage.transcript().open("a") as file:
        file.write('{"type":"assistant","mess')
    talk(stage, "commented", "again")
    assert surprises(stage) == [""] * 4


def test_reason_is_still_told_when_the_first_try_came_to_nothing(stage: Stage) -> None:
    """People see one answer: the one at the end."""
    stage.now = 1_000_000.0
    talk(stage, "opened")
    to_garbage(stage.transcript())
    shutil.rmtree(stage.bottle() / "generations")
    stage.want("pushed", "[agent: overloaded 1]")
    assert stage.run().failed == 1
    stage.now = stage.turn(2).not_before
    assert stage.run().done == 1
    assert surprises(stage)[-1] == "its transcript lost its words; it is kept aside"
    talk(stage, "commented")
    assert surprises(stage)[-1] == ""


def test_line_without_an_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "_MOST", 1000)
    monkeypatch.setattr(transcript, "_MOST_READ", 5000)
    place = tmp_path / "x.jsonl"
    for text, is_readable in (
        (b'{"type":"x"}\n' * 10, True),
        (b'{"type":"x"}\n\n{"type":"x"}\n{"ty', True),
        (b'{"type":"x"}\n{"ty\n', False),
        (b'{"type":"x"}\n' + b"\0" * 2_000, False),
        (b'{"type":"x"}\n' * 1_000, False),
    ):
        place.write_bytes(text)
        assert transcript.is_readable(place) == is_readable


def test_record_that_is_larger_than_any_conversation_is_not_copied(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    talk(stage, "opened")
    monkeypatch.setattr(generations, "_MOST", 100)
    talk(stage, "pushed")
    assert "no copy of the transcript could be kept" in caplog.text
    assert len(list((stage.bottle() / "generations").iterdir())) == 1


#: Keeps a copy in a process of its own, which dies (as by `kill -9`) before its n-th step on the disk.
PROCESS = """
import os, pathlib, sys
from sessions import generations
left = int(sys.argv[3])
def watch(event, args):
    global left
    if event in ("os.rename", "os.remove", "os.mkdir") or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)):
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(watch)
generations.keep(pathlib.Path(sys.argv[1]), sys.argv[2])
"""


def test_killed_between_any_two_steps_there_is_a_good_copy(stage: Stage) -> None:
    talk(stage, "opened", "pushed")
    bottle, conversation = stage.bottle(), stage.session().claude_session
    before = generations.good(bottle, conversation)
    assert before is not None
    old = before.read_bytes()
    with stage.transcript().open("a") as file:
        file.write('{"type":"user","message":{"content":"one more"}}\n')
    new, ends = stage.transcript().read_bytes(), set()
    for left in range(20):
        words = [sys.executable, "-B", "-c", PROCESS, str(bottle), conversation, str(left)]
        code = subprocess.run(words, cwd=Path(__file__).parents[2], timeout=60).returncode
        copy = generations.good(bottle, conversation)
        assert copy is not None and copy.read_bytes() in (old, new), left
        ends.add(copy.read_bytes())
        if code == 0:
            break
    assert code == 0 and left >= 3 and ends == {old, new}
    assert len(list((bottle / "generations").iterdir())) == 2


def test_full_disk_costs_the_new_copy_only(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """And none of it is left to fill the disk."""
    talk(stage, "opened")
    copy = generations.good(stage.bottle(), stage.session().claude_session)
    assert copy is not None
    before = copy.read_bytes()
    with stage.transcript().open("a") as file:
        file.write('{"type":"x"}\n' * 20_000)
    with writing_no_more_than(100_000):
        preparing.keep(
            stage.state, stage.session(), Outcome(kind="done"), claude_session=stage.session().claude_session, note=""
        )
    assert "no copy of the transcript could be kept" in caplog.text
    assert [path.read_bytes() for path in (stage.bottle() / "generations").iterdir()] == [before]


def test_full_disk_is_no_reason_to_forget_a_conversation(stage: Stage) -> None:
    """Its record is damaged, and the good copy cannot be put back just now."""
    talk(stage, "opened")
    before = stage.transcript().read_bytes()
    to_garbage(stage.transcript())
    with writing_no_more_than(10), pytest.raises(OSError, match="File too large"):
        preparing.opening(stage.state, stage.session())
    opening = preparing.opening(stage.state, stage.session())
    assert (opening.mode, opening.renew) == ("resume", False)
    assert stage.transcript().read_bytes() == before
