"""Verbs that steer: `pause`, `unpause`, `reset`, `retry`."""

from __future__ import annotations

from typing import Annotated

import typer

from poller.calls import Key, common, config_of
from sessions import completing
from sessions.shell import ConfigPath

Place = Annotated[
    str | None,
    typer.Argument(
        metavar="[OWNER[/REPO[#N]]]", help="acme, acme/api or acme/api#7 [default: everything].",
        show_default=False, autocompletion=completing.keys,
    ),
]  # fmt: skip


def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; `poll status` and `why` say it.")],
    place: Place = None,
    config: ConfigPath = None,
) -> int:
    """Begin no more turns there, until `poll unpause`.  Events are kept; a turn that runs goes on to its end."""
    from poller.verbs.holding import pause as verb

    return verb(config_of(common(context, config=config)), place, reason=reason)


def unpause(context: typer.Context, place: Place = None, config: ConfigPath = None) -> int:
    """Lift a pause: the turns that waited for it run with the next cycle."""
    from poller.verbs.holding import unpause as verb

    return verb(config_of(common(context, config=config)), place)


def reset(
    context: typer.Context,
    key: Key,
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Only this agent's session.", autocompletion=completing.agents),
    ] = None,
    bottle: Annotated[bool, typer.Option("--bottle", help="The bottle too, not only the conversation.")] = False,
    config: ConfigPath = None,
) -> int:
    """Forget the Claude session of a pull: the next event starts afresh."""
    from poller.verbs.steer import reset as verb

    return verb(config_of(common(context, config=config)), key, agent=agent, bottle=bottle)


def retry(
    context: typer.Context,
    turn: Annotated[int, typer.Argument(metavar="TURN", help="The turn's number.")],
    config: ConfigPath = None,
) -> int:
    """Run a failed turn again."""
    from poller.verbs.steer import retry as verb

    return verb(config_of(common(context, config=config)), turn)
