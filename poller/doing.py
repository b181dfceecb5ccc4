"""Does what is noted beside words: reactions, commit statuses, pushes.

Knows that all three can be done again without harm: a reaction is there or not, the last status counts, and a push
finds by the branch itself that it has happened.  Answers that tell of a push are held until it is over.  Must not know
what a turn said, or git.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal

import msgspec
import sqlalchemy as sa

from poller import deeds, letters, posting, replies, store
from poller.deeds import Deed, NotThere, Push, React, Status, What
from poller.deltas.events import place_of
from poller.forge import errors
from poller.forge.courtesy import WAITS, until_next
from poller.forge.questions import Questions
from poller.posting import Away
from sessions import processes, registry
from sessions.database import begin, reading
from sessions.decoding import decoder
from sessions.logs import bound, fields
from sessions.sources import Pushed, Unpushable

log = logging.getLogger(__name__)

#: Seconds for one try, before another process may make the next.
LEASE = 1800.0
#: What may pass is tried so often; what others or the operator have to mend also for so long (seconds): an answer may
#: wait for it.
ATTEMPTS: dict[What, int] = {"react": 6, "push": 10, "status": 20}
PATIENCE = 86_400.0
_UNDONE: dict[What, str] = {"react": "reaction not made", "push": "not pushed", "status": "status not set"}
#: So often the forge has to say that something is not there.
SURE = 4

Pusher = Callable[[Push, str, int], Pushed]
"""Pushes for a repository of this name and id, or says why not.  Raises `Unpushable`, `ForgeError`."""
End = Literal["done", "over", "later", "away"]


class Deeds:
    """Does what is due of one forge."""

    def __init__(
        self,
        engine: sa.Engine,
        questions: Questions,
        *,
        forge: str,
        pusher: Pusher,
        now: Callable[[], float],
        place: Callable[[], str] = lambda: "",
    ) -> None:
        """`place`: the name of the own state directory where others share the database, else ""."""
        self._engine, self._questions, self._forge, self._now = engine, questions, forge, now
        self._pusher, self._me, self._place = pusher, str(processes.me()), place
        #: How often in a row nobody was there, and until when nobody is asked again.
        self._absences, self._away_until = 0, 0.0

    def flush(self, *, until: float | None = None, quick: bool = False) -> int:
        """Do what is due; how many are done.  None is begun any more at the moment `until` (monotonic).

        `quick`: only what takes one request.  One pull's trouble does not stop the others; the forge's own does."""
        done, tried = 0, set[int]()
        if 0 < self._away_until - self._now() <= WAITS[-1]:
            return 0
        if not quick:
            self._end_what_is_open()
        while (until is None or time.monotonic() < until) and (deed := self._claimed(tried, quick=quick)) is not None:
            tried.add(deed.id)
            with bound(turn=deed.turn_id or None):
                end = self._tried(deed)
            done += end == "done"
            if end == "away":
                break
        return done

    def forge_is_back(self) -> None:
        """Somebody has just read from it."""
        self._away_until, self._absences = 0.0, 0

    def _end_what_is_open(self) -> None:
        """Of turns that were dropped while they waited, or that have gone on with another commit."""
        with reading(self._engine) as conn:
            if not deeds.left_open(conn, self._forge):
                return
        with begin(self._engine) as conn:
            for deed, said in deeds.left_open(conn, self._forge):
                told: React | Status
                if deed.what == "react":
                    told = msgspec.structs.replace(decoder(React).decode(deed.told), content="confused")
                else:
                    told = msgspec.structs.replace(
                        decoder(Status).decode(deed.told), state="failure", description=said
                    )  # fmt: skip
                deeds.put(conn, told, forge=self._forge, ref=deed.ref, turn_id=deed.turn_id, now=self._now())

    def _claimed(self, tried: set[int], *, quick: bool) -> Deed | None:
        now, here = self._now(), self._place()
        with reading(self._engine) as conn:
            if not deeds.is_due(conn, self._forge, tried, now=now, quick=quick, here=here):
                return None  # nobody waits for the one write transaction for nothing
        with begin(self._engine) as conn:
            return deeds.claim(conn, self._forge, tried, owner=self._me, now=now, lease=LEASE, quick=quick, here=here)

    def _tried(self, deed: Deed) -> End:
        try:
            repo = posting.address(self._questions, deed.ref, self._name_of(deed.ref)).repo
        except Away as away:
            return self._wait_for_its_return(deed, str(away))
        except errors.ForgeError as trouble:
            return self._wait_for_it(deed, trouble) if errors.is_everybodys(trouble) else self._put_off(deed, trouble)
        self._absences = 0
        try:
            if deed.what == "push":
                wanted = decoder(Push).decode(deed.told)
                return self._pushed(deed, wanted, self._pusher(wanted, repo, place_of(deed.ref)[1]))
            state = self._asked(deed, repo)
        except (errors.ForgeError, Unpushable) as trouble:
            return self._put_off(deed, trouble)
        return self._settle(deed, state, "")

    def _name_of(self, ref: str) -> str | None:
        """What its repository was called when somebody last looked."""
        repo_id, _ = place_of(ref)
        with reading(self._engine) as conn:
            known = store.known_repositories(conn, self._forge, [repo_id]).get(repo_id)
        return known.name if known is not None else None

    def _asked(self, deed: Deed, repo: str) -> Literal["open", "done"]:
        if deed.what == "react":
            reaction = decoder(React).decode(deed.told)
            self._questions.react(repo, reaction.comment_id, reaction.content)
            return "open" if reaction.content == deeds.SEEN and deed.turn_id else "done"
        status = decoder(Status).decode(deed.told)
        self._questions.post_status(
            repo, status.sha, state=status.state, context=status.context, description=status.description,
            url=status.url,
        )  # fmt: skip
        return "open" if status.state == "pending" else "done"

    def _pushed(self, deed: Deed, wanted: Push, pushed: Pushed) -> End:
        """Note it, and let go of the answer that was to tell of it: in one transaction, or in none."""
        said = replies.about_push(pushed, branch=wanted.branch, kept=wanted.made.branch)
        note = f"push {pushed.commit}" if pushed.state == "pushed" else f"not pushed: {'; '.join(pushed.why)}"[:500]
        with begin(self._engine) as conn:
            if not deeds.note(conn, deed, "done", "" if pushed.state == "pushed" else note, owner=self._me):
                return "over"
            registry.note_posted(conn, deed.turn_id, note)
            letters.let_go(conn, turn_id=deed.turn_id, said=said, now=self._now())
            if wanted.status is not None and pushed.state == "pushed":
                # It is the pull's head now, and no turn is going to be about it.
                status = msgspec.structs.replace(wanted.status, sha=pushed.commit)
                deeds.put(
                    conn, status, forge=self._forge, ref=deed.ref, turn_id=deed.turn_id, now=self._now()
                )  # fmt: skip
        more = fields(branch=wanted.branch, commit=pushed.commit or None, why="; ".join(pushed.why) or None)
        log.info("commits pushed" if pushed.state == "pushed" else "commits not pushed", extra=more)
        return "done"

    def _wait_for_it(self, deed: Deed, trouble: errors.ForgeError) -> End:
        """The forge is away, which is no try of anybody's: one deed asks for all, ever more seldom."""
        self._absences += 1
        wait = until_next(self._absences, trouble)
        with begin(self._engine) as conn:
            deeds.note(conn, deed, "waiting", str(trouble)[:500], owner=self._me, attempts=deed.attempts - 1)
        self._away_until = self._now() + wait
        log.warning("nothing done", extra=fields(error=trouble, again_in=f"{wait:.0f}s"))
        return "away"

    def _wait_for_its_return(self, deed: Deed, why: str) -> End:
        if deed.what == "react" or self._now() - deed.created_at >= registry.GRACE:
            return self._refused(deed, why) if deed.what == "push" else self._settle(deed, "dropped", why)
        wait = WAITS[-1]
        values = {"attempts": deed.attempts - 1, "not_before": self._now() + wait}
        with begin(self._engine) as conn:
            deeds.note(conn, deed, "waiting", why, owner=self._me, **values)
        log.warning("%s not done yet", deed.what, extra=fields(error=why, again_in=f"{wait:.0f}s"))
        return "later"

    def _put_off(self, deed: Deed, trouble: errors.ForgeError | Unpushable) -> End:
        if not self._is_over(deed, trouble):
            wait = until_next(deed.attempts, trouble)
            with begin(self._engine) as conn:
                if deed.what == "status" and deeds.is_newer_noted(conn, deed):
                    deeds.note(conn, deed, "dropped", "the commit has a newer one", owner=self._me)
                    return "over"
                deeds.note(
                    conn, deed, "waiting", str(trouble)[:500], owner=self._me, not_before=self._now() + wait
                )  # fmt: skip
            log.warning("%s not done yet", deed.what, extra=fields(error=trouble, again_in=f"{wait:.0f}s"))
            return "away" if _is_everybodys(trouble) else "later"
        if deed.what == "push":
            return self._refused(deed, str(trouble))
        return self._settle(deed, "failed", str(trouble)[:500])

    def _is_over(self, deed: Deed, trouble: errors.ForgeError | Unpushable) -> bool:
        """Is there no use in another try?"""
        if isinstance(trouble, NotThere) or (isinstance(trouble, errors.NotFound) and deed.what == "status"):
            return deed.attempts >= SURE
        is_others = isinstance(trouble, Unpushable | errors.MissingScope) or _is_everybodys(trouble)
        if is_others and self._now() - deed.created_at < PATIENCE:
            return False
        passes = isinstance(trouble, Unpushable | errors.NotGitea) or is_others or trouble.passing
        return not passes or deed.attempts >= ATTEMPTS[deed.what]

    def _refused(self, deed: Deed, why: str) -> End:
        return self._pushed(deed, decoder(Push).decode(deed.told), Pushed(state="refused", why=(why,)))

    def _settle(self, deed: Deed, state: Literal["open", "done", "failed", "dropped"], error: str) -> End:
        with begin(self._engine) as conn:
            if state == "open" and deed.what == "status" and deeds.is_newer_noted(conn, deed):
                state = "done"  # what ends it was noted while it was being set
            mine = deeds.note(conn, deed, state, error, owner=self._me)
            if mine and error:
                # A locked or deleted comment, a bot that may not write statuses: of no consequence for the turn.
                registry.note_posted(conn, deed.turn_id, f"{_UNDONE[deed.what]}: {error}")
        if error:
            log.warning("%s not done", deed.what, extra=fields(error=error))
        return "done" if mine and not error else "over"


def _is_everybodys(trouble: errors.ForgeError | Unpushable) -> bool:
    return isinstance(trouble, errors.ForgeError) and errors.is_everybodys(trouble)
