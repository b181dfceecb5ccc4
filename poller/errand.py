"""What the poller brings to a turn: the words for the agent, and what becomes of its answer.

The only place where turns and pull requests meet.  Must not know how an agent is run.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import sqlalchemy as sa

from poller import answers, eventlog, posting, store
from poller.deltas.events import Actor, Event, place_of
from poller.deltas.pulls import Heads, Known
from poller.fold import folded, tellable
from poller.forge import errors
from poller.forge.questions import Questions
from poller.gate import Gate
from poller.pushes import access_to
from poller.reviews import SCHEMA
from poller.whereabouts import events_in, pull_in
from sessions import lifecycle, registry
from sessions import tables as session_tables
from sessions.config import Agent
from sessions.database import begin, reading
from sessions.logs import fields
from sessions.sources import Access, Checkout, Fetch, Source
from sessions.turns import Dropped, Mode, NotNow, Outcome, Ready, Session, Turn

log = logging.getLogger(__name__)

#: Bytes of a diff that are asked for at most.
DIFF = 200_000
#: Seconds until a launch that the forge prevented is tried again; of a repository that cannot be found.
AGAIN, MUCH_LATER = 60.0, 3600.0
#: Seconds for which a repository is taken to be called as the forge has just said.
BRIEF = 5.0
#: Turns that are looked through for what a new conversation should know.
RECALLED = 50
#: After these the last prompt is still in the conversation, and is sent again with the next one.
STILL_THERE = frozenset({"overloaded", "refused"})


class PullErrand:
    """Turns about pull requests of one forge."""

    def __init__(
        self,
        engine: sa.Engine,
        questions: Questions,
        *,
        forge: str,
        agents: Mapping[str, Agent],
        remote: Access | None = None,
        now: Callable[[], float] = time.time,
        gate: Gate | None = None,
    ) -> None:
        """`remote`: the forge's address without `/api/v1`, and how to fetch from it; `None` = code is never fetched.
        `gate`: who may still start what; `None` = everything that waits."""
        self._engine, self._questions, self._forge = engine, questions, forge
        self._agents, self._remote, self._now, self._gate = agents, remote, now, gate

    def prepare(self, turn: Turn, session: Session, mode: Mode, fetch: Fetch) -> Ready | Dropped | NotNow:
        """The prompt, after a last look at the pull: what was true when the events came need not be true now."""
        agent = self._agents.get(turn.agent)
        if agent is None:
            return Dropped(reason=f"agent {turn.agent} is no longer in the config")
        place = place_of(turn.ref)
        with reading(self._engine) as conn:
            known = store.places(conn, self._forge, [place])[place].known
            events = eventlog.events(conn, turn.events)
            bot = store.forge(conn, self._forge).bot
            earlier = _earlier(conn, turn, session) if mode == "fresh" else []
        assert known is not None  # its events came from reading it
        try:
            # Before anything is asked by a name: another repository may have it now.
            repo, begun = posting.address(self._questions, turn.ref, known.row.repo).repo, self._now()
            known, events = pull_in(known, repo), events_in(events, {known.row.repo_id: repo})
            passed = self._gate.passed(turn, known.row, events) if self._gate is not None else events
            if isinstance(passed, Dropped):
                return passed
            events = passed
            if not tellable(folded(events)):
                return Dropped(reason="everything it was about has been undone")
            heads = self._questions.heads(known.row.repo, known.row.number)
            if heads.state == "closed":
                return Dropped(reason="the pull is merged" if heads.merged else "the pull is closed")
            if (kept_out := self._kept_out(turn, heads, events)) is not None:
                return kept_out
            diff = self._diff(known, events, mode)
            if heads.fork and self._questions.heads(known.row.repo, known.row.number).head_sha != heads.head_sha:
                return NotNow(reason="the fork was pushed to just now", at=self._now() + 1.0, patient=True)
            if abs(self._now() - begun) >= BRIEF and posting.address(self._questions, turn.ref, repo).repo != repo:
                return NotNow(reason="its repository was renamed just now", at=self._now() + 1.0, patient=True)
        except posting.Away as trouble:
            return NotNow(reason=f"{trouble}; it waits a week for its return", at=self._now() + MUCH_LATER)
        except errors.NotFound as trouble:
            gone = self._questions.what_is_gone(known.row.repo, known.row.repo_id, known.row.number)
            if gone == "pull":
                return Dropped(reason="the pull was deleted")
            if gone == "repository":
                reason = "its repository is gone, or was taken from the bot; it waits a week for its return"
                return NotNow(reason=reason, at=self._now() + MUCH_LATER)
            return NotNow(reason=str(trouble), at=self._now() + AGAIN)
        except errors.ForgeError as trouble:
            return NotNow(reason=str(trouble), at=self._now() + AGAIN)
        source = self._source(known, heads) if agent.checkout else None
        pushes = agent.push and not heads.fork
        how_to_diff = _told(fetch(source), pushes=pushes) if source is not None else ""
        login = bot.login if bot is not None else ""
        is_own = bot is not None and known.row.author is not None and known.row.author.id == bot.id
        ready = self._ready(
            turn, session, agent, mode, bot=login, known=known, heads=heads, events=events, earlier=earlier, diff=diff,
            how_to_diff=how_to_diff, is_own=is_own,
        )  # fmt: skip
        if isinstance(ready, Ready) and answers.needs_aim(agent):
            with begin(self._engine) as conn:
                answers.launched(
                    conn, turn, agent, heads, is_own=is_own, url=known.row.html_url, desk=self._desk(bot)
                )  # fmt: skip
        return ready

    def settled(self, conn: sa.Connection, turn: Turn, session: Session, outcome: Outcome) -> None:
        """The agent's words, or a word about why there are none, into the outbox; and what else follows."""
        agent = self._agents.get(turn.agent) or Agent()
        because = lifecycle.continuity(turn, session, is_successor=_is_successor(conn, session))
        desk = self._desk(store.forge(conn, self._forge).bot)
        answers.settle(conn, turn, outcome, agent, desk, because=because)

    def _desk(self, bot: Actor | None) -> answers.Desk:
        return answers.Desk(forge=self._forge, bot=bot.login if bot is not None else "", now=self._now())

    def _kept_out(self, turn: Turn, heads: Heads, events: list[Event]) -> Dropped | NotNow | None:
        return self._gate.of_fork(turn, heads, events) if self._gate is not None else None

    def _diff(self, known: Known, events: list[Event], mode: Mode) -> str | None:
        """The change itself, where the turn is about it: at first, and after a push."""
        if mode == "resume" and not any(event.event == "pull_request_sync" for event in events):
            return None
        text, _whole = self._questions.diff(known.row.repo, known.row.number, limit=DIFF)
        return text

    def _source(self, known: Known, heads: Heads) -> Source | None:
        """The head as we have just seen it: a push after this look is another turn's, and perhaps nobody's."""
        if self._remote is None:
            return None
        row = known.row
        mark = hashlib.sha256(self._forge.encode()).hexdigest()[:8]
        return Source(
            mirror=f"{row.repo_id}-{mark}",  # forges may share a state directory
            access=access_to(self._remote, row.repo),
            head_ref=f"refs/pull/{row.number}/head",
            base=heads.base_ref,
            branch=f"pull-{row.number}",
            head=heads.head_sha,
            base_head=heads.base_sha,
            exact=heads.fork,  # of a fork's head somebody may have approved this commit, and no other
        )

    def _ready(
        self,
        turn: Turn,
        session: Session,
        agent: Agent,
        mode: Mode,
        *,
        bot: str,
        known: Known,
        heads: Heads,
        events: list[Event],
        earlier: list[tuple[Turn, list[Event]]],
        diff: str | None,
        how_to_diff: str,
        is_own: bool,
    ) -> Ready | NotNow:
        from poller.prompts.compose import PromptError, PromptFacts, compose
        from poller.prompts.recap import Earlier, recap

        before = [
            Earlier(turn=one.id, events=tuple(about), answer=one.answer, reason=one.reason) for one, about in earlier
        ]
        row = known.row
        still_there = mode == "resume" and turn.kind in STILL_THERE
        prompt_facts = PromptFacts(
            agent=turn.agent,
            bot=bot,
            mode=mode,
            key=f"{self._forge}/{row.repo}#{row.number}",
            repo=row.repo,
            number=row.number,
            title=row.title,
            author=row.author.login if row.author else None,
            head=heads.head_ref,
            base=heads.base_ref,
            html_url=row.html_url,
            description=row.body,
            diff=diff,
            how_to_diff=how_to_diff,
            events=tuple(folded(events)),
            notes=session.summary if mode == "fresh" else "",
            recap=recap(before, bot=bot),
            repeat=turn.is_repeat,
            heard=frozenset(turn.told) if still_there else frozenset(),
            reply=agent.reply,
            may_approve=agent.approve and not is_own,
        )
        try:
            prompt = compose(prompt_facts, directory=Path(agent.prompts) if agent.prompts else None)
        except PromptError as trouble:
            # The operator's to mend: until then the events wait.
            log.error("template cannot be used", extra=fields(error=trouble))
            return NotNow(reason=str(trouble), at=self._now() + AGAIN)
        schema = SCHEMA if agent.reply == "review" else ""
        return Ready(prompt=prompt, events=tuple(event.id for event in events), schema=schema)


def _told(checkout: Checkout, *, pushes: bool) -> str:
    from poller.prompts.checkout import how_to_see

    return how_to_see(checkout, pushes=pushes)


def _earlier(conn: sa.Connection, turn: Turn, session: Session) -> list[tuple[Turn, list[Event]]]:
    """Turns of this session that are over and that its last hand-over, if there was one, knows nothing of."""
    over = [
        one
        for one in registry.turns(conn, identity=session.identity, limit=RECALLED)
        if one.id != turn.id and one.id >= session.summary_turn and one.state in ("done", "failed")
    ]
    found = {event.id: event for event in eventlog.events(conn, [id for one in over for id in one.events])}
    return [(one, [found[id] for id in one.events if id in found]) for one in over]


def _is_successor(conn: sa.Connection, session: Session) -> bool:
    """Has its pull had another bottle of this agent before?"""
    c = session_tables.session.c
    former = sa.exists().where(c.ref == session.ref, c.agent == session.agent, c.id < session.id)
    return bool(conn.scalar(sa.select(former)))
