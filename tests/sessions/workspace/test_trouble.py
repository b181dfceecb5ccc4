"""Killed, crowded, damaged, stalled: a checkout is the old one or the new one, and the next try goes on from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sessions import state, workspace
from sessions.sources import Access, Checkout, Unfetchable
from sessions.workspace import mirror
from tests.gitside.origin import git
from tests.sessions.stage import eventually
from tests.sessions.unprivileged import without_rights
from tests.sessions.workspace.desk import TOKEN, Desk

ROOT = Path(__file__).parents[3]
#: One checkout in a process of its own, which dies (as by `kill -9`) before its n-th renaming of a file.
PROCESS = """
import json, os, pathlib, sys
from sessions import state, workspace
from sessions.sources import Access, Source
given = json.loads(sys.argv[1])
left = given["left"]
def watch(event, args):
    global left
    if event == "os.rename":
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(watch)
source = Source(mirror=given["mirror"], access=Access(url=given["url"], secret=lambda: given["token"]),
                head_ref="refs/pull/7/head", base="main", branch="pull-7")
made = workspace.checkout(source, state=pathlib.Path(given["state"]), bottle=pathlib.Path(given["bottle"]),
                          turn=given["turn"], environ=os.environ, tick=lambda: None)
print(made.kept)
"""


def start(
    desk: Desk, *, left: int = 10**6, bottle: Path | None = None, turn: int = 9, under: Sequence[str] = ()
) -> subprocess.Popen[str]:
    source = desk.source
    given = {"left": left, "mirror": source.mirror, "url": source.access.url, "token": TOKEN, "turn": turn}
    given |= {"state": str(desk.state), "bottle": str(bottle or desk.bottle)}
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    command = [*under, sys.executable, "-c", PROCESS, json.dumps(given)]
    return subprocess.Popen(command, env=environ, stdout=pipe, text=True)


def prepared(desk: Desk) -> None:
    """For a turn that fetches nothing."""
    about = state.metadata(identity=desk.bottle.name, agent="reviewer", cwd="work", backend="process", now=1.0)
    state.prepare(desk.bottle, about)


def left_over(bottle: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in (bottle / "checkout").iterdir()}


def between_two(desk: Desk) -> str:
    """Killed when the old directory is gone and the new one has not come; its commit."""
    desk.checkout()
    for left in range(100):
        desk.write("app.txt", f"mine {left}\n")
        desk.agent("commit", "-qam", "Mine")
        desk.push({"pushed.txt": f"theirs {left}\n"})
        tip = desk.agent("rev-parse", "HEAD")
        start(desk, left=left, turn=100 + left).communicate(timeout=60)
        if not desk.work.exists():
            return tip
        desk.checkout(turn=100 + left)
    raise AssertionError("it was never killed there")


@pytest.mark.parametrize("by_hand", [False, True], ids=["tried-again", "by-hand-first"])
def test_killed_at_any_step_nothing_is_lost(desk: Desk, by_hand: bool) -> None:
    """A turn by hand fetches nothing, and finds a working directory, if an empty one."""
    desk.checkout()
    for left in range(100):
        desk.write("app.txt", f"mine {left}\n")
        desk.push({"pushed.txt": f"theirs {left}\n"})
        process = start(desk, left=left, turn=100 + left)
        process.communicate(timeout=60)
        if by_hand:
            prepared(desk)
        made = desk.checkout(turn=100 + left)
        assert desk.read("pushed.txt") == f"theirs {left}\n"
        assert desk.agent("show", f"{made.kept}:app.txt") == f"mine {left}"
        assert left_over(desk.bottle) == {"index", "lock", "mirror", "record.json"}
        if process.returncode == 0:
            break
    assert left >= 4 and process.returncode == 0


@pytest.mark.parametrize("older", [False, True], ids=["this-version", "an-older-one"])
def test_work_between_two_directories_is_kept_aside(desk: Desk, older: bool) -> None:
    tip = between_two(desk)
    note = desk.bottle / "checkout" / "pending.json"
    if older:
        known = json.loads(note.read_text())
        note.write_text(json.dumps({name: known[name] for name in ("record", "old")}))
    prepared(desk)
    desk.write("notes.txt", "by hand\n")
    made = desk.checkout()
    assert desk.agent("rev-parse", made.kept) == tip and made.lost == ""
    [aside] = (desk.bottle / "checkout").glob("aside-*")
    assert (aside / "notes.txt").read_text() == "by hand\n"


def test_change_of_directories_that_fails_half_way_is_undone_by_the_next_try(desk: Desk) -> None:
    """Something that the agent has left running makes a directory where its old one was."""
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.push({"pushed.txt": "theirs\n"})
    rename = Path.rename

    def late(self: Path, to: Path) -> Path:
        if self.name.startswith("next-"):
            desk.write("log/late.txt", "still here\n")
        return rename(self, to)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Unfetchable):
        patch.setattr(Path, "rename", late)
        desk.checkout()
    made = desk.checkout()
    assert desk.agent("show", f"{made.kept}:app.txt") == "mine" and made.lost == ""


def test_first_checkout_killed_at_any_step_is_made_by_the_next_try(desk: Desk) -> None:
    for left in range(100):
        bottle = desk.bottle.with_name(f"reviewer-{left:05}")
        process = start(desk, left=left, bottle=bottle, turn=1)
        process.communicate(timeout=60)
        made = desk.checkout(bottle=bottle, turn=1)
        assert (made.lost, made.kept) == ("", "")
        assert {path.name for path in (bottle / "work").iterdir()} == {".git", "README.md", "app.txt"}
        assert left_over(bottle) == {"index", "lock", "mirror", "record.json"}
        if process.returncode == 0:
            break
    assert left >= 4 and process.returncode == 0


def test_many_processes_share_one_mirror(desk: Desk) -> None:
    bottles = [desk.bottle.with_name(f"reviewer-{number:05}") for number in range(4)]
    processes = [start(desk, bottle=bottle) for bottle in bottles]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    heads = {git("rev-parse", "HEAD", at=bottle / "work") for bottle in bottles}
    assert heads == {desk.origin.tip("feature")}
    assert desk.mirrors() == ["12-forge.git"]


def test_two_workers_of_one_bottle_take_turns(desk: Desk) -> None:
    desk.checkout()
    desk.push({"pushed.txt": "theirs\n"})
    processes = [start(desk) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert desk.read("pushed.txt") == "theirs\n"


def test_what_a_killed_fetch_left_does_not_stop_the_next(desk: Desk) -> None:
    desk.checkout()
    place = desk.state / "mirrors" / "12-forge.git"
    for name in ("packed-refs.lock", "config.lock", "refs/bottlepost/x.lock", "objects/pack/tmp_pack_x"):
        (place / name).write_text("")
    for ref in (place / "refs" / "bottlepost").glob("*"):
        ref.with_name(f"{ref.name}.lock").write_text("")
    head = desk.push({"pushed.txt": "theirs\n"})
    assert desk.checkout().head == head
    assert not list(place.rglob("*.lock")) and not list(place.rglob("tmp_*"))


def test_damaged_mirror_is_made_anew(desk: Desk) -> None:
    desk.checkout()
    place = desk.state / "mirrors" / "12-forge.git"
    for pack in (place / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"PACK garbage")
    head = desk.push({"pushed.txt": "theirs\n"})
    assert desk.checkout().head == head


def test_mirror_stays_in_order(desk: Desk) -> None:
    """Without it every fetch would leave a pack behind."""
    for number in range(27):
        desk.push({"a.txt": f"{number}\n"})
        with mirror.held(desk.state, desk.source.mirror, environ=desk.environ, tick=desk.tick) as held:
            held.fetch(desk.source)
    packs = list((desk.state / "mirrors" / "12-forge.git" / "objects" / "pack").glob("*.pack"))
    assert len(packs) < 10


def test_mirror_that_cannot_be_put_in_order_is_left_alone_for_a_day(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that has grown too large fails at it every time, while others wait for it."""

    def failures() -> int:
        with mirror.held(desk.state, desk.source.mirror, environ=desk.environ, tick=desk.tick):
            pass
        return caplog.text.count("mirror could not be put in order")

    desk.push({"big.bin": os.urandom(1_000_000)})
    desk.checkout()
    place = desk.state / "mirrors" / "12-forge.git"
    monkeypatch.setattr(mirror, "_PACKS", 0)
    monkeypatch.setattr(mirror, "MOST_PACK", 100_000)
    assert [failures() for _ in range(3)] == [1, 1, 1]
    yesterday = time.time() - 86_401
    os.utime(place / "order-failed", (yesterday, yesterday))
    assert [failures() for _ in range(2)] == [2, 2]
    os.utime(place / "order-failed", (yesterday, yesterday))
    monkeypatch.setattr(mirror, "MOST_PACK", 10_000_000)
    assert failures() == 2 and not (place / "order-failed").exists()
    assert not [path for path in (place / "objects" / "pack").iterdir() if "tmp" in path.name]


