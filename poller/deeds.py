"""What is done at the forge beside words: reactions, commit statuses, pushes.  Each is noted before it is tried.

Knows the rows, and that all three can be done again without harm: a reaction is there or not, the last status counts,
and a push finds by the branch itself that it has happened.  Answers that tell of a push are held until it is over.
Must not know what a turn said, or git.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from poller import letters, replies, tables
from poller.deltas.events import place_of
from poller.forge import errors
from poller.forge.questions import Questions
from sessions import leases, processes, registry
from sessions.database import begin, reading
from sessions.decoding import decoder
from sessions.logs import bound, fields
from sessions.sources import Made, Pushed, Unpushable

log = logging.getLogger(__name__)

What = Literal["react", "status", "push"]
#: Seconds: for one try, before another process may make the next; waits between tries; and the number of tries.
LEASE = 1800.0
WAITS = (5.0, 30.0, 120.0, 600.0)
ATTEMPTS: dict[What, int] = {"react": 6, "push": 10, "status": 50}
State = Literal["pending", "success", "failure"]
table = tables.deed


class React(msgspec.Struct, frozen=True, kw_only=True):
    """A reaction on a comment, as the forge names it: eyes, rocket, confused."""

    comment_id: int
    content: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A commit's status under the name `context`."""

    sha: str
    context: str
    state: State
    description: str
    url: str


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """Commits to go to a branch of the pull's own repository.  `status`: what their tip is to have then, too."""

    made: Made
    branch: str
    agent: str
    status: Status | None = None


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One row.  `told` is a `React`, a `Status` or a `Push`; `attempts` counts this one."""

    id: int
    turn_id: int
    what: What
    told: bytes
    ref: str
    attempts: int
    lease_until: float


Pusher = Callable[[Push, str, int], Pushed]
"""Pushes for a repository of this name and id, or says why not.  Raises `Unpushable`, `ForgeError`."""


def put(
    conn: sa.Connection, told: React | Status | Push, *, forge: str, ref: str, turn_id: int, place: str, now: float
) -> None:
    """To be done.  A push that has this place in the turn already stays as it is; anything else is noted anew, behind
    what was noted since: a turn that runs again ends again."""
    what = {React: "react", Status: "status", Push: "push"}[type(told)]
    mine = (table.c.turn_id == turn_id, table.c.ref == ref, table.c.what == what, table.c.place == place)
    if what != "push":
        conn.execute(table.delete().where(*mine))
    if conn.execute(sa.select(table.c.id).where(*mine)).first() is None:
        conn.execute(
            table.insert().values(
                turn_id=turn_id, what=what, place=place, told=msgspec.json.encode(told), forge=forge, ref=ref,
                state="waiting", not_before=now, created_at=now,
            )
        )  # fmt: skip


def react(
    conn: sa.Connection, comment_id: int, content: str, *, forge: str, ref: str, now: float, turn_id: int = 0
) -> None:
    """React to a comment, once."""
    told, place = React(comment_id=comment_id, content=content), f"{comment_id} {content}"
    put(conn, told, forge=forge, ref=ref, turn_id=turn_id, place=place, now=now)


def forget(conn: sa.Connection, *, before: float) -> None:
    """Remove what was over long ago."""
    conn.execute(table.delete().where(table.c.state != "waiting", table.c.created_at < before))


class Deeds:
    """Does what is due of one forge."""

    def __init__(
        self, engine: sa.Engine, questions: Questions, *, forge: str, pusher: Pusher, now: Callable[[], float]
    ) -> None:
        self._engine, self._questions, self._forge, self._now = engine, questions, forge, now
        self._pusher, self._me = pusher, str(processes.me())

    def flush(self, *, until: float | None = None, quick: bool = False) -> int:
        """Do what is due; how many are done.  None is begun any more at the moment `until` (monotonic).

        `quick`: only what takes one request.  One pull's trouble does not stop the others."""
        done, tried = 0, set[int]()
        while (until is None or time.monotonic() < until) and (deed := self._claimed(tried, quick=quick)) is not None:
            tried.add(deed.id)
            with bound(turn=deed.turn_id or None):
                done += self._did(deed)
        return done

    def _claimed(self, tried: set[int], *, quick: bool) -> Deed | None:
        """The next due deed, its try counted.  Pushes of one pull keep their order, the others those of one turn."""
        now, earlier = self._now(), table.alias()
        before = sa.exists().where(
            earlier.c.ref == table.c.ref, earlier.c.what == table.c.what, earlier.c.id < table.c.id,
            sa.or_(table.c.what == "push", earlier.c.turn_id == table.c.turn_id), earlier.c.state == "waiting",
        )  # fmt: skip
        due = sa.select(table).where(
            table.c.state == "waiting", table.c.forge == self._forge, table.c.not_before <= now,
            table.c.id.not_in(tried), ~before,
            table.c.what != "push" if quick else sa.true(),
        )  # fmt: skip
        with reading(self._engine) as conn:
            if conn.execute(due.limit(1)).first() is None:
                return None  # nobody waits for the one write transaction for nothing
        with begin(self._engine) as conn:
            for row in conn.execute(due.order_by(table.c.id)).mappings():
                if not leases.is_free(row["owner"], row["lease_until"], now):
                    continue
                held = {"attempts": row["attempts"] + 1, "lease_until": now + LEASE}
                conn.execute(table.update().where(table.c.id == row["id"]).values(owner=self._me, **held))
                return Deed(**{name: row[name] for name in Deed.__struct_fields__} | held)
        return None

    def _did(self, deed: Deed) -> bool:
        try:
            there = self._questions.repository(place_of(deed.ref)[0])
            if there is None:
                return self._settle(deed, "dropped", "its repository is gone, or was taken from the bot")
            if deed.what == "push":
                return self._push(deed, there.full_name)
            self._ask(deed, there.full_name)
        except (errors.ForgeError, Unpushable) as trouble:
            return self._put_off(deed, trouble)
        return self._settle(deed, "done", "")

    def _ask(self, deed: Deed, repo: str) -> None:
        if deed.what == "react":
            reaction = decoder(React).decode(deed.told)
            self._questions.react(repo, reaction.comment_id, reaction.content)
        else:
            status = decoder(Status).decode(deed.told)
            self._questions.post_status(
                repo, status.sha, state=status.state, context=status.context, description=status.description,
                url=status.url,
            )  # fmt: skip

    def _push(self, deed: Deed, repo: str) -> bool:
        wanted = decoder(Push).decode(deed.told)
        try:
            pushed = self._pusher(wanted, repo, place_of(deed.ref)[1])
        except errors.NotFound as trouble:
            pushed = Pushed(state="refused", why=(trouble.what,))
        return self._pushed(deed, wanted, pushed)

    def _pushed(self, deed: Deed, wanted: Push, pushed: Pushed) -> bool:
        """Note it, and let go of the answer that was to tell of it: in one transaction, or in none."""
        said = replies.about_push(pushed, branch=wanted.branch, kept=wanted.made.branch)
        note = f"push {pushed.commit}" if pushed.state == "pushed" else f"not pushed: {'; '.join(pushed.why)}"[:500]
        with begin(self._engine) as conn:
            if not self._noted(conn, deed, "done", "" if pushed.state == "pushed" else note):
                return False
            registry.note_posted(conn, deed.turn_id, note)
            letters.let_go(conn, turn_id=deed.turn_id, said=said, now=self._now())
            if wanted.status is not None and pushed.state == "pushed":
                # It is the pull's head now, and no turn is going to be about it.
                status = msgspec.structs.replace(wanted.status, sha=pushed.commit)
                put(
                    conn, status, forge=self._forge, ref=deed.ref, turn_id=deed.turn_id,
                    place=f"{status.sha} {status.state}", now=self._now(),
                )  # fmt: skip
        more = fields(branch=wanted.branch, commit=pushed.commit or None, why="; ".join(pushed.why) or None)
        log.info("commits pushed" if pushed.state == "pushed" else "commits not pushed", extra=more)
        return True

    def _put_off(self, deed: Deed, trouble: errors.ForgeError | Unpushable) -> bool:
        passing = isinstance(trouble, Unpushable | errors.NotGitea | errors.Refused) or trouble.passing
        if passing and deed.attempts < ATTEMPTS[deed.what]:
            wait = WAITS[min(deed.attempts, len(WAITS)) - 1]
            if isinstance(trouble, errors.RateLimited):
                wait = max(wait, trouble.retry_after or 0.0)
            with begin(self._engine) as conn:
                self._noted(conn, deed, "waiting", str(trouble)[:500], not_before=self._now() + wait)
            log.warning("%s not done yet", deed.what, extra=fields(error=trouble, again_in=f"{wait:.0f}s"))
            return False
        if deed.what == "push":
            pushed = Pushed(state="refused", why=(str(trouble),))
            return self._pushed(deed, decoder(Push).decode(deed.told), pushed)
        return self._settle(deed, "failed", str(trouble)[:500])

    def _settle(self, deed: Deed, state: str, error: str) -> bool:
        with begin(self._engine) as conn:
            mine = self._noted(conn, deed, state, error)
            if mine and deed.what == "push":
                letters.let_go(conn, turn_id=deed.turn_id, said="", now=self._now())
        if error:
            # A locked or deleted comment, a bot that may not write statuses: of no consequence for the turn.
            log.warning("%s not done", deed.what, extra=fields(error=error))
        return mine and state == "done"

    def _noted(self, conn: sa.Connection, deed: Deed, state: str, error: str = "", **values: Any) -> bool:
        """False: somebody else has taken it over meanwhile, and what he notes counts."""
        mine = (table.c.id == deed.id, table.c.owner == self._me, table.c.lease_until == deed.lease_until)
        told = {"state": state, "owner": "", "lease_until": 0.0, "error": error, **values}
        return bool(conn.execute(table.update().where(*mine).values(**told)).rowcount)
