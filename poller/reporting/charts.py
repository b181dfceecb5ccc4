"""The geometry of a report's drawings: boxes in a field of 1000 by 100, for an SVG that is stretched to the page.

Pure.  Letters are no part of it: they would be stretched, too.  Must not know colours: a class names what a box is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from poller.amounts import counted
from poller.reporting.facts import Facts, Lane, Spent, Stretch

WIDTH, HEIGHT = 1000.0, 100.0
#: The least width of what is to be seen at all.
THIN, LEAST = 3.5, 6.0
DAY = 86_400.0
#: More dots than these are no clearer, and make the page large.
DOTS = 3000
#: The scale of durations goes from one second to a day, by decades.
SHORTEST, LONGEST = 1.0, 86_400.0
MARKED = ((1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (86_400.0, "1 d"))


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """`of`: what it is, for colour; `title`: what a finger or a mouse on it tells."""

    x: float
    y: float
    width: float
    height: float
    of: str
    title: str


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """`rows`: (height from the top in percent, text) of what the vertical axis says; `about`: it in words."""

    boxes: list[Box]
    about: str
    rows: list[tuple[float, str]] = []


def across(moment: float, *, since: float, until: float) -> float:
    """Where a moment lies."""
    return WIDTH * min(1.0, max(0.0, (moment - since) / max(1.0, until - since)))


def dates(since: float, until: float, *, many: int = 4) -> list[str]:
    """What the horizontal axis says, evenly spaced."""
    form = "%d %b %H:%M" if until - since < 4 * DAY else "%d %b"
    step = (until - since) / (many - 1)
    return [_said(since + nth * step, form) for nth in range(many)]


def lane(one: Lane, facts: Facts) -> Drawing:
    """Events as ticks above, turns as bars below."""
    boxes = [
        Box(
            x=min(across(mark.at, since=facts.since, until=facts.until), WIDTH - THIN), y=8, width=THIN, height=34,
            of=_kind(mark.event, mark.action),
            title=f"{_said(mark.at)} {mark.event} {mark.action}{f' by {mark.who}' if mark.who else ''}",
        )
        for mark in one.marks
    ]  # fmt: skip
    boxes += [_bar(turn, facts) for turn in one.turns]
    many = f"{counted(len(one.marks), 'event')} and {counted(len(one.turns), 'turn')}"
    return Drawing(boxes=boxes, about=f"{one.key}: {many} over time")


def _bar(turn: Stretch, facts: Facts) -> Box:
    begin = turn.started if turn.started is not None else turn.created
    end = turn.ended if turn.ended is not None and turn.ended >= begin else facts.until
    if turn.state == "waiting":
        end = facts.until
    left = across(begin, since=facts.since, until=facts.until)
    width = max(LEAST, across(end, since=facts.since, until=facts.until) - left)
    return Box(
        x=min(left, WIDTH - width), y=54, width=width, height=38, of=turn.state,
        title=f"turn {turn.turn}, {turn.agent}: {turn.state}{f', {turn.reason}' if turn.reason else ''}",
    )  # fmt: skip


def costs(spent: Sequence[Spent], *, since: float, until: float) -> Drawing:
    """US dollars, a column for each day (UTC)."""
    first, last = int(since // DAY), int(until // DAY)
    days = dict.fromkeys(range(first, last + 1), 0.0)
    for one in spent:
        if first <= int(one.at // DAY) <= last:
            days[int(one.at // DAY)] += one.usd
    most = max(days.values(), default=0.0)
    top = nice(most)
    width = WIDTH / len(days)
    boxes = [
        Box(
            x=(day - first) * width + width * 0.1, y=HEIGHT - HEIGHT * usd / top, width=width * 0.8,
            height=HEIGHT * usd / top, of="cost", title=f"{_said(day * DAY, '%d %b')}: ${usd:.2f}",
        )
        for day, usd in days.items() if usd > 0
    ]  # fmt: skip
    about = f"${sum(days.values()):.2f} in {counted(len(days), 'day')}, at most ${most:.2f} in one"
    return Drawing(boxes=boxes, about=about, rows=[(0.0, f"${top:g}"), (50.0, f"${top / 2:g}"), (100.0, "$0")])


def durations(turns: Sequence[Stretch], *, since: float, until: float) -> Drawing:
    """From the moment a turn was asked for to its end, by a logarithmic scale; one dot each."""
    over = [turn for turn in turns if turn.took is not None and turn.state in ("done", "failed")]
    boxes, step = [], math.ceil(len(over) / DOTS)
    for turn in over[::step] if over else ():
        took = turn.took or 0.0
        x = across(turn.ended or turn.created, since=since, until=until)
        boxes.append(
            Box(
                x=min(max(0.0, x - 3), WIDTH - 6), y=min(max(0.0, _depth(took) - 2.5), HEIGHT - 5), width=6, height=5,
                of=turn.state, title=f"turn {turn.turn}, {turn.agent}: {turn.state} after {took:.0f} s",
            )
        )  # fmt: skip
    middle = median([turn.took or 0.0 for turn in over])
    about = f"{counted(len(over), 'turn')}, the middle one {middle:.0f} s" if over else "no turn has ended"
    about += f"; one dot for {step} of them" if step > 1 else ""
    return Drawing(boxes=boxes, about=about, rows=[(_depth(seconds), text) for seconds, text in MARKED])


def _depth(seconds: float) -> float:
    """From the top: a day; at the bottom: a second or less."""
    share = math.log(min(max(seconds, SHORTEST), LONGEST) / SHORTEST) / math.log(LONGEST / SHORTEST)
    return HEIGHT * (1 - share)


def median(values: Sequence[float]) -> float:
    """The middle one; 0 without any."""
    return sorted(values)[len(values) // 2] if values else 0.0


def nice(most: float) -> float:
    """A round number that is not below this one."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _kind(event: str, action: str) -> str:
    if event == "pull_request" and action in ("closed", "deleted"):
        return "ended"
    if event == "pull_request_sync":
        return "push"
    return "words" if "comment" in event or "review" in event else "other"


def _said(moment: float, form: str = "%d %b %H:%M") -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)
