"""How the forge writes acts down as rows: what belongs to one call, what a title says of a draft.

Knows rows.  Must not know what is told of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from poller.deltas import ids
from poller.deltas.pulls import Step

#: Gitea's default prefixes; the `draft` flag decides wherever it can be asked, this only between two looks.
DRAFT_PREFIXES = ("wip:", "[wip]")


def is_draft_title(title: str) -> bool:
    """By Gitea's default prefixes, for titles of which no flag is left."""
    return title.lower().startswith(DRAFT_PREFIXES)


def label_groups(steps: Sequence[Step], *, news: Sequence[int]) -> Iterator[list[Step]]:
    """Runs of label rows that one call has (or might have) written."""
    fresh, group = set(news), list[Step]()
    for step in steps:
        joins = (
            group
            and step.kind == "label"
            and step.actor == group[-1].actor
            and abs(ids.seconds_between(group[-1].at, step.at)) <= 1
        )
        if group and not joins:
            yield group
            group = []
        if step.kind == "label" and step.id in fresh:
            group.append(step)
    if group:
        yield group
