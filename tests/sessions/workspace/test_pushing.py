"""What the agent commits reaches the pull's branch: forward only, never by force, and never what must not get there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sessions import workspace
from sessions.sources import Made, Pushed, Unfetchable, Unpushable
from tests.gitside.origin import git
from tests.sessions.unprivileged import without_rights
from tests.sessions.workspace.desk import TOKEN, Desk


def commit(desk: Desk, files: dict[str, str | None], message: str = "Mine") -> str:
    """The agent's commit of these files."""
    for path, text in files.items():
        if text is None:
            (desk.work / path).unlink()
        else:
            desk.write(path, text)
    desk.agent("add", "-A")
    desk.agent("commit", "-qm", message)
    return desk.agent("rev-parse", "HEAD")


def made(desk: Desk) -> Made | None:
    return workspace.made(
        state=desk.state, bottle=desk.bottle, turn=desk.turn, environ=desk.environ, tick=desk.tick
    )  # fmt: skip


def push(desk: Desk, found: Made | None = None, *, protected: tuple[str, ...] = ()) -> Pushed:
    found = found or made(desk)
    assert found is not None
    return workspace.push(
        found, onto="feature", access=desk.source.access, protected=protected, state=desk.state, environ=desk.environ,
        tick=desk.tick,
    )  # fmt: skip


def mirror(desk: Desk) -> Path:
    return desk.state / "mirrors" / "12-forge.git"


def test_a_commit_of_the_agents_becomes_the_tip_of_the_branch(desk: Desk) -> None:
    desk.checkout()
    mine = commit(desk, {"fix.py": "1\n"})
    pushed = push(desk)
    assert (pushed.state, pushed.commit, pushed.many, pushed.rebased) == ("pushed", mine, 1, False)
    assert desk.origin.tip("feature") == mine


