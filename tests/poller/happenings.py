"""Events for tests, made from a few words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from poller.deltas.events import Actor, Change, Event, EventName, InlineComment, PullFacts, Subject

ANA, BOB, BOT = Actor(id=3, login="ana"), Actor(id=4, login="bob"), Actor(id=9, login="bot")
PULL = PullFacts(
    title="Add a cache",
    state="open",
    draft=False,
    merged=False,
    head_sha="c" * 40,
    head_ref="cache",
    base_ref="main",
    html_url="https://gitea.example.com/acme/api/pulls/7",
    author=ANA,
    fork=False,
)


class Happenings:
    """Each call is one more event, a second later; ids are `e1`, `e2`, …"""

    def __init__(self) -> None:
        self.count = itertools.count(1)

    def __call__(
        self,
        name: EventName,
        action: str,
        *,
        actor: Actor | None = ANA,
        changes: dict[str, str | bool] | None = None,
        pull: dict[str, Any] | None = None,
        **subject: Any,
    ) -> Event:
        nth = next(self.count)
        return Event(
            id=f"e{nth}",
            event=name,
            action=action,
            forge="gitea.example.com",
            repo="acme/api",
            repo_id=12,
            number=7,
            at=f"2026-11-21T07:{nth // 60:02}:{nth % 60:02}Z",
            seen_at="2026-11-21T08:00:00Z",
            actor=actor,
            changes={field: Change(was) for field, was in (changes or {}).items()},
            subject=Subject(**subject),
            pull=msgspec.structs.replace(PULL, **(pull or {})),
        )

    def opened(self) -> Event:
        return self("pull_request", "opened")

    def closed(self) -> Event:
        return self("pull_request", "closed", pull={"state": "closed"})

    def reopened(self) -> Event:
        return self("pull_request", "reopened")

    def pushed(self, before: str, after: str, *, forced: bool = False, commits: list[str] | None = None) -> Event:
        given = [after] if commits is None else commits
        return self("pull_request_sync", "synchronized", before=before, after=after, forced=forced, commits=given)

    def commented(self, comment_id: int, body: str, *, actor: Actor = ANA) -> Event:
        return self("pull_request_comment", "created", comment_id=comment_id, body=body, actor=actor)

    def comment_edited(self, comment_id: int, was: str, body: str) -> Event:
        return self("pull_request_comment", "edited", comment_id=comment_id, body=body, changes={"body": was})

    def comment_deleted(self, comment_id: int) -> Event:
        return self("pull_request_comment", "deleted", comment_id=comment_id, body="")

    def labelled(self, *added: str, removed: tuple[str, ...] = ()) -> Event:
        return self("pull_request_label", "label_updated", added=list(added), removed=list(removed), labels=list(added))

    def assigned(self, who: Actor) -> Event:
        return self("pull_request_assign", "assigned", assignee=who)

    def unassigned(self, who: Actor) -> Event:
        return self("pull_request_assign", "unassigned", assignee=who)

    def asked(self, who: Actor) -> Event:
        return self("pull_request_review_request", "review_requested", reviewer=who)

    def unasked(self, who: Actor) -> Event:
        return self("pull_request_review_request", "review_request_removed", reviewer=who)

    def titled(self, was: str, title: str, *, draft: bool = False, was_draft: bool | None = None) -> Event:
        changes: dict[str, str | bool] = {"title": was} | ({} if was_draft is None else {"draft": was_draft})
        return self("pull_request", "edited", changes=changes, pull={"title": title, "draft": draft})

    def reviewed(self, review_id: int, body: str, *comments: InlineComment) -> Event:
        return self(
            "pull_request_review_rejected",
            "reviewed",
            review_id=review_id,
            body=body,
            commit_id="c" * 40,
            comments=list(comments),
        )


def any_happening(make: Happenings) -> list[Callable[[], Event]]:
    """One maker for every kind of event that folding cares for, with few distinct subjects so that they collide."""
    return [
        make.opened,
        make.closed,
        make.reopened,
        lambda: make.pushed("a", "b"),
        lambda: make.pushed("b", "a", forced=True),
        lambda: make.commented(1, "x"),
        lambda: make.comment_edited(1, "x", "y"),
        lambda: make.comment_edited(1, "y", "x"),
        lambda: make.comment_deleted(1),
        lambda: make.commented(2, "z"),
        lambda: make.labelled("bug"),
        lambda: make.labelled(removed=("bug",)),
        lambda: make.assigned(ANA),
        lambda: make.unassigned(ANA),
        lambda: make.asked(BOT),
        lambda: make.unasked(BOT),
        lambda: make.titled("a", "b"),
        lambda: make.titled("b", "a"),
        lambda: make.reviewed(5, "no"),
        lambda: make("pull_request_review_dismissal", "dismissed", review_id=5),
        lambda: make("pull_request_review_dismissal", "undismissed", review_id=5),
        lambda: make("pull_request_review_dismissal", "deleted", review_id=5),
        lambda: make("pull_request_milestone", "milestoned", milestone="1.0"),
        lambda: make("pull_request_thread", "resolved", comment_id=8, resolver=BOB),
        lambda: make("pull_request_thread", "unresolved", comment_id=8, resolver=None),
        lambda: make("pull_request", "edited", changes={"body": "was"}),
        lambda: make("pull_request", "deleted"),
    ]
