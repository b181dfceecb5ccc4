"""Logged events, judged anew: by the config and by what is known of people today.

The log's lines leave out what only decisions need: whether a pull is from a fork is what we know of it now, and
whether words were edited before they were read is kept beside them.  What the repository was called then may be another
one by now.

Knows the order of things; must not know what is done with the judgements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from poller import eventlog, store
from poller.config import Config
from poller.deltas.events import Event
from poller.judging import Judge
from poller.record import Told
from poller.trust import Trust
from poller.whereabouts import events_in


def judged_anew(
    conn: sa.Connection, events: Sequence[Event], trust: Trust, config: Config, *, names: Mapping[int, str]
) -> list[Told]:
    """What each of these would become if it were seen now.  Raises `ForgeError` when `trust` cannot ask.

    `names`: what their repositories are called now, by id, as far as that is known."""
    bot = store.forge(conn, config.forge).bot
    assert bot is not None  # without it nothing was ever logged
    heads = {event.id: event.pull.head_sha for event in events if event.pull is not None}
    judge = Judge(conn, trust, bot, config, heads=heads)
    return judge.judged(_as_decided_on(conn, events_in(events, names), config.forge))


def _as_decided_on(conn: sa.Connection, events: Sequence[Event], forge: str) -> list[Event]:
    spots = {(event.repo_id, event.number) for event in events if event.number is not None}
    forks = dict[tuple[int, int | None], bool]()
    for spot, place in store.places(conn, forge, spots).items():
        if place.known is not None and place.known.heads is not None:
            forks[spot] = place.known.heads.fork
    marked = eventlog.marked(conn, events)
    return [_with_fork(event, forks.get((event.repo_id, event.number))) for event in marked]


def _with_fork(event: Event, fork: bool | None) -> Event:
    if event.pull is None:
        return event
    return msgspec.structs.replace(event, pull=msgspec.structs.replace(event.pull, fork=fork))
