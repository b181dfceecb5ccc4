"""A report as one HTML page: nothing is fetched, nothing runs, and whatever people wrote stays text.

Knows the template.  Must not know rows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from poller.amounts import counted, span
from poller.reporting import charts
from poller.reporting.facts import NAMED, Facts, Stretch
from sessions import __version__
from sessions.logs import escaped


def page_of(facts: Facts) -> str:
    """The whole page."""
    room = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    room.filters |= {"moment": _moment, "span": span, "dollars": _dollars, "link": _link, "counted": counted}
    room.filters["place"] = lambda key: key.removeprefix(f"{facts.forge}/")
    turns = [turn for _, turn in facts.turns]
    over = [turn.took for turn in turns if turn.took is not None and turn.state in ("done", "failed")]
    return room.get_template("report.html.j2").render(
        facts=facts,
        version=__version__,
        dates=charts.dates(facts.since, facts.until),
        costs=charts.costs(facts.spent, since=facts.since, until=facts.until),
        durations=charts.durations(turns, since=facts.since, until=facts.until),
        lanes=[(lane, charts.lane(lane, facts)) for lane in facts.lanes],
        failures=[(key, turn) for key, turn in reversed(facts.turns) if _has_failed(turn)][:NAMED],
        states={state: sum(turn.state == state for turn in turns) for state in ("done", "failed", "dropped")},
        usd=sum(one.usd for one in facts.spent),
        middle=charts.median(over),
        width=charts.WIDTH,
        height=charts.HEIGHT,
    )


def _has_failed(turn: Stretch) -> bool:
    """For good, or so far."""
    return turn.state == "failed" or (turn.state in ("waiting", "dropped") and bool(turn.reason))


def _shown(value: object) -> object:
    """No control characters, and no marks that turn the direction of text."""
    return escaped(value) if type(value) is str else value


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}"


def _link(url: str) -> str:
    """Only to a web page, and only with characters that belong there."""
    parts = urlsplit(url)
    return quote(url, safe=":/?#[]@!$&'()*+,;=%") if parts.scheme in ("http", "https") and parts.netloc else ""
