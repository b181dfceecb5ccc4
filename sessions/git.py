"""The one door to git: every command with an environment of our own, limits, and a reason when it fails.

No configuration of the user, the machine or the caller's shell is read, no hook, filter, pager, editor or prompt is
started, no transport but HTTP(S) is spoken, and that only where an `Access` is given.  A secret is handed over in the
environment of that one process.  Knows processes; must not know repositories, turns or whose code it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from sessions.logs import escaped, redacted
from sessions.sources import Access

#: Called about every second while git works; what it raises ends git, and goes on.
Tick = Callable[[], None]

#: What one listing may print (bytes), and how long what should take a moment may take (seconds).
LISTING, MOMENT = 256 * 1024 * 1024, 120.0
#: From the caller's environment, under the names by which git knows it.
_PASSED = {"PATH": "PATH", "TMPDIR": "TMPDIR", "SSL_CERT_FILE": "GIT_SSL_CAINFO", "SSL_CERT_DIR": "GIT_SSL_CAPATH"}
_ENVIRONMENT = {
    "LC_ALL": "C",
    "HOME": os.devnull,  # also for libcurl, which would look for a .netrc
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    # A few kilobytes can stand for a commit or a tree of any size, which is read into memory in one piece.
    "GIT_ALLOC_LIMIT": "2g",
    "GIT_PAGER": "cat",
    "GIT_AUTHOR_NAME": "bottlepost",
    "GIT_AUTHOR_EMAIL": "bottlepost@bottlepost.invalid",
    "GIT_COMMITTER_NAME": "bottlepost",
    "GIT_COMMITTER_EMAIL": "bottlepost@bottlepost.invalid",
}
_CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "credential.helper": "",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "initial",  # a renamed repository; the secret is for one host only
    "http.proxyAuthMethod": "basic",  # as our client speaks with it; asked first, not every proxy stays for the answer
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "pack.windowMemory": "128m",
    "advice.detachedHead": "false",
}
_SECRET = "BOTTLEPOST_GIT_SECRET"  # noqa: S105 (a name)
_HELPER = f'!f() {{ test "$1" = get && printf "username=bottlepost\\npassword=%s\\n" "${_SECRET}"; }}; f'
#: The limit on files in blocks of 512 bytes, then the command.  A signal ends what writes too much, at once; a fetch
#: goes without, for it is its helper that writes, and that can only so say what it died of.
_LIMITED = 'ulimit -f "$1" && shift && exec "$@"'
_FETCHING = f'trap "" XFSZ && {_LIMITED}'
_TELLING = re.compile(r"^(remote|error|fatal|warning): *(.*)$", re.MULTILINE)
_LONG_NAME = re.compile(r"('[^']{60})[^']{40,}([^']{20}')")


class GitError(Exception):
    """A command failed, took too long or grew too large.  The text is one line, without secrets."""


class Git:
    """Commands on one repository of ours: `at` is its git directory, made by us and writable by nobody else."""

    def __init__(self, at: Path, *, environ: Mapping[str, str], tick: Tick, keep: Sequence[int] = ()) -> None:
        self.at, self._environ, self.tick, self._keep = at, environ, tick, tuple(keep)

    def on(self, at: Path) -> Git:
        """The same, on another repository of ours."""
        return Git(at, environ=self._environ, tick=self.tick, keep=self._keep)

    def run(
        self,
        *args: str,
        feed: bytes | IO[bytes] = b"",
        into: IO[bytes] | None = None,
        seconds: float = MOMENT,
        most: int = LISTING,
        work: Path | None = None,
        index: Path | None = None,
        access: Access | None = None,
    ) -> bytes:
        """What it printed (or nothing, when that goes `into` a file).  `most`: bytes of any file it writes."""
        environment = self._environment(work=work, index=index, access=access)
        with contextlib.ExitStack() as closing:
            given = feed if not isinstance(feed, bytes) else closing.enter_context(tempfile.TemporaryFile())
            if isinstance(feed, bytes):
                given.write(feed)
            given.seek(0)
            out = into if into is not None else closing.enter_context(tempfile.TemporaryFile())
            err = closing.enter_context(tempfile.TemporaryFile())
            script = _LIMITED if access is None else _FETCHING
            try:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", script, "git", str(max(most // 512, 1)), "git", *args],
                    stdin=given, stdout=out, stderr=err, cwd=self.at, env=environment, start_new_session=True,
                    pass_fds=self._keep,  # a lock of ours is held for as long as a git lives that needs it
                )  # fmt: skip
            except OSError as error:
                raise GitError(f"git could not be started: {error.strerror}") from None
            self._see_through(process, args[0], seconds)
            if process.returncode:
                err.seek(0)
                raise GitError(_reason(args[0], process.returncode, err.read(64 * 1024), most=most))
            if into is not None:
                return b""
            out.seek(0)
            return out.read()

    def says(self, *args: str) -> str | None:
        """The one word it printed, or `None` when it failed: for questions of which failing is an answer."""
        try:
            return self.run(*args).decode("utf-8", "replace").strip()
        except GitError:
            return None

    def _see_through(self, process: subprocess.Popen[bytes], verb: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=max(0.01, min(1.0, deadline - time.monotonic())))
                    return
                if time.monotonic() >= deadline:
                    raise GitError(f"git {verb} took longer than {seconds:.0f} s, and was ended")
                self.tick()
        finally:
            _end(process)

    def _environment(self, *, work: Path | None, index: Path | None, access: Access | None) -> dict[str, str]:
        environment = {ours: self._environ[name] for name, ours in _PASSED.items() if self._environ.get(name)}
        environment = {"PATH": os.defpath} | environment | _ENVIRONMENT
        environment |= {"GIT_DIR": str(self.at), "GIT_ALLOW_PROTOCOL": "none"}
        if work is not None:
            environment["GIT_WORK_TREE"] = str(work)
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        config = dict(_CONFIG)
        if access is not None:
            environment["GIT_ALLOW_PROTOCOL"] = "http:https"
            if access.secret is not None:
                environment[_SECRET] = access.secret()
                config[f"credential.{_origin(access.url)}.helper"] = _HELPER
            if access.ca_file is not None:
                environment["GIT_SSL_CAINFO"] = access.ca_file
                environment.pop("GIT_SSL_CAPATH", None)
            if access.proxy is not None:
                environment |= {"http_proxy": access.proxy(), "https_proxy": access.proxy()}
        for number, (key, value) in enumerate(config.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return environment | {"GIT_CONFIG_COUNT": str(len(config))}


def _origin(url: str) -> str:
    """The host that is given the secret, and no other: not one that it sends us to."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and its helpers; politely first, so that it takes its lock files along."""
    if process.poll() is not None:
        return
    for number, grace in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _reason(verb: str, code: int, err: bytes, *, most: int) -> str:
    text = err.decode("utf-8", "replace")
    if code == -signal.SIGXFSZ or "File too large" in text:
        return f"git {verb} would write more than {most // (1024 * 1024)} MiB, and was ended"
    said = ((who, line.strip()) for who, line in _TELLING.findall(text) if line.strip())
    told = list(dict.fromkeys(f"remote: {line}" if who == "remote" else line for who, line in said))
    words = "; ".join(told[:4]) or " ".join(text.split())[:200] or f"exit code {code}"
    shown = _LONG_NAME.sub(r"\1…\2", escaped(redacted(words)))  # what is wrong with it stands behind it
    return f"git {verb}: {shown[:400]}"
