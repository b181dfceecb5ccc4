"""What the bot says of itself on a pull: answers to commands, and notices that no turn is behind.

Knows words.  Must not know SQL, or when to speak.  All that others wrote is shown as code, where the forge looks for no
mentions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from poller.commands import MEANINGS, Command
from poller.replies import marker

if TYPE_CHECKING:
    from sessions.turns import Turn

Of = Literal["day", "month", "pull", "repository"]


class CapSeen(Protocol):
    """What is shown of a cap."""

    @property
    def of(self) -> Of: ...
    @property
    def usd(self) -> float: ...
    @property
    def spent(self) -> float: ...
    @property
    def reserved(self) -> float: ...


_OF = {"day": "a day", "month": "a month", "pull": "one pull request", "repository": "one repository"}


def said(text: str, turn: int, part: str) -> str:
    """A whole post: these words, and the mark by which it is known again."""
    return f"{text.rstrip()}\n\n{marker(turn, part)}"


def in_code(text: str, *, limit: int = 200) -> str:
    """One line of somebody else's words."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * limit]).split())
    line = line.replace("`", "'")
    return f"`{line if len(line) <= limit else line[: limit - 1] + '…'}`" if line else "``(nothing)``"


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def usd(amount: float) -> str:
    return f"${amount:,.2f}"


# -- answers to commands --------------------------------------------------------------------------------------------


def answer(text: str, command: Command) -> str:
    """With a word about what was not passed on, when there was more than the command."""
    if command.rest and command.word not in ("pause", "ok-to-test"):
        text += (
            f"\n\n<sub>`{command.word}` as the first word is a command; the words behind it went to nobody. "
            "To ask me something, begin with another word.</sub>"
        )
    return text


def help_of(bot: str, agents: Iterable[tuple[str, Sequence[str]]]) -> str:
    rows = [f"| `{word}` | {meaning} |" for word, meaning in MEANINGS.items()]
    woken = [f"- **{_plain(name)}** wakes on {', '.join(f'`{_plain(word)}`' for word in on)}" for name, on in agents]
    return "\n".join([
        f"Write `@{_plain(bot)}` and what you want in a comment. A first word of these is a command:",
        "",
        "| word | does |",
        "|---|---|",
        *rows,
        "",
        *woken,
        "",
        "Only people whom the operator trusts are heard; anything else you write is passed on as your words.",
    ])  # fmt: skip


def stopped(running: int, waiting: int) -> str:
    if not running and not waiting:
        return "Nothing runs and nothing waits here."
    done = [f"{_turns(running)} asked to stop"] * bool(running) + [f"{_turns(waiting)} dropped"] * bool(waiting)
    text = " and ".join(done)
    return f"{text[0].upper()}{text[1:]}. `retry` runs the last one again."


def retried(turns: Sequence[tuple[str, int]]) -> str:
    if not turns:
        return "There is nothing to run again: no agent's last turn here failed or was stopped."
    return "\n".join(f"Turn {number} of {_plain(agent)} runs again." for agent, number in turns)


def forgotten(agents: Sequence[str]) -> str:
    if not agents:
        return "There was no conversation to forget."
    names = " and ".join(f"**{_plain(name)}**" for name in agents)
    return f"The conversation of {names} is forgotten; the next event starts a new one."


def paused(reason: str, *, before: bool) -> str:
    how = "was paused already, and stays so" if before else "is paused"
    return f"This pull request {how}: {in_code(reason)}. What happens is kept; `resume` goes on with it."


def resumed(*, was_paused: bool, was_ignored: bool, others: Sequence[str]) -> str:
    lines = []
    if was_paused:
        lines.append("The pause is over; what has waited begins now.")
    if was_ignored:
        lines.append("I listen again to what happens here.")
    if not lines and not others:
        lines.append("Nothing was paused or ignored here.")
    if others:
        lines.append(held_back(others))
    return " ".join(lines)


