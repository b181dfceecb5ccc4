"""Fixtures for tests that need a container engine, and images for them: with the scripted agent, with the real one.

The base is an image with git, ca-certificates, ripgrep and python3: `bottlepost-test/base`, or $BOTTLEPOST_TEST_BASE.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

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
COPY agent.py /opt/agent.py
COPY claude /usr/local/bin/claude
"""


def _missing(reason: str) -> None:
    if os.environ.get("BOTTLEPOST_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_environ() -> dict[str, str]:
    """The part of the runner's environment that leads to the engine; without one the test is skipped, and says why."""
    environ = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    try:
        with engine.connected(environ) as client:
            client.images.get(BASE)
    except EngineError as error:
        _missing(f"no engine with the image {BASE}: {error}")
    return environ


@pytest.fixture(scope="session")
def scripted_image(docker_environ: dict[str, str]) -> str:
    """The scripted agent as `claude`."""
    files = {
        "Dockerfile": _SCRIPTED_DOCKERFILE.encode(),
        "agent.py": Path(scripted_agent.__file__).read_bytes(),
        "claude": b'#!/bin/sh\nexec python3 -I -S /opt/agent.py "$@"\n',
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    context.seek(0)
    with engine.connected(docker_environ) as client:
        client.images.build(fileobj=context, custom_context=True, tag=SCRIPTED, rm=True)
    return SCRIPTED


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
    with engine.connected(docker_environ) as client:
        found = client.networks.get("bridge").attrs["IPAM"]["Config"]
    address = next((one.get("Gateway") for one in found if "." in str(one.get("Gateway"))), None)
    if address is None:
        _missing("the engine has no bridge that this machine is on")
    return str(address)


@pytest.fixture
def bridge_model(bridge: str) -> Iterator[Model]:
    """A Messages API that a container reaches as `model.internal`."""
    with Model(host=bridge) as running:
        yield running
