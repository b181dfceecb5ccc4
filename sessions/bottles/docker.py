"""The bottle that is a container: one for each launch, detached, its output and exit code in the launch's directory.

Its name is the claim: the engine gives it once.  Secrets do not go into the container's description, which is kept and
shown: they lie in a file of the launch's directory until the guest has read it.  Must not know SQL, prompts or what the
output means.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sessions import files, processes, runs, state
from sessions.bottles import engine, holdings, images, leavings
from sessions.bottles.box import User, marks_of, name_of, shape_of, user_of
from sessions.bottles.protocol import EngineError, Sight
from sessions.config import Agent
from sessions.turns import Launch

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

log = logging.getLogger("sessions.bottles.docker")

_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_KILL_PATIENCE = 20.0
#: Seconds between two lines about an engine that is away while a turn runs: it is looked at several times a second.
_COMPLAIN = 60.0
_ENDED = ("exited", "dead", "removing", "stopped")


class DockerBottle:
    """Speaks to the engine that `environ` names (DOCKER_HOST), which has to see this machine's files."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._complained_at = -_COMPLAIN
        #: Of launches that were seen running: the first process of each, as this machine knows it.
        self._guests: dict[Path, processes.Process] = {}

    def check(self, agent: Agent | None = None) -> None:
        with engine.connected(self._environ) as client:
            client.ping()
            if agent is not None:
                images.common_or_refuse(client, agent.image)

    # -- one launch ----------------------------------------------------------------------------------------------

    def start(self, launch: Launch) -> None:
        if _is_forbidden(launch) or files.is_plain(launch.directory / "exit"):
            return
        images.build_own(self._environ, launch.bottle, say=lambda words: log.debug("build: %s", words))
        with engine.connected(self._environ) as client:
            agent = launch.settings or Agent()
            image = images.to_boot(client, launch.bottle, agent.image)
            user = user_of(engine.about(self._environ))
            _end_others(client, launch)
            _hand_over(launch, user)
            try:
                container = _create(client, launch, image=image, agent=agent, user=user)
                # In this order: whoever forbids writes first, and then looks for what was created.
                if _is_forbidden(launch):
                    holdings.discard(container)
                elif not _was_started(container):  # the engine would begin one again that has ended
                    _begin(container, launch)
            except BaseException:
                _secrets(launch).unlink(missing_ok=True)
                raise
            if _is_forbidden(launch):
                _secrets(launch).unlink(missing_ok=True)

    def look(self, launch: Launch) -> Sight:
        is_over = self._is_over(launch)
        code = runs.exit_code(launch)
        if code is not None and (is_over or not files.is_plain(_mark(launch))):
            return Sight(state="ended", exit=code)
        if self._guest(launch) is not None:
            return Sight(state="running")
        try:
            with engine.connected(self._environ) as client:
                container = _find(client, launch)
        except EngineError as away:
            if not files.is_plain(_mark(launch)):
                raise
            # What cannot be asked is taken to run on: a restarted engine is no reason to begin a turn twice.
            if time.monotonic() - self._complained_at > _COMPLAIN:
                self._complained_at = time.monotonic()
                log.warning("%s; waiting for it", away)
            return Sight(state="running")
        if container is None:
            if code is not None:
                return Sight(state="ended", exit=code)
            is_claimed = _is_forbidden(launch) or files.is_plain(_mark(launch))
            return Sight(state="cut off" if is_claimed else "not started")
        if not _was_started(container):
            return Sight(state="not started")
        found = container.attrs["State"]
        if found["Status"] in _ENDED:
            return Sight(state="ended", exit=int(found["ExitCode"]) if code is None else code)
        # Whether it runs on is seen here from now on: an engine has better to do than to be asked all the time.
        if engine.is_local(self._environ) and (guest := engine.first_process(container)) is not None:
            self._guests[launch.directory] = guest
        return Sight(state="running")

    def wait(self, launch: Launch, seconds: float) -> None:
        if (guest := self._guest(launch)) is not None:
            processes.wait_for(guest.pid, seconds)
            return
        try:
            with engine.connected(self._environ) as client:
                container = _find(client, launch)
                if container is None or not _was_started(container):
                    time.sleep(min(seconds, 0.05))
                elif container.attrs["State"]["Status"] not in _ENDED:
                    with contextlib.suppress(OSError):  # the SDK's way to say that the time is over
                        container.wait(timeout=seconds)
        except EngineError:
            time.sleep(min(seconds, 1.0))

    def _guest(self, launch: Launch) -> processes.Process | None:
        """The launch's first process, as long as it runs."""
        guest = self._guests.get(launch.directory)
        return guest if guest is not None and processes.runs(guest.pid, guest.start) else None

    def _is_over(self, launch: Launch) -> bool:
        """Whether its first process was seen, and is gone: the kernel ends all others of a container before that."""
        return launch.directory in self._guests and self._guest(launch) is None

    def _is_seen_to_have_ended(self, launch: Launch) -> bool:
        """With its exit code: then the engine, which takes its time, is not asked."""
        return self._is_over(launch) and runs.exit_code(launch) is not None

    def forbid(self, launch: Launch) -> bool:
        launch.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        leavings.open_again(launch)
        mark = launch.directory / "forbidden"
        if not files.is_plain(mark):
            files.remove(mark)
        state.write(mark, "")
        try:
            with engine.connected(self._environ) as client:
                container = _find(client, launch)
                if container is not None and not _was_started(container):
                    holdings.discard(container)
                    container = _find(client, launch)
        except EngineError:
            if not files.is_plain(_mark(launch)):  # it was not begun, and never will be
                files.remove(_secrets(launch))
            raise
        if container is None or not _was_started(container):
            files.remove(_secrets(launch))  # nobody will come for them
            return True
        files.remove(mark)
        return False

    def stop(self, launch: Launch, *, grace: float) -> None:
        for number in _STEPS:
            if self._is_seen_to_have_ended(launch):
                return
            with engine.connected(self._environ) as client:
                container = _find(client, launch)
                if container is None or container.attrs["State"]["Status"] != "running":
                    return
                engine.kill(container, number)
            deadline = time.monotonic() + (grace if number != signal.SIGKILL else _KILL_PATIENCE)
            while (left := deadline - time.monotonic()) > 0 and self.look(launch).state == "running":
                self.wait(launch, min(left, 0.5))

    def sweep(self, launch: Launch) -> None:
        """The end of the container is the end of all in it.  The engine takes its time to put away what has ended."""
        leavings.open_again(launch)
        if not self._is_seen_to_have_ended(launch):
            with engine.connected(self._environ) as client:
                container = _find(client, launch)
                if container is not None and not _was_started(container):
                    holdings.discard(container)
                elif container is not None:
                    if container.attrs["State"]["Status"] not in _ENDED:
                        engine.kill(container, signal.SIGKILL)
                        container.wait(timeout=_KILL_PATIENCE)
                        container.reload()
                    if runs.exit_code(launch) is None:
                        leavings.note_exit(launch, int(container.attrs["State"]["ExitCode"]))
        if runs.exit_code(launch) is not None:  # else it alone says that this launch ever began
            files.remove(_mark(launch))
        files.remove(_secrets(launch))

    def clear(self, launch: Launch) -> None:
        """The container, but for one whose own file system could be frozen, until the next launch."""
        with engine.connected(self._environ) as client:
            container = _find(client, launch)
            if container is None:
                return
            if container.attrs["State"]["Status"] not in _ENDED:  # nothing is taken away under the engine's hands
                container.wait(timeout=_KILL_PATIENCE)
            if container.attrs["HostConfig"]["ReadonlyRootfs"]:
                holdings.discard(container)

    def destroy(self, bottle: Path, agent: Agent | None = None) -> None:
        with engine.connected(self._environ) as client:
            holdings.remove(client, bottle)


