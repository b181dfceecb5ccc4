"""SQLite: one file on a local disk, private, that several processes write to, one at a time.

Knows sqlite3 and its file.  Must not know tables.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sessions.trouble import DatabaseError, Said

#: Seconds that a writer waits for another one.
BUSY = 30
READ_ONLY = "bottlepost_read_only"

#: Where mounts are listed; absent where there is no such thing.
MOUNTS = Path("/proc/self/mountinfo")
#: Locks and shared memory do not reach from one machine to the other there: two writers would damage the file.
_ELSEWHERE = re.compile(
    r"nfs\d*|cifs|smbfs|smb\d*|afs|ncpfs|coda|ceph|lustre|beegfs|glusterfs|davfs|pvfs2|orangefs"
    r"|fuse\.(sshfs|glusterfs|glusterfs-fuse|rclone|s3fs|gcsfuse|goofys|davfs2?|cephfs|ceph-fuse|smbnetfs|curlftpfs|juicefs|mfs)"
)


def engine_of(url: sa.URL) -> sa.Engine:
    """The file is made if it is not there.  Raises `DatabaseError`."""
    if url.database and url.database != ":memory:":
        _make_private_file(Path(url.database))
    # isolation_level=None: Python's sqlite3 begins no transactions of its own, `_begin` does.
    engine = sa.create_engine(url, connect_args={"timeout": BUSY, "isolation_level": None})
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "begin", _begin)
    return engine


def said(error: str) -> Said:
    """The driver's own words, with the mend."""
    if "not a database" in error or "malformed" in error:
        mend = "while nothing runs, move it away with its -wal and -shm (a new one begins afresh), or restore a copy"
        return Said(what=error, mend=mend)
    if "locked" in error:
        return Said(what=error, mend="another process has been writing for long; try again")
    if "I/O error" in error:
        return Said(what=error, mend="see whether the disk is full, or failing (the system's log tells)")
    if "full" in error:
        return Said(what=error, mend="make room on the disk")
    if "readonly" in error or "unable to open" in error:
        return Said(what=error, mend="make the file and its directory readable and writable")
    return Said(what=error, mend="check that the database can be reached")


def other_machines(directory: Path, mounts: str) -> str | None:
    """The kind of the file system that holds `directory`, if other machines may write to it too.

    `mounts`: text of /proc/self/mountinfo."""
    kind, longest = "", -1
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not behind:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        # Of two on one place the later one counts.
        if len(point) >= longest and directory.is_relative_to(point):
            kind, longest = behind.split(" ")[0], len(point)
    return kind if _ELSEWHERE.fullmatch(kind) else None


def _make_private_file(path: Path) -> None:
    """The file, 0600 from its first moment; SQLite gives its -wal and -shm the same mode."""
    try:
        _refuse_network(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseError(
            f"{path}: cannot open the database ({error.strerror}); "
            "make it readable and writable, or set another `state`"
        ) from None


def _refuse_network(path: Path) -> None:
    if not MOUNTS.exists():
        return
    kind = other_machines(Path(os.path.realpath(path)).parent, MOUNTS.read_text("utf-8", "replace"))
    if kind is not None:
        raise DatabaseError(
            f"{path}: SQLite is not safe on a network file system ({kind}); set a `state` on a local disk, "
            "or `database: postgresql://…`"
        )


def _set_up(raw: Any, _record: object) -> None:
    cursor = raw.cursor()
    try:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")
        _to_wal(cursor)
    finally:
        cursor.close()


def _to_wal(cursor: Any) -> None:
    import sqlite3

    deadline = time.monotonic() + BUSY
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not call its busy handler here: two first openers meet, one must come again.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(conn: sa.Connection) -> None:
    # IMMEDIATE: a transaction that began as a reader cannot become a writer once somebody else has written.
    read_only = conn.get_execution_options().get(READ_ONLY)
    conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
