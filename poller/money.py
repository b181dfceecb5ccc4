"""What agents may cost, and what is left of it: of a day, of a month, of a pull, of a repository.

Knows the config's caps and the ledger's sums, and what is said when a cap is reached.  A turn's money is reserved in
the transaction that claims it, so that workers who know nothing of each other do not spend the same twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec
import sqlalchemy as sa

from poller import letters, notices
from poller.deltas.events import place_of, pull_ref
from poller.notices import Of
from sessions import ledger
from sessions.config import Agent, Limits
from sessions.logs import bound, fields
from sessions.turns import NotNow, Turn

log = logging.getLogger(__name__)

#: Seconds until somebody looks again whether a cap was raised, or whether those that hold what is left have ended.
AGAIN, SOON = 600.0, 5.0
#: Less than this is nothing: sums of floating point numbers.
_DUST = 1e-9


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """One cap, in US dollars.  `reserved`: by turns that run; `until`: when it is whole again (epoch seconds)."""

    of: Of
    usd: float
    spent: float
    reserved: float
    until: float | None = None

    def is_full(self, usd: float) -> bool:
        """Is there less left than this?  What is dearer than the whole cap may have all of it."""
        return self.spent + self.reserved + min(usd, self.usd) > self.usd + _DUST

    def is_spent(self, usd: float) -> bool:
        """Would there be less left even if nothing ran?"""
        return self.spent + min(usd, self.usd) > self.usd + _DUST

    def said(self, usd: float) -> str:
        """That a turn which may cost so much does not fit, in one line."""
        asked = min(usd, self.usd)
        return notices.cap_reached(self.of, usd=self.usd, spent=self.spent, reserved=self.reserved, turn=asked)


def caps(
    conn: sa.Connection, limits: Limits, *, now: float, ref: str | None = None, but: int | None = None
) -> list[Cap]:
    """The caps that the config sets, as they are now; those of pull and repository only for a `ref`.

    `but`: a turn whose own reservation does not count."""
    day, month = ledger.day_of(now), ledger.month_of(now)
    found = [
        _cap(conn, "day", limits.usd_per_day, since=day, but=but, until=day + ledger.DAY),
        _cap(conn, "month", limits.usd_per_month, since=month, but=but, until=ledger.month_after(now)),
    ]
    if ref is not None:
        found.append(_cap(conn, "pull", limits.usd_per_pull, ref=ref, but=but))
        found.append(_cap(conn, "repository", limits.usd_per_repository, within=of_repository(ref), but=but))
    return [cap for cap in found if cap is not None]


def of_repository(ref: str) -> str:
    """How the identities of all pulls of this one's repository begin."""
    repo_id, _ = place_of(ref)
    return pull_ref(ref.rsplit("|", 2)[0], repo_id, None)


def _cap(
    conn: sa.Connection,
    of: Of,
    usd: float | None,
    *,
    since: float = 0.0,
    ref: str | None = None,
    within: str | None = None,
    but: int | None,
    until: float | None = None,
) -> Cap | None:
    if usd is None:
        return None
    spent = ledger.spent_since(conn, since, ref=ref, within=within).usd
    reserved = ledger.reserved(conn, ref=ref, within=within, but=but)
    return Cap(of=of, usd=usd, spent=spent, reserved=reserved, until=until)


class Purse:
    """What one config lets its turns cost.  `now` is the clock (epoch seconds)."""

    def __init__(self, limits: Limits, agents: Mapping[str, Agent], *, forge: str, now: Callable[[], float]) -> None:
        self._limits, self._agents, self._forge, self._now = limits, agents, forge, now

    def afford(self, conn: sa.Connection, turn: Turn) -> float | NotNow:
        """What a launch of this turn may cost, or why it does not begin now, which the pull is told once."""
        now, usd = self._now(), self._agents[turn.agent].limits.usd
        found = caps(conn, self._limits, now=now, ref=turn.ref, but=turn.id)
        full = next((cap for cap in found if cap.is_full(usd)), None)
        if full is None:
            return min([usd, *(cap.usd for cap in found)])
        reason = full.said(usd)
        if not full.is_spent(usd):  # what runs has reserved the rest, and will not need all of it
            return NotNow(reason=reason, at=now if full.until is not None else now + SOON, patient=True)
        if turn.reason != reason:
            with bound(pull=turn.key, turn=turn.id):
                log.warning("turn not begun: %s", reason, extra=fields(agent=turn.agent))
        self._tell(conn, turn, full, reason, now=now)
        return NotNow(reason=reason, at=min(now + AGAIN, full.until or now + AGAIN), patient=True)

    def _tell(self, conn: sa.Connection, turn: Turn, cap: Cap, reason: str, *, now: float) -> None:
        """On the pull, once for each time that the cap is whole again, and once for each that it is raised."""
        if self._agents[turn.agent].reply == "none":
            return
        period = f"{cap.until:.0f}" if cap.until is not None else f"{cap.usd:.2f}"
        part = f"cap-{cap.of}-{period}"
        if letters.is_told(conn, ref=turn.ref, part=part):
            return
        repo, _, number = turn.key.removeprefix(f"{self._forge}/").rpartition("#")
        body = notices.at_the_cap(reason, turn.id, part, until=cap.until)
        letters.put(
            conn, forge=self._forge, ref=turn.ref, repo=repo, number=int(number), turn_id=turn.id, bodies=[body],
            now=now,
        )  # fmt: skip
