"""Histories of a pull request: acts in the order in which people did them, played on a world.

Knows what people can do on a pull and what a real server would have refused.  Must not know who reads it.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.poller.deltas.plays import LABELS, PAUSE, PEOPLE, REVIEWERS, Move, Play
from tests.poller.deltas.silent import SILENT


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


def do(play: Play, move: Move) -> bool:
    """Do it, unless the server would refuse or there is nothing to do it to."""
    play.world.clock.advance(seconds=move.wait)
    with play.world.mutex:
        play.world.catch_up()
        if play.is_gone:
            return False
        act = MOVES.get(move.what) or SILENT[move.what]
        return act(play, PEOPLE[move.who % len(PEOPLE)], move.pick) is not False
