"""What an engine keeps of bottles beside their state directories: ended containers, images of their own.

Knows labels, and that nothing without ours is touched.  Must not know which bottles are still needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sessions.bottles import engine, images
from sessions.bottles.box import labels_of, marks_of
from sessions.bottles.home import former_of, home_of
from sessions.config import Agent

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A container of ours, as the engine lists it.  `created`: epoch seconds."""

    id: str
    identity: str
    #: The launch's directory name.
    turn: str
    created: float
    running: bool
    #: Something may have been installed in it: it is kept for `bottle commit`.
    writable: bool = False


def containers(client: docker.DockerClient, bottle: Path) -> list[Container]:
    """All of a bottle, whatever their state."""
    return list(client.containers.list(all=True, filters={"label": list(labels_of(bottle))}, ignore_removed=True))


def discard(container: Container, *, force: bool = False) -> None:
    """Remove a container; without `force` only if it does not run: the engine decides.  Somebody else may be at it."""
    import docker.errors

    try:
        container.remove(force=force, v=True)
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise


def remove(client: docker.DockerClient, bottle: Path) -> None:
    """Containers and images of a bottle."""
    import docker.errors

    for container in containers(client, bottle):
        discard(container, force=True)
    for image in client.images.list(filters={"label": list(labels_of(bottle))}):
        for name in image.tags or [str(image.id)]:  # one that a later build took the name from has none
            try:
                client.images.remove(name)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise


def held(environ: Mapping[str, str], state: Path) -> list[Held]:
    """Every container of this state directory."""
    home = f"{engine.HOME}={home_of(state)}"
    with engine.connected(environ) as client:
        return [
            Held(
                id=str(one.id),
                identity=str(one.labels.get(engine.IDENTITY, "")),
                turn=str(one.labels.get(engine.TURN, "")),
                created=datetime.fromisoformat(str(one.attrs["Created"])).timestamp(),
                running=one.status in ("running", "paused", "restarting"),
                writable=not one.attrs["HostConfig"]["ReadonlyRootfs"],
            )
            for one in client.containers.list(all=True, filters={"label": home}, ignore_removed=True)
        ]


def strangers(environ: Mapping[str, str], state: Path) -> str:
    """One line about containers that were this directory's before it was moved, or are another one's, of which it is a
    copy: nobody but a person can tell; "" = there are none."""
    former = former_of(state)
    if not former:
        return ""
    with engine.connected(environ) as client:
        for label in (f"{engine.HOME}={name}" for name in former):
            if many := len(client.containers.list(all=True, filters={"label": label}, ignore_removed=True)):
                return (
                    f"{state} was moved to another file system, or is a copy: containers of before are not touched "
                    f"({many} with the label {label}); if no other state directory has them, "
                    f"remove them: docker rm -f $(docker ps -aq --filter label={label})"
                )
    return ""


def drop(environ: Mapping[str, str], one: Held) -> None:
    """Remove one that nobody needs; it may be gone already."""
    import docker.errors

    with engine.connected(environ) as client:
        try:
            container = client.containers.get(one.id)
        except docker.errors.NotFound:
            return
        discard(container, force=True)


def freeze(environ: Mapping[str, str], bottle: Path, agent: Agent) -> str:
    """An image of what the bottle's last container left in its file system; the next launch boots it.

    Without such a container (its root is read-only, so none is kept) it is what would be booted now, under a name that
    stays when that moves on."""
    with engine.connected(environ) as client:
        last = max(containers(client, bottle), key=lambda one: str(one.attrs["Created"]), default=None)
        source = last
        if source is None:
            image = images.to_boot(client, bottle, agent.image)
            source = client.containers.create(image, ["claude"], labels=marks_of(bottle), use_config_proxy=False)
        tag = images.frozen_tag(bottle.name)
        repository, _, version = tag.partition(":")
        labels = marks_of(bottle) | {images.DOCKERFILE: images.mark_of(bottle)}
        change = "\n".join(f'LABEL {name}="{value}"' for name, value in labels.items())
        try:
            source.commit(repository=repository, tag=version, changes=change)
        finally:
            if last is None:
                discard(source, force=True)
        return tag
