"""Logged events of one pull, judged anew and fed again: for whoever has mended what kept them from an answer.

Each is judged by the config and the people's rights as they are now.  What waits or runs stays where it is, and what an
agent has answered is left out unless that is wanted: nothing is answered twice by accident.  Only turns come of it:
nothing is closed, put away or brought back.  Knows the order of things; must not know the command line.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from poller import eventlog, tables
from poller.deltas.events import Event
from poller.halves import stamp_of
from poller.record import Told
from poller.triage import Decision
from sessions import again


class Fed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event for one agent ("" = for all of them).

    `turn`: the one it joined, or the one it has been in all the time; `why`: why it was left out, "" if it was fed."""

    event: Event
    agent: str
    turn: int | None = None
    why: str = ""


def feed(conn: sa.Connection, told: Sequence[Told], *, answered: bool, now: float) -> list[Fed]:
    """Make turns of these judgements; `answered`: also of what an agent has answered before."""
    deleted = {
        one.event.subject.comment_id
        for one in told
        if one.event.event == "pull_request_comment" and one.event.action == "deleted"
    }
    made = list[Fed]()
    for one in told:
        is_deleted = one.event.event == "pull_request_comment" and one.event.subject.comment_id in deleted
        for decision in one.decisions:
            if decision.verdict != "wake":
                made.append(Fed(event=one.event, agent=decision.agent, why=f"{decision.verdict}: {decision.reason}"))
            elif is_deleted:
                made.append(Fed(event=one.event, agent=decision.agent, why="the comment was deleted"))
            else:
                made.append(_fed(conn, one.event, decision, answered=answered, now=now))
    return made


def _fed(conn: sa.Connection, event: Event, decision: Decision, *, answered: bool, now: float) -> Fed:
    agent = decision.agent
    before = again.had(conn, agent=agent, event_id=event.id)
    if before is not None and before.is_on_its_way:
        return Fed(event=event, agent=agent, turn=before.turn, why=f"turn {before.turn} is {before.state} with it")
    if before is not None and before.state == "done" and not answered:
        return Fed(event=event, agent=agent, turn=before.turn, why=f"turn {before.turn} has answered it")
    why = decision.reason.partition(";")[0]
    turn = again.feed(conn, ref=event.ref, key=event.key, agent=agent, event_id=event.id, why=why, now=now)
    _note(conn, event, decision, turn, now=now)
    return Fed(event=event, agent=agent, turn=turn)


def _note(conn: sa.Connection, event: Event, decision: Decision, turn: int | None, *, now: float) -> None:
    """The log says what it is to become now, and in words what it was to become before."""
    former = [
        (old, number)
        for old, number in eventlog.decisions(conn, event.id)
        if old.agent in ("", decision.agent)
    ]  # fmt: skip
    was = "; ".join(f"{old.verdict}{f' in turn {number}' if number else f', {old.reason}'}" for old, number in former)
    c = tables.decision.c
    conn.execute(tables.decision.delete().where(c.event_id == event.id, c.agent.in_(["", decision.agent])))
    reason = f"{decision.reason}; replayed at {stamp_of(now)}{f', before: {was}' if was else ''}"
    made = msgspec.structs.replace(decision, reason=reason)
    eventlog.save_decisions(conn, [made], {} if turn is None else {(event.id, decision.agent): turn})
