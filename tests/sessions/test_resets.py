"""Dates of refusals, in the words in which the CLI has been seen to write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.resets import stated

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("You've hit your session limit · resets 3pm (Europe/Berlin)", "2026-11-21T14:00"),
        ("You've hit your session limit · resets 12:30pm (UTC)", "2026-11-21T12:30"),
        ("You've hit your session limit · resets 12am (UTC)", "2026-11-22T00:00"),
        ("resets 11am (UTC)", "2026-11-22T11:00"),  # that of today is over
        ("You've hit your weekly limit · resets Nov 25, 9am (UTC)", "2026-11-25T09:00"),
        ("5-hour limit reached · resets Nov 25 at 9:15am (UTC)", "2026-11-25T09:15"),
        ("You've hit your limit · resets Jan 2, 10am (America/New_York)", "2027-01-02T15:00"),
        ("spend limit reached · resets Dec 8 · request an increase", "2026-12-08T00:00"),
        ("try again after it resets on Dec 1 at 00:00 UTC.", "2026-12-01T00:00"),
        ("You will regain access on 2026-12-01 at 00:00 UTC.", "2026-12-01T00:00"),
        ("Claude AI usage limit reached|1795000000", "2026-11-18T11:06:40"),
        ("Not logged in · Please run /login", None),
        ("Credit balance is too low", None),
        ("it resets next month", None),
        ("resets 3", None),
        ("resets 3pm (Mars/Olympus)", None),
        ("resets 3pm (../../etc/passwd)", "2026-11-21T15:00"),  # no name of a zone
        ("resets Feb 31", None),
        ("resets 25:00", None),
        ("on 2026-13-45 at 00:00 UTC", None),
    ],
)
def test_stated_date_is_understood_or_left_alone(words: str, moment: str | None) -> None:
    expected = None if moment is None else datetime.fromisoformat(f"{moment}+00:00").timestamp()
    assert stated(words, now=NOW) == expected


@given(st.text(max_size=60).map(lambda text: f"resets {text}"), st.floats(0, 4e9))
def test_no_words_are_too_odd(words: str, now: float) -> None:
    moment = stated(words, now=now)
    assert moment is None or moment > 0