def held_back(pauses: Iterable[str]) -> str:
    """By whom only the operator can end."""
    return f"The operator still holds me back: {'; '.join(in_code(one) for one in pauses)}."


def ignored(waiting: int) -> str:
    dropped = f" {_turns(waiting)} that waited {'is' if waiting == 1 else 'are'} dropped." if waiting else ""
    return f"Nothing that happens here wakes me from now on, until `resume`.{dropped}"


def listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def turn_line(turn: Turn) -> str:
    """One turn as `status` shows it."""
    when = ""
    if turn.state == "running" and turn.started_at is not None:
        when = f" since {stamp(turn.started_at)}"
    elif turn.state != "waiting" and turn.ended_at is not None:
        when = f" on {stamp(turn.ended_at)}"
    reason = f": {in_code(turn.reason)}" if turn.reason and turn.state != "running" else ""
    return f"turn {turn.id} of {_plain(turn.agent)} ({in_code(turn.why, limit=40)}) is {turn.state}{when}{reason}"


def cap_line(cap: CapSeen) -> str:
    """One cap: what is used of it."""
    reserved = f" and {usd(cap.reserved)} reserved" if cap.reserved else ""
    return f"{_OF[cap.of]}: {usd(cap.spent)} spent{reserved}, of {usd(cap.usd)}"


def let_in(head: str, turns: int) -> str:
    begins = f"{_turns(turns).capitalize()} can begin." if turns else "Nothing waits for it."
    return f"`{head[:12]}` may be worked on, and no other commit: a later push has to be looked at again. {begins}"


def not_let_in(trouble: str, bot: str) -> str:
    """`bot`: whom to say it to once more; "" = that would not help."""
    advice = (
        f" When you have looked at the head, say `@{_plain(bot)} ok-to-test`, with the whole commit behind it if you "
        "want to be sure which."
    )
    return f"Nothing was let in: {trouble}.{advice if bot else ''}"


# -- notices --------------------------------------------------------------------------------------------------------


def consent_wanted(bot: str, head: str) -> str:
    at = f", which is `{head[:12]}` now" if head else ""
    return (
        "The code of this pull request is on no branch of this repository (it comes from a fork, or was pushed for "
        "review), and I do nothing with it before somebody whom the operator trusts "
        f"has looked at it and says `@{_plain(bot)} ok-to-test`. That holds for the head{at}; a later push asks again."
    )


def nobody_there(bot: str, turns: int) -> str:
    return (
        f"Without a person, {_turns(turns)} went by here, so I stop talking with other bots. Events are kept; "
        f"`@{_plain(bot)} resume` by somebody whom the operator trusts goes on."
    )


def cap_reached(of: Of, *, usd: float, spent: float, reserved: float, turn: float) -> str:
    """One line, for the log too.  `turn`: what one may cost."""
    running = f", and {_dollars(reserved)} are reserved by turns that run" if reserved > 0 else ""
    return (
        f"a turn may cost {_dollars(turn)}, and of the {_dollars(usd)} for {_OF[of]} (limits.usd_per_{of}) "
        f"{_dollars(spent)} are spent{running}"
    )


def _dollars(usd: float) -> str:
    """To the cent; of less than one what there is of it."""
    return f"${usd:,.2f}" if usd >= 0.01 or usd <= 0 else f"${usd:.4f}"


def at_the_cap(reason: str, turn: int, part: str, *, until: float | None) -> str:
    when = f"until {stamp(until)}, or " if until is not None else ""
    text = f"I do not begin, to keep within what I may cost: {reason}. I wait {when}until the operator raises it."
    return said(text, turn, part)


def _turns(number: int) -> str:
    return "one turn" if number == 1 else f"{number} turns"


def _plain(name: str) -> str:
    """A name from the config or the forge, without what Markdown could take for something else."""
    return "".join(sign for sign in name if sign.isalnum() or sign in "-_.:/ ")
