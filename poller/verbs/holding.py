"""`poll pause` and `poll unpause`: what an operator holds back, and lets go."""

from __future__ import annotations

import json

import sqlalchemy as sa

from poller import pauses, store
from poller.amounts import counted
from poller.app import database_at_hand, open_tables
from poller.config import Config
from poller.deltas.events import place_of
from poller.halves import stamp_of
from poller.pauses import Pause, Scope
from sessions.database import begin, clock_of
from sessions.logs import escaped
from sessions.shell import UsageError


def pause(config: Config, place: str | None, *, reason: str, as_json: bool) -> int:
    """Hold it back; says what that means for the turns there are.  A second pause of the same changes the reason."""
    reason = " ".join(reason.split())
    if not reason:
        raise UsageError("--reason: found nothing, expected why; `poll status` and `poll why` say it later")
    engine = open_tables(config)
    try:
        with begin(engine) as conn:
            scope = _scope(conn, config, place)
            is_known = _is_known(conn, config, scope)
            before = pauses.pause(conn, scope, reason=reason, now=clock_of(engine)())
            turns = pauses.turns_within(conn, scope)
    finally:
        engine.dispose()
    if as_json:
        of = {"what": scope.name, "reason": reason, "before": before and before.reason, "known": is_known}
        print(json.dumps({**of, **turns, "to_lift": _lifting(scope)}, ensure_ascii=False))
        return 0
    said = f"{scope.name} is paused: {reason}" if before is None else f"{scope.name} stays paused, now for: {reason}"
    print(escaped(f"{said}; its events are kept"))
    if not is_known:
        print(f"  nothing was ever seen of {scope.name}: the pause waits for it to come; is the number right?")
    if turns["waiting"]:
        print(f"  {counted(turns['waiting'], 'waiting turn')} held back")
    if turns["running"]:
        print(f"  {counted(turns['running'], 'turn')} running, to the end")
    print(f"  to lift it: {_lifting(scope)}")
    return 0


def unpause(config: Config, place: str | None, *, as_json: bool) -> int:
    """Lift this pause, and name those that hold the same back all the same."""
    with database_at_hand(config) as engine, begin(engine) as conn:
        scope = _scope(conn, config, place)
        before = pauses.unpause(conn, scope)
        others = [one for one in pauses.pauses(conn, config.forge) if _concerns(one, scope)]
        waiting = pauses.turns_within(conn, scope)["waiting"]
        if before is None:
            held = f"; {others[0].name} is: {_lifting(others[0].scope)}" if others else ""
            raise UsageError(f"{scope.name}: has no pause of its own{held}; `poll status` lists the pauses")
    since = stamp_of(before.since)
    if as_json:
        still = [{"what": one.name, "reason": one.reason, "to_lift": _lifting(one.scope)} for one in others]
        lifted = {"what": scope.name, "reason": before.reason, "since": since}
        print(json.dumps({**lifted, "waiting": waiting, "still": still}, ensure_ascii=False))
        return 0
    print(escaped(f"{scope.name} is not paused any more (since {since}: {before.reason})"))
    for one in others:
        print(escaped(f"  but {one.name} still is: {one.reason}; to lift that: {_lifting(one.scope)}"))
    if waiting and not others:
        print(f"  {counted(waiting, 'waiting turn')}: with the next `poll --once`, or at once if `poll` is running")
    return 0


def _scope(conn: sa.Connection, config: Config, place: str | None) -> Scope:
    try:
        scope = pauses.scope_named(conn, config.forge, place)
    except ValueError as wrong:
        raise UsageError(f"{place}: {wrong}") from None
    is_owner = "/" not in scope.name and not scope.is_everything
    owners = {pattern.lstrip("!").partition("/")[0].lower() for pattern in config.repos}
    if is_owner and scope.name.lower() not in owners and not pauses.is_known_owner(conn, scope):
        raise UsageError(f"{place}: nothing of this owner is watched; expected owner, owner/repo or owner/repo#N")
    return scope


def _is_known(conn: sa.Connection, config: Config, scope: Scope) -> bool:
    """Is there such a pull, as far as anybody has looked?  Of anything larger it was asked before."""
    if "#" not in scope.name:
        return True
    return bool(store.places(conn, config.forge, [place_of(scope.place.rstrip("|"))]))


def _concerns(one: Pause, scope: Scope) -> bool:
    """Is one of them within the other?  Of an owner and a repository, only their names tell."""
    if one.scope.is_everything or scope.is_everything:
        return True
    here, there = (f"{name.lower().replace('#', '/')}/" for name in (one.name, scope.name))
    return here.startswith(there) or there.startswith(here)


def _lifting(scope: Scope) -> str:
    return "poll unpause" if scope.is_everything else f"poll unpause {scope.name}"
