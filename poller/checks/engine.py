"""What `poll doctor` can see of the container engine: that it answers, and has what the agents name.

Looks and changes nothing.  Must not know the forge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from poller.checks import Check, fail, ok, warn
from sessions.bottles import EngineError, engine
from sessions.config import Agent


def containers(state: Path, agents: Mapping[str, Agent], environ: Mapping[str, str]) -> Iterator[Check]:
    """The engine, and the image and the network of each of these agents."""
    place = engine.where(environ)
    try:
        there = engine.about(environ)
    except EngineError as error:
        found, _, mend = str(error).partition("; ")
        yield fail("docker", found, mend)
        return
    whose = {"same": "", "mapped": ", users mapped", "rootless": ", rootless"}[there.users]
    yield ok("docker", f"{there.name} {there.version} at {place} (API {there.api}{whose})")
    if not engine.is_local(environ):
        yield warn("docker files", f"the engine at {place} is reached by network: it mounts its own machine's files",
                   f"see that {state} is the same directory there, or use an engine of this machine")  # fmt: skip
    if told := _strangers(state, environ):
        found, _, mend = told.partition("; ")
        yield warn("docker containers", found, mend)
    for image in sorted({agent.image for agent in agents.values()}):
        yield _image(image, environ)
    for network in sorted({agent.network for agent in agents.values()} - {"none", "bridge"}):
        yield _network(network, environ)


def _strangers(state: Path, environ: Mapping[str, str]) -> str:
    from sessions.bottles.holdings import strangers

    try:
        return strangers(environ, state)
    except EngineError:  # it answered a moment ago, and what needs it next says what is wrong
        return ""


def _image(image: str, environ: Mapping[str, str]) -> Check:
    from sessions.bottles.images import version_in

    try:
        version = version_in(environ, image)
    except EngineError as error:
        found, _, mend = str(error).partition("; ")
        return fail("image", found, mend.removeprefix("run: "))
    return ok("image", f"{image}, {f'claude {version}' if version else 'not made by `bottle build`'}")


def _network(network: str, environ: Mapping[str, str]) -> Check:
    if network == "host":
        return warn("network", "host: what runs in a bottle reaches all that listens on this machine",
                    "write none, bridge, or a network's name")  # fmt: skip
    try:
        with engine.connected(environ) as client:
            client.networks.get(network)
    except EngineError as error:
        return fail("network", str(error), f"docker network create {network}")
    return ok("network", network)
