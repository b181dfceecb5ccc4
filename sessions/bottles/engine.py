"""The door to a container engine: docker, or podman behind its socket (DOCKER_HOST).

Knows the SDK, its errors in words, and what is ours.  Must not know launches.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sessions import files, processes
from sessions.bottles.protocol import EngineError

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

#: Labels of everything that we make: which state directory it belongs to, and what it is.
HOME, IDENTITY, TURN = (f"bottlepost.{word}" for word in ("home", "identity", "turn"))
#: For people, and for their `docker ps --filter`: where the key is from, the key, and who runs.
FORGE, KEY, AGENT = (f"bottlepost.{word}" for word in ("forge", "key", "agent"))

#: Seconds for one call; a start can take a while on a busy disk.
_PATIENCE = 60
_DEFAULT = "unix:///var/run/docker.sock"
_asking = threading.Lock()
#: Seconds for which an engine that answers can be asked by one thread only.
_WHILE = 1.0


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an engine once: these do not change while it runs."""

    name: str
    version: str
    api: str
    #: Of its processors, as `uname -m` says it.
    machine: str
    #: How a container's users are ours: as they are, by the engine's map, or by that of a user's own engine.
    users: Literal["same", "mapped", "rootless"]


def where(environ: Mapping[str, str]) -> str:
    """The address of the engine."""
    return environ.get("DOCKER_HOST") or _DEFAULT


def is_local(environ: Mapping[str, str]) -> bool:
    """Whether its processes are this machine's."""
    return where(environ).startswith("unix://")


@contextlib.contextmanager
def connected(environ: Mapping[str, str], *, patience: float = _PATIENCE) -> Iterator[docker.DockerClient]:
    """A client for a few calls; whatever keeps the engine from answering becomes an `EngineError` in words.

    Not kept for longer: an engine may be restarted at any time, and threads are not to share one."""
    sdk = _sdk()
    place = where(environ)
    _knock(place)
    client = sdk.DockerClient(version=about(environ).api, timeout=patience, **_way(environ))
    try:
        yield client
    except sdk.errors.APIError as error:
        raise EngineError(f"the engine at {place} refused: {_one_line(error.explanation or error)}") from None
    except sdk.errors.DockerException as error:
        raise EngineError(f"the engine at {place}: {_one_line(error)}") from None
    except OSError as error:  # the SDK's HTTP library has its own errors below this one
        raise (EngineError(files.told(error)) if files.is_of_the_disk(error) else _away(place, error)) from None
    finally:
        client.close()


def about(environ: Mapping[str, str]) -> Engine:
    """Which engine listens; asked once, also where several want to know at the same time."""
    is_first = _asking.acquire(timeout=_WHILE)  # one that hangs is waited for side by side
    try:
        return _about(tuple(sorted((name, value) for name, value in environ.items() if name.startswith("DOCKER_"))))
    finally:
        if is_first:
            _asking.release()


def first_process(container: Container) -> processes.Process | None:
    """`None` where it is none of this machine's: an engine in a virtual one counts processes of its own."""
    pid = int(container.attrs["State"].get("Pid") or 0)
    start = processes.start_of(pid) if pid else None
    if start is None or str(container.id) not in processes.groups_of(pid):
        return None
    return processes.Process("", "", "", pid, start)


def kill(container: Container, number: signal.Signals) -> None:
    """Send it; a container that has ended needs none."""
    try:
        container.kill(signal=number.name)
    except _sdk().errors.APIError as error:
        # It ended meanwhile: docker says so by a code, podman in words.
        if error.status_code not in (404, 409) and "can only kill running" not in str(error):
            raise


@functools.cache
def _about(ways: tuple[tuple[str, str], ...]) -> Engine:
    sdk, environ = _sdk(), dict(ways)
    place = where(environ)
    _knock(place)
    # Not the SDK's own "auto": that asks while the client is made, and one that is half made cannot be closed.
    client = sdk.DockerClient(version=sdk.constants.DEFAULT_DOCKER_API_VERSION, timeout=_PATIENCE, **_way(environ))
    try:
        version = client.api.version(api_version=False)
        client.api._version = api = _older(str(version["ApiVersion"]), client.api._version)
        info = client.info()
    except (sdk.errors.DockerException, OSError) as error:
        raise _away(place, error) from None
    finally:
        client.close()
    security = " ".join(info.get("SecurityOptions") or ())
    users: Literal["same", "mapped", "rootless"] = "same"
    if "name=rootless" in security:
        users = "rootless"
    elif "name=userns" in security:
        users = "mapped"
    is_podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ())
    return Engine(
        name="podman" if is_podman else "docker",
        version=str(version.get("Version", "?")),
        api=api,
        machine=str(info.get("Architecture", "")),
        users=users,
    )


def _knock(place: str) -> None:
    """Whether anybody is there: the SDK loses a socket over it when nobody is."""
    if not place.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX) as knocker:
        knocker.settimeout(_PATIENCE)
        try:
            knocker.connect(place.removeprefix("unix://"))
        except OSError as error:
            raise _away(place, error) from None


def _older(one: str, other: str) -> str:
    return min(one, other, key=lambda version: [int(part) for part in version.split(".")])


def _sdk() -> Any:
    try:
        import docker
        import docker.constants
        import docker.errors
    except ModuleNotFoundError:
        raise EngineError("the docker SDK is not installed: pip install '.[docker]' in bottlepost's checkout") from None
    return docker


def _way(environ: Mapping[str, str]) -> dict[str, object]:
    from docker.utils import kwargs_from_env

    return {"base_url": _DEFAULT, **kwargs_from_env(environment=dict(environ))}


def _away(place: str, error: Exception) -> EngineError:
    mend = "start it, set DOCKER_HOST, or use backend: process"
    text = str(error)
    if "ermission denied" in text:
        mend = "add this user to the group of the socket, or set DOCKER_HOST to an engine of its own"
    return EngineError(f"the container engine at {place} does not answer ({_one_line(_cause(error))}); {mend}")


def _cause(error: BaseException) -> BaseException:
    """The innermost reason: the HTTP library wraps it several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _one_line(error: object) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= 300 else f"{line[:299]}…"