def _end_others(client: docker.DockerClient, launch: Launch) -> None:
    """Containers of earlier launches of this bottle.  None should run; but an engine that did not answer in time may
    have started one all the same, and two that speak in one conversation would each lose what the other heard."""
    for one in holdings.containers(client, launch.bottle):
        if one.name != name_of(launch):
            holdings.discard(one, force=True)


def _hand_over(launch: Launch, user: User) -> None:
    """The guest's files to the guest's user, the secrets among them."""
    if launch.env:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in launch.env.items()]
        handle = os.open(_secrets(launch), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(os.fsencode("".join(lines)))
    try:
        for place in (state.config_dir(launch.bottle), state.work(launch.bottle, launch.cwd), launch.directory):
            if user.owns is not None:
                files.give(place, *user.owns)
    except OSError as error:
        raise EngineError(f"{place} cannot be given to the guest: {error.strerror}; look what is there") from None


def _create(client: docker.DockerClient, launch: Launch, *, image: str, agent: Agent, user: User) -> Container:
    import docker.errors

    try:
        return client.containers.create(image, **shape_of(launch, agent=agent, user=user))
    except docker.errors.APIError:
        # That the name is taken docker says by a 409, podman by a 500 like any other.
        found = _find(client, launch)
        if found is None:
            raise
        return found  # another start of this launch, whole or half: it is this one


def _begin(container: Container, launch: Launch) -> None:
    import docker.errors

    state.write(_mark(launch), f"{container.id}\n")
    try:
        container.start()
    except docker.errors.APIError:
        # The engine says that it never ran: nothing is to be taken for its beginning.
        _mark(launch).unlink(missing_ok=True)
        holdings.discard(container)
        if not _is_forbidden(launch):
            raise


def _find(client: docker.DockerClient, launch: Launch) -> Container | None:
    """The launch's container; one of the same name that is not ours is nobody's business here."""
    import docker.errors

    try:
        found = client.containers.get(name_of(launch))
    except docker.errors.NotFound:
        return None
    ours = marks_of(launch.bottle) | {engine.TURN: launch.directory.name}
    if any(found.labels.get(name) != value for name, value in ours.items()):
        raise EngineError(
            f"a container {name_of(launch)} is there that is not of this state directory; remove it if nobody needs it"
        )
    return found


def _was_started(container: Container) -> bool:
    return container.attrs["State"]["Status"] != "created" and not _is_never(container.attrs["State"]["StartedAt"])


def _is_never(moment: object) -> bool:
    """The engine's way to say it."""
    return str(moment).startswith("0001-")


def _secrets(launch: Launch) -> Path:
    return launch.directory / "env"


def _is_forbidden(launch: Launch) -> bool:
    return files.is_plain(launch.directory / "forbidden")


def _mark(launch: Launch) -> Path:
    """There from the start to the sweep."""
    return launch.directory / "container"