def test_mirror_stays_while_it_has_commits_that_were_not_pushed(desk: Desk) -> None:
    desk.checkout()
    desk.write("fix.py", "1\n")
    desk.agent("add", "-A")
    desk.agent("commit", "-qm", "Mine")
    found = workspace.made(
        state=desk.state, bottle=desk.bottle, turn=1, environ=desk.environ, tick=desk.tick
    )  # fmt: skip
    assert found is not None
    desk.bottle.rename(desk.root / "gone")
    place = desk.state / "mirrors" / "12-forge.git"
    kept = place / "refs" / "heads" / found.branch
    assert workspace.unused(desk.state) == workspace.remove_unused(desk.state) == [] and kept.exists()
    git("pack-refs", "--all", at=place)
    assert workspace.unused(desk.state) == workspace.remove_unused(desk.state) == [] and not kept.exists()
    long_ago = time.time() - 31 * 86_400
    os.utime(place / "packed-refs", (long_ago, long_ago))
    assert workspace.unused(desk.state) == workspace.remove_unused(desk.state) == ["12-forge"]


def test_mirror_goes_with_its_last_bottle(desk: Desk) -> None:
    desk.checkout()
    assert workspace.remove_unused(desk.state) == []
    desk.bottle.rename(desk.root / "gone")
    assert workspace.remove_unused(desk.state) == ["12-forge"]
    assert list((desk.state / "mirrors").iterdir()) == []
    assert desk.checkout().head == desk.origin.tip("feature")


