"""The poller's tables, beside those of `sessions` in the same database.

What the schema itself refuses: the same event twice, two memories of one pull, two posts for one part of a turn.
Times are RFC 3339 (`…Z`) where the forge said them, epoch seconds where our clock did.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sessions.database import Component

if TYPE_CHECKING:
    from alembic.operations import Operations

metadata = sa.MetaData()


def _of_pull() -> list[sa.Column[Any]]:
    columns = {"forge": sa.String, "repo_id": sa.Integer, "number": sa.Integer}
    return [sa.Column(name, kind, primary_key=True) for name, kind in columns.items()]


forge = sa.Table(
    "forge",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("cursor", sa.String),  # largest `updated_at` of finished cycles
    sa.Column("bot_id", sa.Integer),
    sa.Column("bot_login", sa.String),
    sa.Column("token_mark", sa.String, nullable=False, default=""),  # tells another token, without telling the token
    sa.Column("patterns_mark", sa.String, nullable=False, default=""),  # tells another `repos`
    sa.Column("version", sa.String, nullable=False, default=""),
    sa.Column("page", sa.Integer, nullable=False, default=50),  # the server's `max_response_items`
    sa.Column("paged", sa.Boolean),  # cuts timelines that nobody asked it to cut; null = not tried yet
    sa.Column("asked_at", sa.Float, nullable=False, default=0.0),  # who am I, version, inventory
    sa.Column("success_at", sa.Float),
    sa.Column("error", sa.String, nullable=False, default=""),
    sa.Column("error_at", sa.Float),
    sa.Column("pruned_at", sa.Float, nullable=False, server_default="0"),  # when old events were removed
    sa.Column("owner", sa.String, nullable=False, server_default=""),  # whose everything is that we watch, if one's
    sa.Column("quiet_until", sa.Float, nullable=False, server_default="0"),  # the forge asked for patience until then
    sa.Column("credit", sa.Float, nullable=False, server_default="0"),  # requests that sweeps may send now
    sa.Column("owed", sa.Float, nullable=False, server_default="0"),  # what others have sent beyond their part
    sa.Column("credit_at", sa.Float, nullable=False, server_default="0"),  # when that was reckoned
    sa.Column("requests", sa.Integer, nullable=False, server_default="0"),  # sent in all since `counted_from`
    sa.Column("swept", sa.Integer, nullable=False, server_default="0"),  # of these, by sweeps
    sa.Column("counted_from", sa.Float, nullable=False, server_default="0"),
)

#: What is watched, and since when: rows older than `since` are history.
watch = sa.Table(
    "watch",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("pattern", sa.String, primary_key=True),
    sa.Column("since", sa.String, nullable=False),
)

#: Repositories named in the config, as the last inventory found them.
repository = sa.Table(
    "repository",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("repo_id", sa.Integer),
    sa.Column("error", sa.String, nullable=False, default=""),
    sa.Column("checked_at", sa.Float, nullable=False),
)

#: Every repository whose pulls were ever seen or listed, by id: what it is called now, and whether it is still there.
known_repository = sa.Table(
    "known_repository",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("repo_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("changes", sa.Integer, nullable=False, server_default="0"),  # names and disappearances told: numbers ids
    sa.Column("gone_at", sa.Float),  # since when it cannot be found any more
    sa.Column("is_archived", sa.Boolean, nullable=False, server_default=sa.false()),
)

#: What is looked at by the clock, because nothing moves a stamp when it changes.
sweep = sa.Table(
    "sweep",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("what", sa.String, primary_key=True),  # open: the list of open pulls; repo: heads and edits; pull
    sa.Column("repo_id", sa.Integer, primary_key=True),  # 0 for the list
    sa.Column("number", sa.Integer, primary_key=True),  # 0 but for a pull
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("wait", sa.Float, nullable=False),  # seconds until the one after: longer when nothing is found
    sa.Column("read_to", sa.String),  # the forge's time of the last one; null: none yet
    sa.Column("error", sa.String, nullable=False, server_default=""),  # why the last one failed
)
sa.Index("sweeps_due", sweep.c.forge, sweep.c.due_at)

pull = sa.Table(
    "pull",
    metadata,
    *_of_pull(),
    sa.Column("repo", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("updated_at", sa.String, nullable=False),
    sa.Column("due_at", sa.String),  # when to look again although no row moved
    sa.Column("errors", sa.Integer, nullable=False, default=0),  # failed looks in a row
    sa.Column("error", sa.String, nullable=False, default=""),
    sa.Column("boundary", sa.String, nullable=False),  # for a pull of which nothing could be read yet
    sa.Column("known", sa.LargeBinary),  # our memory of it (JSON); null = nothing read yet
)
sa.Index("pulls_due", pull.c.forge, pull.c.due_at)

event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("seen_at", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False, server_default=""),  # the login in lower case
    sa.Column("line", sa.LargeBinary, nullable=False),  # the contract's JSON object
    sa.Column("is_reworded", sa.Boolean, nullable=False, server_default=sa.false()),  # before anybody read it
    sqlite_autoincrement=True,
)
sa.Index("events_of_pull", event.c.ref, event.c.seq)
sa.Index("events_by_key", event.c.key, event.c.seq)
sa.Index("events_by_time", event.c.seen_at)
sa.Index("events_by_kind", event.c.event, event.c.action, event.c.seq)
# With the kind in it, so that whoever does much is found at what he seldom does without reading everything else of his.
sa.Index("events_by_actor", event.c.actor, event.c.seq, event.c.event, event.c.action)

#: What each event was to become, one row per agent that it could have woken ("" = for all of them).
decision = sa.Table(
    "decision",
    metadata,
    sa.Column("event_id", sa.String, sa.ForeignKey("event.id"), primary_key=True),
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("verdict", sa.String, nullable=False),  # wake | hold | ignore | refuse | command | close
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("turn_id", sa.Integer),
)

#: Who may write where, as the forge said it a few minutes ago at most.
permission = sa.Table(
    "permission",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("repo_id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.Integer, primary_key=True),
    sa.Column("asked", sa.String, primary_key=True),  # writers | collaborators | login … (of nobody)
    sa.Column("allowed", sa.Boolean),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("asked_at", sa.Float, nullable=False),
)

#: What people hold back until somebody lifts it; `pauses` says how a place is written.
pause = sa.Table(
    "pause",
    metadata,
    sa.Column("place", sa.String, primary_key=True),
    sa.Column("forge", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),  # as it was called then
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("by", sa.String, nullable=False),  # a login; "": at the command line
    sa.Column("since", sa.Float, nullable=False),
)

#: Who is meant by a login in the config (`login/`: by an owner): whoever had it when it was first looked for.
person = sa.Table(
    "person",
    metadata,
    sa.Column("forge", sa.String, primary_key=True),
    sa.Column("login", sa.String, primary_key=True),  # in lower case
    sa.Column("user_id", sa.Integer, nullable=False),
)

#: Heads of forks that somebody trusted has let an agent work on.
consent = sa.Table(
    "consent",
    metadata,
    *_of_pull(),
    sa.Column("head_sha", sa.String, primary_key=True),
    *(sa.Column(name, sa.String, nullable=False) for name in ("login", "event_id")),  # who said so, and with what
)

#: How a pull stands with us, beside what the forge knows of it.
standing = sa.Table(
    "standing",
    metadata,
    *_of_pull(),
    sa.Column("asked", sa.Boolean, nullable=False),  # consent was asked for, and not given since
    sa.Column("unattended", sa.Integer, nullable=False),  # turns since a person did anything
    sa.Column("ignored_by", sa.String, nullable=False),  # who wants nothing of it to wake an agent; "": nobody
)

#: Words on their way to the forge.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("turn_id", sa.Integer, nullable=False),  # below zero: of no turn, but of the event with this `seq`
    sa.Column("part", sa.String, nullable=False),  # as its marker names it
    sa.Column("forge", sa.String, nullable=False),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("repo", sa.String, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.String, nullable=False),  # held | waiting | sent | failed | dropped
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", sa.Float, nullable=False, default=0.0),
    sa.Column("owner", sa.String, nullable=False, default=""),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sa.Column("comment_id", sa.Integer),
    sa.Column("error", sa.String, nullable=False, default=""),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("review", sa.Text, nullable=False, server_default=""),  # JSON of what makes it a review; "" = a comment
    sa.Column("tried_at", sa.Float, nullable=False, server_default="0"),  # of a try that nobody answered; 0 = answered
    sa.Column("asked_at", sa.String, nullable=False, server_default=""),  # the forge's time before the first try
    sa.Column("ended_at", sa.Float, nullable=False, server_default="0"),  # when it was given up
    sa.UniqueConstraint("turn_id", "part"),
    sqlite_autoincrement=True,
)
sa.Index("outbox_due", outbox.c.state, outbox.c.not_before)

#: A pull as a turn found it right before its launch.
aim = sa.Table(
    "aim",
    metadata,
    sa.Column("turn_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("head_sha", sa.String, nullable=False),
    sa.Column("head_ref", sa.String, nullable=False),
    sa.Column("is_fork", sa.Boolean, nullable=False),
    sa.Column("is_own", sa.Boolean, nullable=False),  # the bot itself has opened it
    sa.Column("url", sa.String, nullable=False),
)

#: What is done at the forge beside words.
deed = sa.Table(
    "deed",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("turn_id", sa.Integer, nullable=False),  # 0 = of no turn
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False),  # react | status | push
    sa.Column("place", sa.String, nullable=False),  # tells it from others of the turn
    sa.Column("forge", sa.String, nullable=False),
    sa.Column("told", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("state", sa.String, nullable=False),  # waiting | open (pending) | done | failed | dropped
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", sa.Float, nullable=False),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("lease_until", sa.Float, nullable=False, server_default="0"),
    sa.Column("error", sa.String, nullable=False, server_default=""),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("turn_id", "ref", "what", "place"),
    sqlite_autoincrement=True,
)
sa.Index("deeds_due", deed.c.state, deed.c.not_before)


def _to_2(op: Operations) -> None:
    """Sweeps, repositories by id, who did what, patience, pauses, reviews in the outbox."""
    for name in ("quiet_until", "credit", "owed", "credit_at", "counted_from", "pruned_at"):
        op.add_column("forge", sa.Column(name, sa.Float, nullable=False, server_default="0"))
    op.add_column("forge", sa.Column("owner", sa.String, nullable=False, server_default=""))
    for name in ("requests", "swept"):
        op.add_column("forge", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    late = [outbox.c[name] for name in ("review", "tried_at", "asked_at", "ended_at")]
    for column in [*late, event.c.actor, event.c.is_reworded]:
        copy = sa.Column(column.name, column.type, nullable=False, server_default=column.server_default)
        op.add_column(column.table.name, copy)
    op.execute(outbox.update().where(outbox.c.state == "failed").values(ended_at=outbox.c.created_at))
    bind = op.get_bind()
    for table in (known_repository, sweep, pause, aim, deed, person, consent, standing):
        table.create(bind)
    _fill_in_actors(bind)
    op.create_index("events_by_kind", "event", ["event", "action", "seq"])
    op.create_index("events_by_actor", "event", ["actor", "seq", "event", "action"])


def _fill_in_actors(bind: sa.Connection) -> None:
    """Some at a time: a log can be larger than the memory."""
    write = event.update().where(event.c.seq == sa.bindparam("place")).values(actor=sa.bindparam("login"))
    after = 0
    while rows := bind.execute(
        sa.select(event.c.seq, event.c.line).where(event.c.seq > after).order_by(event.c.seq).limit(1000)
    ).all():
        actors = [(row.seq, json.loads(row.line).get("actor") or {}) for row in rows]
        bind.execute(write, [{"place": seq, "login": str(who.get("login", "")).lower()} for seq, who in actors])
        after = rows[-1].seq


COMPONENT = Component(name="poller", metadata=metadata, version=2, steps={2: _to_2})
