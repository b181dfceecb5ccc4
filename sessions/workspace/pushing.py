"""What the agent has committed, from its working directory into the mirror, and from there to the forge.

Forward only, and only from a tip that we have seen: nobody's commits are ever replaced.  Where others were faster, the
agent's commits are put on top of theirs, once.  Killed at any point, the next try finds by the branch itself how far
the last one came.  Must not know forges, turns' rows, or what is said about it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sessions import places
from sessions.git import GitError, Tick
from sessions.locks import Busy, locked
from sessions.sources import Access, Made, Pushed, Unfetchable, Unpushable
from sessions.trees import TooMuch
from sessions.workspace import inspecting, mirror
from sessions.workspace.mirror import Mirror
from sessions.workspace.nouns import BUILDING, FETCHING, MOST_PACK
from sessions.workspace.record import Room, mirror_of
from sessions.workspace.salvage import brought

_BUSY = 600.0
#: What a forge says about a branch that nobody, or not we, may push to: another try would only hear it again.
_FOR_GOOD = re.compile(r"declined|protected|not allowed|denied|forbidden|\b403\b|archived|read.only|must not", re.I)


def made(*, state: Path, bottle: Path, turn: int, environ: Mapping[str, str], tick: Tick) -> Made | None:
    """What the agent has committed on the branch that it was given, now in the mirror.  Raises `Unfetchable`."""
    room = Room(bottle)
    try:
        with locked(room.place / "lock", seconds=_BUSY, tick=tick):
            room.unshut()
            record, name = room.record, mirror_of(bottle)
            if record is None or not name or not room.is_whole():
                return None
            fresh = frozenset(filter(None, (record.head, record.base)))
            with mirror.held(state, name, environ=environ, tick=tick) as ours:
                tip = brought(room.work, ours.git, record.branch, room=room.place, fresh=fresh)
                if not tip:
                    return None
                branch = f"{bottle.name}/turn-{turn}"
                ours.git.run("update-ref", f"refs/heads/{branch}", tip)
        place = places.name_of(state)
        return Made(mirror=name, branch=branch, commit=tip, start=record.head, base=record.base, place=place)
    except Busy:
        raise Unfetchable(f"the working directory of {bottle.name} is in somebody else's hands") from None
    except (GitError, TooMuch) as error:
        raise Unfetchable(str(error)) from None
    except OSError as error:
        raise Unfetchable(error.strerror or str(error)) from None


def push(
    found: Made,
    *,
    onto: str,
    access: Access,
    protected: Sequence[str],
    state: Path,
    environ: Mapping[str, str],
    tick: Tick,
) -> Pushed:
    """Bring the commits to branch `onto` of the forge, if they may go there.  Raises `Unpushable`."""
    try:
        if found.place not in ("", places.name_of(state)):
            raise Unpushable("they are in the state directory of another machine")
        with mirror.held(state, found.mirror, environ=environ, tick=tick) as ours:
            way = _Way(ours, found, onto=onto, access=access)
            return way.refusal(protected) or way.go()
    except _Refused as error:
        return Pushed(state="refused", why=(str(error),))
    except (Unfetchable, GitError) as error:
        raise Unpushable(str(error)) from None
    except OSError as error:
        raise Unpushable(error.strerror or str(error)) from None


class _Refused(Exception):
    """Another try would hear the same."""


class _Way:
    """From one branch of the mirror to one of the forge."""

    def __init__(self, ours: Mirror, found: Made, *, onto: str, access: Access) -> None:
        self._mirror, self._git = ours, ours.git
        self._made, self._onto, self._access = found, onto, access
        #: What an earlier try was about to push, if that was not the agent's commits as they are.
        self._trace = f"refs/bottlepost/pushing/{found.branch}"

    def refusal(self, protected: Sequence[str]) -> Pushed | None:
        """Why it may not be pushed at all."""
        found, git = self._made, self._git
        if git.says("check-ref-format", f"refs/heads/{self._onto}") is None:
            return Pushed(state="refused", why=("its branch has a name that git does not take",))
        if not all(self._mirror.has(commit) for commit in (found.commit, found.start)):
            return Pushed(state="refused", why=("they are not in the mirror any more",))
        if not self._is_in(found.start, found.commit):
            return Pushed(
                state="held", why=("they replace commits of the pull request, and only additions are pushed",)
            )
        base = found.base if self._mirror.has(found.base) else ""
        faults = inspecting.faults(git, self._own(), start=found.start, base=base, protected=protected)
        return Pushed(state="held", why=tuple(faults)) if faults else None

    def go(self) -> Pushed:
        tip = self._tip()
        trace = self._git.says("rev-parse", "--verify", "--quiet", f"{self._trace}^{{commit}}") or ""
        for commit in filter(None, (self._made.commit, trace)):
            if self._is_in(commit, tip):  # an earlier try of ours came so far, and somebody may have gone on from there
                return self._pushed(commit, rebased=commit == trace)
        if not tip:
            return Pushed(state="refused", why=("its branch is gone",))
        # From where the agent began, or from its own commits on: a branch that somebody has set back to before them is
        # in the agent's past too, but what was taken away there must not come back with them.
        if self._is_in(self._made.start, tip) and self._is_in(tip, self._made.commit):
            now = self._sent(self._made.commit, tip)
            if now == self._made.commit:
                return self._pushed(now)
            tip = now
        rebased = self._on_top_of(tip) if tip else ""
        if not rebased:
            return Pushed(state="refused", why=("others have pushed meanwhile, and the changes do not go together",))
        if rebased == tip:
            return self._pushed(tip)
        self._git.run("update-ref", self._trace, rebased)
        if self._sent(rebased, tip) == rebased:
            return self._pushed(rebased, rebased=True)
        return Pushed(state="refused", why=("others keep pushing to its branch",))

    def _pushed(self, commit: str, *, rebased: bool = False) -> Pushed:
        many = len(self._own())
        # They are on the forge: nobody looks for them here any more.  Their objects stay for another two weeks.
        for ref in (f"refs/heads/{self._made.branch}", f"refs/bottlepost/onto/{self._made.branch}"):
            self._git.says("update-ref", "-d", ref)
        return Pushed(state="pushed", commit=commit, many=many, rebased=rebased)

    def _tip(self) -> str:
        """Where the forge's branch is ("" = nowhere); the mirror has it then."""
        ref, ours = f"refs/heads/{self._onto}", f"refs/bottlepost/onto/{self._made.branch}"
        said = self._git.run("ls-remote", "--quiet", "--", self._access.url, ref, access=self._access).decode()
        tip = next((words[0] for line in said.splitlines() if (words := line.split("\t"))[1:] == [ref]), "")
        if tip and not self._mirror.has(tip):
            self._mirror.bring(self._access, f"+{ref}:{ours}")
            tip = self._mirror.commit(ours)
        return tip

    def _sent(self, commit: str, tip: str) -> str:
        """Push it if the branch is still at `tip`; where it is then.  Raises `Unpushable`."""
        ref = f"refs/heads/{self._onto}"
        try:
            self._git.run(
                "push", "--quiet", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no",
                f"--force-with-lease={ref}:{tip}", "--", self._access.url, f"{commit}:{ref}", access=self._access,
                seconds=FETCHING,
            )  # fmt: skip
        except GitError as error:
            now = self._tip()
            if now == tip:
                raise (_Refused if _FOR_GOOD.search(str(error)) else Unpushable)(str(error)) from None
            return now
        return commit

    # -- commits -------------------------------------------------------------------------------------------------

    def _is_in(self, commit: str, tip: str) -> bool:
        return bool(tip) and self._git.says("merge-base", "--is-ancestor", commit, tip) is not None

    def _own(self) -> list[str]:
        """The agent's commits, oldest first."""
        not_own = [f"^{commit}" for commit in (self._made.start, self._made.base) if self._mirror.has(commit)]
        said = self._git.run("rev-list", "--reverse", "--topo-order", self._made.commit, *not_own, "--")
        return said.decode().split()

    def _on_top_of(self, tip: str) -> str:
        """The same commits after `tip`; "" when they do not fit there.  Done twice it makes the same."""
        for commit in self._own():
            parents = self._git.run("rev-list", "--parents", "--max-count=1", commit).decode().split()[1:]
            if len(parents) != 1:
                return ""
            try:
                tip = self._picked(commit, parents[0], tip)
            except GitError:
                return ""
        return tip

    def _picked(self, commit: str, parent: str, tip: str) -> str:
        git = self._git
        tree = git.run("rev-parse", "--verify", f"{tip}^{{tree}}").decode().strip()
        # What is on both sides, as a commit that has their common past: so old a git takes no such past by name.
        side = git.run("commit-tree", tree, "-p", parent, "-m", "side").decode().strip()
        said = git.run("merge-tree", "--write-tree", "--no-messages", side, commit, seconds=BUILDING, most=MOST_PACK)
        merged = said.decode().split()[0]
        if merged == tree:
            return tip
        head, _, message = git.run("cat-file", "commit", commit).partition(b"\n\n")
        kept = [line for line in head.split(b"\n") if line.startswith((b"author ", b"committer ", b"encoding "))]
        lines = [b"tree " + merged.encode(), b"parent " + tip.encode(), *kept]
        return (
            git.run("hash-object", "-t", "commit", "-w", "--stdin", feed=b"\n".join(lines) + b"\n\n" + message)
            .decode()
            .strip()
        )
