"""Hostile triggers start nothing and break nothing.  What each does and must come to stands in its file: see README.md.

All that share their settings are done in one world, each on a pull of its own, and read by the same few cycles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from poller.demo.pulls import Pull
from poller.demo.state import Row
from tests.poller.house import House

HERE = Path(__file__).parent
_BLOCK = re.compile(r"<untrusted-([0-9a-f]{12}) [^\n]*>\n(.*?)\n</untrusted-\1>", re.S)


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file's front matter, and its text as `words` where it gives none itself."""

    name: str
    says: str
    by: str
    must: str
    act: str = "comment"
    words: str = ""
    before: str = ""
    stranger: str = ""
    title: str = "Add five"
    branch: str | None = None
    path: str = "README.md"
    fork: bool = False
    agit: bool = False
    filler: str = ""
    tail: str = ""
    times: int = 1
    trust: dict[str, Any] = {}
    reason: str = ""
    answered: str = ""
    turns: int = 1
    inside: list[str] = []
    quoted: list[str] = []
    rules: list[str] = []
    absent: list[str] = []
    shorter: int = 0

    @property
    def text(self) -> str:
        return self.filler * self.times + self.words + self.tail * self.times

    @property
    def repo(self) -> str:
        return f"acme/{self.name}"


def read(path: Path) -> Case:
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    values: Mapping[str, Any] = yaml.safe_load(front)
    return msgspec.convert({"words": body, "name": path.stem, **values}, Case)


CASES = [read(path) for path in sorted(HERE.glob("*.md")) if path.name != "README.md"]


class Worlds:
    """One house for all cases of the same settings; what is in it has happened."""

    def __init__(self, place: Path) -> None:
        self._place, self._houses = place, dict[str, tuple[House, dict[str, Pull]]]()

    def of(self, case: Case) -> tuple[House, Pull]:
        kind = repr(case.trust)
        if kind not in self._houses:
            place = self._place / f"house-{len(self._houses)}"
            place.mkdir()
            house = House(place)
            self._houses[kind] = house, play(house, [one for one in CASES if repr(one.trust) == kind], case.trust)
        house, pulls = self._houses[kind]
        return house, pulls[case.name]

    def close(self) -> None:
        for house, _ in self._houses.values():
            house.close()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    made = Worlds(tmp_path_factory.mktemp("corpus"))
    yield made
    made.close()


def play(house: House, cases: list[Case], trust: dict[str, Any]) -> dict[str, Pull]:
    """A baseline; what everybody does; cycles until all of it is read."""
    house.configure(poll={"start": "now"}, trust=trust)
    scenes = {case.name: Scene(house, case) for case in cases}
    house.once()
    house.pass_time(60)
    for scene in scenes.values():
        scene.first()
    house.once()
    for scene in scenes.values():
        scene.then()
    house.once()
    house.once(later=400)
    return {name: scene.pull for name, scene in scenes.items()}


class Scene:
    """What one case does, in two steps with a cycle between them."""

    def __init__(self, house: House, case: Case) -> None:
        self.house, self.case, self.repo = house, case, house.new_repo(case.repo)
        for login in ("renovate", "ci-bot", "fred"):
            self.repo.collaborator(login, "write")
        self.repo.collaborator("rita", "read")
        self.is_fork = case.fork or case.agit or case.act.startswith("on-fork")
        self.row: Row | None = None
        if case.act != "open" and not self.is_fork:
            self.pull = self.repo.open_pull(by="ana")

    def first(self) -> None:
        case = self.case
        if case.act == "open" or self.is_fork:
            who = case.by if case.act == "open" else "eve"
            fork = f"{who}/{case.name}" if self.is_fork and not case.agit else None
            body = case.text if case.act == "open" else ""
            self.pull = self.repo.open_pull(
                by=who, title=case.title, body=body, head=case.branch, fork=fork, agit=case.agit
            )
        if case.act.startswith("edit"):
            self.row = self.pull.comment(case.before, by=case.by)
            if case.act == "edit-at-once":
                self.row.edit(case.text)
        elif case.act == "former":
            self.repo.collaborator(case.by, None)
            self.pull.comment(case.text, by=case.by)
        elif case.act == "after-stranger":
            self.pull.comment(case.stranger, by="eve")

    def then(self) -> None:
        case, pull = self.case, self.pull
        match case.act:
            case "comment" | "after-stranger":
                pull.comment(case.text, by=case.by)
            case "on-fork":
                pull.comment(case.text, by=case.by)
            case "on-fork-then-push":
                pull.comment(case.text, by=case.by)
                pull.push(by="eve")
            case "edit":
                assert self.row is not None
                self.row.edit(case.text)
                pull.label(by="ana", add=["wanted"])
            case "title":
                pull.edit(by=case.by, title=case.text)
            case "description":
                pull.edit(by=case.by, body=case.text)
            case "label":
                pull.label(by=case.by, add=[case.text])
            case "inline":
                pull.review(by=case.by, inline=[(case.path, 1, case.text)])
            case "closed":
                pull.close(by=case.by)
                pull.comment(case.text, by=case.by)
            case "ghost":
                pull.comment(case.text, by=case.by)
                self.house.world.delete_user(case.by)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_hostile_trigger_comes_to_what_it_must(case: Case, worlds: Worlds) -> None:
    house, pull = worlds.of(case)
    verdicts = house.verdicts(pull)
    turns, said = house.turns(pull), house.said(pull)
    if case.by == "bot":
        said = [words for words in said if words != case.text]
    refused = [reason for verdict, reason in verdicts if verdict == "refuse"]
    match case.must:
        case "nothing":
            assert (turns, said, refused) == ([], [], [])
        case "no-turn":
            assert (turns, said) == ([], [])
        case "refuse":
            assert (turns, said) == ([], [])
            assert any(case.reason in reason for reason in refused), verdicts
        case "consent":
            assert turns == []
            assert "part=consent" in said[0] and any(verdict == "hold" for verdict, _ in verdicts)
            assert len(said) == 1 + bool(case.answered) and re.search(case.answered, said[-1])
            assert any(case.reason in reason for reason in [*refused, ""])
        case "command":
            assert turns == [] and len(said) == 1 and any(verdict == "command" for verdict, _ in verdicts)
        case "turn":
            assert [turn.state for turn in turns] == ["done"] * case.turns
            check_prompt(case, house.prompts(turns[-1])[0])
        case other:
            pytest.fail(f"must: {other} is not known")


def check_prompt(case: Case, prompt: str) -> None:
    """What others wrote is between the marks of one code, or quoted on one line, and nowhere else."""
    [code] = {found[1] for found in _BLOCK.finditer(prompt)}
    assert prompt.count(f"\n<untrusted-{code} ") == prompt.count(f"\n</untrusted-{code}>\n")
    outside = _BLOCK.sub("", prompt)
    assert not re.search(r"^</?untrusted-", outside, re.M), "a mark that is none of a block"
    for text in case.inside:
        assert text in prompt and text not in outside
    for text in case.quoted:
        assert any(text in line and line.count('"') >= 2 for line in prompt.splitlines()), text
    for text in case.rules:
        assert text in outside
    for text in case.absent:
        assert text not in prompt
    assert not case.shorter or len(prompt) <= case.shorter


def test_the_corpus_is_what_its_readers_think() -> None:
    assert len(CASES) >= 60
    assert {case.must for case in CASES} == {"nothing", "no-turn", "refuse", "consent", "command", "turn"}
