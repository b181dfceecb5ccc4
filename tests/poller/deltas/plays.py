"""A pull that people act on, and what a reader could never know of it.

Must not know which acts there are.
"""

from __future__ import annotations

from typing import NamedTuple

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.state import Review, Row
from poller.demo.world import World
from tests.poller.deltas.collapses import Truth

AUTHOR = "ana"


PEOPLE = ("ana", "ben", "cyd")


REVIEWERS = ("ben", "cyd")


LABELS = ("bug", "ui", "api")


#: Seconds of a pause in which every pull settles.
PAUSE = 400


class Move(NamedTuple):
    """One act: what, who does it, which of the things there it is about, and how long after the last act."""

    what: str
    who: int
    pick: int
    wait: int


class Play:
    """One pull, and what a reader could never know: every head it had, every description, what was pushed unseen."""

    def __init__(self, world: World, repo: Repo) -> None:
        self.world, self.repo = world, repo
        self.pull: Pull
        self.heads: list[str] = []
        self.bodies: list[str] = []
        #: Why the rows do not tell of each push by itself: names of collapses.
        self.loose: set[str] = set()
        self._made = 0
        self._pushed_at = -PAUSE

    def open(self, *, pick: int) -> None:
        self.bodies = ["please"]
        extras = pick % 4
        self.pull = self.repo.open_pull(
            by=AUTHOR,
            title="Add five",
            body="please",
            commits=1 + pick % 2,
            draft=pick % 3 == 2,
            labels=LABELS[:2] if extras == 1 else (),
            milestone="v1" if extras == 1 else None,
            assignees=("ben",) if extras == 2 else (),
            reviewers=("cyd",) if extras in (1, 2) else (),
        )
        self.heads = [self.pull.head_sha]

    def text(self, what: str) -> str:
        """Words that nobody has said before."""
        self._made += 1
        return f"{what} {self._made}"

    def truth(self) -> Truth:
        return Truth(
            review_of_row={review.row.id: review.id for review in self.submitted() if review.row is not None},
            descriptions=self.bodies,
            heads=self.heads,
            loose=frozenset(self.loose),
        )

    # -- what is there to be picked -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self.pull.state == "open"

    @property
    def is_gone(self) -> bool:
        return self.pull.deleted or self.repo.deleted

    @property
    def has_branch(self) -> bool:
        """Is there a branch to push to?"""
        source = self.pull.head_repo
        return source is not None and not source.deleted and self.pull.head_ref in source.branches

    def submitted(self) -> list[Review]:
        return [one for one in self.pull.reviews if one.row is not None]

    def threads(self) -> list[Row]:
        return [row for review in self.submitted() for row in review.comments if not row.is_reply]

    def remarks(self) -> list[Row]:
        """Everything that is said on lines, and that others see."""
        return [row for review in self.submitted() for row in review.comments]

    # -- pushes -------------------------------------------------------------------------------------------------

    def moved_head(self) -> None:
        self.heads.append(self.pull.head_sha)
        self._pushed_at = self.world.now()
        if not self.is_open:
            self.loose.add("it was closed")

    def wait_out_the_lag(self) -> None:
        """Let the rows of pushes come first: for acts that would have them come when, or where, they never would."""
        self.world.clock.advance(seconds=self.world.push_lag)
        self.world.catch_up()

    def lag_is_over(self) -> None:
        """What is closed while the row of a push is under way keeps that push to itself."""
        if self.world.now() - self._pushed_at <= self.world.push_lag and self.world.push_lag:
            self.loose.add("it was closed before they came")
