"""Webhooks beside the event log: every delivery has its event, every event its cause."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.contract.grounds import Ground
from tests.contract.patience import eventually
from tests.contract.play import PLAY, Act
from tests.contract.receiver import Delivery, Receiver
from tests.contract.stage import OVERLAP, Stage, line

#: Of these a delivery and its event may bear either name: the rows are the same.
ALIKE = {"pull_request_label label_cleared": "pull_request_label label_updated"}
ANY_TIME = ("pull_request_sync", "pull_request edited")


class Compared(NamedTuple):
    """One act, or several between two polls, with what came of them.

    `silent`: events that no webhook tells; `unseen`: webhooks that leave no trace.
    """

    what: str
    webhooks: list[str]
    events: list[str]
    silent: list[str]
    unseen: list[str]

    @property
    def missing(self) -> list[str]:
        """Deliveries without their event."""
        return _less(self.webhooks, self.events + self.unseen)

    @property
    def causeless(self) -> list[str]:
        """Events without a delivery."""
        return _less(self.events, self.webhooks + self.silent)

    @property
    def unsaid(self) -> list[str]:
        """Events that no webhook tells, and that were not told."""
        return _less(self.silent, self.events)

    @property
    def is_right(self) -> bool:
        return not (self.missing or self.causeless or self.unsaid)

    @property
    def is_in_order(self) -> bool:
        """Told as delivered, but for pushes (they wait in queues of their own) and what only the state shows."""
        events = [said for said in self.events if said in self.webhooks and not said.startswith(ANY_TIME)]
        webhooks = [said for said in self.webhooks if said in self.events and not said.startswith(ANY_TIME)]
        return events == webhooks


def _less(these: list[str], those: list[str]) -> list[str]:
    return sorted((Counter(map(_alike, these)) - Counter(map(_alike, those))).elements())


def _alike(said: str) -> str:
    return ALIKE.get(said, said)


class Play:
    """Plays the acts, collects deliveries, polls, and compares."""

    def __init__(self, stage: Stage, receiver: Receiver) -> None:
        self.stage, self.receiver = stage, receiver
        self.rows: list[Compared] = []
        self._delivered = self._told = 0

    def run(self) -> None:
        self.stage.poll()  # the baseline
        waiting: list[Act] = []
        for act in PLAY:
            if act.do(self.stage) is False:
                act = act._replace(what=f"{act.what} (not here)", webhooks=0, silent=(), unseen=())
            waiting.append(act)
            self._await(sum(one.webhooks + len(one.unseen) for one in waiting))
            if act.polled:
                self._compare(waiting)
                waiting = []
        self.stage.ground.delete_pull(self.stage.repo, self.stage.number)
        self._compare([Act("deleted", lambda _: None, webhooks=0, silent=("pull_request deleted",))])

    def _await(self, deliveries: int) -> None:
        """What this act is known to send has come; whatever else comes is found out by the comparison."""
        wanted = self._delivered + deliveries
        try:
            eventually(lambda: len(self.receiver.deliveries) >= wanted)
        except AssertionError as late:
            came = [one.line() for one in self.receiver.deliveries[self._delivered :]]
            raise AssertionError(f"{deliveries} webhooks were to come; there came {came}: {late}") from None

    def _compare(self, acts: list[Act]) -> None:
        silent = [said for act in acts for said in act.silent]
        unseen = [said for act in acts for said in (*act.unseen, *act.maybe_unseen)]
        before_polls = self._told

        def looked() -> Compared:
            self.stage.poll()
            webhooks = self.receiver.deliveries[self._delivered :]
            events = [line(event) for event in self.stage.log()[before_polls:]]
            what = ", ".join(act.what for act in acts)
            sent = [one.line() for one in webhooks]
            # Of a deletion some versions send a webhook and others none.
            quiet = [said for said in silent if said not in sent]
            return Compared(what, sent, events, quiet, [*unseen, *(one.line() for one in webhooks if one.is_empty)])

        row = looked()
        for _ in range(2 * OVERLAP):  # what only a quiet pull shows, and rows that come late
            if row.is_right:
                break
            row = looked()
        self.rows.append(row)
        self._delivered, self._told = len(self.receiver.deliveries), len(self.stage.log())

    def table(self) -> str:
        """act | webhook | event, one line each."""
        lines = []
        for row in self.rows:
            depth = max(len(row.webhooks), len(row.events), 1)
            cells = [[row.what], row.webhooks, row.events]
            for nth in range(depth):
                lines.append(" | ".join(f"{cell[nth] if nth < len(cell) else '':<58.58}" for cell in cells))
        head = " | ".join(f"{name:<58}" for name in ("act", "webhook", "event"))
        return "\n".join([head, "-" * len(head), *lines])


@pytest.mark.timeout(600)
def test_every_webhook_has_its_event_and_every_event_its_cause(
    ground: Ground, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with Receiver() as receiver, Stage(ground, tmp_path) as stage:
        ground.hook(stage.repo, receiver.url)
        play = Play(stage, receiver)
        try:
            play.run()
        finally:
            table = play.table()
            print(f"\n{request.node.name} against {ground.url}\n{table}")
            _keep(request, table)
    wrong = [(row.what, row.missing, row.causeless, row.unsaid) for row in play.rows if not row.is_right]
    assert wrong == []
    log = stage.log()
    assert len({event.id for event in log}) == len(log)
    assert [row.what for row in play.rows if not row.is_in_order] == []


def _keep(request: pytest.FixtureRequest, table: str) -> None:
    """A real server's table stays in pytest's cache, to be compared with the next version's."""
    if "gitea" in request.node.name and request.config.cache is not None:
        place = request.config.cache.mkdir("comparison") / "gitea.txt"
        place.write_text(table + "\n", encoding="utf-8")


def test_deliveries_of_the_stand_in_have_the_shape_of_real_ones(ground: Ground, tmp_path: Path) -> None:
    """Else the comparison would compare us with ourselves."""
    with Receiver() as receiver, Stage(ground, tmp_path) as stage:
        ground.hook(stage.repo, receiver.url)
        stage.number = ground.open_pull(stage.repo, by=stage.ana)
        stage.do("POST", "issues/{n}/comments", {"body": "hello"}, by=stage.ben)
        eventually(lambda: len(receiver.deliveries) >= 2)
        opened, commented = receiver.deliveries[:2]
    assert (opened.kind, opened.body["action"], opened.number) == ("pull_request", "opened", stage.number)
    assert opened.body["sender"]["login"] == stage.ana and "comment" not in opened.body
    assert isinstance(commented, Delivery) and "number" not in commented.body
    assert commented.number == stage.number and commented.body["comment"]["body"] == "hello"
    assert commented.body["repository"]["full_name"] == stage.repo
