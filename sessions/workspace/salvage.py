"""What the agent has made in its working directory and nowhere else: its commits, and what it has not committed.

The agent's repository is hostile: its config, hooks, attributes, alternates and index are never read by a git of ours.
Refs are read here, as text; object files are linked one by one into a repository of ours, and what is taken out of
that is hashed and checked anew (`index-pack --strict`) before it counts; changed files are read here, and become a
tree through `fast-import`.  Must not know mirrors, or what is done with the result.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from sessions.git import Git
from sessions.trees import TooMuch, Tree, is_git
from sessions.workspace import bare
from sessions.workspace.nouns import BUILDING, MOST_BRANCHES, MOST_OWN, MOST_OWN_FILES, MOST_PACK, MOST_REFS, Record

_COMMIT = re.compile(rb"[0-9a-f]{40}")
_PACKED = re.compile(rb"^([0-9a-f]{40}) (refs/\S+)$", re.MULTILINE)
_LOGGED = re.compile(rb"^[0-9a-f]{40} ([0-9a-f]{40}) ", re.MULTILINE)
_OBJECT = re.compile(rb"[0-9a-f]{38}")
_PACK = re.compile(rb"pack-[0-9a-f]{40}\.(?:pack|idx)")
_ENTRY = re.compile(
    rb"(?P<mode>[0-7]{6}) (?P<blob>[0-9a-f]{40}) [0-3]\t(?P<path>[^\0]+)\0  ctime: (?P<ctime>\d+:\d+)\n"
    rb"  mtime: (?P<mtime>\d+:\d+)\n  dev: \d+\tino: (?P<ino>\d+)\n  uid: \d+\tgid: \d+\n"
    rb"  size: (?P<size>\d+)\tflags: \w+\n"
)
_PUT_AWAY = (b".git/rebase-merge/autostash", b".git/rebase-apply/autostash", b".git/MERGE_AUTOSTASH")
_MOST_OBJECTS, _MOST_FILE = 500_000, 100 * 1024**2


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """Commits that only the agent had, now in the new repository too."""

    #: What its directory was like, on top of what it had checked out; "" when that was nothing of its own.
    kept: str = ""
    #: Its other branches by name.
    branches: dict[bytes, str] = {}


def salvage(work: Path, new: Git, record: Record, *, room: Path, fresh: frozenset[str]) -> Own:
    """What of `work` is the agent's own, brought into `new`, which has the commits `fresh`.

    Raises `GitError`, `TooMuch`, `OSError` when it cannot be had."""
    with Tree(work) as tree:
        tree.drop_pipes()
        head, current, refs = _refs(tree)
        known = fresh | {record.head, record.base, record.before}
        strange = {commit for commit in (head, *refs.values()) if commit and commit not in known}
        if len(strange) > 2 * MOST_BRANCHES:  # each is asked about
            raise TooMuch(f"it has more than {2 * MOST_BRANCHES} branches of its own")
        missing = set() if _has(new, record.head) else {record.head}
        own = _imported(tree, new, strange, missing=missing, room=room, fresh=fresh) if strange or missing else set()
        content = _snapshot(tree, work, new, record, room=room)
        branches = {name: commit for name, commit in refs.items() if commit in own and name != current}
        if len(branches) > MOST_BRANCHES:
            raise TooMuch(f"it has more than {MOST_BRANCHES} branches of its own")
        kept = _kept(new, content, head=head if _has(new, head) else "", own=own, record=record, fresh=fresh)
    return Own(kept=kept, branches={name: commit for name, commit in branches.items() if commit != kept})


def brought(work: Path, new: Git, branch: str, *, room: Path, fresh: frozenset[str]) -> str:
    """The tip of one branch of the agent's, now in `new` too, which has the commits `fresh`; "" = nothing of its own.

    Raises `GitError`, `TooMuch`, `OSError` when it cannot be had."""
    with Tree(work) as tree:
        _, _, refs = _refs(tree)
        tip = refs.get(branch.encode(), "")
        if not tip or tip in fresh:
            return ""
        return tip if _imported(tree, new, {tip}, missing=set(), room=room, fresh=fresh) else ""


def ignored(work: Path, new: Git, index: Path) -> list[bytes]:
    """Paths that the agent's own rules leave out of its commits: what it has built or installed."""
    listing = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    return [path for path in new.run(*listing, work=work, index=index, seconds=BUILDING).split(b"\0") if path]


def _kept(new: Git, content: str, *, head: str, own: set[str], record: Record, fresh: frozenset[str]) -> str:
    base = head or record.head
    known = {_tree(new, commit) for commit in {base, record.head, *fresh}}
    if base in own:
        known = {_tree(new, base)}
    if content in known:
        return base if base in own else ""
    message = "What was in the working directory, and not committed\n"
    said = new.run("commit-tree", content, "-p", base, feed=message.encode())
    return said.decode().strip()


