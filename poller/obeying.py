"""Carries out what people command in comments, inside the transaction that logs the comment.

Knows what a command changes, and lays the answer into the outbox.  Must not decide who may command: it is given orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from poller import eventlog, letters, money, notices, pauses, standing, tables
from poller.commands import Word
from poller.config import Config
from poller.deltas.events import Actor, Event
from poller.triage import Order
from sessions import ledger, registry, steering

#: Turns that are looked through for one to run again.
_RECENT = 50


class Obeying:
    """For one transaction; `now` is epoch seconds."""

    def __init__(self, conn: sa.Connection, config: Config, bot: Actor, *, now: float) -> None:
        self._conn, self._config, self._bot, self._now = conn, config, bot, now

    def obey(self, event: Event, order: Order) -> None:
        """Do it, and say so on the pull."""
        done: Mapping[Word, Callable[[Event, Order], str]] = {
            "help": self._help, "status": self._status, "stop": self._stop, "retry": self._retry, "reset": self._reset,
            "cost": self._cost, "pause": self._pause, "resume": self._resume, "ok-to-test": self._let_in,
            "ignore": self._ignore,
        }  # fmt: skip
        text = done[order.command.word](event, order)
        self.say(event, notices.answer(text, order.command), part=order.command.word)

    def say(self, event: Event, text: str, *, part: str) -> None:
        """A post of no turn.  Its number is the event's, below zero: the same event says the same part once."""
        assert event.number is not None
        c = tables.event.c
        number = -int(self._conn.execute(sa.select(c.seq).where(c.id == event.id)).scalar_one())
        letters.put(
            self._conn, forge=event.forge, ref=event.ref, repo=event.repo, number=event.number, turn_id=number,
            bodies=[notices.said(text, number, part)], now=self._now,
        )  # fmt: skip

    # -- one by one ---------------------------------------------------------------------------------------------

    def _help(self, event: Event, order: Order) -> str:
        return notices.help_of(self._bot.login, [(name, agent.on) for name, agent in self._config.agents.items()])

    def _status(self, event: Event, order: Order) -> str:
        known, paused = standing.of(self._conn, event.forge, event.ref), self._paused(event)
        lines = [notices.turn_line(turn) for turn in registry.turns(self._conn, ref=event.ref, state="running")]
        lines += [notices.turn_line(turn) for turn in registry.turns(self._conn, ref=event.ref, state="waiting")]
        recent = registry.turns(self._conn, ref=event.ref, limit=_RECENT)
        ended = [turn for turn in recent if turn.ended_at is not None and (turn.launches or not turn.by_hand)]
        lines += [notices.turn_line(turn) for turn in ended[-1:] if turn.state not in ("waiting", "running")]
        lines += [notices.in_code(pause.told) for pause in paused]
        lines += [f"ignored, as {notices.in_code(known.ignored_by)} said"] * bool(known.ignored_by)
        lines += ["it waits for `ok-to-test`"] * known.asked
        lines += [notices.cap_line(cap) for cap in self._caps(event) if cap.spent or cap.reserved]
        return notices.listed(lines or ["nothing runs, and nothing waits"])

    def _stop(self, event: Event, order: Order) -> str:
        reason = f"stopped by {order.by.login}"
        done = steering.stop(self._conn, ref=event.ref, reason=reason, now=self._now)
        return notices.stopped(done.running, done.waiting)

    def _retry(self, event: Event, order: Order) -> str:
        last = {
            turn.agent: turn
            for turn in registry.turns(self._conn, ref=event.ref, limit=_RECENT)
            if turn.events and not turn.by_hand
        }
        again = []
        for turn in last.values():
            if turn.state in ("failed", "dropped") and turn.agent in self._config.agents:
                number = letters.run_again(self._conn, turn.id, now=self._now)
                again += [(turn.agent, number)] if number is not None else []
            elif turn.state == "waiting" and steering.hasten(self._conn, ref=event.ref, now=self._now, turn=turn.id):
                again.append((turn.agent, turn.id))
        return notices.retried(again)

    def _reset(self, event: Event, order: Order) -> str:
        dropped = registry.forget(self._conn, ref=event.ref, now=self._now, why=f"reset by {order.by.login}")
        return notices.forgotten([session.agent for session in dropped])

    def _cost(self, event: Event, order: Order) -> str:
        spent = ledger.spent_since(self._conn, 0.0, ref=event.ref)
        today = ledger.spent_since(self._conn, ledger.day_of(self._now), ref=event.ref)
        so_far = f"{notices.usd(spent.usd)} in {spent.runs} runs, {notices.usd(today.usd)} of it today (UTC)"
        return notices.listed([
            f"this pull request: {so_far}",
            *(notices.cap_line(cap) for cap in self._caps(event)),
        ])  # fmt: skip

    def _pause(self, event: Event, order: Order) -> str:
        reason = order.command.rest[:200] or "asked for in a comment"
        before = pauses.pause(self._conn, self._scope(event), reason=reason, by=order.by.login, now=self._now)
        if before is not None and before.is_operators:
            return notices.held_back([before.told])
        return notices.paused(reason, before=before is not None)

    def _resume(self, event: Event, order: Order) -> str:
        lifted = pauses.unpause(self._conn, self._scope(event), by=order.by.login)
        ignored = standing.of(self._conn, event.forge, event.ref).ignored_by
        standing.change(self._conn, event.forge, event.ref, ignored_by="", unattended=0)
        others = [pause.told for pause in self._paused(event)]
        return notices.resumed(was_paused=lifted is not None, was_ignored=bool(ignored), others=others)

    def _let_in(self, event: Event, order: Order) -> str:
        if order.trouble:
            return notices.not_let_in(order.trouble, "" if order.in_vain else self._bot.login)
        conn = self._conn
        standing.approve(
            conn, event.forge, event.ref, head=order.head, login=order.by.login, event_id=event.id
        )  # fmt: skip
        turns = set()
        for held, decision in eventlog.held(conn, event.ref):
            if decision.agent in self._config.agents:
                turn = registry.enqueue(
                    conn, ref=event.ref, key=event.key, agent=decision.agent, event_id=held,
                    why=decision.reason.partition(";")[0], now=self._now,
                )  # fmt: skip
                if turn is not None:
                    eventlog.joins(conn, held, decision.agent, turn)
                    turns.add(turn)
        steering.hasten(conn, ref=event.ref, now=self._now)
        return notices.let_in(order.head, len(turns))

    def _ignore(self, event: Event, order: Order) -> str:
        waiting = steering.drop_waiting(self._conn, ref=event.ref, reason=f"ignored by {order.by.login}", now=self._now)
        standing.change(self._conn, event.forge, event.ref, ignored_by=order.by.login)
        return notices.ignored(waiting)

    # -- where --------------------------------------------------------------------------------------------------

    def _scope(self, event: Event) -> pauses.Scope:
        assert event.number is not None
        return pauses.pull(event.forge, event.repo_id, event.number, event.repo)

    def _paused(self, event: Event) -> list[pauses.Pause]:
        return pauses.paused(self._conn, ref=event.ref, key=event.key)

    def _caps(self, event: Event) -> list[money.Cap]:
        return money.caps(self._conn, self._config.limits, now=self._now, ref=event.ref)
