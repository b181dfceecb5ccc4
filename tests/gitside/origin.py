"""One repository on the forge's side, and the pull requests in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "ana",
    "GIT_AUTHOR_EMAIL": "ana@example.com",
    "GIT_COMMITTER_NAME": "ana",
    "GIT_COMMITTER_EMAIL": "ana@example.com",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


def git(*args: str, at: Path, feed: bytes | None = None, fails: bool = False) -> str:
    """What git says, in a repository of a test."""
    said = subprocess.run(["git", *args], cwd=at, env=ENVIRON, input=feed, capture_output=True, timeout=60)
    assert (said.returncode != 0) == fails, said.stderr.decode()
    return said.stdout.decode("utf-8", "surrogateescape").strip()


class Origin:
    """`<root>/<owner>/<name>.git`, written to without a working directory."""

    def __init__(self, root: Path, name: str = "acme/api") -> None:
        self.name, self.place = name, root / f"{name}.git"
        self.place.mkdir(parents=True)
        git("init", "--quiet", "--bare", "--initial-branch=main", at=self.place)
        self.commit("main", {"README.md": "# A project\n", "app.txt": "one\ntwo\n"})

    def commit(self, branch: str, files: dict[str, str | bytes | None], *, onto: str | None = None) -> str:
        """A commit with these files changed (`None` = gone) on a branch, made from `onto` when it is new."""
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        start = self.tip(onto or branch)
        stream = f"commit {ref}\ncommitter ana <ana@example.com> 1700000000 +0000\ndata 5\nedit\n".encode()
        stream += f"from {start}\n".encode() if start else b""
        for path, text in files.items():
            stream += self._line(path, text)
        git("fast-import", "--quiet", "--force", at=self.place, feed=stream)
        return self.tip(ref)

    @staticmethod
    def _line(path: str, text: str | bytes | None) -> bytes:
        quoted = b'"' + b"".join(b"\\%03o" % one for one in os.fsencode(path)) + b'"'
        if text is None:
            return b"D " + quoted + b"\n"
        mode, _, content = text.partition(":link:") if isinstance(text, str) and ":link:" in text else ("", "", text)
        data = content.encode() if isinstance(content, str) else content
        kind = b"120000" if mode == "" and content is not text else b"100644"
        return b"M " + kind + b" inline " + quoted + f"\ndata {len(data)}\n".encode() + data + b"\n"

    def tip(self, branch: str) -> str:
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        said = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", ref], cwd=self.place, env=ENVIRON, capture_output=True
        )
        return said.stdout.decode().strip()

    def pull(self, number: int, branch: str = "feature") -> str:
        """`refs/pull/<n>/head` is now where the branch is; its commit."""
        git("update-ref", f"refs/pull/{number}/head", self.tip(branch), at=self.place)
        return self.tip(branch)
