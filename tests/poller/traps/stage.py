"""What the tests of traps share: versions, a pull that is watched, and what was told of it in few words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from poller import eventlog
from poller.cycle import Report
from poller.deltas.events import Event
from poller.demo.faults import Fault
from poller.demo.pulls import Pull
from sessions.database import reading
from tests.poller.desk import Desk

OLD, STABLE, NEXT = "1.22.6", "1.25.4", "1.26-dev"
#: Longer than the overlap: whatever is quiet for so long has settled.
QUIET = 301
#: What an answer can be instead of what is there.
LIES: dict[str, dict[str, Any]] = {
    "empty": {"lie": "empty"},
    "null": {"lie": "null"},
    "short": {"lie": "short"},
    "truncated": {"cut": True},
    "404": {"status": 404},
}
#: For tests that show what is found without a sweep.
NEVER_SWEEP = "3650d"


def on(*versions: str) -> pytest.MarkDecorator:
    """The servers on which it matters."""
    return pytest.mark.parametrize("version", versions)


every_version = on(OLD, STABLE, NEXT)


def short(event: Event) -> str:
    """`opened`, `comment created`, `sync synchronized`."""
    return f"{event.event.removeprefix('pull_request').lstrip('_')} {event.action}".strip()


def happened(desk: Desk) -> list[Event]:
    """The events of the next cycle, which must go well."""
    report = desk.cycle()
    assert report.errors == []
    return [one.event for one in report.told]


def told(desk: Desk) -> list[str]:
    """The same in few words."""
    return [short(event) for event in happened(desk)]


def only(desk: Desk) -> Event:
    """The one event of the next cycle."""
    (event,) = happened(desk)
    return event


def settled(desk: Desk) -> list[str]:
    """What is told after a long silence."""
    desk.world.clock.advance(seconds=QUIET)
    return told(desk)


def nothing_more(desk: Desk) -> None:
    """Nothing is told any more, however long one waits."""
    for _ in range(2):
        assert told(desk) == []
        assert settled(desk) == []


def log_of(desk: Desk) -> list[Event]:
    """The whole event log."""
    with reading(desk.engine) as conn:
        return eventlog.event_log(conn)


def troubles(report: Report) -> list[str]:
    """Of what a cycle complains, by name."""
    return [error.partition(": ")[0] for error in report.errors]


def watched(desk: Desk, **how: Any) -> Pull:
    """A pull of ana's whose opening has been told; the baseline was before it."""
    desk.cycle()
    pull = desk.repo.open_pull(by="ana", **how)
    assert told(desk)[0] == "opened"
    return pull


@dataclass(eq=False, kw_only=True)
class Meanwhile(Fault):
    """Somebody acts just before a request is answered: once, at the first one that matches."""

    act: Callable[[], object] = field(default=lambda: None)

    def strikes(self, line: str) -> bool:
        if super().strikes(line):
            self.act()
        return False


def meanwhile(desk: Desk, match: str, act: Callable[[], object]) -> None:
    """Let something happen between two requests of a cycle."""
    fault = Fault.of(match)
    desk.world.faults.append(Meanwhile(match=fault.match, act=act))
