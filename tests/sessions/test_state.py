"""The state directory: identities, metadata, and what is and is not written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sessions import state, transcript
from tests.sessions.unprivileged import without_rights

ID = "f2b0c7de-6c1b-4a2e-9f00-0123456789ab"


@pytest.mark.parametrize(
    ("agent", "slug"),
    [
        ("reviewer", "reviewer"),
        ("Code Reviewer_2", "code-reviewer-2"),
        ("éà", "agent"),
        ("", "agent"),
        ("a" * 99, "a" * 40),
    ],
)
def test_identity_is_the_agents_slug_and_five_random_letters(agent: str, slug: str) -> None:
    """C1."""
    identity = state.new_identity(agent)
    head, _, tail = identity.rpartition("-")
    assert head == slug and len(tail) == 5 and state.is_identity(identity)


def test_identity_is_another_one_every_time() -> None:
    """C1, C2: and not made of the cwd."""
    assert len({state.new_identity("reviewer") for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "text", ["", "..", "../x-aaaaa", "a/b-aaaaa", "reviewer", "reviewer-AAAAA", "-aaaaa", "x-aaaa\n"]
)
def test_what_is_no_identity_names_no_directory(text: str) -> None:
    assert not state.is_identity(text)


def made(tmp_path: Path) -> Path:
    bottle = state.bottle(tmp_path / "root", "reviewer-00000")
    state.prepare(
        bottle,
        state.metadata(identity=bottle.name, agent="reviewer", cwd="work", backend="process", now=1795244891.5),
    )
    return bottle


def test_state_directory_has_its_rooms_and_is_private(tmp_path: Path) -> None:
    """C3."""
    bottle = made(tmp_path)
    rooms = ("transcript", "transcript/.claude", "work", "turns")
    assert all((bottle / room).is_dir() for room in rooms)
    for path in (bottle.parent, bottle, *(bottle / room for room in rooms)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    settings = json.loads((state.config_dir(bottle) / "settings.json").read_text())
    assert settings == {"cleanupPeriodDays": 3650}, "or transcripts would go after 30 days"


def test_metadata_is_indented_json_without_secrets_or_places(tmp_path: Path) -> None:
    """C4."""
    text = (made(tmp_path) / "metadata.json").read_text()
    assert text.endswith("}\n") and text.startswith('{\n  "identity"')
    assert json.loads(text) == {
        "identity": "reviewer-00000",
        "agent_name": "reviewer",
        "cwd": "work",
        "copy_cwd": False,
        "started_at": "2026-11-21T07:08:11Z",
        "backend": "process",
    }
    assert str(tmp_path) not in text


@pytest.mark.parametrize("text", [None, "", "nonsense", "[]", "3", "null", '{"identity": '])
def test_metadata_that_is_missing_or_no_object_is_none(tmp_path: Path, text: str | None) -> None:
    """C5."""
    bottle = tmp_path / "reviewer-00000"
    if text is not None:
        bottle.mkdir()
        (bottle / "metadata.json").write_text(text)
    assert state.read_metadata(bottle) is None
    assert bottle.exists() == (text is not None), "C6: reading makes nothing"


def test_metadata_of_other_versions_is_read_with_defaults(tmp_path: Path) -> None:
    """C5, E2: unknown fields are ignored, missing and wrong ones have defaults, no backend means docker."""
    (tmp_path / "old-00000").mkdir()
    (tmp_path / "old-00000" / "metadata.json").write_text('{"agent_name": 3, "colour": "red", "backend": ""}')
    assert state.read_metadata(tmp_path / "old-00000") == state.Metadata(identity="old-00000", backend="docker")


def test_readers_make_no_directories(tmp_path: Path) -> None:
    """C6."""
    root = tmp_path / "root"
    bottle = state.bottle(root, "reviewer-00000")
    assert state.identities(root) == [] and not state.is_preserved(bottle) and not state.remove(bottle)
    assert transcript.look(state.config_dir(bottle), ID).condition == "absent"
    assert not root.exists()


def test_metadata_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """B4, C8."""
    bottle = made(tmp_path)
    before = (bottle / "metadata.json").read_text()
    with pytest.raises(UnicodeEncodeError):
        state.write(bottle / "metadata.json", before[:40] + "\ud800")
    assert (bottle / "metadata.json").read_text() == before
    assert sorted(os.listdir(bottle)) == ["metadata.json", "transcript", "turns", "work"], "nothing is left lying about"


def test_bottle_is_marked_once_as_one_to_be_kept(tmp_path: Path) -> None:
    bottle = tmp_path / "reviewer-abcde"
    bottle.mkdir()
    state.preserve(bottle)
    marked = (bottle / ".preserve").stat()
    state.preserve(bottle)
    assert (bottle / ".preserve").stat() == marked and state.is_preserved(bottle)


def test_removing_leaves_nothing_and_says_whether_there_was_something(tmp_path: Path) -> None:
    bottle = made(tmp_path)
    assert state.identities(tmp_path / "root") == ["reviewer-00000"]
    assert state.remove(bottle) is True
    assert state.remove(bottle) is False
    assert os.listdir(bottle.parent) == []


def test_settings_of_the_user_of_a_bottle_are_its_own_but_for_the_days(tmp_path: Path) -> None:
    """What an agent changes there must not let its transcript go after 30 days."""
    bottle = made(tmp_path)
    place = state.config_dir(bottle) / "settings.json"
    for text, kept in (
        ('{"model": "m", "cleanupPeriodDays": 1}', {"model": "m"}),
        ("{}", {}),
        ("[3]", {}),
        ("[" * 100_000, {}),
        ("{half", {}),
    ):
        place.write_text(text)
        made(tmp_path)
        assert json.loads(place.read_text()) == {**kept, "cleanupPeriodDays": 3650}
    outside = tmp_path / "outside"
    place.unlink()
    place.symlink_to(outside)
    made(tmp_path)
    assert not outside.exists() and not place.is_symlink()
    place.unlink()
    (place / "inside").mkdir(parents=True)
    made(tmp_path)
    assert json.loads(place.read_text()) == {"cleanupPeriodDays": 3650} and os.listdir(place.parent) == [place.name]


@pytest.mark.parametrize("shut", ["work", "transcript", "transcript/.claude", "turns"])
def test_directory_that_an_agent_has_shut_is_opened(tmp_path: Path, shut: str) -> None:
    bottle = made(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (bottle / shut).chmod(0)
    again = (
        "import pathlib, sys; from sessions import state; bottle = pathlib.Path(sys.argv[1]); "
        "state.prepare(bottle, state.read_metadata(bottle)); print(*(bottle / sys.argv[2]).iterdir())"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*without_rights(), sys.executable, "-c", again, str(bottle), shut], env=environ, check=True)
    (bottle / "work").rmdir()
    (bottle / "work").symlink_to(outside)
    made(tmp_path)
    assert outside.stat().st_mode & 0o777 == 0o500, "a link leads nowhere"


USER = '{"type":"user","message":{}}\n'
QUEUE = '{"type":"queue-operation"}\n'


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", "stub"),
        (QUEUE, "stub"),
        (QUEUE + USER[:12], "stub"),
        (QUEUE + USER.rstrip("\n"), "stub"),
        (QUEUE + QUEUE, "stub"),
        (QUEUE[:10], "stub"),
        (QUEUE + USER, "sound"),
        (USER, "sound"),
        (QUEUE + USER + '{"type":"assi', "sound"),  # SIGKILL in the middle of a line: claude resumes it all the same
        ("no JSON\n" + USER, "damaged"),
        ("\0\0\0\0\n", "damaged"),
        ('{"type":"\udcff"}\n' + USER, "damaged"),
        (QUEUE + '{"type":"\udcff"}\n' + USER, "sound"),
    ],
)
def test_condition_of_a_transcript(tmp_path: Path, text: str, condition: str) -> None:
    path = tmp_path / "projects" / "pr" / f"{ID}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = transcript.look(tmp_path, ID)
    assert (found.condition, found.size) == (condition, len(text))


def test_transcript_is_found_in_any_project_and_the_longest_copy_counts(tmp_path: Path) -> None:
    for project, text in (("pr", QUEUE), ("-old-place", QUEUE + USER)):
        (tmp_path / "projects" / project).mkdir(parents=True)
        (tmp_path / "projects" / project / f"{ID}.jsonl").write_text(text)
    found = transcript.look(tmp_path, ID)
    assert found.condition == "sound" and len(found.paths) == 2
    transcript.set_aside(found)
    assert transcript.look(tmp_path, ID).condition == "absent"
    assert len(list(tmp_path.glob("projects/*/*.aside-*"))) == 2
