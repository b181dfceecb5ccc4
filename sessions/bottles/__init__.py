"""Where agents run: one module for each kind of bottle, chosen by name here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

from sessions.bottles.protocol import Bottle, EngineError, Sight

__all__ = ["BUILT", "Bottle", "EngineError", "Sight", "bottle_for", "cwd_of", "fetch", "warm"]

#: The backends that this version can run.
BUILT = frozenset({"docker", "process", "command"})


def bottle_for(backend: str, *, environ: Mapping[str, str]) -> Bottle:
    """The bottle of this kind.  Raises `EngineError` for one that this version does not know."""
    if backend == "process":
        from sessions.bottles.process import ProcessBottle

        return ProcessBottle(environ=environ)
    if backend == "command":
        from sessions.bottles.command import CommandBottle

        return CommandBottle(environ=environ)
    if backend == "docker":
        from sessions.bottles.docker import DockerBottle

        return DockerBottle(environ=environ)
    raise EngineError(f"backend {backend!r} is not known to this version; it has docker, process, command")


def cwd_of(backend: str) -> str:
    """Where an agent works, for all its life: beside its state, or a path of the guest."""
    if backend == "docker":
        from sessions.bottles.box import WORK

        return WORK
    return "work"


def warm(backend: str, *, environ: Mapping[str, str]) -> None:
    """Have at hand what a start will need, while its turn is still being prepared."""
    if backend == "docker":
        threading.Thread(target=fetch, args=(backend,), kwargs={"environ": environ}, name="warm", daemon=True).start()


def fetch(backend: str, *, environ: Mapping[str, str]) -> None:
    """The same, and wait for it."""
    if backend == "docker":
        from sessions.bottles import engine

        with contextlib.suppress(EngineError):  # who needs it will say so
            engine.about(environ)
