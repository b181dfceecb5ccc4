"""Fixtures for tests that need a container engine, and images for them: with the scripted agent, with the real one.

The base is an image with git, ca-certificates, ripgrep and python3: `bottlepost-test/base`, or $BOTTLEPOST_TEST_BASE.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from poller.demo import agent as scripted_agent
from sessions.bottles import EngineError, engine, images
from tests.model.server import Model

BASE = os.environ.get("BOTTLEPOST_TEST_BASE", "bottlepost-test/base:latest")
SCRIPTED = "bottlepost-test/scripted:latest"
REAL = "bottlepost-test/claude:latest"

_SCRIPTED_DOCKERFILE = f"""
FROM {BASE}
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /home/node node; \
    mkdir -p /home/node && chmod 1777 /home/node
COPY claude /usr/local/bin/claude
"""


def _missing(reason: str, *, unless: str) -> NoReturn:
    """Skip, or fail where all that can be had has to be there.  The variable says why it cannot be had here."""
    if os.environ.get("BOTTLEPOST_REQUIRE_ALL") == "1" and not os.environ.get(unless):
        pytest.fail(reason)
    pytest.skip(os.environ.get(unless) or reason)


@pytest.fixture(scope="session")
def docker_environ() -> dict[str, str]:
    """The part of the runner's environment that leads to the engine; without one the test is skipped, and says why."""
    environ = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    try:
        with engine.connected(environ) as client:
            client.images.get(BASE)
    except EngineError as error:
        _missing(f"no engine with the image {BASE}: {error}", unless="BOTTLEPOST_WITHOUT_ENGINE")
    return environ


@pytest.fixture(scope="session")
def scripted_image(docker_environ: dict[str, str]) -> str:
    """The scripted agent as `claude`."""
    claude = '#!/bin/sh\nexec python3 -I -S /opt/agent.py "$@"\n'
    return build(docker_environ, SCRIPTED, claude=claude, agent=Path(scripted_agent.__file__).read_text())


def build(environ: Mapping[str, str], tag: str, **files: str) -> str:
    """An image in which `claude` is this script; the other files lie in /opt, as Python."""
    claude = files.pop("claude")
    copies = "".join(f"COPY {name}.py /opt/{name}.py\n" for name in files)
    context = {f"{name}.py": text for name, text in files.items()}
    context |= {"claude": claude, "Dockerfile": _SCRIPTED_DOCKERFILE + copies}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in context.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    with engine.connected(environ) as client:
        client.images.build(fileobj=packed, custom_context=True, tag=tag, rm=True)
    return tag


@pytest.fixture(scope="session")
def real_image(docker_environ: dict[str, str], claude_binary: str) -> str:
    """The package's own Dockerfile, with the real claude."""
    said: list[str] = []
    built = images.build_common(docker_environ, base=BASE, tag=REAL, say=said.append)
    assert built.claude, "with the binary of the wheel"
    return REAL


@pytest.fixture
def bridge(docker_environ: dict[str, str]) -> str:
    """This machine's address on the engine's default network."""
    found = []
    with contextlib.suppress(EngineError), engine.connected(docker_environ) as client:
        found = client.networks.get("bridge").attrs["IPAM"]["Config"]
    ways = [ipaddress.ip_network(one["Subnet"]) for one in found if "Subnet" in one]
    address = next((str(way[1]) for way in ways if way.version == 4), None)
    if address is None:
        _missing("the engine has no bridge that this machine is on", unless="BOTTLEPOST_WITHOUT_BRIDGE")
    return address


@pytest.fixture
def bridge_model(bridge: str) -> Iterator[Model]:
    """A Messages API that a container reaches as `model.internal`."""
    with Model(host=bridge) as running:
        yield running
