"""A conversation outlives damage to its record: the last good copy is resumed, and people are told."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions import generations, lifecycle, registry, state
from sessions.turns import Outcome
from tests.sessions.stage import Stage


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


@pytest.mark.parametrize("damage", [to_garbage, cut_short, emptied, Path.unlink])
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
