"""What may not be pushed: changes to protected paths, and lines that look like secrets.

Looks at every commit by itself, so that nothing is hidden behind a later one.  Knows commits in a repository of ours.
Must not know forges, or what is done about it.  What is found is named, never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from sessions.git import Git
from sessions.globs import regex_of
from sessions.logs import escaped, redacted
from sessions.workspace.nouns import BUILDING

#: What starts programs on the forge's side, or speaks to the agents of others.  As in a .gitignore: without a slash a
#: name at any depth.
ALWAYS = (
    ".gitea/**", ".forgejo/**", ".github/**", ".gitlab-ci.yml", ".gitlab/**", ".woodpecker/**", ".woodpecker.y*ml",
    ".drone.y*ml", ".circleci/**", ".travis.yml", "azure-pipelines.yml", "Jenkinsfile*", ".buildkite/**", "CODEOWNERS",
    "**/.claude/**", ".mcp.json", "CLAUDE*.md", "AGENTS*.md", ".gitmodules", ".gitattributes", "**/.githooks/**",
    "**/.husky/**",
)  # fmt: skip
#: Bytes of changes that are looked through; names that are told.
MOST_CHANGES, MOST_TOLD = 64 * 1024**2, 20
#: Longer lines are looked through in pieces of so many bytes, each of which begins so many before the last one's end.
_PIECE, _OVERLAP = 20_000, 1_000
_SECRETS = {
    "a private key": rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY",
    "an AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": rb"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{50}",
    "a GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20}",
    "a Slack token": rb"\bxox[abeoprs]-[A-Za-z0-9-]{10}",
    "a Google key": rb"\bAIza[0-9A-Za-z_-]{35}",
    "an npm token": rb"\bnpm_[A-Za-z0-9]{36}",
    "a model's key": rb"\bsk-(?:ant-|proj-)[A-Za-z0-9_-]{20}|\bsk-[A-Za-z0-9]{40}",
    "a token": rb"(?i)(?:token|secret|passw(?:or)?d|api[_-]?key)\w{0,99}[\"']?\s{0,99}[:=]\s{0,99}[\"']?[0-9a-f]{40}\b",
}
_ADDED = re.compile(rb" {0,7}\+")
_FILE = re.compile(rb"diff --(?:git \"?a/.* \"?b/(?P<git>.*?)\"?|(?:cc|combined) (?P<merge>.*))$")
_QUIET = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--full-index")


def faults(git: Git, commits: Sequence[str], *, start: str, base: str, protected: Sequence[str]) -> list[str]:
    """Why these commits may not be pushed, a sentence each; nothing = they may.  They lead from `start`, oldest first.

    What is as in `base` ("" = nothing is) may have come from there.  Raises `GitError`."""
    patterns = (*ALWAYS, *protected)
    found = dict.fromkeys(_protected(git, commits, patterns=patterns, start=start, base=base))
    found |= dict.fromkeys(_secret(git, _lines(commits)))
    told = list(found)
    more = len(told) - MOST_TOLD
    return told[:MOST_TOLD] + ([f"and {more} more like these"] if more > 0 else [])


def _lines(commits: Sequence[str]) -> bytes:
    return "".join(f"{commit}\n" for commit in commits).encode()


def _protected(git: Git, commits: Sequence[str], *, patterns: tuple[str, ...], start: str, base: str) -> Iterator[str]:
    names = _names(git, "--stdin", "-c", "--root", "--no-commit-id", feed=_lines(commits))
    # A merge with a commit of long ago brings back what was there then, and is like one of its parents.
    ended = _names(git, start, commits[-1]) if commits else set()
    names |= ended & _names(git, base, commits[-1]) if base and ended else ended
    guard = _guard(patterns)
    for name in sorted(names):
        if guard.fullmatch(name.decode("utf-8", "surrogateescape")):
            yield f"{_shown(name)} is protected"


def _names(git: Git, *what: str, feed: bytes = b"") -> set[bytes]:
    listing = git.run(
        "diff-tree", "-r", "--name-only", "-z", *_QUIET, *what, feed=feed, seconds=BUILDING, most=MOST_CHANGES
    )  # fmt: skip
    return set(filter(None, listing.split(b"\0")))


def _secret(git: Git, feed: bytes) -> Iterator[str]:
    told = git.run(
        "diff-tree", "--stdin", "-r", "-c", "--root", "-p", "-U0", "--text", "--no-commit-id", *_QUIET, feed=feed,
        seconds=BUILDING, most=MOST_CHANGES,
    )  # fmt: skip
    file = b"?"
    for line in told.split(b"\n"):
        if named := _FILE.match(line):
            file = named["git"] if named["git"] is not None else named["merge"]
        elif _ADDED.match(line) and (what := _looks_like(line)):
            yield f"{_shown(file)} has a line that looks like {what}"
    messages = git.run(
        "log", "--stdin", "--no-walk", "--format=%an %ae %cn %ce%n%B", "--no-patch", feed=feed, most=MOST_CHANGES
    )
    for line in messages.split(b"\n"):
        if what := _looks_like(line):
            yield f"a commit's message has a line that looks like {what}"


def _looks_like(line: bytes) -> str:
    """What secret a line seems to hold, "" = none."""
    for start in range(0, max(len(line) - _OVERLAP, 1), _PIECE - _OVERLAP):
        piece = line[start : start + _PIECE]
        for what, pattern in _patterns().items():
            if pattern.search(piece):
                return what
    text = line.decode("utf-8", "replace")
    return "one of the poller's own secrets" if redacted(text) != text else ""


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[bytes]]:
    return {what: re.compile(pattern) for what, pattern in _SECRETS.items()}


@lru_cache(maxsize=16)
def _guard(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Whatever the case: there are file systems that do not mind it."""
    return re.compile("|".join(map(regex_of, patterns)), re.IGNORECASE | re.DOTALL)


def _shown(name: bytes) -> str:
    return f"`{escaped(name.decode('utf-8', 'replace')).replace('`', chr(39))[:200]}`"
