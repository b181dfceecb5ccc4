"""The code in the working directory: whole, of the right commit, and needing nothing from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sessions.sources import Access, Unfetchable
from tests.gitside.origin import git
from tests.sessions.workspace.desk import TOKEN, Desk


def test_first_checkout_holds_the_head_and_can_be_compared_with_the_base(desk: Desk) -> None:
    made = desk.checkout()
    assert made.head == desk.origin.tip("feature") == desk.agent("rev-parse", "HEAD")
    assert made.base == desk.origin.tip("main")
    assert desk.agent("rev-parse", "--abbrev-ref", "HEAD") == "pull-7"
    assert desk.read("app.txt") == "one\ntwo\nthree\n"
    assert "+three" in desk.agent("diff", "origin/main...HEAD")
    assert desk.agent("status", "--porcelain") == ""
    assert (made.kept, made.before, made.untouched, made.lost) == ("", "", False, "")


def test_clone_needs_nothing_but_its_own_directory(desk: Desk, tmp_path: Path) -> None:
    desk.checkout()
    elsewhere = tmp_path / "mounted alone"
    shutil.copytree(desk.work, elsewhere)
    shutil.rmtree(desk.state)
    assert git("fsck", "--full", "--strict", at=elsewhere) == ""
    assert git("log", "--format=%H", at=elsewhere).splitlines()[0] == desk.origin.tip("feature")
    assert git("config", "--get", "core.worktree", at=elsewhere, fails=True) == ""


def test_token_is_in_no_file_and_in_no_argument(desk: Desk) -> None:
    """It came through: the server asked for it."""
    desk.checkout()
    assert any(given for _, _, given in desk.server.asked)
    for path in desk.root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    assert desk.agent("config", "remote.origin.url") == desk.source.access.url


def test_unmoved_pull_leaves_the_directory_as_the_agent_left_it(desk: Desk) -> None:
    desk.checkout()
    desk.write("notes.txt", "mine")
    desk.write("app.txt", "changed")
    made = desk.checkout()
    assert made.untouched
    assert (desk.read("notes.txt"), desk.read("app.txt")) == ("mine", "changed")


def test_forge_is_not_asked_for_what_it_has_just_been_seen_at(desk: Desk) -> None:
    first = desk.checkout()
    desk.asks(head=first.head, base_head=first.base)
    asked = len(desk.server.asked)
    assert desk.checkout().untouched and len(desk.server.asked) == asked
    base = desk.origin.commit("main", {"README.md": "# Another\n"})
    desk.asks(base_head=base)
    assert desk.checkout().base == base and len(desk.server.asked) > asked


@pytest.mark.parametrize("lost", ["mirrors", "state/reviewer-abcde/work/.git"])
def test_forge_is_asked_where_something_is_missing_here(desk: Desk, lost: str) -> None:
    first = desk.checkout()
    desk.asks(head=first.head, base_head=first.base)
    shutil.rmtree(desk.state / lost)
    asked = len(desk.server.asked)
    assert desk.checkout().head == first.head and len(desk.server.asked) > asked
    assert desk.agent("rev-parse", "HEAD") == first.head


def test_push_moves_the_directory_forward(desk: Desk) -> None:
    first = desk.checkout()
    head = desk.push({"new.txt": "new\n"})
    made = desk.checkout()
    assert (made.head, made.before, made.kept) == (head, first.head, "")
    assert desk.read("new.txt") == "new\n"
    assert "new.txt" in desk.agent("diff", "--name-only", "refs/bottlepost/before", "HEAD")


def test_force_push_is_followed_and_the_old_head_is_still_there(desk: Desk) -> None:
    first = desk.checkout()
    desk.origin.commit("other", {"app.txt": "rewritten\n"}, onto="main")
    head = desk.origin.pull(7, "other")
    made = desk.checkout()
    assert (made.head, made.before) == (head, first.head)
    assert desk.read("app.txt") == "rewritten\n"
    assert desk.agent("cat-file", "-t", first.head) == "commit"


def test_moved_base_is_there_too(desk: Desk) -> None:
    desk.checkout()
    base = desk.origin.commit("main", {"README.md": "# Another\n"})
    made = desk.checkout()
    assert made.base == base == desk.agent("rev-parse", "origin/main")


def test_moved_base_takes_nothing_out_of_the_agents_hands(desk: Desk) -> None:
    first = desk.checkout()
    desk.write("app.txt", "half done")
    desk.origin.commit("main", {"README.md": "# Another\n"})
    made = desk.checkout()
    assert made.stale and made.untouched and made.base == first.base
    assert desk.read("app.txt") == "half done"


def test_head_of_a_deleted_branch_and_a_gone_base_are_no_obstacles(desk: Desk) -> None:
    head = desk.origin.tip("feature")
    git("update-ref", "-d", "refs/heads/feature", at=desk.origin.place)
    git("update-ref", "-d", "refs/heads/main", at=desk.origin.place)
    made = desk.checkout()
    assert (made.head, made.base) == (head, "")
    assert desk.read("app.txt") == "one\ntwo\nthree\n"


def test_commit_that_the_turn_is_about_is_the_one_that_is_checked_out(desk: Desk) -> None:
    """A push after our last look brings nothing that nobody has approved."""
    approved = desk.origin.tip("feature")
    desk.push({"evil.txt": "not looked at"})
    desk.asks(head=approved, exact=True)
    made = desk.checkout()
    assert made.head == approved
    assert not (desk.work / "evil.txt").exists()


def test_commit_that_nobody_has_is_not_replaced_by_another_one(desk: Desk) -> None:
    desk.asks(head="0123456789" * 4, exact=True)
    with pytest.raises(Unfetchable, match="0123456789"):
        desk.checkout()
    desk.asks(exact=False)
    assert desk.checkout().head == desk.origin.tip("feature")


def test_renamed_repository_is_followed(desk: Desk) -> None:
    desk.checkout()
    head = desk.push({"new.txt": "new\n"})
    old, new = desk.source.access.url, desk.source.access.url.replace("acme/api", "acme/before")
    path = "/acme/before.git/info/refs"
    desk.server.moved[path] = f"{old}/info/refs"
    desk.asks(access=Access(url=new, secret=desk.source.access.secret))
    assert desk.checkout().head == head
    assert ("GET", path, "") in desk.server.asked
    assert desk.mirrors() == ["12-forge.git"]


def test_two_bottles_share_one_mirror(desk: Desk) -> None:
    desk.checkout()
    other = desk.bottle.with_name("tester-fghij")
    desk.asks(branch="pull-8")
    desk.checkout(bottle=other)
    assert git("rev-parse", "HEAD", at=other / "work") == desk.agent("rev-parse", "HEAD")
    assert desk.mirrors() == ["12-forge.git"]


def test_bottle_does_not_get_what_the_mirror_has_of_other_pulls(desk: Desk) -> None:
    secret = desk.origin.commit("embargoed", {"cve.txt": "how to break it"}, onto="main")
    desk.origin.pull(8, "embargoed")
    desk.asks(head_ref="refs/pull/8/head")
    desk.checkout(bottle=desk.bottle.with_name("tester-fghij"))
    desk.asks(head_ref="refs/pull/7/head")
    desk.checkout()
    desk.agent("cat-file", "-t", secret, fails=True)
