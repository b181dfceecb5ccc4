"""The images of bottles: the common one, one of a bottle's own (its Dockerfile), one that was frozen (`bottle commit`).

Knows builds and tags.  Must not know launches, or what runs in an image.
"""

from __future__ import annotations

import hashlib
import io
import platform
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from sessions.bottles import engine
from sessions.bottles.home import home_of
from sessions.bottles.protocol import EngineError
from sessions.bottles.wheel import bundled_claude

if TYPE_CHECKING:
    import docker

#: The image that `bottle build` makes, and that agents use when the config names none.
COMMON = "bottlepost/claude:latest"
#: The version of claude that is fetched where this machine has no binary to give.
CLAUDE_VERSION = "2.1.330"
#: In an image of a bottle's own: which Dockerfile it came from.
DOCKERFILE = "bottlepost.dockerfile"
#: A build may fetch packages; the engine says nothing while it unpacks them.
_BUILD_PATIENCE = 1800.0

Say = Callable[[str], None]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    tag: str
    id: str
    #: What was put in, or "" when the build fetched it.
    claude: str


def frozen_tag(identity: str) -> str:
    return f"bottlepost/{identity}:frozen"


def own_tag(identity: str) -> str:
    return f"bottlepost/{identity}:own"


def build_common(environ: Mapping[str, str], *, base: str | None, tag: str, say: Say) -> Built:
    """The package's Dockerfile.  Raises `EngineError` with the build's last words."""
    binary, version = bundled_claude() if _fits(environ) else (None, "")
    arguments = {"CLAUDE_VERSION": version or CLAUDE_VERSION} | ({"BASE": base} if base else {})
    text = resources.files("sessions").joinpath("image/Dockerfile").read_bytes()
    with tempfile.TemporaryFile() as context:
        with tarfile.open(fileobj=context, mode="w") as tar:
            _add(tar, "Dockerfile", text)
            if binary is None:
                _add(tar, "claude", b"", mode=0o755)
            else:
                tar.add(binary, "claude", filter=_plainly)
        context.seek(0)
        with engine.connected(environ, patience=_BUILD_PATIENCE) as client:
            made = _build(client, context, tag=tag, labels={}, arguments=arguments, say=say)
    return Built(tag=tag, id=made, claude=str(binary or ""))


def build_own(environ: Mapping[str, str], bottle: Path, *, say: Say) -> Built | None:
    """The image of the bottle's own Dockerfile, made anew if that has changed; `None` without one.  (Nothing else goes
    into the build: what lies beside it is the agent's, or private.)"""
    text = dockerfile(bottle)
    if text is None:
        return None
    identity, mark = bottle.name, _hash(text)
    labels = {engine.HOME: home_of(bottle.parents[1]), engine.IDENTITY: identity, DOCKERFILE: mark}
    with engine.connected(environ, patience=_BUILD_PATIENCE) as client:
        found = _labels(client, own_tag(identity))
        if found is not None and found.get(DOCKERFILE) == mark:
            return Built(tag=own_tag(identity), id="", claude="")
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            _add(tar, "Dockerfile", text)
        context.seek(0)
        made = _build(client, context, tag=own_tag(identity), labels=labels, arguments={}, say=say)
    return Built(tag=own_tag(identity), id=made, claude="")


def to_boot(client: docker.DockerClient, bottle: Path, image: str) -> str:
    """The image of the next launch: frozen, the bottle's own, or the agent's.  Raises `EngineError` with the mend."""
    text = dockerfile(bottle)
    mark = _hash(text) if text is not None else ""
    frozen = _labels(client, frozen_tag(bottle.name))
    # A Dockerfile that was written after the freezing is the later word.
    if frozen is not None and frozen.get(DOCKERFILE, "") == mark:
        return frozen_tag(bottle.name)
    if text is not None:
        own = _labels(client, own_tag(bottle.name))
        if own is not None and own.get(DOCKERFILE) == mark:
            return own_tag(bottle.name)
        raise EngineError(f"the image of {bottle / 'Dockerfile'} is not built; run: bottle build {bottle.name}")
    common_or_refuse(client, image)
    return image


def common_or_refuse(client: docker.DockerClient, image: str) -> None:
    """Nothing is fetched behind anybody's back: that takes minutes, and is somebody else's code."""
    if _labels(client, image) is None:
        mend = "run: bottle build" if image == COMMON else f"docker pull {image}, or: bottle build --tag {image}"
        raise EngineError(f"the image {image} is not on this engine; {mend}")


def version_in(environ: Mapping[str, str], image: str) -> str:
    """Which claude is in an image, "" when it does not say.  Raises `EngineError` when there is no such image."""
    with engine.connected(environ) as client:
        common_or_refuse(client, image)
        return (_labels(client, image) or {}).get("bottlepost.claude", "")


def dockerfile(bottle: Path) -> bytes | None:
    """The bottle's own Dockerfile.  Nothing that runs in a bottle can write it: it is in no mount."""
    try:
        return (bottle / "Dockerfile").read_bytes()
    except FileNotFoundError:
        return None


def mark_of(bottle: Path) -> str:
    """What a frozen image remembers of the bottle's Dockerfile, "" without one."""
    text = dockerfile(bottle)
    return "" if text is None else _hash(text)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _labels(client: docker.DockerClient, image: str) -> dict[str, str] | None:
    import docker.errors

    try:
        return dict(client.images.get(image).labels)
    except docker.errors.ImageNotFound:
        return None


def _fits(environ: Mapping[str, str]) -> bool:
    """Whether this machine's binaries run in the engine's containers."""
    machine = engine.about(environ).machine
    return sys.platform == "linux" and machine in ("", platform.machine())


def _build(
    client: docker.DockerClient, context: IO[bytes], *, tag: str, labels: dict[str, str],
    arguments: dict[str, str], say: Say,
) -> str:  # fmt: skip
    lines = client.api.build(
        fileobj=context,
        custom_context=True,
        tag=tag,
        labels=labels,
        buildargs=arguments,
        rm=True,
        forcerm=True,
        decode=True,
    )
    for words in _told(lines):
        say(words)
    return str(client.images.get(tag).id)


def _told(lines: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The engine's lines; an error among them is raised with the words before it."""
    last = ""
    for line in lines:
        if "error" in line:
            raise EngineError(f"the build failed: {' '.join(str(line['error']).split())}; before that: {last or '-'}")
        words = str(line.get("stream", "")).strip()
        if words:
            last = words.splitlines()[-1]
            yield words


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _plainly(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same file is the same layer, whoever installed it, and whenever."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry
