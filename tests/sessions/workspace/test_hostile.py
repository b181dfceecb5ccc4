"""Nothing that an agent, a pull request or a forge writes is executed by the host, or leads it elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from sessions import state
from sessions.git import _ENVIRONMENT
from sessions.sources import Access, Unfetchable
from tests.gitside.origin import git
from tests.gitside.server import GitServer
from tests.sessions.workspace.desk import TOKEN, Desk

#: Keys by which a git that trusts a repository runs a program.
KEYS = (
    "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "core.askPass",
    "core.alternateRefsCommand", "uploadpack.packObjectsHook", "filter.evil.clean", "filter.evil.smudge",
    "filter.evil.process", "filter.lfs.smudge", "filter.lfs.process", "diff.external", "diff.evil.textconv",
    "merge.evil.driver", "gpg.program", "credential.helper", "remote.origin.uploadpack", "remote.origin.vcs",
    "alias.status", "alias.ls-files", "sequence.editor", "interactive.diffFilter", "trailer.x.command",
)  # fmt: skip
HOOKS = (
    "post-checkout",
    "pre-commit",
    "post-index-change",
    "reference-transaction",
    "post-merge",
    "fsmonitor-watchman",
)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a trace when it is run."""
    program = tmp_path / "trap.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    program.chmod(0o755)
    return program


def is_sprung(desk: Desk) -> bool:
    return (desk.root / "sprung").exists()


def test_the_trap_works(desk: Desk, trap: Path) -> None:
    desk.checkout()
    desk.agent("config", "core.fsmonitor", str(trap))
    desk.agent("status")
    assert is_sprung(desk)


def test_config_hooks_and_attributes_of_the_agents_repository_are_not_honoured(desk: Desk, trap: Path) -> None:
    desk.checkout()
    desk.write(".gitattributes", "* filter=evil diff=evil merge=evil\n*.bin filter=lfs\n")
    desk.write("app.txt", "changed\n")
    desk.agent("add", ".")
    desk.agent("commit", "-qm", "Mine")
    desk.write("app.txt", "changed again\n")
    for key in KEYS:
        desk.agent("config", key, str(trap))
    desk.agent("config", "include.path", str(desk.work / "more"))
    desk.agent("config", "includeIf.gitdir:/.path", str(desk.work / "more"))
    desk.write("more", f"[core]\n\thooksPath = {desk.work}/hooks\n")
    for hooks in (desk.work / "hooks", desk.work / ".git" / "hooks"):
        hooks.mkdir()
        for hook in HOOKS:
            shutil.copy(trap, hooks / hook)
    (desk.work / ".git" / "info").mkdir(exist_ok=True)
    (desk.work / ".git" / "info" / "attributes").write_text("* filter=evil\n")
    (desk.root / "sprung").unlink(missing_ok=True)
    desk.push({"app.txt": "pushed\n", ".gitattributes": "* filter=evil\n", "x.bin": "pointer"})
    made = desk.checkout()
    assert made.kept and not is_sprung(desk)
    assert desk.read("app.txt") == "pushed\n"
    assert "evil" not in (desk.work / ".git" / "config").read_text()
    assert not (desk.work / ".git" / "hooks").exists()
    assert desk.agent("show", f"{made.kept}:app.txt") == "changed again"


def test_repository_inside_the_repository_is_not_asked_anything(desk: Desk, trap: Path) -> None:
    """A git that looks at a submodule's state runs another one in it."""
    desk.checkout()
    inner = desk.work / "inner"
    inner.mkdir()
    git("init", "-q", at=inner)
    (inner / "f").write_text("x")
    git("add", "f", at=inner)
    git("commit", "-qm", "x", at=inner)
    desk.agent("add", "inner")
    desk.agent("commit", "-qm", "A gitlink")
    git("config", "core.fsmonitor", str(trap), at=inner)
    (inner / "f").write_text("changed")
    desk.push({"app.txt": "pushed\n"})
    assert desk.checkout().kept and not is_sprung(desk)


def test_configuration_of_the_user_and_of_the_shell_is_not_read(desk: Desk, trap: Path) -> None:
    home = desk.root / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = {trap}\n\tsshCommand = {trap}\n[credential]\n\thelper = !{trap}\n"
    )
    (home / ".netrc").write_text("machine 127.0.0.1 login x password not-the-token\n")
    desk.environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_SSH_COMMAND": str(trap),
        "GIT_EXTERNAL_DIFF": str(trap),
        "GIT_ASKPASS": str(trap),
        "GIT_PROXY_COMMAND": str(trap),
        "GIT_DIR": str(desk.root / "elsewhere"),
        "GIT_TRACE": str(desk.root / "trace"),
    }
    desk.checkout()
    assert not is_sprung(desk) and not (desk.root / "trace").exists()
    assert {given for _, _, given in desk.server.asked} > {""}


@pytest.mark.parametrize("scheme", ["file://", "ext::", "git://", "ssh://", ""])
def test_only_http_is_spoken(desk: Desk, trap: Path, scheme: str) -> None:
    address = f"ext::{trap} %S" if scheme == "ext::" else f"{scheme}{desk.origin.place}"
    desk.asks(access=Access(url=address))
    with pytest.raises(Unfetchable):
        desk.checkout()
    assert not is_sprung(desk)


def test_submodules_and_lfs_files_are_left_as_they_are(desk: Desk, trap: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    gitmodules = f'[submodule "x"]\n\tpath = x\n\turl = ext::{trap}\n\tupdate = !{trap}\n'
    desk.push({".gitmodules": gitmodules, ".gitattributes": "*.bin filter=lfs diff=lfs\n", "a.bin": pointer})
    desk.checkout()
    assert desk.read("a.bin") == pointer
    assert not is_sprung(desk)


def test_links_out_of_the_directory_are_neither_followed_nor_written_through(desk: Desk) -> None:
    outside = desk.root / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("the host's secret")
    (outside / "app.txt").write_text("the host's file")
    desk.push({"dir/app.txt": "theirs\n", ".gitignore": "ignored\n"})
    desk.checkout()
    shutil.rmtree(desk.work / "dir")
    (desk.work / "dir").symlink_to(outside)
    (desk.work / "more").symlink_to(outside)
    (desk.work / "ignored").symlink_to(outside)
    desk.push({"dir/app.txt": "pushed\n", "ignored/x": "pushed\n"})
    made = desk.checkout()
    assert desk.read("dir/app.txt") == "pushed\n"
    assert sorted(path.name for path in outside.iterdir()) == ["app.txt", "secret.txt"]
    assert (outside / "app.txt").read_text() == "the host's file"
    assert desk.agent("show", f"{made.kept}:dir") == str(outside)
    secret = "the host's secret"
    blobs = desk.agent("rev-list", "--all", "--objects", "--no-object-names").split()
    assert not any(secret in desk.agent("cat-file", "-p", name) for name in blobs)


def test_links_inside_the_agents_repository_lead_nowhere(desk: Desk) -> None:
    """Objects of another repository of the host are not lent to it."""
    private = desk.root / "private"
    private.mkdir()
    git("init", "-q", "--bare", at=private)
    blob = git("hash-object", "-w", "--stdin", at=private, feed=b"of another repository")
    tree = git("mktree", at=private, feed=f"100644 blob {blob}\tsecret\n".encode())
    commit = git("commit-tree", tree, "-m", "x", at=private)
    for how in ("alternates", "objects", "git", "commondir", "file"):
        desk.checkout()
        repo = desk.work / ".git"
        if how == "alternates":
            (repo / "objects" / "info").mkdir(exist_ok=True)
            (repo / "objects" / "info" / "alternates").write_text(f"{private}/objects\n")
        elif how == "objects":
            shutil.rmtree(repo / "objects")
            (repo / "objects").symlink_to(private / "objects")
        elif how == "commondir":
            (repo / "commondir").write_text(f"{private}\n")
        else:
            shutil.rmtree(repo)
            repo.symlink_to(private) if how == "git" else repo.write_text(f"gitdir: {private}\n")
        if how in ("alternates", "objects", "commondir"):
            (repo / "refs" / "heads" / "stolen").write_text(f"{commit}\n")
        desk.push({"app.txt": f"{how}\n"})
        desk.checkout()
        assert desk.read("app.txt") == f"{how}\n"
        desk.agent("cat-file", "-e", blob, fails=True)


def test_refs_that_are_no_refs_do_no_harm(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.agent("commit", "-qam", "Mine")
    mine = desk.agent("rev-parse", "HEAD")
    heads = desk.work / ".git" / "refs" / "heads"
    for name in ("-dash", "--upload-pack=x", "a b", "new\nline", "dot..dot", "@{-1}", "x.lock", "ünï"):
        (heads / name).write_text(f"{mine}\n")
    (heads / "bottlepost").write_text(f"{mine}\n")
    (heads / "garbage").write_text("ref: refs/heads/garbage\n")
    (heads / "nowhere").write_text("0" * 40)
    (heads / "link").symlink_to("/etc/passwd")
    os.mkfifo(heads / "pipe")
    (desk.work / ".git" / "packed-refs").write_bytes(b"\xff\xfe\n" + b"1" * 40 + b" refs/heads/one\n")
    desk.push({"app.txt": "pushed\n"})
    made = desk.checkout()
    assert desk.agent("rev-parse", made.kept) == mine
    assert made.lost == "" and desk.read("app.txt") == "pushed\n"


def test_files_that_would_be_a_repository_are_refused(desk: Desk) -> None:
    stream = b"commit refs/heads/feature\ncommitter x <x> 1700000000 +0000\ndata 0\n"
    git("fast-import", "--quiet", "--force", at=desk.origin.place, feed=stream)
    blob = git("hash-object", "-w", "--stdin", at=desk.origin.place, feed=b"[core]\n\tfsmonitor = x\n")
    inner = git("mktree", at=desk.origin.place, feed=f"100644 blob {blob}\tconfig\n".encode())
    for name in (".git", ".GIT", "git~1", ".git ", "..", "."):
        tree = git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", at=desk.origin.place,
                   feed=f"40000 {name}".encode() + b"\0" + bytes.fromhex(inner))  # fmt: skip
        commit = git("commit-tree", tree, "-m", "x", at=desk.origin.place)
        git("update-ref", "refs/pull/7/head", commit, at=desk.origin.place)
        with pytest.raises(Unfetchable):
            desk.checkout()
        assert not desk.work.exists()


@pytest.mark.parametrize(
    "base", ["-q", "--upload-pack=touch x", "a..b", "x\ny", "a:b", "*", "^main", "@", "ü\ud800", "x;y"]
)
def test_branch_names_are_data(desk: Desk, base: str) -> None:
    desk.asks(base=base)
    made = desk.checkout()
    assert made.base == "" and made.head == desk.origin.tip("feature")


def test_odd_branch_names_that_git_knows_work(desk: Desk) -> None:
    for base in ("ümläut/x", "a;b$(c)", "pull-7", "HEAD/x", "refs/heads/x"):
        git("update-ref", f"refs/heads/{base}", desk.origin.tip("main"), at=desk.origin.place)
        desk.asks(base=base)
        assert desk.checkout().base == desk.origin.tip("main"), base


def test_secret_is_given_to_no_other_host(desk: Desk, tmp_path: Path) -> None:
    """A forge that was taken over could send us anywhere."""
    with GitServer(tmp_path / "forge", token="another one") as thief:
        path = f"/{desk.origin.name}.git/info/refs"
        desk.server.moved[path] = f"{thief.url}{path}"
        with pytest.raises(Unfetchable):
            desk.checkout()
        assert thief.asked and all(given == "" for _, _, given in thief.asked)


def test_reason_names_the_trouble_and_not_the_secret(desk: Desk) -> None:
    desk.server.token = "changed meanwhile"
    with pytest.raises(Unfetchable) as raised:
        desk.checkout()
    assert desk.source.access.url in str(raised.value) and "uthentication failed" in str(raised.value)
    assert TOKEN not in str(raised.value) and "\n" not in str(raised.value)


def test_secret_goes_to_no_other_host_after_it_was_given(desk: Desk, tmp_path: Path) -> None:
    """A forge that first asks for it, and then sends us on."""
    with GitServer(tmp_path / "forge", token="another one") as thief:
        path = f"/{desk.origin.name}.git/info/refs"
        desk.server.moved_known[path] = f"{thief.url}{path}"
        with pytest.raises(Unfetchable):
            desk.checkout()
        assert any(given for _, _, given in desk.server.asked), "it was given where it belongs"
        assert thief.asked and all(given == "" for _, _, given in thief.asked)


def test_secret_is_in_no_command_line_of_anything_that_runs(desk: Desk) -> None:
    """Looked at while the forge, which has been given it, keeps us waiting."""
    seen: list[bytes] = []

    def look() -> None:
        # The first question has no secret: only who holds it may be looked for.
        if any(given for _, _, given in desk.server.asked):
            seen.extend(line for line in map(_content, Path("/proc").glob("[0-9]*/cmdline")) if b"fetch" in line)
            desk.server.stalled_known.clear()

    desk.tick = look
    desk.server.stalled_known.set()
    try:
        desk.checkout()
    finally:
        desk.server.stalled_known.clear()
    assert seen and not any(TOKEN.encode() in line for line in seen)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_pipes_keep_nobody_waiting(desk: Desk) -> None:
    """Whoever opens one to read it waits for ever: git does, for rules and for what is inside a repository."""
    desk.checkout()
    desk.write("mine.txt", "mine")
    (desk.work / "sub").mkdir()
    inner = desk.work / "inner"
    inner.mkdir()
    git("init", "-q", at=inner)
    (inner / "f").write_text("x")
    (inner / ".git" / "HEAD").unlink()
    for place in ("sub/.gitignore", "inner/.git/HEAD", ".git/HEAD.lock", ".git/info", ".git/logs/refs/stash"):
        pipe = desk.work / place
        if pipe.is_dir():
            shutil.rmtree(pipe)
        pipe.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(pipe)
    desk.push({"pushed.txt": "theirs\n"})
    began = time.monotonic()
    made = desk.checkout()
    assert desk.agent("show", f"{made.kept}:mine.txt") == "mine" and time.monotonic() - began < 60


def test_long_names_of_branches_and_files_cost_their_turn_at_most(desk: Desk) -> None:
    base = "/".join(["b" * 200] * 12)
    git("update-ref", "refs/heads/short", desk.origin.tip("main"), at=desk.origin.place)
    packed = f"{desk.origin.tip('main')} refs/heads/{base}\n"
    (desk.origin.place / "packed-refs").write_text(packed)
    desk.asks(base=base)
    made = desk.checkout()
    assert made.base == desk.origin.tip("main") == desk.agent("rev-parse", "refs/bottlepost/base")
    for name in ("n" * 300, "/".join(["d" * 200] * 25)):
        made_of, kind = git("hash-object", "-w", "--stdin", at=desk.origin.place, feed=b"x"), "100644 blob"
        for part in reversed(name.split("/")):
            made_of = git("mktree", at=desk.origin.place, feed=f"{kind} {made_of}\t{part}\n".encode())
            kind = "040000 tree"
        commit = git("commit-tree", made_of, "-m", "x", at=desk.origin.place)
        git("update-ref", "refs/pull/7/head", commit, at=desk.origin.place)
        with pytest.raises(Unfetchable, match=r"File name too long|cannot create directory at"):
            desk.checkout()
        assert desk.read("app.txt") == "one\ntwo\nthree\n"
        assert not list((desk.bottle / "checkout").glob("next-*"))


def test_names_that_differ_in_case_only_are_different_names(desk: Desk) -> None:
    for name in ("Main", "MAIN"):
        desk.origin.commit(name, {"who.txt": name}, onto="main")
    desk.push({"File.txt": "upper", "file.txt": "lower", "trailing.": "dot", "trailing ": "space"})
    for name in ("Main", "MAIN", "main"):
        desk.asks(base=name)
        assert desk.checkout().base == desk.origin.tip(name) == desk.agent("rev-parse", f"origin/{name}")
    assert (desk.read("File.txt"), desk.read("file.txt")) == ("upper", "lower")
    assert (desk.read("trailing."), desk.read("trailing ")) == ("dot", "space")


def test_more_branches_than_anybody_has_are_not_gone_through(desk: Desk) -> None:
    desk.checkout()
    heads = desk.work / ".git" / "refs" / "heads"
    for number in range(500):
        (heads / f"b{number}").write_text(f"{number:040x}\n")
    desk.push({"app.txt": "pushed\n"})
    made = desk.checkout()
    assert "more than 400 branches" in made.lost and desk.read("app.txt") == "pushed\n"


def test_object_that_would_fill_the_memory_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of zeros is a few kilobytes on the disk."""
    assert _ENVIRONMENT["GIT_ALLOC_LIMIT"]
    monkeypatch.setitem(_ENVIRONMENT, "GIT_ALLOC_LIMIT", "32m")
    desk.checkout()
    content = f"tree {desk.agent('rev-parse', 'HEAD^{tree}')}\n".encode()
    content += b"author x <x> 1 +0000\ncommitter x <x> 1 +0000\n\n" + b"x" * 40_000_000
    name = desk.agent("hash-object", "-t", "commit", "-w", "--stdin", feed=content)
    (desk.work / ".git" / "refs" / "heads" / "big").write_text(f"{name}\n")
    desk.push({"app.txt": "pushed\n"})
    made = desk.checkout()
    assert (made.lost or not made.earlier) and desk.read("app.txt") == "pushed\n"


def test_tree_deeper_than_any_stack_is_put_aside_and_goes(desk: Desk) -> None:
    desk.checkout()
    try:
        at = os.open(desk.work, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d", dir_fd=at)
            below = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        desk.push({"app.txt": "pushed\n"})
        made = desk.checkout()
        assert made.lost == "directories are nested too deeply" and desk.read("app.txt") == "pushed\n"
        assert state.remove(desk.bottle) and not desk.bottle.exists()
    finally:
        subprocess.run(["rm", "-rf", desk.state], check=True)  # nobody who cleans up after tests could


def test_directories_without_rights_do_not_pile_up(desk: Desk) -> None:
    desk.push({".gitignore": "cache/\n"})
    desk.checkout()
    desk.write("cache/pkg/file", "x")
    desk.write("vendor/file", "x")
    for place in ("cache/pkg", "cache", "vendor"):
        (desk.work / place).chmod(0o500)
    desk.push({"app.txt": "pushed\n"})
    made = desk.checkout()
    assert desk.agent("show", f"{made.kept}:vendor/file") == "x"
    left = {path.name.partition("-")[0] for path in (desk.bottle / "checkout").iterdir()}
    assert left == {"index", "lock", "mirror", "record.json"}
