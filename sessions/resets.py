"""When a refusal ends, as the CLI writes it for people: "resets 3pm (Europe/Berlin)", "… on 2026-01-01 at 00:00 UTC".

Pure: `now` is an argument.  Knows the ways of writing; must not know what is to be done until then.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EPOCH = re.compile(r"limit reached\|(\d{10})\b")
_ISO = re.compile(r"\b(\d{4}-\d\d-\d\d)(?: at |[ T])(\d\d:\d\d)(?::\d\d)?(?: ?UTC|Z)")
_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half>[ap]m)?"
_WORDS = re.compile(
    rf"resets? (?:at |on )?(?:(?P<month>{'|'.join(_MONTHS)})[a-z]*\.? (?P<day>\d{{1,2}})(?:,? at |, | )?)?"
    rf"(?:{_CLOCK})?(?: ?\((?P<zone>[A-Za-z_/+0-9-]+)\)| (?P<utc>UTC))?",
    re.IGNORECASE,
)


def stated(words: str, *, now: float) -> float | None:
    """The moment (epoch seconds) from which on it works again; `None` when the words name none that is understood."""
    if found := _EPOCH.search(words):
        return float(found[1])
    if found := _ISO.search(words):
        try:
            return datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").timestamp()
        except ValueError:
            return None
    moments = (_moment(found, now) for found in _WORDS.finditer(words))
    return next((moment for moment in moments if moment is not None), None)


def _moment(found: re.Match[str], now: float) -> float | None:
    """The next moment that is called so."""
    if not found["hour"] and not found["day"]:
        return None
    if found["hour"] and not (found["half"] or found["minute"]):
        return None  # a number of something else
    zone = _zone(found["zone"])
    if zone is None:
        return None
    here = datetime.fromtimestamp(now, zone)
    hour = int(found["hour"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    try:
        moment = here.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["day"]:
            moment = moment.replace(month=_MONTHS.index(found["month"].lower()) + 1, day=int(found["day"]))
            # In December it may speak of January.
            moment = moment if moment > here - timedelta(days=180) else moment.replace(year=moment.year + 1)
        elif moment <= here:
            moment += timedelta(days=1)
    except ValueError:
        return None
    return moment.timestamp()


def _zone(name: str | None) -> tzinfo | None:
    if name is None or name.upper() == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
