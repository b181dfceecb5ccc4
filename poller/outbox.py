"""Words on their way to the forge: each is posted once, whatever happens between posting and noting it.

Knows the outbox's rows, and that Gitea takes a POST twice if it is sent twice.  So every post carries a hidden marker,
an attempt is counted *before* it is made, and from the second attempt on the forge is searched first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from poller import letters, posting, store
from poller.deltas.events import place_of
from poller.forge import errors
from poller.forge.courtesy import WAITS, until_next
from poller.forge.questions import Questions
from poller.posting import Away, Post
from sessions import processes, registry
from sessions.database import begin, reading
from sessions.logs import bound, fields

log = logging.getLogger(__name__)

#: Seconds that one attempt may take before somebody else may make the next.
LEASE = 180.0
#: What may pass is tried so often at least, and for so long (seconds): a forge may be away for days.
ATTEMPTS, PATIENCE = 12, 7 * 86_400.0
#: Seconds for which a request that nobody answered may still be taken by the forge.
SETTLE = 5.0

End = Literal["sent", "again", "later", "away", "over"]


class Outbox:
    """Posts what is due of one forge.  `nap` waits so many seconds, or returns at once when we are to stop."""

    def __init__(
        self,
        engine: sa.Engine,
        questions: Questions,
        *,
        forge: str,
        now: Callable[[], float],
        nap: Callable[[float], object] = time.sleep,
    ) -> None:
        self._engine, self._questions, self._forge, self._now, self._nap = engine, questions, forge, now, nap
        self._me = str(processes.me())
        #: Posts that this process has given up, each in a line.
        self.given_up: list[str] = []

    def flush(self, *, until: float | None = None) -> int:
        """Post what is due; how many reached the forge.  None is begun any more at the moment `until` (monotonic).

        One pull's trouble does not stop the others; the forge's own does: they would only meet it again."""
        count = 0
        tried = set[int]()
        while (until is None or time.monotonic() < until) and (post := self._claimed(tried)) is not None:
            tried.add(post.id)
            turn = post.turn_id if post.turn_id > 0 else None  # an answer to a command is no turn's
            with bound(pull=f"{self._forge}/{post.repo}#{post.number}", turn=turn, bottle=post.bottle):
                end = self._tried(post)
            count += end == "sent"
            if end == "again":
                tried.discard(post.id)
            if end == "away":
                break
        return count

    def _claimed(self, tried: set[int]) -> Post | None:
        now = self._now()
        with reading(self._engine) as conn:
            if not letters.is_due(conn, self._forge, tried, now=now, longest=2 * WAITS[-1]):
                return None  # nobody waits for the one write transaction for nothing
        with begin(self._engine) as conn:
            return letters.claim(
                conn, self._forge, tried, owner=self._me, now=now, lease=LEASE, longest=2 * WAITS[-1]
            )  # fmt: skip

    # -- one attempt --------------------------------------------------------------------------------------------

    def _tried(self, post: Post) -> End:
        repo = post.repo
        try:
            with reading(self._engine) as conn:
                bot = store.forge(conn, self._forge).bot
            at = posting.address(self._questions, post.ref, post.repo)
            repo = at.repo
            number = self._looked(post, repo, bot=bot.id) if bot is not None else None
            if number is None:

                def is_ours() -> bool:
                    nonlocal post
                    renewed = self._renewed(post, asked_at=post.asked_at or at.date)
                    post = renewed or post
                    return renewed is not None

                number = posting.sent(
                    self._questions, post, repo, bot=bot.id if bot is not None else 0, is_ours=is_ours
                )  # fmt: skip
            if number is None:
                return "later"
        except Away as away:
            return self._wait_for_its_return(post, str(away))
        except errors.ForgeError as trouble:
            return self._settled(post, repo, trouble)
        self._note(post, number)
        return "sent"

    def _looked(self, post: Post, repo: str, *, bot: int) -> int | None:
        """What an earlier attempt has made; one that was cut off a moment ago may be about to appear."""
        if post.attempts <= 1:
            return None
        number = posting.found(self._questions, post, repo, bot=bot)
        left = SETTLE - (self._now() - post.tried_at)
        if number is None and 0 < left <= SETTLE:
            self._nap(left)
            number = posting.found(self._questions, post, repo, bot=bot)
        return number

    def _renewed(self, post: Post, *, asked_at: str) -> Post | None:
        """Asked for right before the post: the whole time of an attempt anew, if nobody has taken it over meanwhile."""
        now = self._now()
        until = now + LEASE
        with begin(self._engine) as conn:
            is_ours = letters.change(
                conn, post, held_by=self._me, lease_until=until, tried_at=now, asked_at=asked_at
            )  # fmt: skip
        return msgspec.structs.replace(post, lease_until=until) if is_ours else None

    def _note(self, post: Post, number: int) -> None:
        with begin(self._engine) as conn:
            # Whoever has taken it over meanwhile finds it by its marker, or here.
            if letters.mark_sent(conn, post, number):
                registry.note_posted(conn, post.turn_id, f"{post.noun} {number}")
        log.info("answer posted", extra=fields(**{post.noun: number}, part=post.part, attempt=post.attempts))

    # -- and if it fails ----------------------------------------------------------------------------------------

    def _settled(self, post: Post, repo: str, trouble: errors.ForgeError) -> End:
        if isinstance(trouble, errors.ServerTrouble | errors.NotFound) and not _is_everybodys(trouble):
            match self._what_is_gone(post, repo):
                case "pull":  # nobody is left to be told anything: that is no failure
                    return self._drop(post, "the pull is gone")
                case "all pulls":
                    return self._wait_for_its_return(post, "its repository's pull requests are switched off")
                case "repository":
                    return self._wait_for_its_return(post, "its repository is gone, or was taken from the bot")
        pieces = posting.gentler(post, trouble)
        if pieces:
            with begin(self._engine) as conn:
                letters.rewrite(conn, post, pieces, owner=self._me)
            log.warning("answer is posted in another shape", extra=fields(error=trouble, parts=len(pieces)))
            return "again"
        may_pass = trouble.passing or isinstance(trouble, errors.NotGitea | errors.Refused | errors.MissingScope)
        if may_pass and not self._is_over(post):
            return self._put_off(post, trouble)
        return self._give_up(post, repo, trouble)

    def _put_off(self, post: Post, trouble: errors.ForgeError) -> End:
        wait = until_next(post.attempts, trouble)
        values: dict[str, Any] = {"not_before": self._now() + wait, "error": str(trouble)}
        if errors.is_an_answer(trouble):
            values["tried_at"] = 0.0
        with begin(self._engine) as conn:
            letters.give_back(conn, post, owner=self._me, **values)
        log.warning("answer not posted yet", extra=fields(error=trouble, again_in=f"{wait:.0f}s"))
        return "away" if _is_everybodys(trouble) else "later"

    def _wait_for_its_return(self, post: Post, why: str) -> End:
        if self._is_over(post):
            return self._drop(post, why)
        wait = WAITS[-1]
        with begin(self._engine) as conn:
            letters.give_back(
                conn, post, owner=self._me, not_before=self._now() + wait, error=why, tried_at=0.0
            )  # fmt: skip
        log.warning("answer not posted yet", extra=fields(error=why, again_in=f"{wait:.0f}s"))
        return "later"

    def _drop(self, post: Post, why: str) -> End:
        with begin(self._engine) as conn:
            if letters.end(conn, post, state="dropped", error=why, owner=self._me, now=self._now()):
                registry.note_posted(conn, post.turn_id, f"dropped: {why}")
        log.info("answer dropped: %s", why, extra=fields(part=post.part))
        return "over"

    def _give_up(self, post: Post, repo: str, trouble: errors.ForgeError) -> End:
        with begin(self._engine) as conn:
            if not letters.end(conn, post, state="failed", error=str(trouble), owner=self._me, now=self._now()):
                return "later"
            registry.note_posted(conn, post.turn_id, f"failed: {trouble.what}")
            mend = letters.mend(conn, post.turn_id)
        self.given_up.append(f"{repo}#{post.number}: an answer could not be posted: {trouble}; {mend}")
        log.error("answer cannot be posted", extra=fields(error=trouble, mend=mend))
        return "over"

    def _is_over(self, post: Post) -> bool:
        return post.attempts >= ATTEMPTS and self._now() - post.created_at >= PATIENCE

    def _what_is_gone(self, post: Post, repo: str) -> Literal["pull", "all pulls", "repository"] | None:
        """Gitea answers 500 to a comment on a pull that is not there."""
        repo_id, _ = place_of(post.ref)
        try:
            return self._questions.what_is_gone(repo, repo_id, post.number)
        except errors.ForgeError:
            return None


def _is_everybodys(trouble: errors.ForgeError) -> bool:
    """Would every other post meet the same?"""
    return errors.is_everybodys(trouble) or isinstance(trouble, errors.MissingScope)
