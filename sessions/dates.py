"""How far off a date may be that somebody wrote down.

A clock that was ahead and is put right leaves dates that nobody would wait for.  Must not know what they are of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Seconds that a turn or a pause may have to wait: a quota's week and what is added to it, and a day for clocks.
LONGEST = 9 * 86_400.0


def is_time(column: sa.ColumnElement[float], *, now: float, longest: float = LONGEST) -> sa.ColumnElement[bool]:
    """The other way round, of a column: what lies more than `longest` ahead is not waited for."""
    return (column <= now) | (column > now + longest)


def is_to_come(moment: float, *, now: float) -> bool:
    """Whether that moment is to be waited for; one that is too far off was dated by a clock that was put back since."""
    return now < moment <= now + LONGEST
