"""The bottle that is a process: `claude` as this machine's user.

Knows what claude needs around it here; must not know SQL, prompts or what the output means.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sessions import state
from sessions.bottles.keeper import MARKER, Call, Keeper
from sessions.bottles.protocol import MOST_FILE, EngineError, Sight
from sessions.bottles.wheel import find_claude
from sessions.boxing import bytes_of
from sessions.transcript import PROJECT
from sessions.turns import Launch

if TYPE_CHECKING:
    from sessions.config import Agent

__all__ = ["MARKER", "ProcessBottle", "find_claude"]

#: No core dumps (they hold the environment), and no file that fills a disk by itself (in blocks of 512 bytes).
_LIMITS = f"c=0 f={MOST_FILE // 512}"


class ProcessBottle:
    """Runs on this machine, as this user.  `environ` is the runner's own: PATH, LANG and TMPDIR come from it."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._keeper = Keeper()

    def check(self, agent: Agent | None = None) -> None:
        self._claude()

    def start(self, launch: Launch) -> None:
        self._keeper.start(launch, self.call(launch))

    def call(self, launch: Launch) -> Call:
        """What a launch runs here.  Raises `EngineError`."""
        return Call(
            argv=(self._claude(), *launch.argv),
            environ=self._environment(launch),
            cwd=state.work(launch.bottle, launch.cwd),
            limits=_limits(launch.settings),
        )

    def look(self, launch: Launch) -> Sight:
        return self._keeper.look(launch)

    def wait(self, launch: Launch, seconds: float) -> None:
        self._keeper.wait(launch, seconds)

    def forbid(self, launch: Launch) -> bool:
        return self._keeper.forbid(launch)

    def stop(self, launch: Launch, *, grace: float) -> None:
        self._keeper.stop(launch, grace=grace)

    def sweep(self, launch: Launch) -> None:
        self._keeper.sweep(launch)

    def clear(self, launch: Launch) -> None:
        """A process leaves nothing beside its files."""

    def destroy(self, bottle: Path, agent: Agent | None = None) -> None:
        """A process leaves nothing beside its state."""

    def _claude(self) -> str:
        found = find_claude(self._environ.get("PATH"))
        if found is None:
            raise EngineError(
                "claude was not found: put it on PATH, or install the wheel that has it: "
                "pip install '.[claude]' in bottlepost's checkout"
            )
        return found

    def _environment(self, launch: Launch) -> dict[str, str]:
        """Nothing of ours but what is named here: the forge's token, above all, is not."""
        home = launch.bottle.absolute()
        environment = {
            "PATH": self._environ.get("PATH") or os.defpath,
            "HOME": str(home / "transcript"),
            "LANG": self._environ.get("LANG") or "C.UTF-8",
            "TMPDIR": self._environ.get("TMPDIR") or "/tmp",  # noqa: S108
            "CLAUDE_CONFIG_DIR": str(state.config_dir(home)),
            "CLAUDE_CODE_PROJECT_DIR_NAME": PROJECT,
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            # Left alone it tries eleven times, for three minutes; waiting is the scheduler's business.
            "CLAUDE_CODE_MAX_RETRIES": "1",
        }
        if os.geteuid() == 0:  # as root it refuses to skip permissions outside of what says it is a sandbox
            environment["IS_SANDBOX"] = "1"
        return environment | dict(launch.env)


def _limits(agent: Agent | None) -> str:
    """For the shell's `ulimit`; memory (of each process, in KiB) only when it is asked for: address sanitizers and the
    like reserve more than any machine has."""
    memory = agent.limits.memory if agent is not None else None
    return f"{_LIMITS} d={bytes_of(memory) // 1024}" if memory else _LIMITS
