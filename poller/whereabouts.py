"""What a pull and its events are called now: a repository keeps its id, and its name may be another's by now.

Knows where a name is written.  Must not know who asks with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from poller.deltas.events import Event
from poller.deltas.pulls import Known


def pull_in(known: Known, repo: str) -> Known:
    """The memory of a pull, under the name that its repository has now."""
    row = known.row
    if row.repo == repo:
        return known
    former, page = f"/{row.repo}/pulls/{row.number}", row.html_url
    if page.endswith(former):
        page = f"{page.removesuffix(former)}/{repo}/pulls/{row.number}"
    return msgspec.structs.replace(known, row=msgspec.structs.replace(row, repo=repo, html_url=page))


def events_in(events: Iterable[Event], names: Mapping[int, str]) -> list[Event]:
    """Events under the names that their repositories have now; `names`: by id, others stay as they were logged."""
    return [msgspec.structs.replace(event, repo=names.get(event.repo_id, event.repo)) for event in events]
