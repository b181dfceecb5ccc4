"""What an agent is told about the code in its working directory.

Knows checkouts.  Names that others chose are quoted, and never part of a command.
"""

from __future__ import annotations

import re

from poller.prompts.fence import quoted
from sessions.sources import Checkout

#: A branch that can stand in a command as it is; of a very long name there may be no such ref.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")
#: Branches of its own that an agent is reminded of.
_REMINDERS = 20


def how_to_see(checkout: Checkout, *, pushes: bool = False) -> str:
    """Where the code is, how to see the change, what becomes of commits, and of the agent's own work."""
    said = [_where(checkout), _pushing(checkout, pushes=pushes), _change(checkout), _since(checkout), _own(checkout)]
    return " ".join(filter(None, said))


def _where(checkout: Checkout) -> str:
    at = f"on branch `{checkout.branch}` at commit `{checkout.head}`"
    if checkout.untouched:
        return f"Your working directory is as you left it; the pull request's code in it was checked out {at}."
    return f"The pull request's code is in your working directory, a git clone of its own, {at}."


def _pushing(checkout: Checkout, *, pushes: bool) -> str:
    if not pushes:
        return "What you commit there stays there: nothing of it is pushed."
    return (
        f"What you commit on branch `{checkout.branch}` is pushed to the pull request for you when your turn is over; "
        "you cannot push yourself. What is not committed stays. Add commits only: nothing is pushed if you rewrite "
        "those that are there, or if you change files of CI, of agents' settings, or others that are protected here. "
        "Below your answer people are told what was pushed: do not promise it."
    )


def _change(checkout: Checkout) -> str:
    if not checkout.base:
        return (
            f"Its base, {quoted(checkout.base_name)}, is not on the forge any more: there is nothing to compare with."
        )
    plain = _PLAIN.fullmatch(checkout.base_name) is not None
    base = f"origin/{checkout.base_name}" if plain else "refs/bottlepost/base"
    head = "refs/bottlepost/head" if checkout.untouched else "HEAD"
    named = "" if plain else f" (that is {quoted(checkout.base_name)})"
    stale = " The base has moved on; your copy of it was left alone, as your own work is." if checkout.stale else ""
    return f"See the whole change against its base with `git diff {base}...{head}`{named}.{stale}"


def _since(checkout: Checkout) -> str:
    if not checkout.before:
        return ""
    return (
        "The head has moved since your last look at it: `git diff refs/bottlepost/before HEAD` shows from where to "
        "where, `git log refs/bottlepost/before..HEAD` the new commits."
    )


def _own(checkout: Checkout) -> str:
    said = []
    if checkout.kept:
        said.append(
            "What you had changed or committed in the directory before is not checked out any more; it was kept on "
            f"branch `{checkout.kept}`."
        )
    if checkout.earlier:
        names = ", ".join(quoted(name, limit=100) for name in checkout.earlier[-_REMINDERS:])
        said.append(f"Other branches with work of your own: {names}.")
    if checkout.lost:
        said.append(
            f"What you had in the directory before could not be carried over ({quoted(checkout.lost)}); the operator "
            "still has it. Say so if it matters."
        )
    return " ".join(said)
