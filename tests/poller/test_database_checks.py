"""What `poll doctor` says of the database: of each kind, when it is well and when it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from poller.app import COMPONENTS
from poller.checks import Check
from poller.checks.database import of_the_database
from poller.config import load
from sessions import sqlite
from sessions.database import DatabaseError, begin, open_database
from tests.postgres import Server

Look = Callable[..., list[Check]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Findings for this `database`; each trouble has a mend."""

    def found(database: Path | str) -> list[Check]:
        url = database if isinstance(database, str) else f"sqlite:///{database}"
        file = tmp_path / "config.yaml"
        file.write_text(f"gitea: {{url: 'http://127.0.0.1:1', token: abcdefgh}}\nrepos: [a/b]\ndatabase: '{url}'\n")
        checks = list(of_the_database(load(file, environ={})))
        assert all(check.mend for check in checks if check.status != "ok")
        return checks

    return found


def test_a_database_that_is_well(look: Look, database: Path | str) -> None:
    open_database(database, COMPONENTS).dispose()
    [check] = look(database)
    assert check.status == "ok" and ("PostgreSQL 1" in check.found or str(database) in check.found)
    assert "no tables" not in check.found


def test_a_database_of_a_newer_bottlepost(look: Look, database: Path | str) -> None:
    engine = open_database(database, COMPONENTS)
    with begin(engine) as conn:
        conn.execute(sa.text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    [check] = look(database)
    assert (check.status, check.exit_code) == ("fail", 2) and "schema version 99" in check.found
    assert "upgrade bottlepost" in check.mend


def test_nothing_is_made_by_looking(look: Look, empty: Path | str) -> None:
    for _ in range(2):
        [check] = look(empty)
        assert check.status == "ok" and ("not there yet" in check.found or "no tables yet" in check.found)


def test_a_damaged_file_is_said_and_kept(look: Look, tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    open_database(file, COMPONENTS).dispose()
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * (4096 * 3)
    file.write_bytes(content)
    [check] = look(file)
    assert (check.status, check.exit_code) == ("fail", 2) and str(file) in check.found
    assert "restore a copy" in check.mend and file.read_bytes() == content


@pytest.mark.postgres
def test_a_server_that_refuses_us_or_is_not_there(look: Look, postgres: Server, tmp_path: Path) -> None:
    [wrong] = look(postgres.url("postgres", password="hunter2-and-more"))
    assert (wrong.status, wrong.exit_code) == ("fail", 2) and "check user and password" in wrong.mend
    [away] = look(f"postgresql://me:hunter2-and-more@/x?host={tmp_path}")
    assert (away.status, away.exit_code) == ("fail", 3) and "check that the server runs" in away.mend
    assert "hunter2" not in str((wrong, away))


@pytest.mark.postgres
def test_a_user_who_may_make_no_tables(look: Look, postgres: Server, postgres_url: str) -> None:
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", url=postgres_url)
    postgres.execute("DROP ROLE IF EXISTS looker; CREATE ROLE looker LOGIN PASSWORD 'pass-of-looker'")
    url = postgres_url.replace(f"bottlepost:{postgres.password}", "looker:pass-of-looker")
    [check] = look(url)
    assert check.status == "fail" and "may not make tables" in check.found and "GRANT CREATE" in check.mend
    [check] = look(f"{postgres_url}&options=-csearch_path%3Dnowhere")
    assert check.status == "fail" and "search_path" in check.found


MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /home rw - nfs4 server:/home rw,vers=4.2
41 40 0:41 / /home/me/disk rw - xfs /dev/sdb rw
42 27 0:42 / /mnt/with\\040space rw - cifs //server/share rw
43 27 0:43 / /mnt/far rw shared:1 - fuse.sshfs me@far: rw
44 27 0:44 / /mnt/far rw shared:1 - tmpfs tmpfs rw
45 27 0:45 / /host rw - 9p share rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/srv", None), ("/home/me", "nfs4"), ("/home/me/disk/state", None), ("/homes", None),
        ("/mnt/with space/x", "cifs"), ("/mnt/far/x", None), ("/host", None),
    ],
)  # fmt: skip
def test_whose_disk_it_is_follows_from_the_mounts(place: str, kind: str | None) -> None:
    assert sqlite.other_machines(Path(place), MOUNTS) == kind


def test_sqlite_on_a_network_file_system_is_refused_before_anything_is_written(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path} rw - nfs server:/x rw\n")
    monkeypatch.setattr(sqlite, "MOUNTS", mounts)
    file = tmp_path / "state" / "x.db"
    with pytest.raises(DatabaseError, match=r"network file system \(nfs\); set a `state` on a local disk") as refused:
        open_database(file, COMPONENTS)
    assert refused.value.exit_code == 2 and not file.exists()
