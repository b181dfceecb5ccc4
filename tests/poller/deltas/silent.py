"""Acts on a pull that move no stamp of it, or have no webhook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tests.poller.deltas.plays import LABELS, PEOPLE, Play


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
