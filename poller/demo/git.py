"""The little of git that a forge needs: history, what a branch has of its own, diffs.

Knows commits and trees of lines.  Must not know pulls, users' rights or HTTP.
"""

from __future__ import annotations

import difflib
import hashlib
from typing import TYPE_CHECKING

from poller.demo.state import Commit

if TYPE_CHECKING:
    from poller.demo.state import User

FIRST_FILES: dict[str, tuple[str, ...]] = {
    "README.md": ("# A project", "", "Nothing here yet."),
    "app.txt": tuple(f"line {number}" for number in range(1, 21)),
}


class History:
    """All commits of the world.  SHAs are made up by counting, so that the same acts give the same names."""

    def __init__(self) -> None:
        self._commits: dict[str, Commit] = {}

    def __getitem__(self, sha: str) -> Commit:
        return self._commits[sha]

    def __contains__(self, sha: str) -> bool:
        return sha in self._commits

    def resolve(self, start: str) -> str | None:
        """The SHA that begins so (at least 4 digits), or `None`."""
        if start in self._commits:
            return start
        return next((sha for sha in self._commits if len(start) >= 4 and sha.startswith(start)), None)

    def commit(
        self, parents: tuple[str, ...], *, author: User, message: str, at: int, files: dict[str, tuple[str, ...]]
    ) -> str:
        """Add a commit with this whole tree; its SHA."""
        sha = hashlib.sha1(f"bottlepost {len(self._commits)}".encode(), usedforsecurity=False).hexdigest()
        self._commits[sha] = Commit(sha=sha, parents=parents, author=author, message=message, at=at, files=files)
        return sha

    def take(self, commit: Commit) -> str:
        """Add a commit that was made elsewhere, under the name it has there."""
        self._commits[commit.sha] = commit
        return commit.sha

    def edit(self, parent: str, *, author: User, message: str, at: int, files: dict[str, str] | None) -> str:
        """Add a commit that changes some files (path → text), by default the next line of `app.txt` from 5 on."""
        tree = dict(self[parent].files)
        if files is None:
            lines = list(tree.get("app.txt", FIRST_FILES["app.txt"]))
            untouched = (number for number in range(4, len(lines)) if ", edit" not in lines[number])
            place = next(untouched, len(lines) - 1)
            lines[place] = f"{lines[place].split(',')[0]}, edit {len(self._commits)}"
            tree["app.txt"] = tuple(lines)
        else:
            tree.update({path: tuple(text.splitlines()) for path, text in files.items()})
        return self.commit((parent,), author=author, message=message, at=at, files=tree)

    def ancestors(self, sha: str) -> dict[str, None]:
        """The commit and everything it is built on, newest first."""
        found: dict[str, None] = {}
        waiting = [sha]
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found[name] = None
                waiting.extend(self[name].parents)
        return found

    def own(self, head: str, *without: str) -> list[str]:
        """Commits of `head` that none of the others has, oldest first."""
        known: dict[str, None] = {}
        for sha in without:
            known |= self.ancestors(sha)
        return [sha for sha in reversed(self.ancestors(head)) if sha not in known]

    def merge_base(self, one: str, other: str) -> str:
        """The newest commit that both have; empty when they have none."""
        theirs = self.ancestors(other)
        return next((sha for sha in self.ancestors(one) if sha in theirs), "")

    def merge(self, into: str, other: str, *, author: User, message: str, at: int) -> str:
        """A merge commit whose tree takes what changed in `other` since both parted."""
        base, ours, theirs = self[self.merge_base(into, other) or into].files, self[into].files, self[other].files
        files = ours | {path: lines for path, lines in theirs.items() if base.get(path) != lines}
        return self.commit((into, other), author=author, message=message, at=at, files=files)

    def line_commit(self, head: str, path: str, line: int) -> str:
        """The commit that last touched a line, as a blame would say; `head` for lines that are not there."""
        text = line_of(self[head].files, path, line)
        for sha in self.ancestors(head):
            parents = self[sha].parents
            if text is not None and all(line_of(self[parent].files, path, line) != text for parent in parents):
                return sha
        return head


def line_of(files: dict[str, tuple[str, ...]], path: str, line: int) -> str | None:
    """The text of a line (from 1), or `None` when there is none."""
    lines = files.get(path, ())
    return lines[line - 1] if 1 <= line <= len(lines) else None


def changed_paths(old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]]) -> list[str]:
    return sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))


def diff(old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]]) -> str:
    """A unified diff of two trees, as `git diff` writes it."""
    out: list[str] = []
    for path in changed_paths(old, new):
        before, after = old.get(path), new.get(path)
        out.append(f"diff --git a/{path} b/{path}")
        out += ["new file mode 100644"] if before is None else []
        out += ["deleted file mode 100644"] if after is None else []
        names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
        out += difflib.unified_diff(before or (), after or (), *names, lineterm="")
    return "".join(line + "\n" for line in out)


def counts(old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]]) -> tuple[int, int, int]:
    """Added lines, deleted lines, changed files."""
    lines = diff(old, new).splitlines()
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    deleted = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    return added, deleted, len(changed_paths(old, new))


def hunk_at(old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]], path: str, line: int) -> str:
    """The piece of the diff that ends at this line, four lines at most; empty where the diff has no such line."""
    before, after = 0, 0
    piece: list[str] = []
    for text in difflib.unified_diff(old.get(path, ()), new.get(path, ()), lineterm=""):
        if text.startswith(("---", "+++")):
            continue
        if text.startswith("@@"):
            spans = text.split()[1:3]
            before, after = (int(span[1:].split(",")[0]) - 1 for span in spans)
            piece = []
            continue
        before += text[0] in " -"
        after += text[0] in " +"
        piece.append(text)
        if (line > 0 and text[0] in " +" and after == line) or (line < 0 and text[0] in " -" and before == -line):
            piece = piece[-4:]
            olds, news = (sum(one[0] in signs for one in piece) for signs in (" -", " +"))
            return "\n".join([f"@@ -{before - olds + 1},{olds} +{after - news + 1},{news} @@", *piece])
    return ""
