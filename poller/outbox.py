"""Words on their way to the forge: each is posted once, whatever happens between posting and noting it.

Knows the outbox's rows, and that Gitea takes a POST twice if it is sent twice.  So every post carries a hidden marker,
an attempt is counted *before* it is made, and from the second attempt on the pull's comments are searched first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from poller import store
from poller.deltas.events import place_of
from poller.forge import errors
from poller.forge.questions import Questions
from poller.replies import has_marker, marks_in
from poller.tables import outbox as table
from sessions import leases, processes, registry
from sessions.database import begin, reading
from sessions.logs import bound, fields

log = logging.getLogger(__name__)

#: Seconds: how long one attempt may take before somebody else may make the next; waits between attempts.
LEASE = 180.0
WAITS = (5.0, 30.0, 120.0, 600.0, 3600.0)
ATTEMPTS = 12


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One comment to be made.  `part` is what its marker calls it."""

    id: int
    turn_id: int
    part: str
    ref: str
    repo: str
    number: int
    body: str
    attempts: int
    #: Whose words they are, for the log.
    bottle: str


def put(
    conn: sa.Connection, *, forge: str, ref: str, repo: str, number: int, turn_id: int, bodies: list[str], now: float
) -> None:
    """Lay a turn's words into the outbox, part by part; what lies there already stays as it is."""
    there = set(conn.scalars(sa.select(table.c.part).where(table.c.turn_id == turn_id)))
    for body in bodies:
        _, part = marks_in(body)[-1]
        if part not in there:
            conn.execute(
                table.insert().values(
                    forge=forge, ref=ref, repo=repo, number=number, turn_id=turn_id, part=part, body=body,
                    state="waiting", not_before=now, created_at=now,
                )
            )  # fmt: skip


def waiting(conn: sa.Connection) -> int:
    """How many posts have not reached the forge."""
    return int(conn.scalar(sa.select(sa.func.count()).where(table.c.state == "waiting")) or 0)


def readdress(conn: sa.Connection, *, ref: str, repo: str) -> None:
    """A repository is called otherwise now: under its old name may be another one."""
    conn.execute(table.update().where(table.c.ref == ref, table.c.state == "waiting").values(repo=repo))


def failures(conn: sa.Connection, since: float) -> list[tuple[str, str]]:
    """Posts that were given up since then: (pull, why)."""
    given_up = (table.c.state == "failed", table.c.created_at >= since)
    return [(f"{row.repo}#{row.number}", row.error) for row in conn.execute(sa.select(table).where(*given_up))]


def unposted(conn: sa.Connection, turn_id: int) -> list[str]:
    """What a turn has said and the forge has not got yet, in words."""
    query = sa.select(table).where(table.c.turn_id == turn_id, table.c.state == "waiting").order_by(table.c.id)
    found = []
    for row in conn.execute(query):
        tried = f" after {row.attempts} attempts: {row.error}" if row.error else ""
        found.append(f"part {row.part}, not yet{tried}")
    return found


