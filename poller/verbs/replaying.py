"""`poll replay`: feed logged events of a pull again."""

from __future__ import annotations

import json

import msgspec
import sqlalchemy as sa

from poller import eventlog, pauses, posting, replay, store
from poller.app import App, has_no_database
from poller.config import Config
from poller.deltas.events import Event, place_of
from poller.rejudging import judged_anew
from poller.replay import Fed
from poller.runnable import check_agents
from poller.trust import Trust
from poller.verbs.events import whole_key
from poller.verbs.screen import event_line
from sessions.database import begin, reading, rehearsing
from sessions.logs import escaped
from sessions.shell import UsageError


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the call."""

    key: str
    since: str | None
    answered: bool
    dry: bool


def again(config: Config, asked: Asked, *, as_json: bool) -> int:
    """0, also when there was nothing to feed; asks the forge about people, as a cycle does."""
    check_agents(config)
    if has_no_database(config):
        raise UsageError(f"{asked.key}: nothing is logged yet; run `poll --once`")
    with App(config) as app:
        now = app.clock()
        with reading(app.engine) as conn:
            events = _events(conn, config, asked)
            bot = store.forge(conn, config.forge).bot
            trust = Trust(config.trust, forge=config.forge, bot=bot, conn=conn, control=app.control, now=now)
            told = judged_anew(conn, events, trust, config, names=_names(app, asked, events[:1]))
            held = pauses.paused(conn, ref=events[0].ref, key=events[0].key) if events else []
        with rehearsing(app.engine) if asked.dry else begin(app.engine) as conn:
            trust.save(conn)
            fed = replay.feed(conn, told, answered=asked.answered, now=now)
    turns = sorted({one.turn for one in fed if not one.why and one.turn is not None})
    count = len({one.event.id for one in fed if not one.why})
    if as_json:
        sums = {"dry_run": asked.dry, "events": len(events), "fed": count, "turns": turns}
        paused = held[0].told if held else None
        said = {"key": whole_key(asked.key, config), **sums, "paused": paused, "log": [_row(one) for one in fed]}
        print(json.dumps(said, ensure_ascii=False))
        return 0
    for one in fed:
        _say(one)
    print(f"{'dry run: ' if asked.dry else ''}{count} of {len(events)} events fed again{_into(turns, held)}")
    return 0


def _events(conn: sa.Connection, config: Config, asked: Asked) -> list[Event]:
    key = whole_key(asked.key, config)
    ref = eventlog.pull_named(conn, key)
    if ref is None:
        raise UsageError(f"{asked.key}: no such pull in the log; expected owner/repo#N")
    repo_id, number = place_of(ref)
    place = store.places(conn, config.forge, [(repo_id, number)]).get((repo_id, number))
    if place is None or place.known is None or place.known.gone or place.known.row.state == "closed":
        raise UsageError(f"{asked.key}: is closed, and on a closed pull nothing runs; reopen it first")
    # Of another pull that had this name before, too, is told under it; that one is not asked for.
    found = [event for event in eventlog.event_log(conn, key=key) if event.ref == ref]
    if asked.since is None:
        return found
    first = next((place for place, event in enumerate(found) if event.id == asked.since), None)
    if first is None:
        raise UsageError(f"--from {asked.since}: {asked.key} has no such event; `poll why {asked.key}` shows all")
    return found[first:]


def _names(app: App, asked: Asked, events: list[Event]) -> dict[int, str]:
    """What the repository of these is called now."""
    try:
        return {one.repo_id: posting.address(app.questions, one.ref, one.repo).repo for one in events}
    except posting.Away as trouble:
        raise UsageError(f"{asked.key}: {trouble}") from None


def _into(turns: list[int], held: list[pauses.Pause]) -> str:
    if not turns:
        return ""
    into = f", into turn{'s' if turns[1:] else ''} {', '.join(map(str, turns))}"
    if held:
        return escaped(f"{into}; {held[0].told}")
    return f"{into}: with the next `poll --once`, or at once if `poll` is running"


def _row(one: Fed) -> dict[str, object]:
    about = {"event_id": one.event.id, "event": one.event.event, "action": one.event.action}
    return {**about, "agent": one.agent or None, "turn": one.turn, "left_out": one.why or None}


def _say(one: Fed) -> None:
    print(event_line(one.event))
    who = f"{one.agent}: " if one.agent else ""
    print(escaped(f"    {who}{f'left out, {one.why}' if one.why else f'joins turn {one.turn}'}"))
