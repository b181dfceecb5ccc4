"""What several threads meet for the first time at once."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import json, sys, threading
from poller.forge import wire
from sessions.decoding import decoder

sys.setswitchinterval(1e-6)
stamp = "2026-11-21T07:00:00Z"
user = {"id": 1, "login": "ana"}
row = {"id": 1, "type": "comment", "created_at": stamp, "updated_at": stamp, "user": user}
inputs = [
    (list[wire.TimelineRow | None] | None, [row]),
    (list[wire.ReviewRow | None] | None, [{"id": 1, "state": "COMMENT", "user": user}]),
    (wire.PullDetail, {"state": "open", "head": {"ref": "a"}, "base": {"ref": "b"}}),
]
together = threading.Barrier(4)

def decode():
    together.wait()
    for kind, body in inputs:
        decoder(kind).decode(json.dumps(body))

threads = [threading.Thread(target=decode) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_that_decode_a_type_for_the_first_time_do_not_end_the_process() -> None:
    # Without the lock one run in three ends with SIGSEGV.
    for _ in range(10):
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