def test_commits_of_another_machine_wait_for_it(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    found, elsewhere = made(desk), desk.root / "of another machine"
    assert found is not None
    with pytest.raises(Unpushable, match="in the state directory of another machine"):
        workspace.push(
            found, onto="feature", access=desk.source.access, protected=(), state=elsewhere, environ=desk.environ,
            tick=desk.tick,
        )  # fmt: skip
    assert push(desk, found).state == "pushed"


def test_commits_are_taken_out_of_a_directory_that_the_agent_has_shut(desk: Desk) -> None:
    desk.checkout()
    mine = commit(desk, {"fix.py": "1\n"})
    desk.work.chmod(0)
    take = (
        "import os, pathlib, sys; from sessions import workspace; state, bottle = map(pathlib.Path, sys.argv[1:]); "
        "found = workspace.made(state=state, bottle=bottle, turn=1, environ=os.environ, tick=lambda: None); "
        "print(found.commit)"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [*without_rights(), sys.executable, "-c", take, str(desk.state), str(desk.bottle)]
    assert subprocess.check_output(command, env=environ, text=True).strip() == mine


def test_what_is_not_committed_and_what_is_on_other_branches_stays(desk: Desk) -> None:
    desk.checkout()
    desk.write("draft.txt", "half an idea")
    assert made(desk) is None
    desk.agent("checkout", "-qb", "aside")
    commit(desk, {"fix.py": "1\n"})
    assert made(desk) is None


def test_the_commits_are_on_a_branch_of_the_mirror_that_names_bottle_and_turn(desk: Desk) -> None:
    desk.checkout(turn=4)
    mine = commit(desk, {"fix.py": "1\n"})
    found = made(desk)
    assert found is not None and found.branch == "reviewer-abcde/turn-4"
    assert git("rev-parse", found.branch, at=mirror(desk)) == mine
    push(desk, found)
    assert git("branch", "--list", "--all", at=mirror(desk)) == "", "what has arrived is kept by the forge"


def test_pushed_twice_is_pushed_once(desk: Desk) -> None:
    desk.checkout()
    found = made(desk) if commit(desk, {"fix.py": "1\n"}) else None
    first = push(desk, found)
    assert push(desk, found) == first
    after = desk.push({"more.txt": "on top\n"})
    assert push(desk, found) == first, "also when somebody has gone on from there"
    assert desk.origin.tip("feature") == after


def test_a_head_that_has_moved_gets_the_commits_on_top(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"}, "One")
    commit(desk, {"fix.py": "2\n"}, "Two")
    found, theirs = made(desk), desk.push({"other.txt": "theirs\n"})
    pushed = push(desk, found)
    assert (pushed.state, pushed.many, pushed.rebased) == ("pushed", 2, True)
    at = desk.origin.place
    assert desk.origin.tip("feature") == pushed.commit
    assert git("rev-parse", "feature~2", at=at) == theirs
    assert git("log", "-2", "--format=%s %an", "feature", at=at) == "Two ana\nOne ana"
    assert git("show", "feature:fix.py", at=at) == "2"
    assert push(desk, found) == pushed, "after a crash it is found, not pushed again"


def test_commits_that_were_taken_back_meanwhile_do_not_come_back(desk: Desk) -> None:
    before = desk.origin.tip("feature")
    desk.push({"secret.txt": "oops\n"})
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    found = made(desk)
    git("update-ref", "refs/heads/feature", before, at=desk.origin.place)
    pushed = push(desk, found)
    at = desk.origin.place
    assert (pushed.state, pushed.many, pushed.rebased) == ("pushed", 1, True)
    assert git("rev-parse", "feature~1", at=at) == before
    assert git("ls-tree", "--name-only", "feature", at=at).split() == ["README.md", "app.txt", "fix.py"]


def test_what_builds_on_commits_that_were_taken_back_stays_where_it_is(desk: Desk) -> None:
    before = desk.origin.tip("feature")
    desk.push({"secret.txt": "oops\n"})
    desk.checkout()
    commit(desk, {"secret.txt": "oops, again\n"})
    found = made(desk)
    git("update-ref", "refs/heads/feature", before, at=desk.origin.place)
    assert push(desk, found).state == "refused"
    assert desk.origin.tip("feature") == before


def test_the_agents_own_commits_that_somebody_brought_there_are_not_made_again(desk: Desk) -> None:
    desk.checkout()
    first = commit(desk, {"fix.py": "1\n"}, "One")
    second = commit(desk, {"fix.py": "2\n"}, "Two")
    found = made(desk)
    git("fetch", "-q", str(mirror(desk)), f"{first}:refs/heads/feature", at=desk.origin.place)
    assert push(desk, found).commit == second == desk.origin.tip("feature")


def test_commits_that_do_not_fit_on_top_stay_where_they_are(desk: Desk) -> None:
    desk.checkout()
    mine = commit(desk, {"app.txt": "mine\n"})
    found, theirs = made(desk), desk.push({"app.txt": "theirs\n"})
    pushed = push(desk, found)
    assert pushed.state == "refused" and "do not go together" in pushed.why[0]
    assert desk.origin.tip("feature") == theirs
    assert found is not None and git("rev-parse", found.branch, at=mirror(desk)) == mine


def test_a_merge_of_the_base_is_pushed_and_brings_none_of_its_files_under_suspicion(desk: Desk) -> None:
    desk.origin.commit("main", {".gitea/workflows/ci.yml": "on: push\n"})
    desk.checkout()
    desk.agent("merge", "-q", "--no-edit", "origin/main")
    merge = commit(desk, {"fix.py": "1\n"})
    assert push(desk).commit == merge == desk.origin.tip("feature")


def test_what_a_merge_hides_is_found(desk: Desk) -> None:
    desk.origin.commit("main", {"theirs.txt": "1\n"})
    desk.checkout()
    desk.agent("merge", "-q", "--no-commit", "--no-ff", "origin/main")
    desk.write(".gitea/workflows/ci.yml", "on: push\n")
    desk.agent("add", "-A")
    desk.agent("commit", "-qm", "Merge")
    assert push(desk).why == ("`.gitea/workflows/ci.yml` is protected",)


def test_a_merge_with_an_old_commit_brings_no_old_file_back(desk: Desk) -> None:
    old = desk.origin.commit("main", {".gitea/workflows/ci.yml": "on: everything\n"})
    desk.origin.commit("main", {".gitea/workflows/ci.yml": "on: nothing\n"})
    desk.origin.commit("feature", {"app.txt": "one\n"}, onto="main")
    git("update-ref", "refs/heads/feature", desk.origin.tip("main"), at=desk.origin.place)
    desk.push({"app.txt": "mine\n"})
    desk.checkout()
    desk.agent("checkout", "-q", old, "--", ".gitea")
    tree = desk.agent("write-tree")
    merge = desk.agent("commit-tree", tree, "-p", "HEAD", "-p", old, "-m", "Merge")
    desk.agent("reset", "-q", "--hard", merge)
    assert push(desk).why == ("`.gitea/workflows/ci.yml` is protected",)


def test_rewritten_history_is_not_pushed(desk: Desk) -> None:
    desk.checkout()
    before = desk.origin.tip("feature")
    desk.write("app.txt", "other\n")
    desk.agent("commit", "-q", "-a", "--amend", "-m", "Rewritten")
    pushed = push(desk)
    assert pushed.state == "held" and "only additions" in pushed.why[0]
    assert desk.origin.tip("feature") == before


@pytest.mark.parametrize(
    "path",
    [".gitea/workflows/ci.yml", ".GitHub/workflows/x.yml", "deep/.mcp.json", ".claude/settings.json", "a/b/Jenkinsfile",
     "migrations/1.sql", "db/secret.key", "web/.claude/settings.json", "CLAUDE.local.md", "a/agents.md", "web/.husky/x",
     "a/db1.sql"],
)  # fmt: skip
def test_a_change_to_a_protected_path_holds_everything_back_and_is_named(desk: Desk, path: str) -> None:
    desk.checkout()
    commit(desk, {path: "1\n", "fine.py": "1\n"})
    commit(desk, {path: None}, "As if it had never been")
    pushed = push(desk, protected=("migrations/**", "*.key", "db[0-9].sql"))
    assert (pushed.state, pushed.why) == ("held", (f"`{path}` is protected",))


@pytest.mark.parametrize("path", ["docs/github/x.yml", "src/claude/x.py", "other/migrations/1.sql", "Jenkins.md"])
def test_what_is_only_named_alike_is_pushed(desk: Desk, path: str) -> None:
    desk.checkout()
    commit(desk, {path: "1\n"})
    assert push(desk, protected=("migrations/**", "*.key")).state == "pushed"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "a private key"),
        ("key = AKIA" + "IOSFODNN7EXAMPLE", "an AWS key"),
        ("GITEA_TOKEN=" + "0123456789abcdef" * 2 + "01234567", "a token"),
        ("x = 'ghp_" + "a1" * 18 + "'", "a GitHub token"),
        ("x " * 25_000 + "ghp_" + "a1" * 18 + " x" * 25_000, "a GitHub token"),
        ("x " * 9_985 + "ghp_" + "a1" * 18, "a GitHub token"),  # where two pieces meet
    ],
)
def test_a_line_that_looks_like_a_secret_holds_everything_back_and_is_not_shown(
    desk: Desk, line: str, what: str
) -> None:
    desk.checkout()
    commit(desk, {"settings.py": f"# mine\n{line}\n"})
    commit(desk, {"settings.py": "# gone again\n"})
    pushed = push(desk)
    assert (pushed.state, pushed.why) == ("held", (f"`settings.py` has a line that looks like {what}",))


