"""Archives of bottles that somebody made, changed or cut: refused, with nothing left."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poller.demo import installing
from sessions import moving, state
from sessions.byhand import Refused
from tests.sessions.stage import Stage, settings_at

Change = Callable[[dict[str, Any], list[tuple[tarfile.TarInfo, bytes]]], None]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a bottle that is somewhere else."""
    root = tmp_path_factory.mktemp("exported")
    installing.install(root / "scripted")
    stage = Stage(root, {"PATH": f"{root / 'scripted'}{os.pathsep}{os.defpath}"})
    try:
        stage.want("opened")
        stage.run()
        file = root / "bottle.tar"
        moving.export(settings_at(stage.state), stage.session().identity, file, environ={})
    finally:
        stage.close()
    return file


def forged(file: Path, change: Change, *, to: Path) -> Path:
    """The archive again, after `change` had its way with manifest and entries."""
    entries = []
    with tarfile.open(file) as tar:
        for one in tar:
            entries.append((one, tar.extractfile(one).read()))  # type: ignore[union-attr]
    manifest = json.loads(entries.pop(0)[1])
    change(manifest, entries)
    out = to / "forged.tar"
    with tarfile.open(out, "w") as tar:
        for entry, content in [plain("manifest.json", json.dumps(manifest).encode()), *entries]:
            tar.addfile(entry, io.BytesIO(content))
    return out


def plain(name: str, content: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    return entry, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def listed(name: str, content: bytes = b"", *, size: int | None = None) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content) if size is None else size}


def add(name: str, *, in_manifest: bool = True) -> Change:
    def change(manifest: dict[str, Any], entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        if in_manifest:
            manifest["files"][name] = listed(name)
        entries.append(plain(name))

    return change


def put(kind: bytes, target: str = "") -> Change:
    def change(manifest: dict[str, Any], entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        manifest["files"]["work/x"] = listed("work/x")
        entries.append(special("work/x", kind, target))

    return change


def edit(**values: Any) -> Change:
    return lambda manifest, entries: manifest.update(values)


def session(**values: Any) -> Change:
    return lambda manifest, entries: manifest["session"].update(values)


def link(path: str, target: str) -> Change:
    return lambda manifest, entries: manifest["links"].update({path: target})


def links(**targets: str) -> Change:
    """In `work/d`."""

    def change(manifest: dict[str, Any], entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        manifest["directories"].append("work/d")
        manifest["links"].update({f"work/d/{name}": target for name, target in targets.items()})

    return change


def written_through(manifest: dict[str, Any], entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    manifest["links"]["work/out"] = "."
    manifest["files"]["work/out/x"] = listed("x")
    entries.append(plain("work/out/x"))


def swapped(manifest: dict[str, Any], entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    entry, content = entries[-1]
    entries[-1] = (entry, bytes(reversed(content)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (add("../../evil"), "leads elsewhere"),
        (add("/etc/evil"), "leads elsewhere"),
        (add("work/../../evil"), "leads elsewhere"),
        (add("work//evil"), "leads elsewhere"),
        (add("work/./evil"), "leads elsewhere"),
        (add("nowhere/evil"), "without the directory that it is in"),
        (add("evil", in_manifest=False), "which its manifest.json does not have"),
        (put(tarfile.SYMTYPE, "/etc/passwd"), "does not have like this"),
        (put(tarfile.LNKTYPE, "metadata.json"), "does not have like this"),
        (put(tarfile.CHRTYPE), "does not have like this"),
        (put(tarfile.FIFOTYPE), "does not have like this"),
        (put(tarfile.DIRTYPE), "does not have like this"),
        (link("work/x", "/etc/passwd"), "a link that leads elsewhere"),
        (link("work/x", "../metadata.json"), "a link that leads elsewhere"),
        (link("work/x", "a/../../transcript"), "a link that leads elsewhere"),
        (link("transcript/x", "y"), "a link that leads elsewhere"),
        (links(up="..", out="up/../transcript"), "a link that leads elsewhere: 'work/d/out'"),
        (links(out="far/..", far="up/d/../d/up", up=".."), "a link that leads elsewhere: 'work/d/out'"),
        (links(out="ring/..", ring="other/..", other="ring/.."), "a link that leads elsewhere"),
        (written_through, "without the directory that it is in"),
        (swapped, "has another content"),
        (lambda manifest, entries: entries.pop(), "it lacks"),
        (lambda manifest, entries: entries.append(entries[-1]), "does not have like this"),
        (lambda manifest, entries: manifest["files"].update({"big": listed("big", size=2**60)}), "more than 32 GiB"),
        (lambda manifest, entries: manifest["files"].update({"big": listed("big", size=-1)}), "more than 32 GiB"),
        (lambda manifest, entries: manifest["directories"].append("metadata.json"), "names something twice"),
        (edit(format="bottlepost bottle 9"), "upgrade bottlepost"),
        (edit(files=[]), "another one than expected"),
        (edit(identity="../../evil"), "no bottle's identity"),
        (edit(identity="reviewer-00000"), "no bottle's identity"),
        (session(cwd="../../.."), "is none of this version"),
        (session(backend="shell"), "is none of this version"),
        (session(claude_session="../../x"), "is no conversation's id"),
        (session(turns="many"), "its session's turns is 'many'"),
        (session(turns=-1), "its session's turns is -1"),
        (session(key=None), "its session has no key"),
        (session(cost_usd=True), "its session's cost_usd is True"),
    ],
)
def test_forged_archive_is_refused_and_leaves_nothing(
    exported: Path, tmp_path: Path, change: Change, said: str
) -> None:
    settings = settings_at(tmp_path / "two" / "state-root")
    (settings.state / "state").mkdir(parents=True)
    with pytest.raises(Refused) as refused:
        moving.take_up(settings, forged(exported, change, to=tmp_path))
    assert said in str(refused.value) and "nothing was imported" in str(refused.value)
    assert list((settings.state / "state").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.9])
def test_cut_archive_is_refused(exported: Path, tmp_path: Path, part: float) -> None:
    with tarfile.open(exported) as tar:
        whole = max(one.offset_data + one.size for one in tar)
    file = tmp_path / "cut.tar"
    file.write_bytes(exported.read_bytes()[: int(whole * part)])
    settings = settings_at(tmp_path / "two" / "state-root")
    with pytest.raises(Refused, match="nothing was imported"):
        moving.take_up(settings, file)
    assert state.identities(settings.state) == []
