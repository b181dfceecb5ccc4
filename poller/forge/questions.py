"""What we ask the forge about pull requests, and when an answer is complete.

Knows endpoints, paging and its traps on every version.  Must not know what the answers mean.  Paths carry the
repository's name as the forge gave it; ids are ours to keep.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from poller.deltas import pulls
from poller.forge import errors, wire
from poller.forge.client import Client
from poller.forge.threads import Threads
from poller.forge.timeline import Timeline

PAGE = 50
#: How often a list that changes under the reader is begun again.
RESTARTS = 3
Progress = Callable[[int, int], None]


class Found:
    """What a search brought: rows by place, and the forge's clock when it began."""

    def __init__(self, rows: dict[tuple[int, int], pulls.Row], date: str | None) -> None:
        self.rows = rows
        self.date = date


class Questions:
    """Reads of one forge.  `page`: rows per page, the server's cap (`max_response_items`), or who knows it by then."""

    def __init__(self, client: Client, *, page: int | Callable[[], int] = PAGE) -> None:
        self._client = client
        self._cap = page
        self._threads = Threads(client)

    @property
    def _page(self) -> int:
        return max(1, min(self._cap if isinstance(self._cap, int) else self._cap(), PAGE))

    def search(
        self,
        *,
        since: str | None = None,
        state: str = "all",
        owner: str | None = None,
        progress: Progress | None = None,
    ) -> Found:
        """Pulls whose row moved at or after `since`, over all repositories the token may read (and public ones).

        Order is by creation, so changes while we page only add rows; when the total falls a pull has gone and rows
        have shifted: begin again.
        """
        params: dict[str, str | int] = {"type": "pulls", "state": state, "limit": self._page}
        if since:  # an empty `since` would mean everything
            params["since"] = since
        if owner:
            params["owner"] = owner
        for _ in range(RESTARTS):
            found = self._searched(params, progress)
            if found is not None:
                return found
        raise errors.ServerTrouble(
            "the list of pulls changes faster than it can be read, or is shorter than it says",
            where="GET /repos/issues/search",
            mend="nothing: the next cycle reads it again",
        )

    def _searched(self, params: dict[str, str | int], progress: Progress | None) -> Found | None:
        rows: dict[tuple[int, int], pulls.Row] = {}
        date, read, page, total = None, 0, 1, None
        while True:
            answer = self._client.get(
                "/repos/issues/search", list[wire.IssueRow | None] | None, {**params, "page": page}
            )
            date = date or answer.date
            if total is not None and answer.total is not None and answer.total < total:
                return None
            total = answer.total
            for raw in wire.without_nulls(answer.body):
                row = wire.row(raw)
                if row is not None and (row.place not in rows or rows[row.place].updated_at <= row.updated_at):
                    rows[row.place] = row
            read += len(answer.body or ())
            if progress is not None and total:
                progress(read, total)
            if total is not None and read >= total:
                return Found(rows, date)
            if not answer.body:  # short of what it says: whoever is missing would be passed over for good
                return Found(rows, date) if total is None else None
            page += 1

    def issue(self, repo: str, repo_id: int, number: int) -> pulls.Row | None:
        """The row of one pull as it is now.

        `None`: the forge says that there is no such pull (404), or under that name is another repository now.
        """
        try:
            answer = self._client.get(f"{_at(repo)}/issues/{number}", wire.IssueRow)
        except errors.NotFound:
            return None
        row = wire.row(answer.body, repo_id=repo_id, repo=repo)
        return row if row is not None and row.repo_id == repo_id else None

    def repository(self, repo_id: int) -> wire.RowRepository | None:
        """What a repository is called now.  `None`: the forge says that there is none (or that it is not for us)."""
        return self.repository_and_date(repo_id)[0]

    def repository_and_date(self, repo_id: int) -> tuple[wire.RowRepository | None, str]:
        """The same, with the forge's clock ("" when it did not say)."""
        try:
            answer = self._client.get(f"/repositories/{repo_id}", wire.RowRepository)
        except errors.NotFound:
            return None, ""
        return answer.body, answer.date or ""

    def is_repository(self, name: str | None, repo_id: int) -> bool:
        """Is this repository to be found by the name that it had?  Another question than that for its id."""
        if name is None:
            return False
        try:
            return bool(self._client.get(_at(name), wire.RowRepository).body.id == repo_id)
        except errors.NotFound:
            return False

    def is_there(self, name: str, repo_id: int) -> bool:
        """Is a repository to be found by its id, or by the name that it had?  Two questions, the first if in doubt."""
        return self.repository(repo_id) is not None or self.is_repository(name, repo_id)

    def what_is_gone(self, repo: str, repo_id: int, number: int) -> Literal["pull", "all pulls", "repository"] | None:
        """A pull that could not be found: is it gone, or all of its repository?  Asked by other questions than that.

        `repo` is where it was last; another repository may have that name now.  "all pulls": they are switched off
        there, or not for us to read; their list is a 404 as well, and none of them is known to be gone.
        """
        there = self.repository(repo_id)
        if there is None and not self.is_repository(repo, repo_id):
            return "repository"
        path = f"{_at(there.full_name if there is not None else repo)}/pulls"
        if self._is_there(f"{path}/{number}"):
            return None
        return "pull" if self._is_there(path, {"state": "all", "limit": 1}) else "all pulls"

    def is_comment(self, repo: str, comment_id: int) -> bool:
        """Is there still a comment, or a remark on a line, of this id?  (204: there is, but no plain one.)"""
        return self._is_there(f"{_at(repo)}/issues/comments/{comment_id}")

    def words(self, repo: str, comment_id: int) -> str | None:
        """What a comment says now; `None` where the forge shows only that it is there: a remark on a line.

        Raises `NotFound` when it is gone."""
        row = self._client.get(f"{_at(repo)}/issues/comments/{comment_id}", wire.CommentRow | None).body
        return wire.comment(row).body if row is not None else None

    def is_review(self, repo: str, number: int, review_id: int) -> bool:
        """Is there still a review of this id?"""
        return self._is_there(f"{_at(repo)}/pulls/{number}/reviews/{review_id}")

    def _is_there(self, path: str, params: Mapping[str, str | int] | None = None) -> bool:
        try:
            self._client.get(path, Any, params)
        except errors.NotFound:
            return False
        return True

    def timeline(self, repo: str, number: int, *, since: str | None, hidden: int) -> Timeline:
        """A pull's timeline from `since` on.

        Up to 1.25 a request without `page` brings everything.  From 1.26 it brings the first page, and pages are cut
        *before* the rows of inline comments are dropped: a short page is the end only when more is missing than
        `hidden` inline comments explain.
        """
        reading = Timeline(self._client, f"{_at(repo)}/issues/{number}/timeline", since=since, page=self._page)
        reading.read_on(hidden)
        return reading

    def is_paged(self, repo: str, number: int) -> bool:
        """Does this server cut timelines that nobody asked it to cut?  Ask of a pull with two rows or more."""
        answer = self._client.get(
            f"{_at(repo)}/issues/{number}/timeline", list[wire.TimelineRow | None] | None, {"limit": 1}
        )
        return len(answer.body or ()) <= 1

    def reviews(self, repo: str, number: int) -> tuple[pulls.Review, ...]:
        """All reviews and review requests, by id.  The total counts others' PENDING ones, which are not shown."""
        rows = self._pages(f"{_at(repo)}/pulls/{number}/reviews", wire.ReviewRow, {})
        return tuple(sorted(map(wire.review, rows.values()), key=lambda review: review.id))

    def _pages(self, path: str, kind: Any, asked: dict[str, str | int]) -> dict[int, Any]:
        """A list with an honest total, by id.  When the total moves while it is read, rows have shifted: once more.

        The first page is asked for without a number: up to 1.25 that is everything.
        """
        rows, limit = dict[int, Any](), self._page
        for _ in range(RESTARTS):
            rows, page, total = {}, 1, None
            while True:
                params = {**asked, "limit": limit} | ({"page": page} if page > 1 else {})
                answer = self._client.get(path, list[kind | None] | None, params)
                found = wire.without_nulls(answer.body)
                rows |= {row.id: row for row in found}
                if page > 1 and answer.total != total:
                    break
                total = answer.total
                if len(found) > limit or total is None or page * limit >= total:
                    return rows
                page += 1
        return rows  # it never holds still; what is missing is asked for by itself, or found the next time

    def inline(self, repo: str, number: int, review_id: int) -> tuple[pulls.Inline, ...]:
        """A review's inline comments, by id: the forge's order changes from read to read."""
        path = f"{_at(repo)}/pulls/{number}/reviews/{review_id}/comments"
        answer = self._client.get(path, list[wire.InlineRow | None] | None)
        return tuple(sorted(map(wire.inline, wire.without_nulls(answer.body)), key=lambda remark: remark.id))

    def heads(self, repo: str, number: int) -> pulls.Heads:
        """Head, base and the state once more: the dear one (five idle searches)."""
        return wire.heads(self._client.get(f"{_at(repo)}/pulls/{number}", wire.PullDetail).body)

    def diff(self, repo: str, number: int, *, limit: int) -> tuple[str, bool]:
        """The pull's diff: at most `limit` bytes of it, and whether that is all."""
        return self._client.get_text(f"{_at(repo)}/pulls/{number}.diff", limit=limit)

    def comments(self, repo: str, number: int) -> tuple[pulls.Comment, ...]:
        """All plain comments: one answer whatever `page` says, so it is asked once."""
        answer = self._client.get(f"{_at(repo)}/issues/{number}/comments", list[wire.CommentRow | None] | None)
        return tuple(map(wire.comment, wire.without_nulls(answer.body)))

    def repo_comments(self, repo: str, *, since: str) -> tuple[pulls.Comment, ...]:
        """Plain comments on a repository's pulls that were made or stamped anew at or after `since`."""
        rows = self._pages(f"{_at(repo)}/issues/comments", wire.CommentRow, {"since": since})
        return tuple(comment for comment in map(wire.comment, rows.values()) if comment.number)

    def ref_heads(self, repo: str) -> dict[int, str]:
        """`refs/pull/N/head` of all pulls of a repository, by number.  404: it has none."""
        try:
            answer = self._client.get(f"{_at(repo)}/git/refs/pull", list[wire.Ref])
        except errors.NotFound:
            return {}
        return wire.heads_of_refs(answer.body)

    def post_comment(self, repo: str, number: int, body: str) -> wire.CommentRow:
        """Say something on a pull.  Sent once: see `Client.post`."""
        posted: wire.CommentRow = self._client.post(
            f"{_at(repo)}/issues/{number}/comments", wire.CommentRow, {"body": body}
        ).body
        return posted

    def say_in_thread(
        self, repo: str, number: int, comment_id: int, review_id: int, body: str, *, is_ours: Callable[[], bool]
    ) -> int | None:
        """Answer a remark in its thread; `None`, and nothing was said, where that cannot be done: see `Threads.say`."""
        return self._threads.say(f"{_at(repo)}/pulls/{number}", comment_id, review_id, body, is_ours=is_ours)

    def edit_comment(self, repo: str, comment_id: int, body: str) -> bool:
        """Say something else in a comment of ours; false when it is gone."""
        try:
            self._client.patch(f"{_at(repo)}/issues/comments/{comment_id}", Any, {"body": body})
        except errors.NotFound:
            return False
        return True

    def post_review(self, repo: str, number: int, review: Mapping[str, Any]) -> int:
        """Submit a review with all its remarks; its id.  Sent once; what fails half-way leaves a PENDING one behind."""
        return int(self._client.post(f"{_at(repo)}/pulls/{number}/reviews", wire.ReviewRow, review).body.id)

    def delete_review(self, repo: str, number: int, review_id: int) -> None:
        """Remove a review of our own; one that has gone already is as good."""
        with contextlib.suppress(errors.NotFound):
            self._client.delete(f"{_at(repo)}/pulls/{number}/reviews/{review_id}")

    def react(self, repo: str, comment_id: int, content: str) -> None:
        """React to a comment, plain or on a line.  Done twice it is done once."""
        self._client.post(f"{_at(repo)}/issues/comments/{comment_id}/reactions", Any, {"content": content})

    def post_status(self, repo: str, sha: str, *, state: str, context: str, description: str, url: str) -> None:
        """Set a commit's status.  Of one context the last counts."""
        status = {"state": state, "context": context, "description": description, "target_url": url}
        self._client.post(f"{_at(repo)}/statuses/{quote(sha, safe='')}", Any, status)

    def is_protected(self, repo: str, branch: str) -> bool:
        """Is there a rule about who may push to this branch?"""
        found: wire.Branch = self._client.get(f"{_at(repo)}/branches/{quote(branch)}", wire.Branch).body
        return found.protected


def _at(repo: str) -> str:
    """`/repos/<owner>/<name>`, quoted: a name is the forge's word, not ours."""
    return "/repos/" + "/".join(quote(part, safe="") for part in repo.split("/"))