def test_a_secret_in_a_binary_file_or_in_a_message_is_found(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"blob.bin": "\0\1 AKIA" + "IOSFODNN7EXAMPLE"}, "glpat-" + "x" * 20)
    assert push(desk).why == (
        "`blob.bin` has a line that looks like an AWS key",
        "a commit's message has a line that looks like a GitLab token",
    )


def test_a_forge_that_does_not_let_us_is_told_of_and_not_asked_again(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    hook = desk.origin.place / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Gitea: Not allowed to push to protected branch feature' >&2\nexit 1\n")
    hook.chmod(0o755)
    pushed = push(desk)
    assert pushed.state == "refused" and "protected branch" in pushed.why[0]
    assert TOKEN not in pushed.why[0]


def test_a_branch_that_is_gone_is_not_made_again(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    git("update-ref", "-d", "refs/heads/feature", at=desk.origin.place)
    assert push(desk).why == ("its branch is gone",)
    assert desk.origin.tip("feature") == ""


def test_a_forge_that_cannot_be_reached_is_tried_again_later(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    found, there = made(desk), desk.source.access
    desk.asks(access=type(there)(url="http://127.0.0.1:1/acme/api.git", secret=lambda: TOKEN))
    with pytest.raises(Unpushable, match=r"127\.0\.0\.1"):
        push(desk, found)
    desk.asks(access=there)
    assert push(desk, found).state == "pushed"


def test_hooks_config_and_filters_of_the_agents_repository_do_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.checkout()
    proof = tmp_path / "proof"
    commit(desk, {"fix.py": "1\n"})
    for name in ("pre-push", "post-commit", "reference-transaction", "update"):
        hook = desk.work / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
        hook.chmod(0o755)
    with (desk.work / ".git" / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = "touch {proof}"\n[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://\n')
        config.write(f'[credential]\n\thelper = "!touch {proof}"\n[push]\n\tgpgSign = true\n')
    assert push(desk).state == "pushed"
    assert not proof.exists()


def test_the_token_is_in_no_file_and_no_argument(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    seen: list[bytes] = []

    def look() -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(process.read_bytes())
            except OSError:
                continue

    desk.tick = look
    desk.server.stalled.set()
    found = made(desk)
    began = time.monotonic()

    def let_go() -> None:
        look()
        if time.monotonic() - began > 1:
            desk.server.stalled.clear()

    desk.tick = let_go
    assert push(desk, found).state == "pushed"
    ours = [line for line in seen if desk.source.access.url.encode() in line]
    assert ours and not any(TOKEN.encode() in line for line in ours)
    assert not any(TOKEN.encode() in path.read_bytes() for path in desk.state.rglob("*") if path.is_file())


def test_more_faults_than_anybody_reads_are_counted(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {f".github/{number}": "1\n" for number in range(30)})
    why = push(desk).why
    assert len(why) == 21 and why[-1] == "and 10 more like these"


def test_a_file_name_cannot_break_out_of_the_words(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {".github/a`b\nc": "1\n"})
    assert push(desk).why == ("`.github/a'b\\nc` is protected",)


def packs_without(desk: Desk, commit: str) -> list[Path]:
    """Of the mirror."""
    place = mirror(desk) / "objects" / "pack"
    packs = sorted(place.glob("*.pack"))
    return [pack for pack in packs if commit not in git("verify-pack", "-v", pack.name, at=place)]


def spoil(pack: Path) -> None:
    pack.chmod(0o600)
    pack.write_bytes(b"PACK garbage")


def test_pack_that_was_damaged_on_its_way_costs_no_commits(desk: Desk) -> None:
    """Another bottle's fetch; the mirror itself is sound."""
    desk.checkout()
    mine = commit(desk, {"fix.py": "1\n"})
    found = made(desk)
    desk.push({"theirs.txt": "1\n"}, branch="other")
    desk.server.on_its_way = lambda answer: answer[:-5] + bytes([answer[-5] ^ 1]) + answer[-4:]
    desk.asks(head_ref="refs/heads/other")
    with pytest.raises(Unfetchable, match="SHA1 mismatch"):
        desk.checkout(bottle=desk.bottle.with_name("reviewer-other"))
    desk.server.on_its_way = lambda answer: answer
    desk.checkout(bottle=desk.bottle.with_name("reviewer-other"))
    assert push(desk, found).commit == mine == desk.origin.tip("feature")


def test_damaged_mirror_is_made_anew_with_the_commits_that_were_not_pushed(desk: Desk) -> None:
    desk.checkout()
    mine = commit(desk, {"fix.py": "1\n"})
    found = made(desk)
    assert found is not None
    kept = mirror(desk) / "refs" / "heads" / found.branch
    a_week_ago = time.time() - 7 * 86_400
    os.utime(kept, (a_week_ago, a_week_ago))
    for pack in packs_without(desk, mine):
        spoil(pack)
    (mirror(desk) / "HEAD").unlink()
    desk.push({"theirs.txt": "1\n"})
    assert desk.checkout(bottle=desk.bottle.with_name("reviewer-other")).head == desk.origin.tip("feature")
    assert kept.stat().st_mtime == pytest.approx(a_week_ago)
    git("fsck", "--strict", at=mirror(desk))
    pushed = push(desk, found)
    assert (pushed.state, pushed.rebased) == ("pushed", True)
    assert sorted(path.name for path in mirror(desk).parent.iterdir()) == ["12-forge.git", "12-forge.lock"]


def test_commits_that_cannot_be_read_do_not_stop_the_others(desk: Desk) -> None:
    desk.checkout()
    commit(desk, {"fix.py": "1\n"})
    gone = made(desk)
    for pack in (mirror(desk) / "objects" / "pack").glob("*.pack"):
        spoil(pack)
    (mirror(desk) / "HEAD").unlink()
    head = desk.push({"theirs.txt": "1\n"})
    assert desk.checkout(bottle=desk.bottle.with_name("reviewer-other")).head == head
    refused = push(desk, gone)
    assert (refused.state, refused.why) == ("refused", ("they are not in the mirror any more",))
    assert push(desk).state == "pushed"  # they are in the working directory still


def test_mirror_that_waits_whole_beside_a_damaged_one_takes_its_place(desk: Desk) -> None:
    """Killed between the two."""
    desk.checkout()
    mine = commit(desk, {"fix.py": "1\n"})
    found = made(desk)
    mirror(desk).rename(mirror(desk).with_name(".anew-12-forge"))
    git("init", "-q", "--bare", str(mirror(desk)), at=desk.root)
    assert push(desk, found).commit == mine
