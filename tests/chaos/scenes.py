"""Which worlds there are: databases, bottles, agents; and one of them played from its beginning to its bill."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from poller.demo import agent as scripted_agent
from poller.demo.versions import VERSIONS
from tests.chaos import agent as chaos_agent
from tests.chaos.model import Echo
from tests.chaos.realm import GATE, Realm, Setting
from tests.chaos.reckoning import Bill, bill_of, come_to_rest
from tests.chaos.strikes import Strikes

IMAGE = "bottlepost-test/chaos:latest"
#: Seconds for which a call is waited for at most: a machine that is busy now need not be so all the time.
LONGEST = 5.0


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One combination, in the words of the command line; `database` may be a URL."""

    database: str = "sqlite"
    backend: str = "process"
    mode: str = "both"
    agent: str = "scripted"
    machines: int = 1
    work: str = "words"


def play(scene: Scene, *, kills: int, seed: int, seconds: float = 600.0, place: Path | None = None) -> Bill:
    """Kill so many, at most for so long; then rest, and the bill.  `place` is kept, a temporary one is not."""
    began = time.monotonic()
    directory = place or Path(tempfile.mkdtemp(prefix="chaos-"))
    version = list(VERSIONS)[seed % len(VERSIONS)]
    with setting_of(scene, version) as setting, Realm(directory, setting, seed=seed) as realm:
        strikes = Strikes(realm, mode=scene.mode, span=usual_length(realm))
        strikes.run(kills, until=began + seconds)
        realm.kill_all()
        given_up = come_to_rest(realm)
        bill = bill_of(realm)
        bill.kills, bill.given_up, bill.seconds = dict(strikes.kills), given_up, time.monotonic() - began
    if place is None:
        shutil.rmtree(directory, ignore_errors=True)
    return bill


def usual_length(realm: Realm) -> float:
    """Seconds that a call with a turn takes here and now; the first one looks around for longer."""
    realm.once()
    realm.ask()
    began = time.monotonic()
    realm.once()
    took = min(time.monotonic() - began, LONGEST)
    realm.open_pulls()
    return took


@contextlib.contextmanager
def setting_of(scene: Scene, version: str) -> Iterator[Setting]:
    """What the scene needs around it."""
    with contextlib.ExitStack() as stack:
        environ: dict[str, str] = {}
        claude = image = database = ""
        if scene.agent == "claude":
            from sessions.bottles.process import find_claude

            claude = find_claude(os.environ.get("PATH")) or ""
            assert claude, "no claude binary; mend: pip install '.[claude]' in bottlepost's checkout"
            environ |= stack.enter_context(Echo()).environ
        if scene.backend == "docker":
            environ |= {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
            image = build_image(environ)
        if scene.database == "postgres":
            from tests.postgres import serving

            database = stack.enter_context(serving()).database()
        elif scene.database != "sqlite":
            database = scene.database
        yield Setting(
            backend=scene.backend, database=database, image=image, claude=claude, environ=environ,
            machines=scene.machines, work=scene.work, version=version,
            seconds=0.0 if scene.agent == "claude" else 0.4,
        )  # fmt: skip


def build_image(environ: Mapping[str, str]) -> str:
    """The agent of these worlds as `claude`."""
    from tests import fixtures_engine

    gate = GATE.format(agent="python3 -I -S /opt/chaos.py /opt/agent.py")
    texts = {"chaos": Path(chaos_agent.__file__).read_text(), "agent": Path(scripted_agent.__file__).read_text()}
    return fixtures_engine.build(environ, IMAGE, claude=gate, **texts)
