"""What follows from the end of a turn on its pull: words, reactions, a status, a push.  Written down, not done.

Knows outcomes, the agent's settings, and what was noted at the launch.  Must not know HTTP or git.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa

from poller import deeds, eventlog, letters, replies, reviews, tables, threads
from poller.deltas.events import Event as Happened
from poller.deltas.pulls import Heads
from poller.mentions import mention_in
from poller.posting import Event, Review
from poller.store import upsert
from poller.threads import Thread
from sessions.config import Agent
from sessions.sources import Pushed
from sessions.turns import Outcome, Turn


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """The pull as a turn found it right before its launch.  `is_own`: the bot itself has opened it."""

    turn_id: int
    head_sha: str
    head_ref: str
    is_fork: bool
    is_own: bool
    url: str


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Where a turn's end is written down.  `bot`: our login there."""

    forge: str
    bot: str
    now: float


def needs_aim(agent: Agent) -> bool:
    """Does the end of its turns depend on how they began?"""
    return agent.push or agent.status or agent.reply == "review"


def launched(
    conn: sa.Connection, turn: Turn, agent: Agent, heads: Heads, *, is_own: bool, url: str, desk: Desk
) -> None:
    """The turn is about to begin: what its end will need to know, and the status that says so."""
    values = {
        "head_sha": heads.head_sha,
        "head_ref": heads.head_ref,
        "is_fork": heads.fork,
        "is_own": is_own,
        "url": url,
    }
    upsert(conn, tables.aim, {"turn_id": turn.id}, values)
    if agent.status:
        _status(conn, turn, heads.head_sha, "pending", f"{turn.agent} is at work", url=url, desk=desk)


def settle(conn: sa.Connection, turn: Turn, outcome: Outcome, agent: Agent, desk: Desk, *, because: str = "") -> None:
    """The turn has come to this, for now or for good.  `because`: how its conversation came to be, in words."""
    if turn.state == "waiting":
        return
    read = reviews.read(outcome.structured, outcome.text) if agent.reply == "review" else None
    end = _End(turn=turn, outcome=outcome, agent=agent, aim=_aim(conn, turn.id), read=read, because=because)
    later = _done(conn, end, desk)
    if agent.reply != "none":
        _said(conn, end, later, desk)


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """A turn's end.  `read`: its words as a review, where they are to be one."""

    turn: Turn
    outcome: Outcome
    agent: Agent
    aim: Aim | None
    read: reviews.Said | None
    because: str


def _done(conn: sa.Connection, end: _End, desk: Desk) -> deeds.Push | Pushed | None:
    """The status and the push; what there is to say of a push."""
    turn, agent, aim, read = end.turn, end.agent, end.aim, end.read
    status: deeds.Status | None = None
    if agent.status and aim is not None:
        # A status is what others may wait for: it goes by the verdict, where there is one.
        is_rejected = turn.state == "done" and read is not None and read.verdict == "request_changes"
        state: deeds.State = "success" if turn.state == "done" and not is_rejected else "failure"
        what = f"turn {turn.id}: changes requested" if is_rejected else _described(turn)
        status = _status(conn, turn, aim.head_sha, state, what, url=aim.url, desk=desk)
    return _to_push(conn, turn, end.outcome, aim, status=status, desk=desk)


