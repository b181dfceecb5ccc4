"""What the agent has made is never lost in silence: it is on a branch, and the caller is told which."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sessions.workspace import salvage
from tests.sessions.workspace.desk import Desk


def test_uncommitted_work_is_kept_on_a_branch_when_the_head_moves(desk: Desk) -> None:
    first = desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.write("deep/new file.txt", "also mine\n")
    (desk.work / "README.md").unlink()
    head = desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout(turn=5)
    assert (made.head, made.kept, made.lost) == (head, "bottlepost/kept-5", "")
    assert desk.agent("status", "--porcelain") == ""
    assert desk.read("app.txt") == "one\ntwo\nthree\n"
    assert desk.agent("rev-parse", f"{made.kept}^") == first.head
    assert desk.agent("show", f"{made.kept}:app.txt") == "mine"
    assert desk.agent("show", f"{made.kept}:deep/new file.txt") == "also mine"
    desk.agent("cat-file", "-e", f"{made.kept}:README.md", fails=True)


def test_unpushed_commits_are_kept_with_what_is_not_committed_on_top(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "committed\n")
    desk.agent("commit", "-qam", "Mine")
    mine = desk.agent("rev-parse", "HEAD")
    desk.write("app.txt", "and more\n")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert desk.agent("rev-parse", f"{made.kept}^") == mine
    assert desk.agent("show", f"{made.kept}:app.txt") == "and more"
    assert desk.agent("fsck", "--full", "--no-dangling") == ""


def test_commits_alone_are_kept_as_they_are(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "committed\n")
    desk.agent("commit", "-qam", "Mine")
    mine = desk.agent("rev-parse", "HEAD")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert desk.agent("rev-parse", made.kept) == mine


def test_git_of_the_next_turn_is_not_kept_out_by_one_that_was_killed(desk: Desk, tmp_path: Path) -> None:
    desk.checkout()
    (tmp_path / "index.lock").write_text("not the agent's")
    for name in ("index.lock", "HEAD.lock", "refs/heads/pull-7.lock", "refs/heads/a/b.lock"):
        desk.write(f".git/{name}", "")
    desk.write("mine.txt", "mine\n")
    desk.agent("add", "mine.txt", fails=True)
    assert desk.checkout().untouched
    desk.agent("add", "mine.txt")
    desk.agent("commit", "-q", "-m", "mine")
    (desk.work / ".git" / "packed-refs.lock").symlink_to(tmp_path / "index.lock")
    desk.checkout()
    assert (tmp_path / "index.lock").read_text() == "not the agent's"
    desk.agent("pack-refs", "--all")


def test_other_branches_and_the_stash_keep_their_names(desk: Desk) -> None:
    desk.checkout()
    desk.agent("checkout", "-qb", "idea/one")
    desk.write("idea.txt", "an idea\n")
    desk.agent("add", ".")
    desk.agent("commit", "-qm", "An idea")
    idea = desk.agent("rev-parse", "HEAD")
    desk.agent("checkout", "-q", "pull-7")
    desk.write("app.txt", "stashed\n")
    desk.agent("stash")
    stash = desk.agent("rev-parse", "refs/stash")
    desk.agent("gc", "--quiet", "--prune=now")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert made.kept == ""
    assert set(made.earlier) == {"idea/one", "bottlepost/stash"}
    assert desk.agent("rev-parse", "idea/one", "bottlepost/stash").split() == [idea, stash]


def test_every_stash_is_kept_also_one_that_was_made_after_a_move(desk: Desk) -> None:
    """All but the last are in a log only; and the name of the last one is taken when it comes again."""
    desk.checkout()
    stashed = []
    for text in ("first\n", "second\n"):
        desk.write("app.txt", text)
        desk.agent("stash")
        stashed.append(desk.agent("rev-parse", "refs/stash"))
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert made.earlier == ("bottlepost/stash", "bottlepost/stash-2")
    assert desk.agent("rev-parse", *made.earlier).split() == stashed[::-1]
    desk.write("app.txt", "third\n")
    desk.agent("stash")
    desk.push({"pushed.txt": "theirs again\n"})
    again = desk.checkout()
    assert set(again.earlier) == {"bottlepost/stash", "bottlepost/stash-2", "bottlepost/stash-3"}
    assert desk.agent("show", "bottlepost/stash-3:app.txt") == "third"
    assert desk.agent("rev-parse", *made.earlier).split() == stashed[::-1]


def test_rebase_under_way_loses_nothing(desk: Desk) -> None:
    """Neither the branch that is rebased, nor what had been put away for it, nor the conflict as it stands."""
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.agent("commit", "-qam", "Mine")
    mine = desk.agent("rev-parse", "HEAD")
    desk.agent("checkout", "-qb", "other", "origin/main")
    desk.write("app.txt", "another\n")
    desk.agent("commit", "-qam", "Another")
    desk.agent("checkout", "-q", "pull-7")
    desk.write("README.md", "not committed\n")
    desk.agent("rebase", "--autostash", "other", fails=True)
    assert "<<<<<<<" in desk.read("app.txt")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout(turn=5)
    assert made.lost == "" and "<<<<<<<" in desk.agent("show", f"{made.kept}:app.txt")
    kept = {name: desk.agent("rev-parse", name) for name in made.earlier}
    assert mine in kept.values() and "other" in kept
    assert desk.agent("show", "bottlepost/stash:README.md") == "not committed"
    assert desk.agent("status", "--porcelain") == "" and desk.agent("rev-parse", "--abbrev-ref", "HEAD") == "pull-7"


def test_merge_under_way_and_a_detached_head_lose_nothing(desk: Desk) -> None:
    desk.checkout()
    desk.agent("checkout", "-q", "--detach")
    desk.write("app.txt", "mine\n")
    desk.agent("commit", "-qam", "Mine")
    mine = desk.agent("rev-parse", "HEAD")
    desk.agent("checkout", "-qb", "other", "origin/main")
    desk.write("app.txt", "another\n")
    desk.agent("commit", "-qam", "Another")
    desk.agent("checkout", "-q", mine)
    desk.agent("merge", "other", fails=True)
    desk.write("staged.txt", "staged\n")
    desk.agent("add", "staged.txt")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert made.lost == "" and desk.agent("rev-parse", f"{made.kept}^") == mine
    assert "<<<<<<<" in desk.agent("show", f"{made.kept}:app.txt")
    assert desk.agent("show", f"{made.kept}:staged.txt") == "staged" and made.earlier == ("other",)


def test_work_in_a_directory_whose_repository_was_deleted_is_kept(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    shutil.rmtree(desk.work / ".git")
    made = desk.checkout()
    assert (made.head, made.lost) == (desk.origin.tip("feature"), "")
    assert desk.agent("show", f"{made.kept}:app.txt") == "mine" and desk.read("app.txt") == "one\ntwo\nthree\n"


def test_work_stays_over_many_moves(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.push({"a.txt": "1"})
    kept = desk.checkout().kept
    for text in ("2", "3"):
        desk.push({"a.txt": text})
        made = desk.checkout()
        assert (made.kept, made.earlier) == ("", (kept,))
    assert desk.agent("show", f"{kept}:app.txt") == "mine"
    assert desk.checkout().earlier == (kept,)


def test_work_that_was_pushed_meanwhile_is_no_work_of_its_own_any_more(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "one\ntwo\nthree\nfour\n")
    desk.push({"app.txt": "one\ntwo\nthree\nfour\n"})
    made = desk.checkout()
    assert (made.kept, made.earlier, made.lost) == ("", (), "")


def test_pull_that_gets_another_base_is_compared_with_that(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    base = desk.origin.commit("next", {"next.txt": "1"}, onto="main")
    desk.asks(base="next")
    made = desk.checkout()
    assert (made.base_name, made.base) == ("next", base) and made.kept
    assert desk.agent("rev-parse", "origin/next") == base


def test_looking_at_another_commit_is_no_work(desk: Desk) -> None:
    desk.checkout()
    desk.agent("checkout", "-q", "origin/main")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert (made.kept, made.earlier) == ("", ())
    assert desk.agent("rev-parse", "--abbrev-ref", "HEAD") == "pull-7"


def test_turn_that_is_tried_again_is_told_again(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.push({"pushed.txt": "theirs\n"})
    first = desk.checkout(turn=5)
    assert desk.checkout(turn=5) == first
    later = desk.checkout(turn=6)
    assert (later.untouched, later.kept, later.earlier) == (True, "", (first.kept,))


def test_ignored_files_go_along_and_are_in_no_commit(desk: Desk) -> None:
    desk.push({".gitignore": "build/\n*.cache\n"})
    desk.checkout()
    desk.write("build/out/big.bin", "built")
    desk.write("x.cache", "cached")
    desk.write("its own/place/y.cache", "cached, too")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert made.kept == ""
    assert (desk.read("build/out/big.bin"), desk.read("x.cache")) == ("built", "cached")
    assert desk.read("its own/place/y.cache") == "cached, too"


def test_names_and_kinds_of_files_survive(desk: Desk) -> None:
    desk.checkout()
    names = ['quo"te', "new\nline", "-dash", "tab\there", "ünïcode", "back\\slash", "..dots"]
    for name in names:
        desk.write(name, f"content of {name}")
    (desk.work / os.fsdecode(b"\xff\xfe raw")).write_text("raw")
    desk.write("run.sh", "#!/bin/sh\n")
    (desk.work / "run.sh").chmod(0o755)
    (desk.work / "link").symlink_to("/etc/passwd")
    os.mkfifo(desk.work / "pipe")
    desk.push({"pushed.txt": "theirs\n"})
    kept = desk.checkout().kept
    for name in names:
        assert desk.agent("show", f"{kept}:{name}") == f"content of {name}"
    listing = desk.agent("-c", "core.quotePath=false", "ls-tree", kept)
    assert "100755 blob" in next(line for line in listing.splitlines() if line.endswith("run.sh"))
    assert "120000 blob" in next(line for line in listing.splitlines() if line.endswith("link"))
    assert desk.agent("show", f"{kept}:link") == "/etc/passwd"
    assert "pipe" not in listing


def test_bottle_that_was_copied_elsewhere_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its files look new to us (as they do when they were given to a guest): their content decides."""
    monkeypatch.setattr(salvage, "MOST_OWN_FILES", 1)
    desk.checkout()
    for path in desk.work.glob("*.*"):
        os.utime(path, ns=(1, 1))
    desk.push({"pushed.txt": "theirs\n"})
    desk.write("new.txt", "one is allowed")
    made = desk.checkout()
    assert made.lost == ""
    assert desk.agent("diff", "--name-only", f"{made.kept}^", made.kept) == "new.txt"


