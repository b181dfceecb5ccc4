"""Benches: one for every kind of bottle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions import state
from tests.sessions.bottles.bench import KINDS, Bench, Plan


@pytest.fixture
def new_bench(tmp_path: Path, scripted_environ: dict[str, str], request: pytest.FixtureRequest) -> Iterator[
    Callable[..., Bench]
]:  # fmt: skip
    """Makes benches; whatever still runs of them afterwards is ended."""
    made: list[Bench] = []

    def make(kind: str, *, root: Path | None = None, identity: str = "") -> Bench:
        environ, image = dict(scripted_environ), ""
        if kind == "docker":
            image = request.getfixturevalue("scripted_image")
            environ |= request.getfixturevalue("docker_environ")
        identity = identity or state.new_identity("reviewer")
        bench = Bench(Plan(kind, str(root or tmp_path / "state-root"), identity, environ, image))
        made.append(bench)
        return bench

    yield make
    for bench in made:
        for directory in (bench.place / "turns").glob("*"):
            bench.bottle.sweep(bench.known(int(directory.name)))
        if bench.root.is_dir():
            bench.bottle.destroy(bench.place)


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.docker if kind == "docker" else ()) for kind in KINDS])
def bench(new_bench: Callable[..., Bench], request: pytest.FixtureRequest) -> Bench:
    return new_bench(request.param)


@pytest.fixture
def docker_bench(new_bench: Callable[..., Bench]) -> Bench:
    return new_bench("docker")
