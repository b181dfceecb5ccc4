"""The machine was rebooted in the middle of a turn: numbers of processes mean others now."""

from __future__ import annotations

import os
import signal
import subprocess

import msgspec

from sessions import processes, tables
from sessions.bottles.keeper import MARKER
from tests.sessions.stage import Stage, eventually


def test_run_of_before_a_reboot_is_begun_again_and_whoever_has_its_number_is_left_alone(stage: Stage) -> None:
    stage.want("opened", "[agent: sleep 60]")
    with stage.running() as stop:
        eventually(lambda: stage.turns(state="running") and list(stage.bottle().glob("turns/1/out.jsonl")))
        stop.set()
    for pid in processes.marked(MARKER, f"{stage.session().identity}/1"):
        os.kill(pid, signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as innocent:
        claim = stage.bottle() / "turns" / "1" / "pid"
        claim.write_text(f"{innocent.pid} {processes.start_of(innocent.pid)} another-boot\n")
        # Its worker too: this very process has the number, and is not it.
        before = msgspec.structs.replace(processes.me(), boot="another-boot")
        stage.write(
            lambda conn: conn.execute(
                tables.turn.update().values(owner=str(before), lease_until=stage.clock() + 1000, state="running")
            )
        )
        stage.errand.texts["opened"] = ""
        assert stage.run().done == 1
        assert innocent.poll() is None
        innocent.kill()
    assert stage.turn(1).attempts == 2
