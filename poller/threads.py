"""Answers that belong into the thread of a remark on a line, and what becomes of them where they cannot stand there.

Knows which thread, and the quotation that stands in for it.  Must not know SQL, or which calls a forge has.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from poller.deltas.pulls import Inline
from poller.forge import errors
from poller.forge.questions import Questions


class Thread(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the remark stands that a post answers.

    `quote` goes before the words where they cannot stand there; `is_quoted`: that is settled, and they have it."""

    comment_id: int
    review_id: int
    quote: str = ""
    is_quoted: bool = False


def said(
    questions: Questions, thread: Thread, repo: str, number: int, body: str, *, is_ours: Callable[[], bool]
) -> int | None:
    """Say it in the thread, else as a comment that quotes; the id that it was given.  Raises `ForgeError`.

    `is_ours` is asked right before anything is written; `None`: it is not."""
    if not thread.is_quoted:
        made = questions.say_in_thread(repo, number, thread.comment_id, thread.review_id, body, is_ours=is_ours)
        if made is not None:
            return made
        body = quoting(thread, body)
    return questions.post_comment(repo, number, body).id if is_ours() else None


def found(
    questions: Questions, thread: Thread, repo: str, number: int, *, is_it: Callable[[Inline], bool]
) -> int | None:
    """What was said there already."""
    try:
        remarks = questions.inline(repo, number, thread.review_id)
    except errors.NotFound:
        return None  # the review was deleted, with all that was in it
    return next((one.id for one in remarks if is_it(one)), None)


def quoting(thread: Thread, body: str) -> str:
    """The words as they are where it cannot be seen what they answer."""
    return f"{thread.quote}\n\n{body}" if thread.quote else body
