"""The bottle that somebody else makes: a command of the config runs the agent, wherever it likes.

Its words are templates.  It gets the prompt on stdin, and says on stdout what `claude -p` says with `--output-format`
json or stream-json.  Knows templates and the runner's environment; must not know what the runner does.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sessions import state
from sessions.bottles.keeper import Call, Keeper
from sessions.bottles.protocol import EngineError, Sight
from sessions.bottles.wheel import which
from sessions.boxing import filled
from sessions.turns import Launch

if TYPE_CHECKING:
    from sessions.config import Agent

log = logging.getLogger("sessions.bottles.command")

#: What a program of this user needs to work; the agent's `env` comes on top.
_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"),
)
#: Seconds for a `stop` or `cleanup` to come back.
_PATIENCE = 120.0


class CommandBottle:
    """Runs the agent's `command.start` or `command.resume` on this machine, as this user."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._keeper = Keeper()

    def check(self, agent: Agent | None = None) -> None:
        if agent is not None:
            for words in (agent.command.start, agent.command.resume, agent.command.stop, agent.command.cleanup):
                self._program(words)

    def start(self, launch: Launch) -> None:
        self._keeper.start(launch, self.call(launch))

    def call(self, launch: Launch) -> Call:
        """What a launch runs here.  Raises `EngineError`."""
        if launch.settings is None or not launch.settings.command.start:
            raise EngineError(f"agent {launch.agent} has no command.start in the config; add it")
        runner = launch.settings.command
        template = runner.resume if launch.mode == "resume" and runner.resume else runner.start
        self._program(template)
        return Call(
            argv=tuple(filled(template, _values(launch), launch.argv)),
            environ=self._environment() | dict(launch.env),
            cwd=state.work(launch.bottle, launch.cwd),
        )

    def look(self, launch: Launch) -> Sight:
        return self._keeper.look(launch)

    def wait(self, launch: Launch, seconds: float) -> None:
        self._keeper.wait(launch, seconds)

    def forbid(self, launch: Launch) -> bool:
        return self._keeper.forbid(launch)

    def stop(self, launch: Launch, *, grace: float) -> None:
        """By the runner's own word first: what it runs need not be among its children."""
        template = launch.settings.command.stop if launch.settings is not None else ()
        if template and self._keeper.is_left(launch):
            self._call(filled(template, _values(launch), launch.argv), launch.env)
            self._keeper.wait_for_end(launch, grace)
        self._keeper.stop(launch, grace=grace)

    def sweep(self, launch: Launch) -> None:
        self._keeper.sweep(launch)

    def clear(self, launch: Launch) -> None:
        """The runner has its own ways."""

    def destroy(self, bottle: Path, agent: Agent | None = None) -> None:
        """Raises `EngineError` when the runner could not do it: it is to be asked again."""
        if agent is None or not agent.command.cleanup:
            return
        nothing = Launch(identity=bottle.name, bottle=bottle, directory=bottle / "turns", cwd="work", settings=agent)
        trouble = self._call(filled(agent.command.cleanup, _values(nothing) | {"turn": ""}, ()), {})
        if trouble:
            raise EngineError(f"cleanup of {bottle.name}: {trouble}")

    def _program(self, words: tuple[str, ...]) -> None:
        if words and which(words[0], path=self._environ.get("PATH")) is None:
            raise EngineError(f"the runner {words[0]!r} was not found; put it on PATH, or write its whole path")

    def _call(self, argv: list[str], more: Mapping[str, str]) -> str:
        """Run it to its end; what went wrong, or ""."""
        try:
            done = subprocess.run(
                argv,
                env=self._environment() | dict(more),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            trouble = f"{argv[0]}: {type(error).__name__}"
        else:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            trouble = f"{argv[0]}: exit code {done.returncode}: {''.join(last)}"[:300] if done.returncode else ""
        if trouble:
            log.warning("%s", trouble)
        return trouble

    def _environment(self) -> dict[str, str]:
        """Of this user, not of the poller: the forge's token is not among it."""
        found = {name: self._environ[name] for name in _PASSED if name in self._environ}
        return {"PATH": os.defpath, "LANG": "C.UTF-8"} | found


def _values(launch: Launch) -> dict[str, str]:
    return {
        "agent": launch.agent,
        "identity": launch.identity,
        "session": launch.claude_session,
        "turn": launch.directory.name,
        "key": launch.key,
        "model": (launch.settings.model or "") if launch.settings is not None else "",
        "work": str(state.work(launch.bottle, launch.cwd).absolute()),
        "transcript": str(state.config_dir(launch.bottle).absolute()),
        "directory": str(launch.directory.absolute()),
        "prompt": str((launch.directory / "prompt.md").absolute()),
    }
