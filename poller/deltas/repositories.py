"""Repositories that get another name, are archived, vanish and come back.

Knows what is remembered of them and what of it is news.  Must not know HTTP, SQL or the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from poller.deltas import ids
from poller.deltas.events import Event, Subject

Action = Literal["renamed", "archived", "unarchived", "gone"]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """`changes`: how many such changes were told; it numbers their ids.  `gone_at`: since when it cannot be
    found any more (epoch seconds, ours)."""

    repo_id: int
    name: str
    changes: int = 0
    gone_at: float | None = None
    is_archived: bool = False

    @property
    def repo(self) -> str:
        """Its name, as pulls have it."""
        return self.name


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is told, and what is to be remembered (only what is other than before).  `back`: there again."""

    events: list[Event]
    repositories: list[Repository]
    back: list[int]


def changes(
    known: Mapping[int, Repository],
    *,
    names: Mapping[int, str],
    lost: Collection[int],
    archived: Mapping[int, bool],
    forge: str,
    at: str,
    seen_at: str,
    now: float,
) -> Changes:
    """Compare what is remembered with what was seen.  `archived`: of those that were asked for.

    Nobody says who did it, or when: `at` is our look.  One that comes back was not told to have been made.
    """
    made = Changes(events=[], repositories=[], back=[])

    def tell(one: Repository, action: Action, subject: Subject, name: str) -> None:
        key = ids.of_repository(forge, one.repo_id, action, one.changes + 1)
        made.events.append(
            Event(
                id=key, event="repository", action=action, forge=forge, repo=name, repo_id=one.repo_id, number=None,
                at=at, seen_at=seen_at, actor=None, subject=subject, pull=None,
            )
        )  # fmt: skip

    for repo_id, name in sorted(names.items()):
        before = known.get(repo_id) or Repository(repo_id=repo_id, name=name)
        is_archived = archived.get(repo_id, before.is_archived)
        after = msgspec.structs.replace(before, name=name, gone_at=None, is_archived=is_archived)
        if before.name != name:
            tell(before, "renamed", Subject(from_=before.name, to=name), name)
            after = msgspec.structs.replace(after, changes=after.changes + 1)
        if repo_id in known and before.is_archived != is_archived:
            tell(after, "archived" if is_archived else "unarchived", Subject(), name)
            after = msgspec.structs.replace(after, changes=after.changes + 1)
        if before.gone_at is not None:
            made.back.append(repo_id)
        if after != known.get(repo_id):
            made.repositories.append(after)
    for repo_id in sorted(lost):
        missing = known.get(repo_id)
        if missing is not None and missing.gone_at is None:
            tell(missing, "gone", Subject(from_=missing.name), missing.name)
            made.repositories.append(msgspec.structs.replace(missing, gone_at=now, changes=missing.changes + 1))
    return made