def test_forge_that_says_nothing_keeps_nobody_who_wants_to_go(desk: Desk) -> None:
    class Enough(Exception):
        pass

    def enough() -> None:
        raise Enough

    desk.tick = enough
    desk.server.stalled.set()
    began = time.monotonic()
    with pytest.raises(Enough):
        desk.checkout()
    assert time.monotonic() - began < 20
    desk.server.stalled.clear()
    desk.tick = lambda: None
    assert desk.checkout().head == desk.origin.tip("feature")


def test_waiting_for_another_bottles_fetch_is_no_silence(desk: Desk) -> None:
    """Who waits goes on saying that he lives."""
    waited = threading.Event()
    desk.tick = waited.set
    desk.server.stalled.set()
    first = start(desk, bottle=desk.bottle.with_name("reviewer-first"))
    while not desk.server.asked:
        time.sleep(0.01)
    made: list[Checkout] = []
    second = threading.Thread(target=lambda: made.append(desk.checkout()))
    second.start()
    assert waited.wait(30)
    desk.server.stalled.clear()
    second.join(60)
    first.communicate(timeout=60)
    assert made[0].head == desk.origin.tip("feature") and first.returncode == 0


def test_repository_that_is_not_there_is_one_line(desk: Desk) -> None:
    desk.asks(head_ref="refs/pull/8/head")
    with pytest.raises(
        Unfetchable, match=r"^the code could not be fetched from http://\S+: git fetch: .*refs/pull/8/head"
    ):
        desk.checkout()
    assert not desk.work.exists()


def test_trouble_leaves_the_directory_as_it_was(desk: Desk) -> None:
    desk.checkout()
    desk.write("app.txt", "mine\n")
    desk.push({"pushed.txt": "theirs\n"})
    desk.server.token = "another"
    with pytest.raises(Unfetchable):
        desk.checkout()
    assert desk.read("app.txt") == "mine\n"


@pytest.mark.parametrize("what", ["dangling", "round", "file"])
def test_what_an_agent_has_put_in_place_of_its_directory_stops_nothing_and_goes(desk: Desk, what: str) -> None:
    """A link to nowhere has no age but its own."""
    for number in range(4):
        desk.checkout()
        shutil.rmtree(desk.work)
        if what == "file":
            desk.work.write_text("x")
        else:
            desk.work.symlink_to("/nonexistent" if what == "dangling" else desk.work)
        if number == 2:
            desk.push({"pushed.txt": "theirs\n"})
    assert desk.checkout().head == desk.origin.tip("feature")
    left = [path.name.partition("-")[0] for path in (desk.bottle / "checkout").iterdir()]
    assert left.count("aside") <= 2 and "old" not in left