class Outbox:
    """Posts what is due of one forge."""

    def __init__(self, engine: sa.Engine, questions: Questions, *, forge: str, now: Callable[[], float]) -> None:
        self._engine, self._questions, self._forge, self._now = engine, questions, forge, now
        self._me = str(processes.me())

    def flush(self) -> int:
        """Post everything that is due; how many reached the forge.  One pull's trouble does not stop the others."""
        sent = 0
        tried = set[int]()
        while (post := self._claimed(tried)) is not None:
            tried.add(post.id)
            with bound(pull=f"{self._forge}/{post.repo}#{post.number}", turn=post.turn_id, bottle=post.bottle):
                sent += self._posted(post)
        return sent

    def _claimed(self, tried: set[int]) -> Post | None:
        """The next due post, its attempt counted.  A part waits for the parts before it."""
        now, earlier = self._now(), table.alias()
        unsent = sa.exists().where(
            earlier.c.turn_id == table.c.turn_id, earlier.c.id < table.c.id, earlier.c.state == "waiting"
        )
        due = (
            sa.select(table)
            .where(
                table.c.forge == self._forge,
                table.c.state == "waiting",
                table.c.not_before <= now,
                table.c.id.not_in(tried),
                ~unsent,
            )
            .order_by(table.c.id)
        )
        with reading(self._engine) as conn:
            if conn.execute(due.limit(1)).first() is None:
                return None  # nobody waits for the one write transaction for nothing
        with begin(self._engine) as conn:
            for row in conn.execute(due):
                if not leases.is_free(row.owner, row.lease_until, now):
                    continue
                values = {"owner": self._me, "lease_until": now + LEASE, "attempts": row.attempts + 1}
                conn.execute(table.update().where(table.c.id == row.id).values(**values))
                turn = registry.turn(conn, row.turn_id)
                return Post(
                    id=row.id, turn_id=row.turn_id, part=row.part, ref=row.ref, repo=row.repo, number=row.number,
                    body=row.body, attempts=row.attempts + 1, bottle=turn.identity if turn is not None else "",
                )  # fmt: skip
        return None

    def _posted(self, post: Post) -> bool:
        try:
            comment_id = self._found(post) if post.attempts > 1 else None
            if comment_id is None:
                comment_id = self._questions.post_comment(post.repo, post.number, post.body).id
        except errors.ForgeError as trouble:
            self._put_off(post, trouble)
            return False
        with begin(self._engine) as conn:
            self._settle(conn, post, state="sent", comment_id=comment_id, error="")
            registry.note_posted(conn, post.turn_id, f"comment {comment_id}")
        log.info("answer posted", extra=fields(comment=comment_id, part=post.part, attempt=post.attempts))
        return True

    def _found(self, post: Post) -> int | None:
        """The comment that an earlier attempt has made after all."""
        with reading(self._engine) as conn:
            bot = store.forge(conn, self._forge).bot
        for comment in self._questions.comments(post.repo, post.number):
            # Anybody can write a marker: in somebody else's comment it proves nothing.
            is_ours = comment.actor is not None and bot is not None and comment.actor.id == bot.id
            if is_ours and has_marker(comment.body or "", post.turn_id, post.part):
                return comment.id
        return None

    def _put_off(self, post: Post, trouble: errors.ForgeError) -> None:
        passing = trouble.passing or isinstance(trouble, errors.NotGitea | errors.Refused | errors.MissingScope)
        is_gone = isinstance(trouble, errors.ServerTrouble | errors.NotFound) and self._is_gone(post)
        with begin(self._engine) as conn:
            if is_gone:  # nobody is left to be told anything: that is no failure
                self._settle(conn, post, state="dropped", error="the pull is gone")
                registry.note_posted(conn, post.turn_id, "dropped: the pull is gone")
                log.info("answer dropped: the pull is gone", extra=fields(part=post.part))
            elif passing and post.attempts < ATTEMPTS:
                wait = WAITS[min(post.attempts, len(WAITS)) - 1]
                if isinstance(trouble, errors.RateLimited):
                    wait = max(wait, trouble.retry_after or 0.0)
                self._settle(conn, post, not_before=self._now() + wait, error=str(trouble))
                log.warning("answer not posted yet", extra=fields(error=trouble, again_in=f"{wait:.0f}s"))
            else:
                self._settle(conn, post, state="failed", error=str(trouble))
                registry.note_posted(conn, post.turn_id, f"failed: {trouble.what}")
                log.error("answer cannot be posted", extra=fields(error=trouble))

    def _is_gone(self, post: Post) -> bool:
        """Gitea answers 500 to a comment on a pull that is not there."""
        repo_id, _ = place_of(post.ref)
        try:
            return self._questions.issue(post.repo, repo_id, post.number) is None
        except errors.ForgeError:
            return False

    def _settle(self, conn: sa.Connection, post: Post, **values: Any) -> None:
        conn.execute(table.update().where(table.c.id == post.id).values(owner="", lease_until=0.0, **values))
