"""What is owed at the end, and what was really done: lost, doubled, orphaned.

- *lost*: a token without an answer on its pull, when nothing waits any more;
- *doubled post*: one mark (turn, part) in two comments of the bot;
- *doubled turn*: a run that had ended with an answer, and another launch of the same turn after it; a token that two
  turns have answered; two runs of one bottle at the same time;
- *re-attempt*: a launch of a turn whose earlier launch was cut off in the middle.  That is no doubled turn, if its
  prompt says that it is a repeat (else it counts as *unsaid*);
- *orphan*: a process, a container, a bottle's directory or a pending review that nobody knows when all is over.

A work owes more than words: `works` says what is lost or doubled there.

Knows rows, directories and comments.  Must not know who was killed.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa

from poller import letters
from poller.replies import marks_in
from sessions import claude, registry
from sessions.database import reading
from sessions.turns import Turn
from tests.chaos.realm import Realm

_TOKEN = re.compile(r"tok-\d+")
#: What no call may print: a bug, or something that was not closed.
_NEVER = ("Traceback", "a bug in bottlepost", "ResourceWarning")
#: Exit codes of calls that nobody killed, while others are.
_EXPECTED = {0, 1, 5}


class Bill(msgspec.Struct, kw_only=True):
    """Figures of one world; they can be added up."""

    kills: dict[str, int] = {}
    asked: int = 0
    answered: int = 0
    turns: int = 0
    launches: int = 0
    re_attempts: int = 0
    given_up: int = 0
    lost: list[str] = []
    doubled_turns: list[str] = []
    doubled_posts: list[str] = []
    unsaid: list[str] = []
    orphans: list[str] = []
    #: What a call said or did that it never should.
    bugs: list[str] = []
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled_turns or self.doubled_posts or self.unsaid or self.orphans or self.bugs)

    def __add__(self, other: Bill) -> Bill:
        mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        both = {name: mine[name] + theirs[name] for name in mine if name != "kills"}
        return Bill(kills=dict(Counter(self.kills) + Counter(other.kills)), **both)


def come_to_rest(realm: Realm, *, seconds: float = 900.0) -> int:
    """Plain calls, one after the other, until nothing waits any more; how many turns had been given up."""
    deadline, given_up, idle = time.monotonic() + seconds, 0, 0
    while idle < 2:
        if time.monotonic() > deadline:
            raise TimeoutError(f"it does not come to rest within {seconds:g} s")
        realm.pass_time(700)
        done = realm.once()
        if done.code == 5 and realm.setting.machines > 1:
            continue  # what a machine held that was killed is held until its time is over
        said = json.loads(done.out.splitlines()[-1])
        if done.code not in (0, 1):
            raise AssertionError(f"poll --once → {done.code}: {done.err[-2000:]}")
        for turn in turns_of(realm):
            if turn.state == "failed":
                given_up += 1
                call = realm.start("retry", str(turn.id))
                call.wait(60)
        is_idle = not said["events"] and not said["posted"] and not any(said["turns"].values())
        idle = idle + 1 if is_idle and not left(realm) else 0
    realm.pass_time(7200)  # what nobody owns is looked for every hour
    realm.once()
    return given_up


def turns_of(realm: Realm) -> list[Turn]:
    with _memory(realm) as conn:
        return registry.turns(conn)


def bill_of(realm: Realm) -> Bill:
    """When all is quiet."""
    turns = turns_of(realm)
    bill = Bill(
        asked=len(realm.asked),
        turns=sum(turn.state == "done" for turn in turns),
        launches=sum(turn.launches for turn in turns),
    )
    _answers(realm, bill)
    for what, words in realm.work.owed(realm.asked):
        getattr(bill, what).append(words)
    _launches(realm, turns, bill)
    _orphans(realm, bill)
    _calls(realm, bill)
    return bill


def _answers(realm: Realm, bill: Bill) -> None:
    said = realm.answers()
    marks = Counter(mark for _, body in said for mark in marks_in(body))
    bill.doubled_posts = [f"turn {turn} part {part}: {n} comments" for (turn, part), n in marks.items() if n > 1]
    # A post that was doubled is counted once above, and here not again.
    once = {marks_in(body)[-1]: (pull, body) for pull, body in said if marks_in(body)}
    answered: dict[str, list[str]] = {}
    for (turn, _), (pull, body) in once.items():
        for token in tokens_answered(body):
            right = realm.asked.get(token) is pull
            answered.setdefault(token, []).append(f"turn {turn}" if right else f"turn {turn} on the wrong pull")
    for token, pull in realm.asked.items():
        by = answered.get(token, [])
        if not by:
            bill.lost.append(f"{token} on #{pull.number}")
        elif len(by) > 1 or "wrong" in by[0]:
            bill.doubled_turns.append(f"{token}: {', '.join(by)}")
        bill.answered += bool(by)


def tokens_answered(body: str) -> set[str]:
    """What the agent itself has said; not what is quoted."""
    return {token for line in body.splitlines() if line.startswith("answers:") for token in _TOKEN.findall(line)}


def _launches(realm: Realm, turns: list[Turn], bill: Bill) -> None:
    for turn in turns:
        place = realm.bottle(turn.identity) / "turns"
        names = [str(turn.id), *(f"{turn.id}-{nth}" for nth in range(2, turn.launches + 1))]
        heard, done = 0, ""
        for name in names:
            if not (place / name).is_dir():
                continue
            if done:
                bill.doubled_turns.append(f"{turn.identity}/{name} was launched after {done} had answered")
            out = _bytes(place / name / "out.jsonl")
            prompt = _bytes(place / name / "prompt.md").decode("utf-8", "replace")
            # Without one, it was forbidden before anything was said.
            if heard and prompt and "This is a repeat" not in prompt:
                bill.unsaid.append(f"{turn.identity}/{name}")
            if out:
                bill.re_attempts += heard > 0
                heard += 1
            code = _bytes(place / name / "exit").strip()
            outcome = claude.read(out, b"", exit=int(code) if code else None)
            done = name if outcome.kind == "done" else done
    for twice in realm.directory.glob("state*/state/*/transcript/.claude/.twice"):
        bill.doubled_turns.append(f"two runs at once: {twice.read_text().split()}")


def _orphans(realm: Realm, bill: Bill) -> None:
    bill.orphans += [f"processes of {run.name}: {run.keeper} {run.others}" for run in realm.runs()]
    with _memory(realm) as conn:
        known = {session.identity for session in registry.sessions(conn, all=True)}
    for entry in realm.directory.glob("state*/state/*"):
        if entry.name not in known:
            bill.orphans.append(f"directory {entry.name}")
    if realm.setting.backend == "docker":
        from sessions.bottles import holdings

        held = holdings.held(realm.setting.environ, realm.state)
        bill.orphans += [f"container of {one.identity}/{one.turn}" for one in held]


def _calls(realm: Realm, bill: Bill) -> None:
    for child in realm.calls:
        err = child.err
        words = [word for word in _NEVER if word in err]
        if words or (child.code is not None and child.code >= 0 and child.code not in _EXPECTED):
            bill.bugs.append(f"poll {' '.join(child.args)} → {child.code}: {err.strip()[-1500:]}")


def left(realm: Realm) -> bool:
    """Whether a turn or a post waits or is under way."""
    with _memory(realm) as conn:
        counts = registry.counts(conn)
        return bool(counts.waiting or counts.running or letters.waiting(conn))


@contextlib.contextmanager
def _memory(realm: Realm) -> Iterator[sa.Connection]:
    with realm.memory() as engine, reading(engine) as conn:
        yield conn


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
