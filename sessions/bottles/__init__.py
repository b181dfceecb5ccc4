"""Where agents run: one module for each kind of bottle, chosen by name here."""

from __future__ import annotations

from collections.abc import Mapping

from sessions.bottles.protocol import Bottle, EngineError, Sight

__all__ = ["BUILT", "Bottle", "EngineError", "Sight", "bottle_for"]

#: The backends that this version can run.
BUILT = frozenset({"process"})


def bottle_for(backend: str, *, environ: Mapping[str, str]) -> Bottle:
    """The bottle of this kind.  Raises `EngineError` for one that this version cannot run."""
    if backend == "process":
        from sessions.bottles.process import ProcessBottle

        return ProcessBottle(environ=environ)
    raise EngineError(f"backend {backend or 'docker'} is not in this version yet, use process")
