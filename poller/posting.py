"""How one post gets to the forge: where to, whether it is there already, and in which other shape it may be taken.

Knows that a repository's name may be another's by now, that Gitea keeps what it has of a review that failed half-way,
and that everything is taken twice if it is sent twice.  Must not know SQL, or when to try again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from poller import replies, threads
from poller.deltas.events import place_of
from poller.deltas.pulls import Comment, Inline
from poller.deltas.pulls import Review as Seen
from poller.forge import errors
from poller.forge.questions import Questions
from poller.threads import Thread

Event = Literal["COMMENT", "APPROVED", "REQUEST_CHANGES"]
#: Characters: what is turned down although it is no longer than this is not turned down for its length.
SHORT = 4_000
#: Bytes of a diff that are looked at for lines; characters of a review's words with all remarks that have no line.
DIFF, MOST = 16 * 1024**2, 4 * replies.LIMIT
#: Seconds by which the forge's clock may go back while we try: what is older than that before the first try is not
#: that post (numbers of turns begin anew with a new database).
SLACK = 600


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """An inline comment on a line of the new file, or (`old`) of the one before."""

    path: str
    line: int
    body: str
    old: bool = False


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a post a review.  `commit` is the head that was reviewed, "" = whatever it is by then.

    `fit`: remarks on lines that the diff does not show go into the words.  `as_comment`: the forge took no such review,
    and it becomes a comment; one that was taken nonetheless is still looked for."""

    event: Event = "COMMENT"
    commit: str = ""
    remarks: tuple[Remark, ...] = ()
    fit: bool = False
    as_comment: bool = False


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One comment or review to be made.  `part` is what its marker calls it; `attempts` counts this one."""

    id: int
    turn_id: int
    part: str
    ref: str
    repo: str
    number: int
    body: str
    review: Review | None
    attempts: int
    created_at: float
    #: When somebody last tried who was never answered (0.0: nobody); the forge's time before the first try.
    tried_at: float
    asked_at: str
    #: The claim: whoever holds it is to be found in the row with this date.
    lease_until: float
    #: Whose words they are, for the log.
    bottle: str = ""
    #: Of a comment: the remark on a line that it answers, if that is all it does.
    thread: Thread | None = None

    @property
    def is_review(self) -> bool:
        return self.review is not None and not self.review.as_comment

    @property
    def noun(self) -> str:
        return "review" if self.is_review else "comment"


class Away(Exception):
    """The pull's repository is not to be found: gone, or taken from us."""


class Address(msgspec.Struct, frozen=True):
    """What the pull's repository is called now, and the forge's clock ("" when it did not say)."""

    repo: str
    date: str


def address(questions: Questions, ref: str, repo: str | None) -> Address:
    """Where the pull is that was in `repo`.  Raises `Away`, when two questions agree.

    Never by the name alone: another repository may have it now."""
    repo_id, _ = place_of(ref)
    there, date = questions.repository_and_date(repo_id)
    if there is not None:
        return Address(there.full_name, date)
    if repo is not None and questions.is_repository(repo, repo_id):
        return Address(repo, date)
    raise Away("its repository is gone, or was taken from the bot")


def found(questions: Questions, post: Post, repo: str, *, bot: int) -> int | None:
    """The comment or review that an earlier attempt has made after all.

    That a list lacks it is believed only when another question agrees: posted twice cannot be mended."""
    if post.review is not None:
        reviews = [one for one in questions.reviews(repo, post.number) if one.state != "PENDING"]
        taken = next((one.id for one in reviews if _is_it(one, post, bot=bot)), None)
        if taken is not None or post.is_review:
            return taken
    if post.thread is not None:
        there = threads.found(
            questions, post.thread, repo, post.number, is_it=lambda one: _is_it(one, post, bot=bot)
        )  # fmt: skip
        if there is not None:
            return there
    for comment in questions.comments(repo, post.number):
        if _is_it(comment, post, bot=bot):
            return comment.id
    if post.asked_at:
        for comment in questions.repo_comments(repo, since=_before(post.asked_at)):
            if comment.number == post.number and _is_it(comment, post, bot=bot):
                return comment.id
    return None