def _said(conn: sa.Connection, end: _End, later: deeds.Push | Pushed | None, desk: Desk) -> None:
    """The words, and the reactions on what was asked."""
    turn, outcome, agent, aim = end.turn, end.outcome, end.agent, end.aim
    events = eventlog.events(conn, turn.events)
    asking = _asking(events, bot=desk.bot)
    in_review = any(event.subject.review_id and mention_in(event.subject.body or "", desk.bot) for event in events)
    heard = dict.fromkeys([*(one.comment_id for one in asking), *(deeds.heard(conn, turn.id) if in_review else ())])
    for comment_id in heard if turn.state != "dropped" else ():
        content = "rocket" if turn.state == "done" else "confused"
        deeds.react(conn, comment_id, content, forge=desk.forge, ref=turn.ref, turn_id=turn.id, now=desk.now)
    said, review = _review(end)
    quote = _quote(asking)
    bodies = words_after(
        turn, said, agent, bot=desk.bot, quote=quote, later=later is not None,
        before=letters.notices(conn, turn.id), because=end.because,
    )  # fmt: skip
    if not bodies:
        return
    thread = _thread(events, quote, bot=desk.bot) if outcome.kind == "done" and _is_plain(agent) else None
    if thread is not None:
        bodies[0] = bodies[0].removeprefix(threads.quoting(thread, ""))
    if isinstance(later, Pushed):  # nothing to wait for: it is known by now
        kept = outcome.made.branch if outcome.made is not None else ""
        told = replies.about_push(later, branch=aim.head_ref if aim is not None else "", kept=kept)
        bodies = [replies.told_later(body, told) for body in bodies]
    if agent.sticky:
        letters.supersede(conn, ref=turn.ref, part=_sticky_part(turn), turn_id=turn.id)
    repo, _, number = turn.key.removeprefix(f"{desk.forge}/").rpartition("#")
    letters.put(
        conn, forge=desk.forge, ref=turn.ref, repo=repo, number=int(number), turn_id=turn.id, bodies=bodies,
        now=desk.now, review=review, thread=thread,
    )  # fmt: skip
    if isinstance(later, deeds.Push):
        letters.hold(conn, turn_id=turn.id)


def words_after(
    turn: Turn,
    outcome: Outcome,
    agent: Agent,
    *,
    bot: str = "",
    quote: str = "",
    later: bool = False,
    before: int = 0,
    because: str = "",
) -> list[str]:
    """What is to be said on the pull when a turn has come to this: nothing as long as it will be tried again.

    `before`: how often it has said already why there is no answer."""
    if turn.state == "done" and outcome.kind == "done":
        return [
            replies.answer(
                outcome.text, turn.id, mode=turn.mode, because=because, usd=turn.cost_usd, bot=bot, quote=quote,
                later=later, named=_sticky_part(turn) if agent.sticky else "1",
            )
        ]  # fmt: skip
    if turn.state not in ("done", "failed"):
        return []
    why: replies.Why = "failed"
    if outcome.kind in ("limited", "refused", "too_long"):
        why = outcome.kind
    more = {"reason": outcome.reason, "so_far": outcome.so_far, "bot": bot}
    return [replies.notice(why, turn.id, key=turn.key, usd=turn.cost_usd, before=before, **more)]


def _review(end: _End) -> tuple[Outcome, Review | None]:
    """The outcome with the review's summary as its words, and what makes the post a review."""
    turn, outcome, agent, aim, said = end.turn, end.outcome, end.agent, end.aim, end.read
    if said is None or turn.state != "done" or outcome.kind != "done":
        return outcome, None
    may_judge = aim is not None and not aim.is_own  # a verdict on the bot's own pull is its own praise
    event: Event = "COMMENT"
    if said.verdict == "request_changes" and may_judge:
        event = "REQUEST_CHANGES"
    elif said.verdict == "approve" and may_judge and agent.approve:
        event = "APPROVED"
    remarks = [msgspec.structs.replace(one, body=_bounded(one.body)) for one in said.remarks]
    review = Review(event=event, commit=aim.head_sha if aim is not None else "", remarks=tuple(remarks), fit=True)
    return msgspec.structs.replace(outcome, text=said.summary or _pointing(len(remarks))), review


def _bounded(words: str) -> str:
    said = replies.harmless(words)
    # A cut can break code open, and what was code would notify people.
    return said if len(said) <= replies.LIMIT else replies.harmless(said, code_too=True)[: replies.LIMIT]


def _pointing(remarks: int) -> str:
    return "See the remarks on the lines." if remarks else ""


def _sticky_part(turn: Turn) -> str:
    return f"{replies.STICKY}{turn.agent}"


def acknowledged(conn: sa.Connection, event: Happened, *, turn_id: int, desk: Desk) -> None:
    """Whoever has asked sees at once that he was heard."""
    for one in _asking([event], bot=desk.bot):
        deeds.react(conn, one.comment_id, deeds.SEEN, forge=desk.forge, ref=event.ref, turn_id=turn_id, now=desk.now)