def test_repository_inside_the_directory_is_kept_as_files(desk: Desk) -> None:
    desk.checkout()
    inner = desk.work / "vendor" / "lib"
    inner.mkdir(parents=True)
    desk.agent("init", "-q", str(inner))
    (inner / "lib.c").write_text("int x;")
    desk.push({"pushed.txt": "theirs\n"})
    kept = desk.checkout().kept
    assert desk.agent("ls-tree", "-r", "--name-only", kept, "vendor") == "vendor/lib/lib.c"


def test_directory_that_is_not_ours_is_kept_aside(desk: Desk) -> None:
    desk.write("mine.txt", "from another life")
    made = desk.checkout()
    assert made.lost and made.kept == ""
    aside: list[Path] = list((desk.bottle / "checkout").glob("aside-*"))
    assert [(path / "mine.txt").read_text() for path in aside] == ["from another life"]


def test_repository_that_is_damaged_is_kept_aside(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "committed\n")
    desk.agent("commit", "-qam", "Mine")
    tree = desk.agent("rev-parse", "HEAD^{tree}")
    (desk.work / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert made.lost and desk.read("pushed.txt") == "theirs\n"
    assert len(list((desk.bottle / "checkout").glob("aside-*"))) == 1


def test_directory_without_its_repository_is_still_compared_with_what_we_wrote(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.agent("update-ref", "-d", "HEAD")
    (desk.work / ".git" / "HEAD").write_text("nonsense")
    desk.push({"pushed.txt": "theirs\n"})
    made = desk.checkout()
    assert desk.agent("show", f"{made.kept}:app.txt") == "mine"
