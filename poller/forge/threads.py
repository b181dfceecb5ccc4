"""Speaking in the thread of a remark on a line, by whatever call this forge has for it.

Gitea (from 1.27) takes a reply to a comment: 201.  Forgejo takes another remark into the same review, anybody's, and
where path and line are those of an earlier one the two are a thread: 200.  Older ones have neither.  No version is
compared: a call is made, and one that the forge lacks does nothing.  Knows these calls and what their refusals mean.
Must not know marks, or what is to be said.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from poller.forge import errors, wire
from poller.forge.client import Client

#: Seconds for which a call that the forge lacks is not made again; it may be upgraded while we run.
LACKING = 3600.0
#: What says nothing about the call itself: who asks, how fast, how long it is.
_NOT_ITS_OWN = (401, 408, 413, 429)


class _Made(msgspec.Struct, frozen=True):
    id: int


class Threads:
    """Of one forge.  `clock` is monotonic."""

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._lacking = dict[str, float]()

    def say(self, pull: str, comment_id: int, review_id: int, body: str, *, is_ours: Callable[[], bool]) -> int | None:
        """Answer a remark; the new one's id.  `None`: that cannot be done here, and nothing was.

        `pull` is the path of the pull; `is_ours` is asked right before each post: is it still for us to make it?
        After any other `ForgeError` than a refusal nobody knows whether it was taken."""
        for way in (self._as_reply, self._as_remark):
            if self._is_lacking(way.__name__):
                continue
            try:
                path, sent = way(pull, comment_id, review_id)
                if not path or not is_ours():
                    return None
                made: _Made = self._client.post(path, _Made, {**sent, "body": body}).body
                return made.id
            except errors.ForgeError as trouble:
                if _is_no_route(trouble):
                    self._lacking[way.__name__] = self._clock()
                elif _is_refusal(trouble):
                    return None
                else:
                    raise
        return None

    def _as_reply(self, pull: str, comment_id: int, _: int) -> tuple[str, dict[str, Any]]:
        return f"{pull}/comments/{comment_id}/replies", {}

    def _as_remark(self, pull: str, comment_id: int, review_id: int) -> tuple[str, dict[str, Any]]:
        """No path: the remark is gone, without which this would begin a thread, not go on with one."""
        path = f"{pull}/reviews/{review_id}/comments"
        there = wire.without_nulls(self._client.get(path, list[wire.InlineRow | None] | None).body)
        asked = next((row for row in there if row.id == comment_id), None)
        if asked is None:
            return "", {}
        return path, {"path": asked.path, "new_position": asked.position, "old_position": asked.original_position}

    def _is_lacking(self, way: str) -> bool:
        return way in self._lacking and self._clock() - self._lacking[way] < LACKING


def _is_no_route(trouble: errors.ForgeError) -> bool:
    return trouble.status == 405 or (isinstance(trouble, errors.NotFound) and not trouble.said)


def _is_refusal(trouble: errors.ForgeError) -> bool:
    return trouble.status is not None and 400 <= trouble.status < 500 and trouble.status not in _NOT_ITS_OWN