def sent(questions: Questions, post: Post, repo: str, *, bot: int, is_ours: Callable[[], bool]) -> int | None:
    """Post it, once; the id that it was given.  Raises `ForgeError`.

    `is_ours` is asked right before anything is written, when everything that takes long is read; `None`: it is not."""
    if post.thread is not None:
        return threads.said(questions, post.thread, repo, post.number, post.body, is_ours=is_ours)
    if not post.is_review:
        there = _kept_up(questions, post, repo, bot=bot)
        if there is not None:
            if not is_ours():
                return None
            if questions.edit_comment(repo, there, post.body):
                return there
        return questions.post_comment(repo, post.number, post.body).id if is_ours() else None
    post = _fitted(questions, post, repo)
    assert post.review is not None
    left = _left_over(questions, post, repo, bot=bot)
    if left and not is_ours():
        return None
    for review_id in left:
        questions.delete_review(repo, post.number, review_id)
    remarks = [
        {"path": one.path, "body": one.body, "old_position" if one.old else "new_position": one.line}
        for one in post.review.remarks
    ]
    review = {"event": post.review.event, "commit_id": post.review.commit, "body": post.body, "comments": remarks}
    if not is_ours():
        return None
    return questions.post_review(repo, post.number, {name: value for name, value in review.items() if value})


def _kept_up(questions: Questions, post: Post, repo: str, *, bot: int) -> int | None:
    """The comment that this post is to take the place of: that of an earlier turn, with the same part."""
    if not post.part.startswith(replies.STICKY):
        return None
    mine = [one for one in questions.comments(repo, post.number) if one.actor is not None and one.actor.id == bot]
    return next((one.id for one in mine if post.part in [part for _, part in replies.marks_in(one.body)]), None)


def _fitted(questions: Questions, post: Post, repo: str) -> Post:
    """The review with only such remarks as the forge can show on a line; the others are in its words."""
    from poller.reviews import fitted

    review = post.review
    if review is None or not review.fit or not review.remarks:
        return post
    diff, _ = questions.diff(repo, post.number, limit=DIFF)
    fit, others = fitted(review.remarks, diff)
    if not others:
        return post
    body = replies.with_remarks(post.body, [(one.path, one.line, one.body) for one in others])
    review = msgspec.structs.replace(review, remarks=tuple(fit))
    # Cut, not split: what is behind it is in the log, as with every answer that is too long.
    return msgspec.structs.replace(post, body=replies.cut(body, post.turn_id, post.part, limit=MOST)[0], review=review)


def _left_over(questions: Questions, post: Post, repo: str, *, bot: int) -> list[int]:
    """Ids of what a review of ours left that failed half-way: the next one would join it."""
    mine = [one for one in questions.reviews(repo, post.number) if one.actor is not None and one.actor.id == bot]
    return [one.id for one in mine if one.state == "PENDING"]


def gentler(post: Post, trouble: errors.ForgeError) -> list[Post]:
    """The same words in a shape that a forge may take which has turned them down like this; `[]`: there is none.

    A verdict on a closed or an own pull becomes a comment; remarks on lines that the forge does not know go into the
    text; what no thread takes stands by itself; what is too long is cut in two, the second half a post of its own."""
    review, status = post.review, trouble.status
    if review is not None and post.is_review:
        if status == 422 and review.event != "COMMENT":
            return [msgspec.structs.replace(post, review=msgspec.structs.replace(review, event="COMMENT"))]
        # A 500 once may be anything; twice, it is a line or a commit.
        is_refused = status in (413, 422) or (status == 500 and post.attempts > 1)
        if is_refused and (review.remarks or review.commit):
            told = replies.with_remarks(post.body, [(one.path, one.line, one.body) for one in review.remarks])
            bare = msgspec.structs.replace(review, commit="", remarks=())
            return _cut(msgspec.structs.replace(post, body=told, review=bare), replies.LIMIT)
        if is_refused and not review.remarks:
            return [msgspec.structs.replace(post, review=msgspec.structs.replace(review, as_comment=True))]
    if post.thread is not None and not post.thread.is_quoted and status == 500 and post.attempts > 1:
        # It may have been taken nonetheless: the thread is kept, to be looked into.
        settled = msgspec.structs.replace(post.thread, is_quoted=True)
        return [msgspec.structs.replace(post, body=threads.quoting(settled, post.body), thread=settled)]
    if status in (413, 422) and len(post.body) > SHORT:
        return _cut(post, len(post.body) // 2 + SHORT // 4)
    return []


def _cut(post: Post, limit: int) -> list[Post]:
    first, *others = replies.cut(post.body, post.turn_id, post.part, limit=limit)
    more = [msgspec.structs.replace(post, body=body, review=None, thread=None) for body in others]
    return [msgspec.structs.replace(post, body=first), *more]


def _is_it(one: Comment | Seen | Inline, post: Post, *, bot: int) -> bool:
    # Anybody can write a marker: in somebody else's words it proves nothing.
    if one.actor is None or one.actor.id != bot or not replies.has_marker(one.body or "", post.turn_id, post.part):
        return False
    return not (post.asked_at and one.at) or one.at >= _before(post.asked_at)


def _before(date: str) -> str:
    moment = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - timedelta(seconds=SLACK)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
