"""Numbers and times as people are told them.  Knows nothing else."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 turn`, `2 turns`, `1,000 turns`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """`90 s`, `15 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