def _tree(new: Git, commit: str) -> str:
    return new.run("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()


def _has(new: Git, commit: str) -> bool:
    return bool(_COMMIT.fullmatch(commit.encode())) and new.says("cat-file", "-t", commit) == "commit"


# -- commits --------------------------------------------------------------------------------------------------------


def _refs(tree: Tree) -> tuple[str, bytes, dict[bytes, str]]:
    """What is checked out ("" when that cannot be told), its branch, and all branches (and the stash) by name."""
    found: dict[bytes, str] = {}
    packed = tree.read(b".git/packed-refs", most=16 * 1024**2) or b""
    for commit, ref in _PACKED.findall(packed):
        found[ref] = commit.decode()
    for path, info in tree.walk(b".git/refs/heads", most=MOST_REFS):
        _note(found, path.removeprefix(b".git/"), tree.read(path, most=1024) if info.st_size <= 1024 else None)
    _note(found, b"refs/stash", tree.read(b".git/refs/stash", most=1024**2))
    head = (tree.read(b".git/HEAD", most=64 * 1024) or b"").strip()
    current = head.removeprefix(b"ref:").strip() if head.startswith(b"ref:") else b""
    at = head.decode() if _COMMIT.fullmatch(head) else found.get(current, "")
    names = {
        ref.removeprefix(b"refs/heads/"): commit for ref, commit in found.items() if ref.startswith(b"refs/heads/")
    }
    return at, current.removeprefix(b"refs/heads/"), names | _stashed(tree, found.get(b"refs/stash", ""), names)


def _stashed(tree: Tree, last: str, names: Mapping[bytes, str]) -> dict[bytes, str]:
    """What it has stashed, the last one first: all but that are in the ref's log only.  Under names that are free."""
    logged = _LOGGED.findall(tree.read(b".git/logs/refs/stash", most=16 * 1024**2) or b"") if last else []
    # A rebase or a merge that is under way puts away what was not committed.
    logged += [(tree.read(path, most=1024**2) or b"").strip() for path in _PUT_AWAY]
    stashes = dict.fromkeys([last, *(commit.decode() for commit in reversed(logged) if _COMMIT.fullmatch(commit))])
    free = (name for nth in itertools.count(1) if (name := _stash_name(nth)) not in names)
    return {next(free): commit for commit in stashes if commit and commit not in names.values()}


def _stash_name(nth: int) -> bytes:
    return b"bottlepost/stash" + (b"-%d" % nth if nth > 1 else b"")


def _note(found: dict[bytes, str], ref: bytes, content: bytes | None) -> None:
    if content is not None and _COMMIT.fullmatch(content.strip()):
        found[ref] = content.strip().decode()


def _imported(
    tree: Tree, new: Git, strange: set[str], *, missing: set[str], room: Path, fresh: frozenset[str]
) -> set[str]:
    """Those of the strange commits that are there, and that nobody else has; now in `new`, as `missing` are."""
    with tempfile.TemporaryDirectory(dir=room, prefix="quarantine-", ignore_cleanup_errors=True) as place:
        theirs = new.on(Path(place) / "git")
        theirs.at.mkdir()
        bare.make(theirs, new.at)
        _link_objects(tree, theirs.at / "objects")
        there = {commit for commit in strange if _has(theirs, commit)}
        known = [f"^{commit}" for commit in fresh]
        own = {one for one in there if theirs.run("rev-list", "--max-count=1", one, *known, "--", seconds=BUILDING)}
        wanted = own | missing
        if wanted:
            feed = "".join(f"{one}\n" for one in [*sorted(wanted), *known]).encode()
            with tempfile.TemporaryFile(dir=place) as pack:
                theirs.run(
                    "pack-objects", "--revs", "--stdout", "-q", "--thin", feed=feed, into=pack, seconds=BUILDING,
                    most=MOST_PACK,
                )  # fmt: skip
                new.run("index-pack", "--stdin", "--fix-thin", "--strict", feed=pack, seconds=BUILDING, most=MOST_PACK)
    return {commit for commit in own if _has(new, commit)}


def _link_objects(tree: Tree, objects: Path) -> None:
    (objects / "pack").mkdir(exist_ok=True)
    many = 0
    for name, info in tree.names(b".git/objects"):
        if not re.fullmatch(rb"[0-9a-f]{2}|pack", name) or not stat.S_ISDIR(info.st_mode):
            continue
        form = _PACK if name == b"pack" else _OBJECT
        place = objects / os.fsdecode(name)
        place.mkdir(exist_ok=True)
        for file, _ in tree.names(b".git/objects/" + name):
            many += 1
            if many > _MOST_OBJECTS:
                raise TooMuch("its repository has too many object files")
            if form.fullmatch(file):
                tree.copy(b".git/objects/" + name + b"/" + file, place / os.fsdecode(file))


# -- what is not committed ------------------------------------------------------------------------------------------


def _snapshot(tree: Tree, work: Path, new: Git, record: Record, *, room: Path) -> str:
    """The tree object of the directory as it is, without what is ignored."""
    index = room / record.index
    if not record.index or not index.is_file():
        index = room / "index-again"
        new.run("read-tree", record.head, index=index, seconds=BUILDING)
    changed, gone = _changes(tree, work, new, index)
    if not changed and not gone:
        return _tree(new, record.head)
    with tempfile.TemporaryFile(dir=room) as stream:
        said = f"commit refs/bottlepost/snapshot\ncommitter bottlepost <> {int(time.time())} +0000\ndata 0\n"
        stream.write(f"{said}from {record.head}\n".encode())
        for path in gone:
            stream.write(b"D " + _quoted(path) + b"\n")
        left = MOST_OWN
        for path, (mode, blob) in changed.items():
            left -= _write(stream, tree, path, mode=mode, blob=blob)
            if left < 0:
                raise TooMuch(f"it has changed more than {MOST_OWN // 1024**2} MiB")
        new.run("fast-import", "--quiet", "--force", feed=stream, seconds=BUILDING, most=MOST_PACK)
    content = _tree(new, "refs/bottlepost/snapshot")
    new.run("update-ref", "-d", "refs/bottlepost/snapshot")
    return content


def _changes(tree: Tree, work: Path, new: Git, index: Path) -> tuple[dict[bytes, tuple[bytes, str]], list[bytes]]:
    """Files that may differ from what we wrote, with mode and the blob that we wrote ("" = none); and what is gone."""
    changed: dict[bytes, tuple[bytes, str]] = {}
    gone: list[bytes] = []
    listing = new.run("ls-files", "-z", "--stage", "--debug", work=work, index=index, seconds=BUILDING)
    for entry in _ENTRY.finditer(listing):
        path, info = entry["path"], tree.look(entry["path"])
        if info is not None and entry["mode"] == b"160000" and stat.S_ISDIR(info.st_mode):
            continue  # a submodule: none is ever fetched
        mode = _mode(info)
        if mode is None:
            gone.append(path)
        elif info is not None and not (mode == entry["mode"] and _same(entry, info)):
            changed[path] = (mode, entry["blob"].decode() if mode == entry["mode"] else "")
    others = new.run("ls-files", "-z", "--others", "--exclude-standard", work=work, index=index, seconds=BUILDING)
    # Not counted: files of ours whose owner or place has changed look new too, until their content is compared.
    most = len(changed) + MOST_OWN_FILES
    for path in filter(None, others.split(b"\0")):
        for file, info in _files(tree, path):
            mode = _mode(info)
            if mode is not None:
                changed[file] = (mode, "")
            if len(changed) > most:
                raise TooMuch(f"more than {MOST_OWN_FILES} files are new")
    return changed, gone


def _files(tree: Tree, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """The file, or (of a repository inside the directory) what is in it, as plain files."""
    if path.endswith(b"/"):
        yield from tree.walk(path, most=MOST_OWN_FILES)
        return
    info = tree.look(path)
    if info is not None and not any(is_git(part) for part in path.split(b"/")):
        yield path, info


def _same(entry: re.Match[bytes], info: os.stat_result) -> bool:
    """Whether it is untouched since we wrote it: nobody sets a file's ctime."""
    times = (info.st_ctime_ns, info.st_mtime_ns)
    stamps = tuple(f"{ns // 10**9}:{ns % 10**9}".encode() for ns in times)
    size = info.st_size & 0xFFFFFFFF
    inode = info.st_ino & 0xFFFFFFFF
    return (entry["ctime"], entry["mtime"], int(entry["ino"]), int(entry["size"])) == (*stamps, inode, size)


def _mode(info: os.stat_result | None) -> bytes | None:
    """As git knows it; `None` for what git does not keep (a directory, a pipe, a socket)."""
    if info is None or not (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
        return None
    if stat.S_ISLNK(info.st_mode):
        return b"120000"
    return b"100755" if info.st_mode & 0o100 else b"100644"


def _write(stream: IO[bytes], tree: Tree, path: bytes, *, mode: bytes, blob: str) -> int:
    """One file for fast-import, unless it is what we wrote; the bytes that it took."""
    content = tree.link(path) if mode == b"120000" else tree.read(path, most=_MOST_FILE)
    if content is None:
        return 0
    head = f"blob {len(content)}\0".encode()
    if blob and hashlib.sha1(head + content, usedforsecurity=False).hexdigest() == blob:
        return 0
    stream.write(b"M " + mode + b" inline " + _quoted(path) + f"\ndata {len(content)}\n".encode() + content + b"\n")
    return len(content)


def _quoted(path: bytes) -> bytes:
    plain = b"".join(bytes([one]) if 32 <= one < 127 and one not in b'"\\' else b"\\%03o" % one for one in path)
    return b'"' + plain + b'"'
