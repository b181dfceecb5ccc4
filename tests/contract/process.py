"""A real server of our own: `gitea` from PATH, started for the tests and forgotten after them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.contract.patience import eventually

ADMIN_PASSWORD = "Passw0rd-of-tests"


class GiteaProcess:
    """A `gitea` from PATH with a database of its own under the temporary directory, never run as root."""

    def __init__(self, program: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="gitea-"))
        # Gitea refuses to run as root; 65534 is nobody on every Linux.
        self.who: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.program, self.url = program, f"http://127.0.0.1:{self.port}"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "USER": "gitea"}
        settings = self.directory / "app.ini"
        settings.write_text(_APP_INI.format(directory=self.directory, port=self.port, url=self.url))
        if self.who:  # the server writes secrets of its own into its settings
            for place in (self.directory, settings):
                os.chown(place, 65534, 65534)
        self.log = (self.directory / "out.log").open("wb")

    def start(self) -> str:
        """Make the database and an administrator, serve, and wait until it answers: the administrator's token."""
        admin = ("--username", "root1", "--password", ADMIN_PASSWORD, "--email", "root1@example.com")
        self._run("migrate")
        self._run("admin", "user", "create", *admin, "--admin", "--must-change-password=false")
        made = self._run(
            "admin", "user", "generate-access-token", "-u", "root1", "-t", "t1", "--scopes", "all", "--raw"
        )
        token: str = re.findall(r"\b[0-9a-f]{40}\b", made)[-1]
        self.process = subprocess.Popen(
            self._argv("web"), env=self.environment, cwd=self.directory, stdout=self.log, stderr=self.log, **self.who
        )
        eventually(self._answers, patience=60)
        return token

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _argv(self, *words: str) -> list[str]:
        return [self.program, "-c", str(self.directory / "app.ini"), *words]

    def _run(self, *words: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            self._argv(*words), env=self.environment, cwd=self.directory, capture_output=True, text=True, **self.who
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return done.stdout

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "out.log").read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/api/v1/version").status_code == 200
        except httpx.TransportError:
            return False


_APP_INI = """
RUN_MODE = prod
WORK_PATH = {directory}
[database]
DB_TYPE = sqlite3
SQLITE_JOURNAL_MODE = WAL
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
DISABLE_SSH = true
OFFLINE_MODE = true
[security]
INSTALL_LOCK = true
SECRET_KEY = test
PASSWORD_HASH_ALGO = pbkdf2_v1
[webhook]
ALLOWED_HOST_LIST = loopback
[indexer]
ISSUE_INDEXER_TYPE = db
[cron]
ENABLED = false
"""
