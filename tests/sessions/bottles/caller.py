"""`python -m tests.sessions.bottles.caller PLAN CALL`: call a bottle once, say so, and wait to be killed."""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

import msgspec

from tests.sessions.bottles.bench import Bench, Plan


def main(plan: Plan, call: dict[str, Any]) -> None:
    if uid := call.get("uid"):
        importlib.import_module("docker")  # all modules first: he may not be allowed to read them
        importlib.import_module("docker.types")
        os.setgroups(call["groups"])
        os.setgid(uid)
        os.setuid(uid)
    bench, what, number = Bench(plan), call["what"], call["number"]
    if what == "start":
        bench.bottle.start(bench.launch(number, call["prompt"], mode=call.get("mode", "fresh"), **call.get("env", {})))
    elif what == "stop":
        print("calling", flush=True)
        bench.bottle.stop(bench.known(number), grace=call["grace"])
    elif what == "adopt":
        print("calling", flush=True)
        bench.until_ended(bench.known(number), seconds=300)
    elif what == "sweep":
        bench.bottle.sweep(bench.known(number))
    elif what == "destroy":
        bench.bottle.destroy(bench.place, bench.agent)
    print("called", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Plan), msgspec.json.decode(sys.argv[2]))
