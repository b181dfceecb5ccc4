"""Verbs that steer: `pause`, `unpause`, `reset`, `retry`, `replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from poller.calls import Key, config_of, failed_turns, places
from sessions import completing
from sessions.shell import Common

Place = Annotated[
    str | None,
    typer.Argument(
        metavar="[OWNER[/REPO[#N]]]", help="acme, acme/api or acme/api#7 [default: everything].",
        show_default=False, autocompletion=places,
    ),
]  # fmt: skip


def pause(
    options: Common,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; `poll status` and `why` say it.")],
    place: Place = None,
) -> int:
    """Begin no more turns there, until `poll unpause`.  Events are kept; a turn that runs goes on to its end."""
    from poller.verbs.holding import pause as verb

    return verb(config_of(options), place, reason=reason, as_json=options.as_json)


def unpause(options: Common, place: Place = None) -> int:
    """Lift a pause: the turns that waited for it run with the next cycle."""
    from poller.verbs.holding import unpause as verb

    return verb(config_of(options), place, as_json=options.as_json)


def reset(
    options: Common,
    key: Key,
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Only this agent's session.", autocompletion=completing.agents),
    ] = None,
    bottle: Annotated[bool, typer.Option("--bottle", help="The bottle too, not only the conversation.")] = False,
) -> int:
    """Forget the Claude session of a pull: the next event starts afresh."""
    from poller.verbs.steer import reset as verb

    return verb(config_of(options), key, agent=agent, bottle=bottle, as_json=options.as_json)


def retry(
    options: Common,
    turn: Annotated[int, typer.Argument(metavar="TURN", help="The turn's number.", autocompletion=failed_turns)],
) -> int:
    """Run a failed turn again."""
    from poller.verbs.steer import retry as verb

    return verb(config_of(options), turn, as_json=options.as_json)


def replay(
    options: Common,
    key: Key,
    since: Annotated[
        str | None, typer.Option("--from", metavar="EVENT_ID", help="Only this event and those after it.")
    ] = None,
    answered: Annotated[bool, typer.Option("--answered", help="Also what an agent has answered before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fed; write nothing.")] = False,
) -> int:
    """Feed logged events of an open pull again: after a mend of the config, of people's rights, of a template.

    Each event is judged anew, by the config and the rights of today.  Those that wake an agent become one new turn of
    it.  What waits or runs already stays where it is, and what the agent has answered is left out (unless --answered):
    nothing is answered twice by accident.  Nothing is closed or brought back by it.
    """
    from poller.verbs.replaying import Asked, again

    asked = Asked(key=key, since=since, answered=answered, dry=dry_run)
    return again(config_of(options), asked, as_json=options.as_json)
