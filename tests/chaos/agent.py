"""The scripted agent; but its answer is the tokens that it was asked about, and it takes a moment, now and then long.

CHAOS_WORK says what it does besides: `reviews` with a remark on a line, or `commits` of a file for each token that has
none yet, as somebody does who was cut off and looks where he stopped.

`agent.py SCRIPTED …`: the file of the scripted agent, then the words of a call of `claude`.  Standard library only, and
no import of this package: it runs in a bottle.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import re
import subprocess
import sys

_TOKEN = re.compile(r"tok-\d+")


def tokens_in(prompt: str) -> str:
    """What this turn is about; not what is told of earlier ones."""
    about = prompt.rpartition("# What happened")[2].partition("# Your answer")[0]
    return " ".join(dict.fromkeys(_TOKEN.findall(about)))


def work(tokens: str, seconds: float) -> str:
    """The orders to the scripted agent, for so long."""
    wanted = os.environ.get("CHAOS_WORK", "words")
    if wanted == "reviews":
        remarks = [{"path": "app.py", "line": 2, "side": "new", "body": f"Here: {tokens}"}]
        said = {"verdict": "comment", "summary": f"answers: {tokens}", "comments": remarks}
        return f"sleep {seconds:.2f}, review {base64.b64encode(json.dumps(said).encode()).decode()}"
    missing = [token for token in tokens.split() if wanted == "commits" and not _is_committed(f"{token}.txt")]
    commits = "".join(f"commit {token}.txt {token}, " for token in missing)
    return f"sleep {seconds / 2:.2f}, {commits}sleep {seconds / 2:.2f}, say answers: {tokens}"


def _is_committed(name: str) -> bool:
    return subprocess.run(["git", "cat-file", "-e", f"HEAD:{name}"], stderr=subprocess.DEVNULL).returncode == 0


def main() -> int:
    found = importlib.util.spec_from_file_location("scripted", sys.argv[1])
    assert found is not None and found.loader is not None
    scripted = importlib.util.module_from_spec(found)
    found.loader.exec_module(scripted)
    prompt = sys.stdin.read()
    seconds = int.from_bytes(os.urandom(1)) / 255 * float(os.environ.get("CHAOS_SECONDS", "0.4"))
    sys.stdin = io.StringIO(f"{prompt}\n[agent: {work(tokens_in(prompt), seconds)}]\n")
    return int(scripted.main(sys.argv[2:]))


if __name__ == "__main__":
    raise SystemExit(main())
