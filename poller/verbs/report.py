"""`poll report`: one page about a stretch of time, for a browser, a mail or an archive."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from poller.app import database_at_hand
from poller.config import Config
from poller.halves import stamp_of
from poller.reporting.facts import gathered
from poller.reporting.page import page_of
from poller.verbs.since import begin_of
from sessions.database import reading
from sessions.logs import redacted
from sessions.shell import UsageError


def report(config: Config, *, since: str, out: str | None, as_json: bool) -> int:
    """Write the page to `out`, or to stdout; the file is ours alone: titles of private pulls are in it."""
    if as_json and out in (None, "-"):
        raise UsageError("--format json goes with --out FILE: the page itself is HTML")
    now = time.time()
    begin = begin_of(since, now=now)
    with database_at_hand(config) as engine, reading(engine) as conn:
        page = redacted(page_of(gathered(conn, config, since=begin, now=now)))
    if out is None or out == "-":
        sys.stdout.write(page + "\n")
        return 0
    try:
        _write(Path(out), page + "\n")
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}; name a file in a directory that is there") from None
    if as_json:
        print(json.dumps({"file": out, "bytes": Path(out).stat().st_size, "since": stamp_of(begin)}))
        return 0
    print(f"{out}: {len(page) // 1024 + 1} KiB, opens in any browser", file=sys.stderr)
    return 0


def _write(place: Path, text: str) -> None:
    """Whole or not at all, whoever looks meanwhile."""
    handle, aside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(aside).replace(place)
    except BaseException:
        Path(aside).unlink()
        raise
