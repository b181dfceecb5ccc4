"""`poll reset` and `poll retry`: what an operator changes by hand."""

from __future__ import annotations

import json

import sqlalchemy as sa

from poller import letters
from poller.app import database_at_hand
from poller.config import Config
from poller.verbs.events import known_pull, whole_key
from sessions import registry, steering
from sessions.database import begin, clock_of
from sessions.shell import UsageError


def reset(config: Config, key: str, *, agent: str | None, bottle: bool, as_json: bool) -> int:
    """Forget the conversation (and the bottle) of a pull: the next event starts afresh.  Says what was dropped."""
    with database_at_hand(config) as engine, begin(engine) as conn:
        ref = known_pull(conn, key, config)
        if agent is not None and agent not in config.agents and registry.session(conn, ref=ref, agent=agent) is None:
            names = ", ".join(sorted(config.agents))
            raise UsageError(f"--agent {agent}: is neither in the config nor has a session on {key}; expected {names}")
        dropped = registry.forget(conn, ref=ref, now=clock_of(engine)(), agent=agent, bottle=bottle)
    if as_json:
        told = [{"agent": one.agent, "identity": one.identity, "turns": one.turns} for one in dropped]
        print(json.dumps({"key": whole_key(key, config), "bottle": bottle, "forgot": told}))
        return 0
    if not dropped:
        print(f"{key}: there was no session{f' of {agent}' if agent else ''} to forget")
    for session in dropped:
        what = (
            f"bottle {session.identity} and its conversation" if bottle else f"the conversation in {session.identity}"
        )
        print(f"{key}: forgot {what} ({session.agent}, {session.turns} turns); the next event starts afresh")
    return 0


def retry(config: Config, turn_id: int, *, as_json: bool) -> int:
    """Let a failed turn run again with the next cycle, or an answer that could not be posted be posted."""
    with database_at_hand(config) as engine, begin(engine) as conn:
        number, posts = _tried_again(conn, turn_id, now=clock_of(engine)())
    if as_json:
        print(json.dumps({"turn": turn_id, "runs_as": number, "posts": posts}))
        return 0
    if number is None:
        what = "what it said is posted" if posts == 1 else f"the {posts} parts of what it said are posted"
    else:
        what = "runs" if number == turn_id else f"its events joined turn {number}, which runs"
    print(f"turn {turn_id}: {what} with the next `poll --once`, or at once if `poll` is running")
    return 0


def _tried_again(conn: sa.Connection, turn_id: int, *, now: float) -> tuple[int | None, int]:
    """The number of the turn that runs again, or how many posts of it are tried again.  Raises `UsageError`."""
    turn = registry.turn(conn, turn_id)
    if turn is None:
        raise UsageError(f"turn {turn_id}: there is no such turn; `bottle log` lists them")
    if turn.state not in ("failed", "dropped"):
        if posts := letters.retry(conn, turn_id, now=now):
            return None, posts
        if turn.state == "waiting":
            steering.hasten(conn, ref=turn.ref, now=now, turn=turn_id)
            return turn_id, 0
        raise UsageError(
            f"turn {turn_id} is {turn.state}; only a failed or dropped turn, or one whose answer could not be "
            "posted, is tried again"
        )
    number = letters.run_again(conn, turn_id, now=now)
    if number is None:
        raise UsageError(f"turn {turn_id} was begun by hand ({turn.why}); do it by hand again")
    return number, 0
