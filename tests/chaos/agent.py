"""The scripted agent; but its answer is the tokens that it was asked about, and it takes a moment, now and then long.

`agent.py SCRIPTED …`: the file of the scripted agent, then the words of a call of `claude`.  Standard library only, and
no import of this package: it runs in a bottle.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys

_TOKEN = re.compile(r"tok-\d+")


def tokens_in(prompt: str) -> str:
    """What this turn is about; not what is told of earlier ones."""
    about = prompt.rpartition("# What happened")[2].partition("# Your answer")[0]
    return " ".join(dict.fromkeys(_TOKEN.findall(about)))


def main() -> int:
    found = importlib.util.spec_from_file_location("scripted", sys.argv[1])
    assert found is not None and found.loader is not None
    scripted = importlib.util.module_from_spec(found)
    found.loader.exec_module(scripted)
    prompt = sys.stdin.read()
    seconds = int.from_bytes(os.urandom(1)) / 255 * float(os.environ.get("CHAOS_SECONDS", "0.4"))
    order = f"[agent: sleep {seconds:.2f}, say answers: {tokens_in(prompt)}]"
    sys.stdin = io.StringIO(f"{prompt}\n{order}\n")
    return int(scripted.main(sys.argv[2:]))


if __name__ == "__main__":
    raise SystemExit(main())
