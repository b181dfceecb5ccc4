"""What an event is to become: for each agent a turn, or nothing, with the reason that the operator will read.

Knows `on`, mentions, the loop guards and what the forge said about people.  Must not know HTTP, SQL or the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from poller.deltas.events import Actor, Event
from poller.mentions import mention_in

if TYPE_CHECKING:
    from sessions.config import Agent


Verdict = Literal["wake", "ignore", "refuse", "close"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one event is to become for one agent ("" = for all), and why."""

    event_id: str
    agent: str
    verdict: Verdict
    reason: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What triage needs to know beside the events."""

    bot: Actor
    agents: Mapping[str, Agent]
    forks: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An event that would wake an agent, by this word of its `on`, if its actor may."""

    event: Event
    agent: str
    word: str


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """May this person ask?  `why` in words for the log."""

    allowed: bool
    why: str


def sorted_out(events: Sequence[Event], facts: Facts) -> tuple[list[Wish], list[Decision]]:
    """Events that would wake somebody, and what is settled without asking who their actor is."""
    wishes: list[Wish] = []
    settled: list[Decision] = []
    for event in events:
        over = _over(event)
        unheard = over or _unheard(event, facts)
        if unheard is not None:
            verdict: Verdict = "close" if over else "ignore"
            settled.append(Decision(event_id=event.id, agent="", verdict=verdict, reason=unheard))
            continue
        found = [
            Wish(event=event, agent=name, word=word)
            for name, agent in facts.agents.items()
            if (word := wakes(event, agent, facts.bot)) is not None
        ]
        if not found:
            settled.append(Decision(event_id=event.id, agent="", verdict="ignore", reason=_no_wish(event, facts)))
        wishes += found
    return wishes, settled


def decided(wish: Wish, ruling: Ruling, facts: Facts) -> Decision:
    """The last word on a wish: trust, and forks."""
    event = wish.event
    pull = event.pull
    fork = pull.fork if pull is not None else None
    if not ruling.allowed:
        return Decision(event_id=event.id, agent=wish.agent, verdict="refuse", reason=ruling.why)
    if fork is not False and facts.forks != "always":
        what = "from a fork" if fork else "perhaps from a fork (the forge has not shown its head)"
        reason = f"{what}, and trust.forks is {facts.forks}"
        return Decision(event_id=event.id, agent=wish.agent, verdict="refuse", reason=reason)
    return Decision(event_id=event.id, agent=wish.agent, verdict="wake", reason=f"{wish.word}; {ruling.why}")


def wakes(event: Event, agent: Agent, bot: Actor) -> str | None:
    """The first word of the agent's `on` that the event answers to."""
    words = words_of(event, bot)
    return next((word for word in agent.on if word in words), None)


def words_of(event: Event, bot: Actor) -> list[str]:
    """The words of `on` that an event answers to."""
    subject, action = event.subject, event.action
    match event.event:
        case "pull_request" if action in ("opened", "reopened"):
            return [action]
        case "pull_request" if action == "edited":
            draft = event.changes.get("draft")
            return ["edited", "ready"] if draft is not None and draft.from_ is True else ["edited"]
        case "pull_request_sync":
            return ["synchronized"]
        case "pull_request_label":
            added = subject.added or []
            return ["labeled", *(f"labeled:{name}" for name in added)] if added else []
        case "pull_request_assign":
            return ["assigned"] if action == "assigned" else []
        case "pull_request_review_request":
            reviewer = subject.reviewer
            asked = action == "review_requested" and isinstance(reviewer, Actor) and reviewer.id == bot.id
            return ["review_requested"] if asked else []
        case "pull_request_review_dismissal":
            return ["dismissed"] if action == "dismissed" else []
        case "pull_request_review_approved":
            return ["approved", *_mentioned(event, bot)]
        case "pull_request_review_rejected":
            return ["rejected", *_mentioned(event, bot)]
        case "pull_request_review_comment":
            return ["reviewed", *_mentioned(event, bot)]
        case "pull_request_comment" if action == "created":
            return ["commented", *_mentioned(event, bot)]
        case "pull_request_comment" if action == "edited":
            return _newly_mentioned(event, bot)
    return []


def _mentioned(event: Event, bot: Actor) -> list[str]:
    texts = [event.subject.body or "", *(remark.body for remark in event.subject.comments or [])]
    return ["mentioned"] if any(mention_in(text, bot.login) for text in texts) else []


def _newly_mentioned(event: Event, bot: Actor) -> list[str]:
    """An edit asks only if it brings the mention: a typo mended in an old request is no new request."""
    before = event.changes.get("body")
    if before is not None and mention_in(str(before.from_), bot.login):
        return []
    return _mentioned(event, bot)


def _over(event: Event) -> str | None:
    """What is said of the event that ends a pull, whoever caused it."""
    if event.event != "pull_request" or event.action not in ("closed", "deleted"):
        return None
    if event.action == "deleted":
        return "deleted: its bottles are put away"
    merged = event.pull is not None and event.pull.merged
    return f"{'merged' if merged else 'closed'}: its bottles are put away"


def _unheard(event: Event, facts: Facts) -> str | None:
    """Why nobody needs to look at an event at all."""
    if event.actor is not None and event.actor.id == facts.bot.id:
        return f"own act of {facts.bot.login}"
    if event.pull is not None and event.pull.state == "closed":
        return "the pull is closed"
    return "no agents in the config" if not facts.agents else None


def _no_wish(event: Event, facts: Facts) -> str:
    words = words_of(event, facts.bot)
    if event.event == "pull_request_comment" and "mentioned" not in words:
        return f"no agent wakes on this: it does not mention @{facts.bot.login}"
    return f"no agent wakes on {' or '.join(words)}" if words else f"no agent wakes on {event.event} {event.action}"
