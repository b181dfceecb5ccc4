"""What an event is to become: for each agent a turn, or nothing, with the reason that the operator will read.

Knows `on`, mentions, the loop guards, forks and what the forge said about people.  Must not know HTTP, SQL or the
clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from poller.commands import Command
from poller.deltas.events import Actor, Event
from poller.mentions import first_mention, mention_in

if TYPE_CHECKING:
    from sessions.config import Agent


#: "hold": it waits until somebody trusted lets the fork's head in; "command": it was obeyed (or answered why not).
Verdict = Literal["wake", "ignore", "refuse", "close", "hold", "command"]
#: What brings a fork's code, by whomever: consent to that code lets it in.
CODE = frozenset({"opened", "reopened", "ready", "synchronized"})
#: Digits of a commit that is named in full: SHA-1, SHA-256.
WHOLE = (40, 64)


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
    #: It is no person at all.
    bot: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A command of somebody who may command."""

    command: Command
    by: Actor
    #: For ok-to-test: the head that is let in, or why none is.
    head: str = ""
    trouble: str = ""
    #: No such word lets it in, whatever its head is.
    in_vain: bool = False


def ordered(
    event: Event, command: Command, ruling: Ruling, facts: Facts, *, head: str, pushed_at: str = ""
) -> tuple[Order | None, Decision]:
    """The last word on a command.  `head`: the pull's, as far as it was told when the command was given; `pushed_at`:
    since when, by the forge's clock, "" when nothing was pushed since it was opened."""
    if not ruling.allowed or ruling.bot or event.actor is None:
        why = f"commands are for people: {ruling.why}" if ruling.bot and ruling.allowed else ruling.why
        return None, Decision(event_id=event.id, agent="", verdict="refuse", reason=f"{command.word}: {why}")
    order = Order(command=command, by=event.actor)
    if command.word == "ok-to-test":
        vain = _nothing_to_let_in(event, facts)
        trouble = vain or _not_to_test(event, command, head, pushed_at)
        allowed = "" if trouble else _live(event)
        order = msgspec.structs.replace(order, head=allowed, trouble=trouble, in_vain=bool(vain))
    what = f"{command.word} {order.head[:12]}".rstrip() if not order.trouble else f"{command.word}: {order.trouble}"
    return order, Decision(event_id=event.id, agent="", verdict="command", reason=f"{what}; {ruling.why}")


def _live(event: Event) -> str:
    return event.pull.head_sha if event.pull is not None else ""


def _nothing_to_let_in(event: Event, facts: Facts) -> str:
    """Why no word lets this in, or ""."""
    if event.pull is not None and event.pull.fork is False:
        return "it comes from no fork"
    if facts.forks == "always":
        return "forks need no consent (trust.forks: always)"
    return "the config lets no fork in (trust.forks: never)" if facts.forks == "never" else ""


def _not_to_test(event: Event, command: Command, head: str, pushed_at: str) -> str:
    """Why this does not let the fork's head in, or "".

    The forge's head may have moved since the words were written: they hold for what was told before them, or for the
    commit that they name in full, and only if it is the head still.  Of a few digits a fork's author makes two."""
    live = _live(event)
    is_named = len(command.sha) in WHOLE and command.sha == live
    if command.sha and not live.startswith(command.sha):
        return f"the head is {live[:12] or 'not known yet'}, not {command.sha[:12]}"
    if (event.action == "edited" or event.is_reworded) and not is_named:
        return "an edit does not show when it was made, nor what the head was then: say it in a new comment"
    if not is_named and event.at <= pushed_at:
        return f"the head {live[:12]} is no older than the words"
    if not live or (not is_named and live != head):
        return f"the head is being pushed to: it is {live[:12]} by now" if live else "the head is not known yet"
    return ""


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


def decided(wish: Wish, ruling: Ruling, facts: Facts, *, approved: bool = False, ignored_by: str = "") -> Decision:
    """The last word on a wish: trust, forks, and what was said about the pull.

    `approved`: somebody trusted has let in the head that the pull had then."""
    event = wish.event
    fork = event.pull.fork if event.pull is not None else None
    strange = fork is not False and facts.forks != "always"
    what = "from a fork" if fork else "perhaps from a fork (the forge has not shown its head)"
    of_code = strange and facts.forks == "ask" and wish.word in CODE
    verdict: Verdict
    if not (ruling.allowed or of_code):
        verdict, reason = "refuse", ruling.why
    elif ignored_by:
        verdict, reason = "refuse", f"ignored, as {ignored_by} said; `@{facts.bot.login} resume` ends it"
    elif strange and facts.forks == "never":
        verdict, reason = "refuse", f"{what}, and trust.forks is never"
    elif strange and not approved:
        verdict, reason = "hold", f"{wish.word}; {what}: waits for @{facts.bot.login} ok-to-test"
    elif strange:
        verdict, reason = "wake", f"{wish.word}; {what}, whose head was let in"
    else:
        verdict, reason = "wake", f"{wish.word}; {ruling.why}"
    return Decision(event_id=event.id, agent=wish.agent, verdict=verdict, reason=reason)


def heads_told(events: Sequence[Event], last: str) -> dict[str, str]:
    """Event id → the head that the pull was told to have by then.  `events`: of one look, in order; `last`: after it.

    Every event of a look shows the head as the forge had it at the look; a push behind somebody's words is not what he
    spoke of."""
    found, head = dict[str, str](), last
    for event in reversed(events):
        found[event.id] = head
        if event.event == "pull_request_sync" and isinstance(event.subject.before, str):
            head = event.subject.before
    return found


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
    return ["mentioned"] if first_mention(event.subject.texts, bot.login) is not None else []


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


def is_heard(event: Event, facts: Facts) -> bool:
    """Is it worth a look at what it says?"""
    return _over(event) is None and _unheard(event, facts) is None


def _no_wish(event: Event, facts: Facts) -> str:
    words = words_of(event, facts.bot)
    if event.event == "pull_request_comment" and "mentioned" not in words:
        return f"no agent wakes on this: it does not mention @{facts.bot.login}"
    return f"no agent wakes on {' or '.join(words)}" if words else f"no agent wakes on {event.event} {event.action}"
