"""The tables of sessions and turns, with the invariants that no code may break.

What the schema itself refuses: two running turns of one key, two waiting turns of one (key, agent), one event accepted
twice by an agent, two live sessions of one (key, agent).  Times are epoch seconds, UTC.  No absolute path is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sessions.database import Component, unique_where

if TYPE_CHECKING:
    from alembic.operations import Operations

metadata = sa.MetaData()
#: Tokens of a long life are more than 32 bits hold.  SQLite has one size for all.
_Count = sa.BigInteger().with_variant(sa.Integer, "sqlite")

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),  # "" = given back
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ref", sa.String, nullable=False),  # what never changes, opaque here
    sa.Column("key", sa.String, nullable=False),  # how people call it
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("identity", sa.String, nullable=False, unique=True),
    sa.Column("claude_session", sa.String, nullable=False),  # chosen by us, before the first launch
    sa.Column("backend", sa.String, nullable=False),
    sa.Column("cwd", sa.String, nullable=False),  # relative to the bottle's state directory
    sa.Column("turns", sa.Integer, nullable=False, default=0),  # dispatches that ended
    sa.Column("agent_turns", sa.Integer, nullable=False, default=0),  # the agent's own count, summed
    sa.Column("cost_usd", sa.Float, nullable=False, default=0.0),
    sa.Column("input", _Count, nullable=False, default=0),
    sa.Column("output", _Count, nullable=False, default=0),
    sa.Column("cache_read", _Count, nullable=False, default=0),
    sa.Column("cache_write", _Count, nullable=False, default=0),
    sa.Column("claude_total", sa.Float, nullable=False, default=0.0),  # what this conversation said it cost so far
    sa.Column("context_tokens", sa.Integer, nullable=False, default=0),  # size of the last request
    sa.Column("transcript_bytes", sa.Integer, nullable=False, default=0),  # 0 = never seen
    sa.Column("note", sa.String, nullable=False, default=""),  # why the next turn will not resume, if it will not
    # Of the present conversation: dispatches, when it was begun, why (if it is not the first).
    sa.Column("conversation_turns", sa.Integer, nullable=False, server_default="0"),
    sa.Column("conversation_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("begun_why", sa.String, nullable=False, server_default=""),
    # What the last hand-over said; turns from `summary_turn` on are not in it.
    sa.Column("summary", sa.Text, nullable=False, server_default=""),
    sa.Column("summary_turn", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("used_at", sa.Float, nullable=False),
    sa.Column("closed_at", sa.Float),
    sa.Column("closed_why", sa.String, nullable=False, default=""),
    sa.Column("removed_at", sa.Float),  # its state directory is gone
    sa.Column("place", sa.String, nullable=False, server_default=""),  # which state directory has it (`places`)
)
sa.Index("sessions_of_ref", session.c.ref)
unique_where("one_live_session", session.c.ref, session.c.agent, where=session.c.closed_at.is_(None))

turn = sa.Table(
    "turn",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("session_id", sa.Integer, sa.ForeignKey("session.id")),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("mode", sa.String),
    sa.Column("by_hand", sa.Boolean, nullable=False, default=False),  # its errand dies with the terminal it came from
    sa.Column("why", sa.String, nullable=False),
    sa.Column("told", sa.JSON, nullable=False, default=list),  # event ids that the prompt really named
    sa.Column("claude_session", sa.String, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("launches", sa.Integer, nullable=False, default=0),  # names the turn's directory
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),  # of workers, with it
    sa.Column("renewed", sa.Boolean, nullable=False, default=False),  # its one fresh start of its own is used up
    sa.Column("handovers", sa.Integer, nullable=False, server_default="0"),  # hand-overs launched; names directories
    sa.Column("handing_over", sa.Boolean, nullable=False, server_default=sa.false()),  # its last launch is one
    sa.Column("surprise", sa.String, nullable=False, server_default=""),  # why the conversation did not simply go on
    sa.Column("not_before", sa.Float, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),  # of its last launch; null while a claimed turn has not come to one
    sa.Column("deadline", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("exit", sa.Integer),
    sa.Column("kind", sa.String, nullable=False, default=""),  # of the last outcome
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Column("patient", sa.Boolean, nullable=False, server_default=sa.false()),  # it waits, and nothing is wrong
    sa.Column("answer", sa.Text, nullable=False, default=""),
    sa.Column("cost_usd", sa.Float, nullable=False, default=0.0),
    sa.Column("reserved", sa.Float, nullable=False, server_default="0"),  # what it may cost while it runs
    sa.Column("input", _Count, nullable=False, default=0),
    sa.Column("output", _Count, nullable=False, default=0),
    sa.Column("cache_read", _Count, nullable=False, default=0),
    sa.Column("cache_write", _Count, nullable=False, default=0),
    sa.Column("posted", sa.JSON, nullable=False, default=list),
    sa.Column("stop_asked", sa.String, nullable=False, default=""),
    sa.Column("owner", sa.String, nullable=False, default=""),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sqlite_autoincrement=True,  # a turn's number is in directories and in posts: never used again
)
unique_where("one_running_turn", turn.c.ref, where=turn.c.state == "running")
unique_where("one_waiting_turn", turn.c.ref, turn.c.agent, where=turn.c.state == "waiting")
sa.Index("turns_by_state", turn.c.state, turn.c.not_before)
sa.Index("turns_of_session", turn.c.session_id)
sa.Index("turns_of_ref", turn.c.ref)

turn_event = sa.Table(
    "turn_event",
    metadata,
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("event_id", sa.String, primary_key=True),
    sa.Column("turn_id", sa.Integer, sa.ForeignKey("turn.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),  # order of arrival within the turn
)
sa.Index("events_of_turn", turn_event.c.turn_id, turn_event.c.position)

#: One row for every run that has ended, hand-overs too: what was used, when, and for whom.
run = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("turn_id", sa.Integer, sa.ForeignKey("turn.id"), nullable=False),
    sa.Column("session_id", sa.Integer, sa.ForeignKey("session.id"), nullable=False),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False),  # turn | handover
    sa.Column("kind", sa.String, nullable=False),  # of its outcome
    sa.Column("at", sa.Float, nullable=False),  # when it was recorded
    sa.Column("cost_usd", sa.Float, nullable=False),
    sa.Column("input", _Count, nullable=False),
    sa.Column("output", _Count, nullable=False),
    sa.Column("cache_read", _Count, nullable=False),
    sa.Column("cache_write", _Count, nullable=False),
)
sa.Index("runs_by_time", run.c.at)
sa.Index("runs_of_ref", run.c.ref, run.c.at)

#: Agents whom the model's service refused: none of their turns starts before `until`, and then one alone.
agent_pause = sa.Table(
    "agent_pause",
    metadata,
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
)


def _to_2(op: Operations) -> None:
    """Rotation, a ledger of runs, pauses of agents instead of sessions."""
    for column in ("conversation_turns", "conversation_at", "begun_why", "summary", "summary_turn"):
        op.add_column("session", _like(session.c[column]))
    for column in ("handovers", "handing_over", "surprise"):
        op.add_column("turn", _like(turn.c[column]))
    bind = op.get_bind()
    for table in (run, agent_pause):
        table.create(bind)
    bind.execute(session.update().values(conversation_turns=session.c.turns, conversation_at=session.c.created_at))
    # What a turn used in several runs has one date only.
    names = ("session_id", "ref", "agent", "kind", "cost_usd", "input", "output", "cache_read", "cache_write")
    at = sa.func.coalesce(turn.c.ended_at, turn.c.started_at, turn.c.created_at)
    ended = sa.select(turn.c.id, sa.literal("turn"), at, *(turn.c[name] for name in names))
    used = ended.where(turn.c.session_id.is_not(None), turn.c.kind != "")
    bind.execute(run.insert().from_select(["turn_id", "what", "at", *names], used))
    old = sa.table("session", *map(sa.column, ("agent", "used_at", "paused_until", "paused_why")))
    latest = sa.select(
        old.c.agent, sa.func.max(old.c.paused_until), sa.func.max(old.c.paused_why), sa.func.max(old.c.used_at)
    )
    paused = latest.where(old.c.paused_until.is_not(None)).group_by(old.c.agent)
    bind.execute(agent_pause.insert().from_select(["agent", "until", "why", "since"], paused))
    for name in ("paused_until", "paused_why"):
        op.drop_column("session", name)


def _to_3(op: Operations) -> None:
    """Machines that share a database; money set aside; a pull's turns and sessions by index; counts of any size."""
    op.add_column("session", _like(session.c.place))
    for column in ("reserved", "deaths", "patient"):
        op.add_column("turn", _like(turn.c[column]))
    op.create_index("sessions_of_ref", "session", ["ref"])
    op.create_index("turns_of_ref", "turn", ["ref"])
    if op.get_bind().dialect.name == "postgresql":
        for table in (session, turn, run):
            for name in ("input", "output", "cache_read", "cache_write"):
                op.alter_column(table.name, name, type_=sa.BigInteger())


def _like(column: sa.Column[Any]) -> sa.Column[Any]:
    return sa.Column(column.name, column.type, nullable=column.nullable, server_default=column.server_default)


COMPONENT = Component(name="sessions", metadata=metadata, version=3, steps={2: _to_2, 3: _to_3})
