"""What `poll doctor` looks at: one value for each thing it found."""

from __future__ import annotations

from typing import Literal

import msgspec


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.  `mend` is what to do about it, `""` when nothing; `exit_code` counts when it failed."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""
    exit_code: int = 0


def ok(name: str, found: str) -> Check:
    """As it should be."""
    return Check(name=name, status="ok", found=found)


def warn(name: str, found: str, mend: str) -> Check:
    """It works, but."""
    return Check(name=name, status="warn", found=found, mend=mend)


def fail(name: str, found: str, mend: str, *, exit_code: int = 1) -> Check:
    """It will not work."""
    return Check(name=name, status="fail", found=found, mend=mend, exit_code=exit_code)
