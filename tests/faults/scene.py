"""One calm scene, and the same again with one call of a door that goes wrong.

A comment is made, `poll --once` reads it, runs a turn and answers.  With a fault it may do less; then plain calls must
bring it to the same end.  Knows calls, exit codes and answers.  Must not know where in our code a door is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from tests.chaos.realm import Realm, Setting
from tests.chaos.reckoning import bill_of, come_to_rest, left, turns_of
from tests.faults.doors import FAULTS

#: A log line, or what stands behind one.
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (DEBUG|INFO|WARNING|ERROR) ")

#: Calls after which a question must have been answered, whatever went wrong.
CALLS = 6


class Door(NamedTuple):
    """One call of a scene: its door, what it was, and whether it is the first of these."""

    door: str
    what: str
    nth: int

    def __str__(self) -> str:
        return f"{self.door} {self.what} ({self.nth})"


class Case(NamedTuple):
    """This call goes wrong in this way."""

    at: Door
    fault: str

    def __str__(self) -> str:
        return f"{self.at} × {self.fault}"


def play(
    directory: Path,
    *,
    fresh: bool,
    nth: int = 0,
    of: int = 1,
    doors: Collection[str] = FAULTS.keys(),
    only: str = "",
    say: Callable[[Case, list[str]], None] = lambda *_: None,
) -> list[str]:
    """All that is wrong: each case of a share, and what is owed at the end."""
    with Realm(directory, Setting(seconds=0.0), seed=1) as realm:
        realm.configure_agent(on=["mentioned"])
        realm.once()
        if not fresh:
            realm.ask()
            realm.once()
        come_to_rest(realm)
        passed_by = calm(realm, fresh=fresh)
        assert {door.door for door in passed_by} >= {"http", "begin", "change", "commit", "write", "process"}
        come_to_rest(realm)
        realm.forget_calls()
        wrong: list[str] = []
        for case in cases([door for door in passed_by if door.door in doors], nth=nth, of=of):
            if not re.search(only, str(case)):
                continue
            said = trouble(realm, case, fresh=fresh)
            say(case, said)
            wrong += said
        last = end(realm)
        say(Case(Door("end", "", 1), ""), last)
        return wrong + last


def calm(realm: Realm, *, fresh: bool) -> list[Door]:
    """The doors that the scene passes, in order."""
    return passed(realm, fresh=fresh, order="")[0]


def passed(realm: Realm, *, fresh: bool, order: str) -> tuple[list[Door], int | None, str]:
    """The scene once, with a fault if there is an `order`: doors, exit code, stderr."""
    if fresh:
        realm.pulls[:] = [realm.open_pull()]
    realm.ask()
    log = realm.directory / "doors"
    child = realm.once(environ={"CHAOS_DOORS": f"{log}{order}"})
    return _read(log), child.code, child.err


def _read(log: Path) -> list[Door]:
    found = []
    for line in log.read_text().splitlines():
        door, what = line.split(" ", 1)
        what, _, nth = what.rpartition(" ")
        found.append(Door(door, what, int(nth.strip("()"))))
    return found


def cases(doors: list[Door], *, nth: int = 0, of: int = 1) -> list[Case]:
    """Every call, in every way in which its door can go wrong; the `nth` of `of` equal shares.

    A file that is read again and again, or a directory that is there already, counts once."""
    every = [door for door in doors if door.nth == 1 or door.door not in ("read", "write")]
    return [Case(door, fault) for door in every for fault in FAULTS[door.door]][nth::of]


def trouble(realm: Realm, case: Case, *, fresh: bool) -> list[str]:
    """What is wrong with how it went; when this returns, its question is answered, or never will be."""
    doors, code, err = passed(realm, fresh=fresh, order=f"|{case.at}|{case.fault}")
    said = _of_the_call(doors, code, err, case)
    token = list(realm.asked)[-1]
    for _ in range(CALLS):
        if _is_answered(realm, token):
            break
        realm.pass_time(700)
        after = realm.once()
        if after.code not in (0, 1):
            said.append(f"the next call → {after.code}: {after.err[-700:]}")
    else:
        said.append(f"{token} is not answered after {CALLS} calls: {[turn.reason for turn in turns_of(realm)[-1:]]}")
    realm.forget_calls()
    return [f"{case}: {line}" for line in said]


def end(realm: Realm) -> list[str]:
    """What is wrong when all is quiet."""
    come_to_rest(realm)
    bill = bill_of(realm)
    names = ("lost", "doubled_turns", "doubled_posts", "unsaid", "orphans", "bugs")
    return [f"{name}: {line}" for name in names for line in getattr(bill, name)]


def _is_answered(realm: Realm, token: str) -> bool:
    return any(re.search(rf"{token}\b", body) for _, body in realm.answers()) and not left(realm)


def _of_the_call(doors: list[Door], code: int | None, err: str, case: Case) -> list[str]:
    """Its exit code and its words."""
    if case.at not in doors:
        return []  # this time it came to its end by fewer steps
    if case.fault == "kill":
        return [] if code == -9 else [f"killed, it ended with {code}"]
    said = []
    # 1: a turn failed; 2: the database or the disk; 3: the forge could not be reached.
    if code not in (0, 1, 2, 3):
        said.append(f"exit code {code}: {err[-700:]}")
    lines = [line for line in err.splitlines() if line.strip() and not _LOG_LINE.match(line)]
    if code in (2, 3) and len(lines) != 1:
        said.append(f"not one clear line with exit code {code}, but {lines}")
    return said