def test_directory_that_the_agent_has_shut_is_opened(desk: Desk) -> None:
    desk.checkout()
    desk.push({"pushed.txt": "theirs\n"})
    desk.write("app.txt", "mine\n")
    desk.work.chmod(0)
    process = start(desk, under=without_rights())
    kept, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and desk.read("pushed.txt") == "theirs\n"
    assert desk.agent("show", f"{kept.strip()}:app.txt") == "mine"


def test_tree_that_stands_for_a_billion_files_is_refused(desk: Desk) -> None:
    name = git("hash-object", "-w", "--stdin", at=desk.origin.place, feed=b"x")
    kind, mode = "blob", "100644"
    for _ in range(9):
        entries = "".join(f"{mode} {kind} {name}\t{number}\n" for number in range(10))
        name, kind, mode = git("mktree", at=desk.origin.place, feed=entries.encode()), "tree", "040000"
    commit = git("commit-tree", name, "-m", "x", at=desk.origin.place)
    git("update-ref", "refs/pull/7/head", commit, at=desk.origin.place)
    with pytest.raises(Unfetchable, match="git ls-tree would write more than"):
        desk.checkout()


def test_mirror_is_not_named_by_a_path(desk: Desk) -> None:
    desk.asks(mirror="../../x")
    with pytest.raises(Unfetchable, match="cannot name a mirror"):
        desk.checkout()


def test_fetch_that_grew_too_large_leaves_nothing_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither half a pack in the mirror, nor half a directory, nor somebody who goes on fetching."""
    desk.checkout()
    pulled, before = desk.read("app.txt"), _size(desk.state / "mirrors")
    desk.push({"big.bin": os.urandom(3_000_000)})
    monkeypatch.setattr(mirror, "MOST_PACK", 1_000_000)
    with pytest.raises(Unfetchable, match="git fetch would write more than 0 MiB"):
        desk.checkout()
    assert _size(desk.state / "mirrors") < before + 100_000 and desk.read("app.txt") == pulled
    assert not list((desk.bottle / "checkout").glob("next-*"))
    monkeypatch.undo()
    assert desk.checkout().head == desk.origin.tip("feature")


def test_fetch_that_takes_too_long_is_ended_with_its_helpers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "FETCHING", 1.0)
    desk.server.stalled.set()
    with pytest.raises(Unfetchable, match="git fetch took longer than 1 s, and was ended"):
        desk.checkout()
    desk.server.stalled.clear()
    mine = str(desk.state).encode()
    eventually(lambda: not [path for path in Path("/proc").glob("[0-9]*/environ") if mine in _content(path)])
    monkeypatch.undo()
    assert desk.checkout().head == desk.origin.tip("feature")


def test_names_and_words_of_others_do_not_damage_a_mirror(desk: Desk, tmp_path: Path) -> None:
    """A repository may be called broken; and what a forge says about itself is not about our mirror."""
    desk.checkout()
    place = desk.state / "mirrors" / "12-forge.git"
    (place / "mark").write_text("the same")
    url = desk.server.url
    for path in ("acme/broken.git", "acme/bad%20object-corrupt.git"):
        desk.asks(access=Access(url=f"{url}/{path}", secret=lambda: TOKEN))
        with pytest.raises(Unfetchable):
            desk.checkout()
    desk.asks(access=Access(url="http://127.0.0.1:9/acme/packfile.git"))
    with pytest.raises(Unfetchable):
        desk.checkout()
    assert (place / "mark").read_text() == "the same"
    said = "git fetch: remote: object file is corrupt; the remote end hung up"
    assert not mirror._DAMAGED.search(mirror._own_words(said, desk.source))
    assert mirror._DAMAGED.search(mirror._own_words("git fetch: packfile x does not match index", desk.source))


def test_closed_pull_that_is_opened_again_goes_on_in_its_directory(desk: Desk) -> None:
    """Whatever has become of its branches meanwhile."""
    desk.checkout()
    desk.write("notes.txt", "mine")
    git("update-ref", "-d", "refs/heads/feature", at=desk.origin.place)
    assert desk.checkout().untouched and desk.read("notes.txt") == "mine"
    desk.origin.commit("feature", {"new.txt": "begun anew\n"}, onto="main")
    head = desk.origin.pull(7)
    made = desk.checkout()
    assert made.head == head and desk.agent("show", f"{made.kept}:notes.txt") == "mine"


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