class Asked(msgspec.Struct, frozen=True):
    """A comment that a turn answers; `path` is "" for one on no line."""

    comment_id: int
    path: str
    line: int | None
    body: str
    #: Of a comment on a line; 0 where that is not known.
    review_id: int = 0


def _asking(events: Sequence[Happened], *, bot: str) -> list[Asked]:
    """Comments that woke, and remarks of reviews that mention the bot."""
    found: dict[int, Asked] = {}
    for event in events:
        about = event.subject
        if event.event == "pull_request_comment" and event.action != "deleted" and isinstance(about.comment_id, int):
            path, line = about.path or "", about.line or None
            found[about.comment_id] = Asked(about.comment_id, path, line, about.body or "", about.review_id or 0)
        if event.row_id and bot and mention_in(about.body or "", bot):
            found[event.row_id] = Asked(event.row_id, "", None, about.body or "")
        for remark in about.comments or ():
            if bot and mention_in(remark.body, bot):
                found[remark.comment_id] = Asked(
                    remark.comment_id, remark.path, remark.line, remark.body, about.review_id or 0
                )
    return list(found.values())


def _quote(asking: Sequence[Asked]) -> str:
    """What is answered, where it stands in a thread of its own: our words stand elsewhere."""
    if len(asking) != 1 or not asking[0].path:
        return ""
    return replies.quoted(asking[0].path, asking[0].line, asking[0].body)


def _is_plain(agent: Agent) -> bool:
    """Is its answer one comment for each turn?"""
    return agent.reply == "comment" and not agent.sticky


def _thread(events: Sequence[Happened], quote: str, *, bot: str) -> Thread | None:
    """The thread in which everything stands that is answered, if it is one."""
    last: Asked | None = None
    for event in events:
        about = event.subject
        is_also_asked_for_all = bool(about.comments) and mention_in(about.body or "", bot)
        asked = [] if is_also_asked_for_all else _asking([event], bot=bot)
        if not asked:
            return None  # there is more to be answered than a remark
        for one in asked:
            if not one.path or not one.review_id or (last is not None and _place(one) != _place(last)):
                return None
            last = one
    return Thread(comment_id=last.comment_id, review_id=last.review_id, quote=quote) if last is not None else None


def _place(asked: Asked) -> tuple[int, str, int | None]:
    return asked.review_id, asked.path, asked.line


def _to_push(
    conn: sa.Connection, turn: Turn, outcome: Outcome, aim: Aim | None, *, status: deeds.Status | None, desk: Desk
) -> deeds.Push | Pushed | None:
    """The push that was noted, what there is to say of one that will not be, or nothing."""
    if turn.state != "done" or aim is None:
        return None
    if outcome.unmade:
        return Pushed(state="refused", why=(f"my commits could not be read ({outcome.unmade})",))
    if outcome.made is None:
        return None
    if aim.is_fork:
        return Pushed(state="refused", why=("the pull request is on no branch of this repository",))
    wanted = deeds.Push(made=outcome.made, branch=aim.head_ref, agent=turn.agent, status=status)
    deeds.put(conn, wanted, forge=desk.forge, ref=turn.ref, turn_id=turn.id, now=desk.now)
    return wanted


def _status(
    conn: sa.Connection, turn: Turn, sha: str, state: deeds.State, description: str, *, url: str, desk: Desk
) -> deeds.Status:
    told = deeds.Status(
        sha=sha, context=f"bottlepost/{turn.agent}", state=state, description=description[: deeds.DESCRIPTION], url=url
    )
    deeds.put(conn, told, forge=desk.forge, ref=turn.ref, turn_id=turn.id, now=desk.now)
    return told


def _described(turn: Turn) -> str:
    what: dict[str, Literal["answered", "stopped"]] = {"done": "answered", "dropped": "stopped"}
    said = f"turn {turn.id} {what.get(turn.state, 'failed')}"
    return f"{said}: {turn.reason}" if turn.reason else said


def _aim(conn: sa.Connection, turn_id: int) -> Aim | None:
    row = conn.execute(sa.select(tables.aim).where(tables.aim.c.turn_id == turn_id)).mappings().one_or_none()
    return Aim(**row) if row is not None else None
