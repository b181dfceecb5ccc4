"""What every act on a pull needs: its rows, its stamp, and what follows from its branches.

Knows the state.  Must not know the single acts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from poller.demo import webhooks
from poller.demo.clock import epoch
from poller.demo.state import Issue, Row, User

if TYPE_CHECKING:
    from poller.demo.pulls import Pull

_DRAFT = re.compile(r"\s*(WIP:|\[WIP\])", re.IGNORECASE)


class Acting(Issue):
    """Base of the acts.  Stamps have whole seconds: two acts in one second may leave the same row."""

    @property
    def _pull(self) -> Pull:
        return cast("Pull", self)

    @property
    def draft(self) -> bool:
        """By the title, as Gitea's defaults have it."""
        return bool(_DRAFT.match(self.title))

    @property
    def head_sha(self) -> str:
        """The live tip of the head branch, which moves on after close and merge; without one, the kept ref."""
        branches = {} if self.head_repo is None or self.head_repo.deleted else self.head_repo.branches
        return branches.get(self.head_ref, self.ref_sha)

    @property
    def base_sha(self) -> str:
        return self.repo.branches.get(self.base_ref, "")

    @property
    def merge_base(self) -> str:
        if self.merge_base_then is not None or not self.base_sha:
            return self.merge_base_then or ""
        return self.world.history.merge_base(self.base_sha, self.head_sha)

    def own_commits(self) -> list[str]:
        """The commits that the pull would bring to its base, oldest first."""
        return self.world.history.own(self.head_sha, self.base_sha) if self.base_sha else []

    def bump(self) -> None:
        """Move `updated_at` of the search row."""
        self.world.index.touch(self._pull, self.world.now())

    def backdate(self, moment: str) -> None:
        """Set `updated_at` to any time, as some forges let admins do: no cursor sees such a change."""
        with self.mutex:
            self.world.index.touch(self._pull, epoch(moment))

    def row(self, kind: str, *, by: User, body: str = "", **fields: Any) -> Row:
        """Write a row of the timeline."""
        now = self.world.now()
        row = Row(
            id=self.world.ids.row(), type=kind, pull=self._pull, user=by, body=body, created=now, updated=now, **fields
        )
        self.rows.append(row)
        return row

    def noted(self, kind: str, *, by: User, body: str = "", **fields: Any) -> Row:
        """Write a row and move the stamp, as most acts do."""
        row = self.row(kind, by=by, body=body, **fields)
        self.bump()
        return row

    def tell(
        self, event_type: str, action: str, *, by: User, about: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """Note the webhook that a real server would have sent; `about` is what it does not carry."""
        webhooks.tell(self._pull, event_type, action, by=by, about=about, **fields)

    def silent(self, event_type: str, action: str, *, by: User | None = None, **about: Any) -> None:
        """Note what no webhook tells."""
        webhooks.silent(self.repo, event_type, action, about, pull=self._pull, by=by)

    def recount(self) -> None:
        """The counter is only counted anew when a plain comment or a reply comes or goes; between that it lags."""
        plain = sum(row.type == "comment" for row in self.rows)
        if self.world.version.counts_reviews:
            self.counter = plain + sum(row.type == "review" for row in self.rows)
        else:
            self.counter = plain + sum(row.type == "code" and row.is_reply for row in self.rows)
