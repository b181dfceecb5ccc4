"""Histories of a pull request: acts in the order in which people did them, played on a world.

Knows what people can do on a pull and what a real server would have refused.  Must not know who reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
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

    def do(self, move: Move) -> bool:
        """Do it, unless the server would refuse or there is nothing to do it to."""
        self.world.clock.advance(seconds=move.wait)
        with self.world.mutex:
            self.world.catch_up()
            if self.is_gone:
                return False
            act = MOVES.get(move.what) or SILENT[move.what]
            return act(self, PEOPLE[move.who % len(PEOPLE)], move.pick) is not False

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


def push(play: Play, who: str, pick: int) -> bool | None:
    if not play.has_branch:
        return False
    play.pull.push(by=who, commits=1 + pick % 2)
    play.moved_head()
    return None


def force_push(play: Play, who: str, pick: int) -> bool | None:
    if not play.has_branch or (pick % 4 == 3 and play.pull.head_sha == play.pull.base_sha):
        return False
    play.pull.force_push(by=who, to_base=pick % 4 == 3)
    play.moved_head()
    if play.world.version.force_push_rewrites and len(play.heads) > 2:
        play.loose.add("a forced one deleted them")
    return None


def silent_push(play: Play, who: str, _pick: int) -> bool | None:
    if not play.has_branch:
        return False
    play.pull.push_without_own_commits(by=who)
    play.moved_head()
    play.loose.add("no row was written")
    return None


def comment(play: Play, who: str, _pick: int) -> None:
    play.pull.comment(play.text("said"), by=who)


def edit_comment(play: Play, who: str, pick: int) -> bool | None:
    there = play.pull.comments
    if not there:
        return False
    there[pick % len(there)].edit(play.text("said otherwise"), by=who)
    return None


def edit_review(play: Play, who: str, pick: int) -> bool | None:
    there = play.submitted()
    if not there:
        return False
    there[pick % len(there)].edit_body(play.text("judged otherwise"), by=who)
    return None


def reviewed(event: str) -> Callable[[Play, str, int], bool | None]:
    def act(play: Play, who: str, pick: int) -> bool | None:
        who = REVIEWERS[PEOPLE.index(who) % 2]
        if not play.is_open and event != "COMMENT":
            return False
        inline = [("app.txt", 5 + line, play.text("remark")) for line in range(pick % 3)]
        body = play.text(event.lower()) if event == "REQUEST_CHANGES" or pick % 2 or not inline else ""
        play.pull.review(by=who, event=event, body=body, inline=inline)
        return None

    return act


def start_review(play: Play, who: str, pick: int) -> bool | None:
    who = REVIEWERS[PEOPLE.index(who) % 2]
    if play.pull.pending_of(who) is not None:
        return False
    play.pull.start_review(by=who, inline=[("app.txt", 5 + pick, play.text("thought"))])
    return None


def submit_review(play: Play, who: str, pick: int) -> bool | None:
    pending = play.pull.pending_of(REVIEWERS[PEOPLE.index(who) % 2])
    if pending is None:
        return False
    event = ("COMMENT", "APPROVED", "COMMENT", "REQUEST_CHANGES")[pick % 4]
    pending.submit(event=event if play.is_open else "COMMENT", body=play.text("at last") if pick % 2 else "")
    return None


def reply(play: Play, who: str, pick: int) -> bool | None:
    there = play.threads()
    if not there:
        return False
    row = there[pick % len(there)]
    assert row.review is not None
    row.review.reply(row, play.text("because"), by=who)
    return None


def label(play: Play, who: str, pick: int) -> bool | None:
    name = LABELS[pick % 3]
    there = {one.name for one in play.pull.labels}
    match pick // 3:
        case 0 | 1 if name not in there:
            play.pull.label(add=[name], by=who)
        case 2 if name in there:
            play.pull.label(remove=[name], by=who)
        case 3 if there != set(LABELS[1:]):
            play.pull.replace_labels(LABELS[1:], by=who)
        case 4 if there:
            play.pull.clear_labels(by=who)
        case _:
            return False
    return None


def assign(play: Play, who: str, pick: int) -> None:
    person = PEOPLE[pick % 3]
    if any(one.login == person for one in play.pull.assignees):
        play.pull.unassign(person, by=who)
    else:
        play.pull.assign(*{person, PEOPLE[(pick + 1) % 3]} if pick > 9 else {person}, by=who)


def milestone(play: Play, who: str, pick: int) -> bool | None:
    title = (None, "v1", "v2")[pick % 3]
    current = play.pull.current_milestone
    if (current.title if current else None) == title:
        return False
    play.pull.milestone(title, by=who)
    return None


def request(play: Play, who: str, pick: int) -> bool | None:
    asked = REVIEWERS[pick % 2]
    if pick % 3 == 2:
        before = len(play.pull.reviews)
        play.pull.unrequest(asked, by=who)
        return None if len(play.pull.reviews) < before else False
    return None if play.pull.request_review(asked, by=who) is not None else False


def dismiss(play: Play, who: str, pick: int) -> bool | None:
    there = [one for one in play.submitted() if one.state != "COMMENT"]
    if not there:
        return False
    there[pick % len(there)].dismiss(by=who, message=play.text("stale"))
    return None


def title(play: Play, who: str, pick: int) -> None:
    prefix = "WIP: " if play.pull.draft else ""
    if pick % 3 == 0:
        play.bodies.append(play.text("description"))
        play.pull.edit(by=who, title=prefix + play.text("Title"), body=play.bodies[-1])
    else:
        play.pull.edit(by=who, title=prefix + play.text("Title"))


def describe(play: Play, who: str, _pick: int) -> None:
    play.bodies.append(play.text("description"))
    play.pull.edit(by=who, body=play.bodies[-1])


def base(play: Play, who: str, _pick: int) -> bool | None:
    if not play.is_open:
        return False
    play.wait_out_the_lag()
    play.pull.edit(by=who, base="main" if play.pull.base_ref == "develop" else "develop")
    if play.world.version.base_change_rewrites and len(play.heads) > 1:
        play.loose.add("a base change deleted them")
    return None


def draft(play: Play, who: str, _pick: int) -> None:
    if play.pull.draft:
        play.pull.set_ready(by=who)
    else:
        play.pull.set_draft(by=who)


def close(play: Play, who: str, pick: int) -> bool | None:
    if not play.is_open:
        return False
    play.lag_is_over()
    play.pull.close(by=who, comment=play.text("bye") if pick % 3 == 0 else None)
    return None


def reopen(play: Play, who: str, pick: int) -> bool | None:
    if play.is_open or play.pull.merged is not None or not play.has_branch:
        return False
    play.pull.reopen(by=who, on_the_web=bool(pick % 2))
    return None


def merge(play: Play, who: str, pick: int) -> bool | None:
    if not play.is_open or not play.has_branch or play.pull.draft or not play.pull.own_commits():
        return False
    play.lag_is_over()
    play.pull.merge(by=who, style=("merge", "squash", "rebase")[pick % 3], delete_branch=False)
    return None


def noise(play: Play, who: str, pick: int) -> None:
    if pick % 2:
        play.pull.reference(by=who)
    else:
        play.pull.react("heart", by=who)


def pause(play: Play, _who: str, _pick: int) -> None:
    play.wait_out_the_lag()
    play.world.clock.advance(seconds=PAUSE)


#: The least telling one first: Hypothesis makes what fails as simple as it can.
MOVES: dict[str, Callable[[Play, str, int], bool | None]] = {
    "noise": noise,
    "push": push,
    "force push": force_push,
    "silent push": silent_push,
    "comment": comment,
    "edit comment": edit_comment,
    "approve": reviewed("APPROVED"),
    "reject": reviewed("REQUEST_CHANGES"),
    "review": reviewed("COMMENT"),
    "edit review": edit_review,
    "start review": start_review,
    "submit review": submit_review,
    "reply": reply,
    "label": label,
    "assign": assign,
    "milestone": milestone,
    "request": request,
    "dismiss": dismiss,
    "title": title,
    "describe": describe,
    "base": base,
    "draft": draft,
    "close": close,
    "reopen": reopen,
    "merge": merge,
    "pause": pause,
}


# -- what moves no stamp, or has no webhook ----------------------------------------------------------------------------


def delete_comment(play: Play, who: str, pick: int) -> bool | None:
    there = play.pull.comments
    if not there:
        return False
    there[pick % len(there)].delete(by=who)
    return None


def delete_review_row(play: Play, who: str, pick: int) -> bool | None:
    there = [one.row for one in play.submitted() if one.row is not None]
    if not there or not play.world.version.inline_deletable:
        return False
    there[pick % len(there)].delete(by=who)
    return None


def edit_inline(play: Play, who: str, pick: int) -> bool | None:
    there = play.remarks()
    if not there:
        return False
    there[pick % len(there)].edit(play.text("remarked otherwise"), by=who)
    return None


def delete_inline(play: Play, who: str, pick: int) -> bool | None:
    there = play.remarks()
    if not there or not play.world.version.inline_deletable:
        return False
    there[pick % len(there)].delete(by=who)
    return None


def resolve(play: Play, who: str, pick: int) -> bool | None:
    there = play.threads()
    if not there:
        return False
    row = there[pick % len(there)]
    if pick % 2:
        row.unresolve(by=who)
    else:
        row.resolve(by=who)
    return None


def undismiss(play: Play, who: str, pick: int) -> bool | None:
    there = [one for one in play.submitted() if one.dismissed]
    if not there:
        return False
    there[pick % len(there)].undismiss(by=who)
    return None


def delete_review(play: Play, _who: str, pick: int) -> bool | None:
    there = play.submitted()
    if not there:
        return False
    there[pick % len(there)].delete()
    return None


def restamp(play: Play, who: str, pick: int) -> bool | None:
    """A text is saved as it was, or a file is attached to it: a new stamp at most."""
    there = [*play.pull.comments, *play.remarks()]
    if not there:
        return False
    row = there[pick % len(there)]
    if pick % 2:
        row.edit(row.body, by=who)
    else:
        play.pull.attach("screen.png", to=row)
    return None


def delete_label(play: Play, _who: str, pick: int) -> bool | None:
    name = LABELS[pick % 3]
    if all(one.name != name for one in play.repo.labels):
        return False
    play.repo.delete_label(name)
    return None


def delete_milestone(play: Play, _who: str, pick: int) -> bool | None:
    title = ("v1", "v2")[pick % 2]
    if all(one.title != title for one in play.repo.milestones):
        return False
    play.repo.delete_milestone(title)
    return None


def take_access(play: Play, _who: str, pick: int) -> None:
    """Somebody is no collaborator any more, and then is one again: his assignments are gone."""
    person = PEOPLE[pick % 3]
    play.repo.collaborator(person, None)
    play.repo.collaborator(person, "write")


def delete_head_branch(play: Play, who: str, _pick: int) -> bool | None:
    if not play.has_branch:
        return False
    play.wait_out_the_lag()
    play.pull.delete_head_branch(by=who)
    return None


def delete_base_branch(play: Play, who: str, _pick: int) -> bool | None:
    if "develop" not in play.repo.branches or play.repo.default_branch == "develop":
        return False
    play.wait_out_the_lag()
    play.repo.delete_branch("develop", by=who)
    play.repo.branch("develop")
    if play.world.version.base_change_rewrites:
        play.loose.add("a base change deleted them")
    return None


def delete_pull(play: Play, who: str, _pick: int) -> None:
    play.pull.delete(by=who)


def marginal(play: Play, who: str, pick: int) -> None:
    """Rows and stamps that are no event."""
    match pick % 4:
        case 0 if play.pull.locked:
            play.pull.unlock(by=who)
        case 0:
            play.pull.lock(by=who)
        case 1:
            play.pull.pin(by=who)
        case 2:
            play.pull.deadline(None if play.pull.due else play.world.now(), by=who)
        case _:
            play.pull.attach("log.txt")


def backdate(play: Play, who: str, _pick: int) -> bool | None:
    """An admin says that something was said a week ago."""
    if not play.world.version.backdates:
        return False
    before = play.world.now() - 7 * 86_400
    with play.world.backdated(datetime.fromtimestamp(before, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")):
        play.pull.comment(play.text("said long ago"), by=who)
    return None


SILENT: dict[str, Callable[[Play, str, int], bool | None]] = {
    "restamp": restamp,
    "marginal": marginal,
    "delete comment": delete_comment,
    "edit inline": edit_inline,
    "delete inline": delete_inline,
    "resolve": resolve,
    "undismiss": undismiss,
    "delete review": delete_review,
    "delete review row": delete_review_row,
    "delete label": delete_label,
    "delete milestone": delete_milestone,
    "take access": take_access,
    "delete head branch": delete_head_branch,
    "delete base branch": delete_base_branch,
    "backdate": backdate,
    "delete pull": delete_pull,
}
